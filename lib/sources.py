"""What a recording is made of: one file, or several that a small JSON file lists (standard library only).

A recording of one file is known by that file's path. One of several files, or with a file of metadata beside it, is
known by the path of its list, which `lib.headers` keeps up to date: it changes when any of the files does.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

LIST = ".json"  # the suffix that tells a list from a movie


@dataclass(frozen=True)
class Source:
    """The files of a recording.

    Attributes
    ----------
    name : str
        Of the recording.
    channels : tuple of tuple of str
        One tuple of files for each file channel; several files continue one another.
    """

    name: str
    channels: tuple[tuple[str, ...], ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All files that hold images."""
        return tuple(path for channel in self.channels for path in channel)

    @classmethod
    def of_file(cls, path: str | Path) -> Self:
        return cls(Path(path).stem, ((str(path),),))


@dataclass(frozen=True)
class FileList:
    """A recording's list: its source, the images in each file, and size and time of everything it depends on.

    `opening` is what `lib.recording.open_recording` must know of the files that they do not tell: `dataset`, `axes`.
    """

    source: Source
    frames: tuple[tuple[int, ...], ...]
    facts: tuple[tuple[str, int, int], ...]  # path, bytes, time of the last change (seconds)
    opening: dict = field(default_factory=dict)

    def as_dict(self) -> dict:
        """Return what the JSON file holds."""
        return {
            "name": self.source.name,
            "channels": [list(paths) for paths in self.source.channels],
            "frames": [list(counts) for counts in self.frames],
            "files": [list(fact) for fact in self.facts],
        } | ({"opening": self.opening} if self.opening else {})

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return the list that a JSON file holds.

        Raises
        ------
        ValueError, KeyError, OSError
            It cannot be read, or holds something else.
        """
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(
            Source(data["name"], tuple(map(tuple, data["channels"]))),
            tuple(map(tuple, data["frames"])),
            tuple(map(tuple, data["files"])),
            data.get("opening", {}),
        )


def stat_all(paths: tuple[str, ...]) -> list[tuple[str, int, int]]:
    """Return path, bytes and time (nanoseconds) of files, and of everything in those that are folders."""
    facts = []
    for path in paths:
        stat = os.stat(path)
        inside = _inside(path) if os.path.isdir(path) else [(path, stat)]
        facts += [(name, found.st_size, found.st_mtime_ns) for name, found in inside]
    return facts


def _inside(folder: str) -> list[tuple[str, os.stat_result]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            found += _inside(entry.path) if entry.is_dir() else [(entry.path, entry.stat())]
    return found


def fingerprint(path: str | Path) -> dict:
    """Return what tells a recording from another with the same name, for status.json.

    `path` is the recording's file or list; see `lib.session.RecordingInfo`.
    """
    if Path(path).suffix != LIST:
        stat = os.stat(path)
        return {"name": Path(path).name, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    listed = FileList.read(path)
    facts = [(Path(name).name, size, seconds) for name, size, seconds in listed.facts]
    return {
        "name": listed.source.name,
        "files": len(facts),
        "bytes": sum(size for _, size, _ in facts),
        "sha256": hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
    }
