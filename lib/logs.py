"""Logging of a job: everything to its log file, and the reason of a failure also to the terminal."""

import logging
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LAST_LINES = 5


@contextmanager
def job_log(path: str) -> Iterator[None]:
    """Send log records, warnings and the traceback of an exception to the file `path`.

    On an exception its message is printed to stderr, where Snakemake's own messages are, and the process ends
    with exit status 1.
    """
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    except Exception as error:
        logging.exception("The job failed")
        print(f"\n{type(error).__name__}: {error}\n(traceback in {path})\n", file=sys.stderr)
        raise SystemExit(1) from error
    finally:
        root.removeHandler(handler)
        handler.close()


def failure_report(failed: Iterable[tuple[str, list[tuple[str, str]]]], recordings: int, *, since: float) -> str:
    """Return what to tell at the end of a run in which jobs failed.

    Parameters
    ----------
    failed
        For each submission that failed for good: its recording ("" if it is of the whole session) and the rule and log
        of each of its jobs, in the order in which they run.
    recordings
        How many the session has.
    since
        When the run began, in seconds since the epoch; older logs are of other runs.

    Returns
    -------
    str
        The recordings, and for each the job that came last and the last lines of its log.
    """
    parts, names = [], set()
    for name, jobs in sorted(failed):
        names.add(name)
        begun = [(os.stat(log).st_mtime, log, rule) for rule, log in jobs if os.path.exists(log)]
        begun = [entry for entry in begun if entry[0] >= since]
        if not begun:
            rules = " and ".join(rule for rule, _ in jobs)
            parts.append(
                f"{name or 'the session'}: {rules} did not start; what the scheduler said is in logs/<scheduler>."
            )
            continue
        _, log, rule = max(begun)
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip() for line in deque(file, LAST_LINES)]
        parts.append("\n    ".join([f"{name or 'the session'}: {rule} failed, the end of {log}:", *lines]))
    names.discard("")
    head = f"{len(names)} of {recordings} recordings failed" if names else "The session's results failed"
    return "\n  ".join([f"{head}; what does not depend on them is done.", *parts])
