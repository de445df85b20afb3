"""Remember what every job wrote, notice when it is damaged, and publish it as `status.json`.

Each folder of results has a hidden `.status.json`, which the jobs keep up to date, and a copy of it for
users, `status.json`. There are two because `status.json` is a declared output, and Snakemake deletes those
before a job runs.

Standard library only, unless something has to be written or looked into: every run of snakemake comes here.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

HIDDEN, PUBLIC = ".status.json", "status.json"


def begin(folder: str | Path, rule: str) -> None:
    """Forget what `rule` wrote to `folder`, so that files in the making are not taken for damaged ones."""
    from lib.store import write_json

    status = _status(folder)
    if status.get("files", {}).pop(rule, None):
        write_json(Path(folder, HIDDEN), status)


def record(folder: str | Path, rule: str, files: Iterable[str | Path], **facts) -> None:
    """Remember size and time of the `files` that `rule` wrote, and add `facts` to the folder's status.

    The first facts make `status.json` appear.
    """
    from lib.store import write_json

    status = _status(folder) | facts
    written = {path: os.stat(path) for path in files}
    status.setdefault("files", {})[rule] = {
        os.path.relpath(path, folder): {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        for path, stat in written.items()
    }
    write_json(Path(folder, HIDDEN), status)
    if facts or Path(folder, PUBLIC).exists():
        write_json(Path(folder, PUBLIC), status)


def facts(folder: str | Path) -> dict:
    """Return what is known of a folder of results: all that `record` was told, nothing if there is nothing yet."""
    return _status(folder)


def stamp(folder: str, rule: str) -> str:
    """Return the path of the file that makes Snakemake run `rule` again; it exists once damage was found."""
    return os.path.join(folder, ".damaged", rule)


def stamped_rules(folders: Iterable[str]) -> set[str]:
    """Return the rules that have a stamp in any of the folders."""
    return {entry.name for folder in folders for entry in Path(folder, ".damaged").glob("*")}


def mark_damage(folders: Iterable[str], memory: str | Path) -> list[str]:
    """Compare all outputs with what the jobs wrote, and stamp the rules that must run again.

    A file of the right size whose time has changed (a copied session) is opened; `memory` remembers that it
    was sound. A missing file is no damage: Snakemake sees that itself. A damaged `status.json` is replaced.

    Returns
    -------
    list of str
        What is damaged, in words.
    """
    verified = _read(Path(memory))
    before = dict(verified)
    found = []
    for folder in folders:
        _restore_status(folder)
        for rule, reasons in _damage(folder, verified).items():
            found += [f"{reason}; {rule} must run again." for reason in reasons]
            path = Path(stamp(folder, rule))
            path.parent.mkdir(exist_ok=True)
            # Snakemake compares small inputs by content: the time makes this new even if the damage is not
            path.write_text("\n".join([*reasons, str(time.time_ns())]), encoding="utf-8")
    if verified != before:
        from lib.store import write_json

        write_json(memory, verified)
    return found


def trust(folders: Iterable[str], memory: str | Path, since_ns: int) -> None:
    """Take as sound what jobs wrote since a time: Snakemake touched it, so that the times have changed.

    Without this the next `mark_damage` would open them all.
    """
    from lib.store import write_json

    verified = _read(Path(memory))
    for folder in folders:
        for _, path, written, found in _existing(folder):
            if written["mtime_ns"] >= since_ns and found.st_size == written["bytes"]:
                verified[path] = found.st_mtime_ns
    write_json(memory, verified)


def _damage(folder: str, verified: dict[str, int]) -> dict[str, list[str]]:
    """Return {rule: reasons} for one folder of results, and add to `verified` what was looked into."""
    damage = {}
    for rule, path, written, found in _existing(folder):
        reason = None
        if found.st_size != written["bytes"]:
            reason = f"{path} has {found.st_size:,} bytes, {written['bytes']:,} were written"
        elif found.st_mtime_ns not in (written["mtime_ns"], verified.get(path)):
            from lib.store import verify

            reason = verify(path)
            if reason is None:
                verified[path] = found.st_mtime_ns
        if reason:
            damage.setdefault(rule, []).append(reason)
    return damage


def _existing(folder: str) -> Iterator[tuple[str, str, dict, os.stat_result]]:
    """Yield rule, path, what was recorded and what is found, for every recorded file that exists."""
    for rule, files in _status(folder).get("files", {}).items():
        for name, written in files.items():
            path = os.path.normpath(os.path.join(folder, name))
            with suppress(FileNotFoundError):
                yield rule, path, written, os.stat(path)


def _restore_status(folder: str) -> None:
    public, hidden = Path(folder, PUBLIC), Path(folder, HIDDEN)
    if public.exists() and hidden.exists() and public.stat().st_size != hidden.stat().st_size:
        from lib.store import write_json

        write_json(public, _status(folder))


def _status(folder: str | Path) -> dict:
    return _read(Path(folder, HIDDEN)) or _read(Path(folder, PUBLIC))


def _read(path: Path) -> dict:
    """Read a small JSON file of ours; a missing or unreadable one knows nothing."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
