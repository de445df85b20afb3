"""Snakemake with every job's script run inside its own process, for sessions of thousands of tiny jobs.

    python -m tests.bench.inprocess <arguments of snakemake>

A job takes a second to start and a moment to run. Everything else (the graph, the records of what was done) is
Snakemake's own. One job at a time: scripts configure the process's logging.
"""

import runpy
import sys

from snakemake.cli import main
from snakemake.script import PythonScript


def execute_script(self: PythonScript, fname: str, edit: bool = False) -> None:
    """Take the place of starting a Python for the script."""
    path = list(sys.path)
    try:
        runpy.run_path(fname, run_name="__main__")
    finally:
        sys.path[:] = path


if __name__ == "__main__":
    PythonScript.execute_script = execute_script
    main(sys.argv[1:])
