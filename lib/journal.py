"""Which parts of a long work are on disk: lines of JSON that a kill may cut off but not spoil, and whose work it is."""

import errno
import fcntl
import json
import logging
import os
from pathlib import Path
from typing import Any

from lib.store import name_in_errors

logger = logging.getLogger(__name__)


class Journal:
    """A file of lines to append to, each whole or not there.

    Parameters
    ----------
    path
    length
        Bytes to keep of what is there, as `read_journal` tells: a torn last line would swallow the next one.
    alone
        Keep other processes away from it, until it is closed.

    Raises
    ------
    RuntimeError
        Another process holds it.
    """

    def __init__(self, path: Path, *, length: int = 0, alone: bool = False) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if alone:
                hold(self._descriptor, path)
            os.ftruncate(self._descriptor, length)
        except BaseException:
            self.close()
            raise

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line and wait until it is on disk; OSError if it cannot be, and then nothing of it is there."""
        line = (json.dumps(entry) + "\n").encode()
        with name_in_errors(self.path):
            end = os.fstat(self._descriptor).st_size
            try:
                if os.write(self._descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._descriptor)
            except OSError:
                os.ftruncate(self._descriptor, end)
                raise

    def close(self) -> None:
        """Close the file, and let others have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_journal(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the journal's entries and the bytes they take, up to a line that was not written to its end."""
    entries, length = [], 0
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(entry, dict):
            break
        entries.append(entry)
        length += len(line)
    return entries, length


def lock(path: Path, *, shared: bool) -> int:
    """Return a descriptor that keeps other processes away until it is closed; those that share it too are let in."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        hold(descriptor, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except RuntimeError:
        os.close(descriptor)
        raise
    return descriptor


def hold(descriptor: int, path: Path, kind: int = fcntl.LOCK_EX) -> None:
    """Lock an open file until it is closed, or its process ends; RuntimeError if another process holds it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RuntimeError(
            f"another process is compensating into {path.parent}; wait for it or end it, then run again"
        ) from error
    except OSError as error:  # file systems without locks; Snakemake's own lock is there too
        logger.warning("%s cannot be locked (%s): do not run two jobs on it at once", path, error)
