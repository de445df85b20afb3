"""Snakemake with every job's script run inside its own process, for sessions of thousands of tiny jobs.

    python -m tests.bench.inprocess <arguments of snakemake>

A job takes a second to start and a moment to run. Everything else (the graph, the records of what was done) is
Snakemake's own. One job at a time: scripts configure the process's logging.
"""

import os
import runpy
import sys
import time

from snakemake.cli import main
from snakemake.script import PythonScript


def execute_script(self: PythonScript, fname: str, edit: bool = False) -> None:
    """Take the place of starting a Python for the script."""
    path = list(sys.path)
    start = time.time()
    runpy.run_path(fname, run_name="__main__")
    if self.bench_record is not None:
        self.bench_record.running_time = time.time() - start
    sys.path[:] = path  # every script extends it


if __name__ == "__main__":
    PythonScript.execute_script = execute_script
    os.fsync = os.fdatasync = lambda descriptor: None  # nobody keeps these sessions
    main(sys.argv[1:])
