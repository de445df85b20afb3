"""A session: which recordings it has, what their headers say, and where every file goes.

Standard library only, because every job on a cluster parses the workflow again: recordings are opened only
when they are new or changed.
"""

import glob
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lib.version import HEADERS

# Every file of the results. `session.path` fills in the folders and, for files of a recording, its name.
FILES = {
    # stage 1, per recording
    "compensated": "{output_root}/{recording}/compensated.hdf5",
    "valid": "{output_root}/{recording}/idx.hdf",
    "reference": "{output_root}/{recording}/reference_frame.npy",
    "statistics": "{output_root}/{recording}/statistics.npz",
    "flow": "{output_root}/{recording}/w.h5",
    "compact_flow": "{output_root}/{recording}/w_compact.h5",
    "status": "{output_root}/{recording}/status.json",
    "average": "{output_root}/{recording}/temporal_average.npy",
    "mask": "{final_results}/{recording}_valid_idx.png",
    # stage 2, per recording
    "to_reference": "{output_root}/{recording}/w_to_reference.npz",
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
    # the session for other tools
    "suite2p": "{final_results}/suite2p/plane0/{file}",
    "caiman": "{final_results}/caiman/ch{channel}_d1_{height}_d2_{width}_d3_1_order_F_frames_{frames}.mmap",
    "nwb": "{final_results}/session.nwb",
    "traces": "{final_results}/traces.h5",
}

# What all recordings of a session must have in common.
COMMON = ("height", "width", "channels", "dtype")


class SessionError(ValueError):
    """The recordings cannot be used; the message lists every problem found."""


@dataclass(frozen=True)
class RecordingInfo:
    """One recording: its name (the file's stem), its file, and what the file's header says."""

    name: str
    path: str
    bytes: int
    frames: int
    height: int
    width: int
    channels: int
    dtype: str
    frame_rate: float | None = None  # Hz; None where the file does not tell
    pixel_size: tuple[float, float] | None = None  # [y, x], micrometres

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

    def path(self, kind: str, recording: str = "{recording}", **fields) -> str:
        """Return the path of a kind of file; without a recording, the pattern with Snakemake's wildcard.

        `fields` are what some names hold beside the recording (see `FILES`).
        """
        folders = {"output_root": self.output_root, "final_results": self.final_results}
        return FILES[kind].format(**folders, recording=recording, **fields)

    def paths(self, kind: str) -> list[str]:
        """Return the paths of one kind of file of all recordings, sorted by name."""
        return [self.path(kind, name) for name in self.names]


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
    sources = find_recordings(root, config["pattern"], exclude=tuple(folders.values()))
    headers, problems = _read_headers(sources, Path(folders["output_root"], ".headers.json"), config["dataset"])
    recordings = tuple(
        RecordingInfo(Path(path).stem, path, **headers[path]) for path in sorted(headers, key=lambda p: Path(p).stem)
    )
    problems += _name_problems(sources)
    problems += _header_problems(recordings)
    problems += _config_problems(config, recordings, sources)
    if problems:
        raise SessionError("\n  ".join([f"The recordings in '{root}' cannot be processed:", *problems]))
    center = config["center"]
    if center not in ("middle", "auto"):
        center = next(r.name for r in recordings if center in (r.name, Path(r.path).name))
    return Session(
        root=root,
        center=center,
        reference_image=_reference_image(config, root),
        recordings=recordings,
        **folders,
    )


def find_recordings(root: str, pattern: str | list[str], exclude: tuple[str, ...] = ()) -> list[str]:
    """Return the files in `root` that match, sorted, leaving out those inside the folders `exclude`.

    Raises
    ------
    SessionError
        `root` is no folder, or nothing matches.
    """
    if not os.path.isdir(root):
        raise SessionError(
            f"root: the session folder '{root}' ({os.path.abspath(root)}) does not exist. "
            "Set 'root' to the folder that holds the recordings."
        )
    patterns = [pattern] if isinstance(pattern, str) else pattern
    found = {
        os.path.normpath(os.path.join(root, match))
        for pattern in patterns
        for match in glob.glob(pattern, root_dir=root, recursive=True)
    }
    results = tuple(os.path.join(folder, "") for folder in exclude)
    sources = sorted(path for path in found if os.path.isfile(path) and not path.startswith(results))
    if not sources:
        raise SessionError(
            f"pattern: no recording in '{root}' ({os.path.abspath(root)}) matches "
            f"{' or '.join(map(repr, patterns))}. Set 'root' to the folder that holds the recordings and "
            "'pattern' to their names."
        )
    return sources


def _read_headers(sources: list[str], cache: Path, dataset) -> tuple[dict[str, dict], list[str]]:
    """Return {path: header} and problems; files with the remembered size and time are not opened again."""
    try:
        remembered = json.loads(cache.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a first run, or a damaged file: read the headers again
        remembered = []
    known = {
        (e["path"], e["bytes"], e["mtime_ns"], str(e["dataset"])): e["header"]
        for e in remembered
        if e.get("version") == HEADERS
    }
    entries, headers, problems = [], {}, []
    for path in sources:
        stat = os.stat(path)
        header = known.get((path, stat.st_size, stat.st_mtime_ns, str(dataset)))
        if header is None:
            from lib.recording import (
                RecordingError,
                read_header,
            )  # NumPy and HDF5, only if there is something new

            try:
                header = read_header(path, dataset=dataset).as_dict()
            except RecordingError as error:
                problems.append(str(error))
                continue
        entries.append(
            {
                "version": HEADERS,
                "path": path,
                "bytes": stat.st_size,
                "mtime_ns": stat.st_mtime_ns,
                "dataset": dataset,
                "header": header,
            }
        )
        headers[path] = {"bytes": stat.st_size} | {key: header[key] for key in ("frames", *COMMON, "frame_rate")}
        headers[path]["pixel_size"] = None if header["pixel_size"] is None else tuple(header["pixel_size"])
    if entries != remembered:
        from lib.store import write_json

        write_json(cache, entries)
    return headers, problems


def _name_problems(sources: list[str]) -> list[str]:
    problems = []
    stems = Counter(Path(path).stem for path in sources)
    for stem, count in stems.items():
        if count > 1:
            paths = ", ".join(path for path in sources if Path(path).stem == stem)
            problems.append(
                f"{paths}: {count} recordings share the stem '{stem}', so their results would overwrite each "
                "other; rename them or narrow 'pattern'."
            )
    for path in sources:
        if set(path) & set("{}\n"):
            problems.append(f"{path!r}: names with {{, }} or line breaks cannot be used; rename the file or folder.")
        if Path(path).stem == "final":
            problems.append(f"{path}: 'final' is the name of the session's own mask; rename the recording.")
    return problems


def _header_problems(recordings: tuple[RecordingInfo, ...]) -> list[str]:
    """Name the recordings whose frame size, channels or data type are not those of most others."""
    problems = []
    for key in COMMON:
        counts = Counter(getattr(recording, key) for recording in recordings)
        if len(counts) > 1:
            usual, count = counts.most_common(1)[0]
            problems += [
                f"{r.path}: {key} is {getattr(r, key)}, but {usual} in {count} of {len(recordings)} "
                "recordings; all must be alike: move it elsewhere, convert it or narrow 'pattern'."
                for r in recordings
                if getattr(r, key) != usual
            ]
    return problems


def parse_span(reference_frames: str | list[int]) -> tuple[int, int] | None:
    """Return (first, stop) of 'first:stop', or None for 'auto', a list of frames or the path of an image."""
    match = re.fullmatch(r"(\d+):(\d+)", reference_frames) if isinstance(reference_frames, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _reference_image(config: dict, root: str) -> str | None:
    frames = config["flow_options"]["reference_frames"]
    if isinstance(frames, list) or frames == "auto" or parse_span(frames):
        return None
    return os.path.normpath(os.path.join(root, frames))


def _config_problems(config: dict, recordings: tuple[RecordingInfo, ...], sources: list[str]) -> list[str]:
    """Name the settings that do not fit the recordings."""
    problems = []
    center, options = config["center"], config["flow_options"]
    if center not in ("middle", "auto", *(n for p in sources for n in (Path(p).stem, Path(p).name))):
        names = ", ".join(Path(path).name for path in sources[:20]) + (", ..." if len(sources) > 20 else "")
        problems.append(
            f"center: '{center}' is not among the recordings; allowed are 'middle', 'auto' or one of {names}."
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
