"""Logging of a job: everything to its log file, and the reason of a failure also to the terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
