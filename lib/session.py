"""A session: which recordings it has, what their headers say, and where every file goes.

Standard library only, because every job on a cluster parses the workflow again: recordings are opened only
when they are new or changed.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lib.discovery import SessionError, find_sources
from lib.external import find_external, given_average
from lib.header import Header, select
from lib.headers import LISTS, Found, read_all
from lib.sources import LIST

__all__ = ["RecordingInfo", "Session", "SessionError", "open_session", "parse_span"]

# Every file of the results. `session.path` fills in the folders and, for files of a recording, its name.
FILES = {
    # stage 1, per recording
    "compensated": "{output_root}/{recording}/compensated.hdf5",
    "valid": "{output_root}/{recording}/idx.hdf",
    "reference": "{output_root}/{recording}/reference_frame.npy",
    "calibration": "{output_root}/{recording}/calibration.json",
    "statistics": "{output_root}/{recording}/statistics.npz",
    "flow": "{output_root}/{recording}/w.h5",
    "compact_flow": "{output_root}/{recording}/w_compact.h5",
    "status": "{output_root}/{recording}/status.json",
    # of one that is split over several jobs, until it is put together
    "prepared": "{output_root}/{recording}/.partial/prepared.json",
    "shard": "{output_root}/{recording}/.partial/frames_{first}-{stop}.json",
    "average": "{output_root}/{recording}/temporal_average.npy",
    "valid_fraction": "{output_root}/{recording}/valid_fraction.npy",
    "mask": "{final_results}/{recording}_valid_idx.png",
    # stage 2, per recording
    "to_reference": "{output_root}/{recording}/w_to_reference.npz",
    "to_reference_mat": "{output_root}/{recording}/w_to_reference.mat",
    # stage 3, per recording
    "aligned_mask": "{final_results}/{recording}_valid_idx_aligned.png",
    "aligned_tiff": "{final_results}/aligned_{recording}.tif",
    "aligned_hdf5": "{final_results}/aligned_{recording}.h5",
    # the session
    "center": "{final_results}/center.json",
    "final_png": "{final_results}/final_valid_idx.png",
    "final_npz": "{final_results}/final_valid_idx.npz",
    "final_mat": "{final_results}/final_valid_idx.mat",
    "final_status": "{final_results}/status.json",
    "summary_figure": "{final_results}/summary.png",
    "summary_table": "{final_results}/session_summary.csv",
    "session_page": "{final_results}/report/session.html",
    "recording_page": "{final_results}/report/recordings/{recording}.html",
    "preview": "{final_results}/{recording}_preview.gif",
    "previews": "{final_results}/previews",  # their folder, where there are very many
    # the session for other tools
    "suite2p": "{final_results}/suite2p/plane0/{file}",
    "caiman": "{final_results}/caiman/ch{channel}_d1_{height}_d2_{width}_d3_1_order_F_frames_{frames}.mmap",
    "nwb": "{final_results}/session.nwb",
    "traces": "{final_results}/traces.h5",
}

# Where they are otherwise if another tool has done stage 1, whose files stay as they are. The movie's list
# (`lib.sources`) says what its file does not: the order of its axes.
EXTERNAL_FILES = {
    "compensated": os.path.join("{output_root}", LISTS, "{recording}" + LIST),
    "average": "{output_root}/{recording}/average.npy",
}

# What all recordings of a session must have in common.
COMMON = ("height", "width", "channels", "dtype")


@dataclass(frozen=True)
class RecordingInfo:
    """One recording: its name, its files, and what is used of them.

    Attributes
    ----------
    name : str
        The stem of its file, if it has one file and one plane.
    path : str
        What `lib.recording.open_recording` opens: the file, or the list of several files.
    bytes : int
        Of all files.
    frames, height, width, channels : int
        Of what is used.
    dtype : str
    frame_rate : float or None
        Hz; None where the files do not tell.
    pixel_size : (float, float) or None
        [y, x], micrometres.
    plane : int or None
        From 1; None where there is only one.
    channel_names : tuple of str
    files : tuple of str
        All files with images.
    header : Header or None
        What the files say.
    """

    name: str
    path: str
    bytes: int
    frames: int
    height: int
    width: int
    channels: int
    dtype: str
    frame_rate: float | None = None
    pixel_size: tuple[float, float] | None = None
    plane: int | None = None
    channel_names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    header: Header | None = None

    @property
    def label(self) -> str:
        """What users call it: the name of the file, if that file is all of it."""
        return Path(self.path).name if self.files == (self.path,) and self.plane is None else self.name

    @property
    def facts(self) -> dict:
        """What changes when another file takes the place of this one, wherever the session is."""
        return {key: getattr(self, key) for key in ("bytes", "frames", *COMMON)}


@dataclass(frozen=True)
class Session:
    """The recordings of a session, sorted by name, and its folders.

    Paths are as the user gave them, relative ones stay relative: a session folder can be copied or moved, and
    Snakemake still finds everything up to date.
    """

    root: str
    output_root: str
    final_results: str
    center: str  # "middle", "auto" or the name of a recording
    reference_image: str | None  # the reference of all recordings, if it is a given image
    recordings: tuple[RecordingInfo, ...]
    opening: dict  # how all recordings are opened: `dataset`, `axes`, `channels` and `bidiphase` of the configuration
    external: bool = False  # another tool has done stage 1

    @cached_property
    def by_name(self) -> dict[str, RecordingInfo]:
        return {recording.name: recording for recording in self.recordings}

    @property
    def names(self) -> list[str]:
        return list(self.by_name)

    @property
    def channels(self) -> int:
        """Channels of every recording."""
        return self.recordings[0].channels

    def compensated_frames(self, bin_size: int) -> int:
        """Return the frames of all compensated movies together."""
        return sum(-(-recording.frames // bin_size) for recording in self.recordings)

    @property
    def known_center(self) -> str | None:
        """The center recording, or None if it has to be chosen from the averages ("auto")."""
        if self.center == "middle":
            return self.names[(len(self.names) + 1) // 2 - 1]
        return None if self.center == "auto" else self.center

    def reading(self, recording: RecordingInfo) -> dict:
        """Return how `lib.recording.open_recording` is to read a recording, its path apart."""
        return self.opening | {"plane": recording.plane}

    def path(self, kind: str, recording: str = "{recording}", **fields) -> str:
        """Return the path of a kind of file; without a recording, the pattern with Snakemake's wildcard.

        `fields` are what some names hold beside the recording (see `FILES`).
        """
        folders = {"output_root": self.output_root, "final_results": self.final_results}
        files = FILES | EXTERNAL_FILES if self.external else FILES
        return files[kind].format(**folders, recording=recording, **fields)

    def paths(self, kind: str) -> list[str]:
        """Return the paths of one kind of file of all recordings, sorted by name."""
        return [self.path(kind, name) for name in self.names]

    @property
    def compensated_movies(self) -> list[str]:
        """The files with the compensated movies, for people and other tools."""
        return [recording.files[0] for recording in self.recordings] if self.external else self.paths("compensated")

    def given_average(self, recording: str) -> str | None:
        """Return the average that the other tool made of a recording, if there is one."""
        return given_average(os.path.join(self.output_root, recording))


def open_session(config: dict) -> Session:
    """Find the recordings, check what their headers show, and return the session.

    Parameters
    ----------
    config : dict
        The complete configuration, as `lib.config.load` returns it.

    Raises
    ------
    SessionError
        No recording matches, names collide, headers differ or cannot be read, or the configuration does not
        fit the recordings. The message names every offender.
    """
    root = os.path.normpath(config["root"])
    folders = {key: os.path.normpath(os.path.join(root, config[key])) for key in ("output_root", "final_results")}
    external = config["stage1"] == "external"
    if external:
        sources, problems = find_external(folders["output_root"])
    else:
        sources, problems = find_sources(
            root,
            pattern=config["pattern"],
            recordings=config["recordings"],
            channel_pattern=config["channel_pattern"],
            exclude=tuple(folders.values()),
        )
    opening = {key: config[key] for key in ("dataset", "axes")}
    found, unreadable = read_all(sources, folders["output_root"], **opening, external=external)
    recordings, unfit = _recordings(found, config["channels"], config["planes"])
    problems += unreadable + unfit
    problems += _header_problems(recordings)
    unread = {source.name for source in sources} - {entry.source.name for entry in found}
    problems += _config_problems(config, recordings, unread)
    if problems:
        headers = {entry.source.name: entry.header for entry in found}
        used = {recording.files for recording in recordings}
        raise SessionError(
            "\n  ".join([f"The recordings in '{root}' cannot be processed:", *problems]),
            recordings,
            tuple((s.name, s.files, headers.get(s.name)) for s in sources if s.files not in used),
        )
    center = config["center"]
    if center not in ("middle", "auto"):
        called = {center, Path(center).stem}
        center = next(r.name for r in recordings if called & {r.name, r.label})
    return Session(
        root=root,
        center=center,
        reference_image=_reference_image(config, root),
        recordings=recordings,
        opening=opening | {"channels": config["channels"]} | _bidiphase(config),
        external=external,
        **folders,
    )


def _recordings(
    found: list[Found], channels: int | list | None, planes: int | str | None
) -> tuple[tuple[RecordingInfo, ...], list[str]]:
    """Return what is to be used of the files, a recording per plane if they are to be split, and problems."""
    recordings, problems = [], []
    for entry in found:
        header, path = entry.header, entry.source.files[0]
        problems += [
            f"{path}: its set of files contains {name}, which is a recording of its own here; narrow 'pattern' to the "
            "first file of every set."
            for name in header.companions
            if any(name in other.source.files for other in found)
        ]
        wanted = planes
        if planes == "split" or (planes == 1 and header.planes == 1):
            wanted = None
        split = planes == "split" and header.planes > 1
        for plane in range(1, header.planes + 1) if split else [wanted]:
            try:
                chosen = select(header, channels, plane)
            except ValueError as error:
                problems.append(f"{path} {error}.")
                break
            recordings.append(
                RecordingInfo(
                    f"{entry.source.name}_plane{plane}" if split else entry.source.name,
                    entry.path,
                    bytes=entry.bytes,
                    frames=chosen.frames,
                    height=header.height,
                    width=header.width,
                    channels=len(chosen.channels),
                    dtype=header.dtype,
                    frame_rate=chosen.frame_rate,
                    pixel_size=header.pixel_size,
                    plane=plane,
                    channel_names=chosen.names,
                    files=entry.source.files,
                    header=header,
                )
            )
    return tuple(sorted(recordings, key=lambda recording: recording.name)), problems


def _header_problems(recordings: tuple[RecordingInfo, ...]) -> list[str]:
    """Name the recordings whose frame size, channels or data type are not those of most others."""
    problems = []
    for key in COMMON:
        counts = Counter(getattr(recording, key) for recording in recordings)
        if len(counts) > 1:
            usual, count = counts.most_common(1)[0]
            problems += [
                f"{r.files[0]}: {key} is {getattr(r, key)}, but {usual} in {count} of {len(recordings)} "
                "recordings; all must be alike: move it elsewhere, convert it or narrow 'pattern'."
                for r in recordings
                if getattr(r, key) != usual
            ]
    return problems


def _bidiphase(config: dict) -> dict:
    """Return the offset of rows as `lib.recording.open_recording` takes it; YAML reads `off` as false."""
    wanted = config["bidiphase"]
    return {"bidiphase": wanted} if wanted not in ("off", False, 0) else {}


def parse_span(reference_frames: str | list[int]) -> tuple[int, int] | None:
    """Return (first, stop) of 'first:stop', or None for 'auto', a list of frames or the path of an image."""
    match = re.fullmatch(r"(\d+):(\d+)", reference_frames) if isinstance(reference_frames, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _reference_image(config: dict, root: str) -> str | None:
    frames = config["flow_options"]["reference_frames"]
    if isinstance(frames, list) or frames == "auto" or parse_span(frames):
        return None
    return os.path.normpath(os.path.join(root, frames))


def _config_problems(config: dict, recordings: tuple[RecordingInfo, ...], unread: set[str]) -> list[str]:
    """Name the settings that do not fit the recordings, or those whose files cannot be read."""
    problems = []
    center, options = config["center"], config["flow_options"]
    shown = [r.label for r in recordings]
    if not {center, Path(center).stem} & {"middle", "auto", *shown, *(r.name for r in recordings), *unread}:
        problems.append(
            f"center: '{center}' is not among the recordings; allowed are 'middle', 'auto' or one of "
            f"{', '.join(shown[:20])}{', ...' if len(shown) > 20 else ''}."
        )
    image = _reference_image(config, config["root"])
    if image and not os.path.isfile(image):
        problems.append(
            f"flow_options.reference_frames: '{config['flow_options']['reference_frames']}' is neither 'auto', "
            f"'first:stop' nor a file ('{image}' does not exist)."
        )
    if recordings:
        channels = Counter(r.channels for r in recordings).most_common(1)[0][0]
        per_channel = {"weight": options["weight"]}
        if isinstance(options["sigma"][0], list):
            per_channel["sigma"] = options["sigma"]
        problems += [
            f"flow_options.{key}: found {value} for {len(value)} channels, but the recordings have "
            f"{channels}; give one entry per channel."
            for key, value in per_channel.items()
            if value is not None and len(value) != channels
        ]
    return problems
