"""Files in the making on a disk of the node that a job runs on, by the setting `scratch`."""

import fcntl
import hashlib
import logging
import os
import re
import shutil
import socket
from pathlib import Path

logger = logging.getLogger(__name__)

LOCK = "lock"  # of `lib.partial`
TARGET = "target"  # in a recording's folder on scratch: where its results go
DONE = "status.json"  # among those results once they are complete


def scratch_folder(setting: str, folder: str | Path) -> Path:
    """Make and return the place on the node's disk for the partial files of results that go to `folder`.

    Parameters
    ----------
    setting
        A path; `$NAME` is taken from the environment of the job.
    folder
        Of the results. A job for the same folder finds the same place again, if it comes to the same node.

    Raises
    ------
    OSError
        There is no such folder on this node, it cannot be written, or a variable has no value.

    Notes
    -----
    What jobs left there that were killed and then finished on other nodes is removed.
    """
    path, node = Path(os.path.expandvars(setting)), socket.gethostname()
    if unset := re.findall(r"\$\{?(\w+)", str(path)):
        raise OSError(
            f"scratch: '{setting}' cannot be used on {node}: {', '.join(unset)} is not set in the environment of jobs. "
            "Give a folder that every node has, or null."
        )
    if not path.is_dir():
        raise OSError(
            f"scratch: '{setting}' is '{path}' on {node}, and that is no folder. Give one that every node has, or null."
        )
    folder = Path(folder).absolute()
    base = path / f"flowsession-{os.getuid()}"
    own = base / f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    try:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        (own / TARGET).write_text(str(folder), encoding="utf-8")
    except OSError as error:
        raise OSError(f"scratch: '{setting}' cannot be written on {node}: {error}") from error
    for other in base.iterdir():
        if other != own:
            _remove_if_done(other)
    return own


def _remove_if_done(place: Path) -> None:
    """Remove what a killed job left, if its results were finished elsewhere and nobody is at it."""
    try:
        target = Path((place / TARGET).read_text(encoding="utf-8"))
    except FileNotFoundError:  # just being made, or just being removed
        return
    if not (target / DONE).exists():
        return
    with open(place / LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a job is at work there, or the disk knows no locks
            return
        logger.info("%s: removed, %s was finished on another node", place, target)
        shutil.rmtree(place, ignore_errors=True)  # the other jobs of this node may do the same
