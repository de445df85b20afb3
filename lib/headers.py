"""Remember what the headers of the recordings tell, so that files are opened only when they are new or changed.

Standard library only as long as nothing is new, because every job on a cluster parses the workflow again.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from lib.header import Header
from lib.sources import LIST, FileList, Source, stat_all
from lib.version import HEADERS

MEMORY = ".headers.json"
LISTS = ".sources"


@dataclass(frozen=True)
class Found:
    """A recording's files and what they tell.

    `path` stands for them all: the only file, or the list of them (`lib.sources`); `bytes` is their size.
    """

    source: Source
    path: str
    bytes: int
    header: Header


def read_all(
    sources: list[Source],
    folder: str,
    dataset: str | list[str] | None,
    *,
    axes: str | None = None,
    external: bool = False,
) -> tuple[list[Found], list[str]]:
    """Return what the headers of all recordings tell, and problems in words.

    Parameters
    ----------
    sources
        The recordings.
    folder
        Where what was read is remembered, in `MEMORY`, and where the lists of files are, in `LISTS`.
    dataset
        Datasets inside the files, see `lib.recording.open_recording`.
    axes
        The order of their axes, if the user tells it.
    external
        The recordings are movies that another tool has compensated.
    """
    memory = Path(folder, MEMORY)
    try:
        remembered = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a first run, or a damaged file: read the headers again
        remembered = []
    asked = {"dataset": dataset, "asked_axes": axes, "external": external}
    known = {_key(e["channels"]): e for e in remembered if e.items() >= {"version": HEADERS, **asked}.items()}
    entries, found, problems = [], [], []
    for source in sources:
        entry = known.get(_key(source.channels))
        if entry is None or _changed(source, entry):
            from lib.recording import RecordingError, read_headers  # NumPy and HDF5, only if there is something new

            try:
                found_axes = axes
                if external:
                    from lib.external import check_external

                    found_axes = check_external(source.files[0], dataset, axes)
                header, frames = read_headers(source, dataset=dataset, axes=found_axes)
            except RecordingError as error:
                problems.append(str(error))
                continue
            entry = {
                "version": HEADERS,
                "channels": [list(paths) for paths in source.channels],
                **asked,
                "axes": found_axes,
                "files": [list(fact) for fact in stat_all(source.files + header.companions)],
                "frames": frames,
                "header": header.as_dict(),
            }
        entries.append(entry)
        found.append(_found(source, entry, folder))
    if entries != remembered:
        from lib.store import write_json

        write_json(memory, entries)
    return found, problems


def _key(channels) -> str:
    return json.dumps(channels)


def _changed(source: Source, entry: dict) -> bool:
    """Return whether a file is not the one whose header is remembered."""
    try:
        facts = stat_all((*source.files, *entry["header"]["companions"]))
    except FileNotFoundError:
        return True
    return [list(fact) for fact in facts] != entry["files"]


def _list_at(path: str) -> FileList | None:
    try:
        return FileList.read(path)
    except (OSError, ValueError, KeyError):  # none yet, or damaged
        return None


def _found(source: Source, entry: dict, folder: str) -> Found:
    """Return the entry as `Found`; where one file does not tell all, keep the list of files up to date."""
    path, external = source.files[0], entry["external"]
    size = sum(size for _, size, _ in entry["files"])
    if [name for name, _, _ in entry["files"]] != [path] or external:
        facts = tuple((name, size, nanoseconds // 10**9) for name, size, nanoseconds in entry["files"])
        opening = {"axes": entry["axes"], "dataset": entry["header"]["dataset"]} if external else {}
        listed = FileList(source, tuple(map(tuple, entry["frames"])), facts, opening)
        path = os.path.join(folder, LISTS, source.name + LIST)
        if _list_at(path) != listed:
            from lib.store import write_json

            write_json(path, listed.as_dict())
    return Found(source, path, size, Header.from_dict(entry["header"]))
