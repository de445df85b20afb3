"""One run at a time writes the results of a session (standard library only)."""

import fcntl
import os
import socket
from pathlib import Path

LOCK = ".lock"


class ClaimedError(RuntimeError):
    """Another run is at work on the results."""


def claim(folder: str | Path) -> int | None:
    """Claim a folder of results until this process ends, however it ends.

    Returns
    -------
    int or None
        The descriptor that holds the lock; None on file systems that know no locks.

    Raises
    ------
    ClaimedError
        Another run has claimed it; the message says which.
    OSError
        The folder cannot be made or written.
    """
    path = Path(folder, LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 1000, 0).decode("utf-8", errors="replace") or "unknown"
        os.close(descriptor)
        raise ClaimedError(
            f"another run is writing results to {path.parent} ({owner}); wait until it is done, or stop it"
        ) from error
    except OSError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}, in {os.getcwd()}".encode(), 0)
    return descriptor
