"""Find the recordings of a session: which files there are, and which belong together (standard library only)."""

import glob
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lib.sources import Source

FOLDERS = (".zarr",)  # formats that are folders

# base, number and suffix of "run_00001_00002.tif" and "TSeries_Cycle00001_000003.ome.tif"
NUMBERED = re.compile(r"(?P<base>.+?)(?:[_-](?P<number>\d+))?(?P<suffix>(?:\.ome)?\.[^.]+)", re.DOTALL)


class SessionError(ValueError):
    """The recordings cannot be used; the message lists every problem found.

    Attributes
    ----------
    recordings, left : tuple
        Those that can be used, and name, files and header (if it could be read) of the others, as far as they are
        known.
    """

    def __init__(self, message: str, recordings: tuple = (), left: tuple = ()) -> None:
        super().__init__(message)
        self.recordings, self.left = recordings, left


def find_sources(
    root: str,
    *,
    pattern: str | Sequence[str],
    recordings: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
    channel_pattern: str | None = None,
    exclude: tuple[str, ...] = (),
) -> tuple[list[Source], list[str]]:
    """Return the recordings in `root`, sorted by name, and problems in words.

    Parameters
    ----------
    root
        The session folder.
    pattern
        Globs. Without `recordings`, every file that matches is a recording; with it, they tell which files of a
        folder are meant.
    recordings
        Globs: files that differ in their last number only continue one another, and a folder is one recording.
        Or names, each with the files, globs or folders that make that recording, in order.
    channel_pattern
        A part of the file names that tells channels apart, such as "_ch{channel}".
    exclude
        Folders of results; what is inside is no recording.

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
    finder = _Finder(root, _listed(pattern), channel_pattern, exclude)
    if recordings is None:
        sources = finder.each_file()
    elif isinstance(recordings, Mapping):
        sources = finder.named(recordings)
    else:
        sources = finder.joined(_listed(recordings))
    if not sources and not finder.problems:
        key, wanted = ("pattern", pattern) if recordings is None else ("recordings", recordings)
        raise SessionError(
            f"{key}: no recording in '{root}' ({os.path.abspath(root)}) matches "
            f"{' or '.join(map(repr, _listed(wanted)))}. Set 'root' to the folder that holds the recordings and "
            f"'{key}' to their names."
        )
    return sorted(sources, key=lambda source: source.name), finder.problems + finder.odd_channels() + _shared(sources)


class _Finder:
    """The files of a session folder; `problems` gathers what is wrong with them."""

    def __init__(self, root: str, patterns: list[str], channel_pattern: str | None, exclude: tuple[str, ...]) -> None:
        self.root = root
        self.patterns = patterns
        self.problems: list[str] = []
        self._results = tuple(os.path.join(folder, "") for folder in exclude)
        self._channel_pattern = channel_pattern
        self._labels: dict[str, str] = {}  # of the channels of each recording
        self._channel = None
        if channel_pattern:
            before, after = map(re.escape, channel_pattern.split("{channel}"))
            self._channel = re.compile(f"{before}(?P<channel>[^\\W_]+){after}")

    def each_file(self) -> list[Source]:
        """Every file, or the files of every set of channels, is a recording."""
        together = defaultdict(list)
        for path in self._files(self.root, self.patterns):
            together[self._without_channel(path)].append(path)
        return [self._source(Path(key).stem, paths) for key, paths in together.items()]

    def joined(self, globs: list[str]) -> list[Source]:
        """Every folder, and all files that differ in their last number only, make a recording."""
        together, sources = defaultdict(list), []
        for path in self._matches(self.root, globs):
            if _is_file(path):
                match = NUMBERED.fullmatch(os.path.basename(self._without_channel(path)))
                key = (os.path.dirname(path), match["base"], match["suffix"]) if match else (path,)
                together[key].append(path)
            else:
                sources.append(self._source(os.path.basename(path), self._folder(path)))
        return sources + [
            self._source(key[1] if len(key) > 1 else Path(key[0]).stem, paths) for key, paths in together.items()
        ]

    def named(self, recordings: Mapping[str, str | Sequence[str]]) -> list[Source]:
        """The user says what every recording is made of."""
        sources = []
        for name, entries in recordings.items():
            paths = []
            for entry in _listed(entries):
                found = sorted(self._matches(self.root, [entry]), key=_natural)
                if not found:
                    self.problems.append(
                        f"recordings.{name}: nothing in '{self.root}' matches '{entry}'; correct it or take it out."
                    )
                for path in found:
                    paths += [path] if _is_file(path) else self._folder(path)
            if paths:
                sources.append(self._source(name, paths, ordered=True))
        return sources

    def odd_channels(self) -> list[str]:
        """Name the recordings whose channels are not those of most others."""
        if len(set(self._labels.values())) <= 1:
            return []
        usual = Counter(self._labels.values()).most_common(1)[0][0]
        return [
            f"{name}: its channels are {labels}, but {usual} in most recordings; copy what is missing or correct "
            "'channel_pattern'."
            for name, labels in self._labels.items()
            if labels != usual
        ]

    def _folder(self, folder: str) -> list[str]:
        files = sorted(self._files(folder, self.patterns), key=_natural)
        if not files:
            self.problems.append(
                f"{folder}: no file in this folder matches {' or '.join(map(repr, self.patterns))}; set 'pattern' to "
                "the files of a recording."
            )
        return files

    def _matches(self, folder: str, globs: Iterable[str]) -> list[str]:
        found = {
            os.path.normpath(os.path.join(folder, match))
            for pattern in globs
            for match in glob.glob(pattern, root_dir=folder, recursive=True)
        }
        return sorted(path for path in found if not os.path.join(path, "").startswith(self._results))

    def _files(self, folder: str, globs: Iterable[str]) -> list[str]:
        return [path for path in self._matches(folder, globs) if _is_file(path)]

    def _without_channel(self, path: str) -> str:
        """Return the path without the part of the name that tells the channel."""
        folder, name = os.path.split(path)
        return os.path.join(folder, self._channel.sub("", name, count=1) if self._channel else name)

    def _source(self, name: str, paths: list[str], ordered: bool = False) -> Source:
        """Return the recording that these files make; name what is missing among them."""
        channels: dict[str, list[str]] = defaultdict(list)
        for path in paths if ordered else sorted(paths, key=_natural):
            match = self._channel.search(os.path.basename(path)) if self._channel else None
            if self._channel and not match:
                self.problems.append(
                    f"{path}: the name does not have the part '{self._channel_pattern}' that tells its channel; "
                    "correct 'channel_pattern' or narrow 'pattern'."
                )
            channels[match["channel"] if match else ""].append(path)
        if len({len(files) for files in channels.values()}) > 1:
            counts = ", ".join(f"{len(files)} of channel {channel}" for channel, files in channels.items())
            self.problems.append(f"{name}: found {counts}; every channel needs as many files: copy the missing ones.")
        self._labels[name] = ", ".join(sorted(channels, key=_natural))
        if not ordered:
            for files in channels.values():
                self._check_numbers(name, files)
        return Source(name, tuple(tuple(channels[channel]) for channel in sorted(channels, key=_natural)))

    def _check_numbers(self, name: str, files: list[str]) -> None:
        numbers = defaultdict(list)
        for path in files:
            match = NUMBERED.fullmatch(os.path.basename(path))
            if match and match["number"]:
                numbers[match["base"]].append(int(match["number"]))
        for base, found in numbers.items():
            missing = sorted(set(range(min(found), max(found))) - set(found))
            if missing:
                self.problems.append(
                    f"{name}: files {min(found)} to {max(found)} of '{base}' continue one another, but number "
                    f"{', '.join(map(str, missing[:5]))} is missing; copy it too, or list the files in 'recordings'."
                )


def _listed(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _is_file(path: str) -> bool:
    return os.path.isfile(path) or path.lower().endswith(FOLDERS)


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key that counts: "run_2" comes before "run_10"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def _shared(sources: list[Source]) -> list[str]:
    """Name what two recordings want at once."""
    problems = []
    for name, count in Counter(source.name for source in sources).items():
        if count > 1:
            paths = ", ".join(source.files[0] for source in sources if source.name == name)
            problems.append(
                f"{paths}: {count} recordings share the stem '{name}', so their results would overwrite each "
                "other; rename them or narrow 'pattern'."
            )
    for path, count in Counter(path for source in sources for path in source.files).items():
        if count > 1:
            problems.append(f"{path}: {count} recordings are made of this file; correct 'recordings'.")
    for source in sources:
        if "/" in source.name:
            problems.append(
                f"{source.files[0]}: '{source.name}' is no name for a folder; take the / out of it in 'recordings'."
            )
        if set(source.name) & set("{}\n"):
            problems.append(
                f"{source.files[0]!r}: names with {{, }} or line breaks cannot be used; rename the file or folder."
            )
        if source.name == "final":
            problems.append(f"{source.files[0]}: 'final' is the name of the session's own mask; rename the recording.")
    return problems
