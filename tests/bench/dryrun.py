"""Seconds that `snakemake -n` takes on finished sessions, of 5 and of 1,000 recordings."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import tifffile

from lib.simulate import make_scene, simulate_recording

from .report import BENCH, ROOT, table
from .session import snakemake

SIZES = (5, 1000)
SETTINGS = "root: .\nn_workers: 1\nflow_options:\n  quality_setting: fast\n  reference_frames: [0]\n"
NOTE = "Tiny recordings (3 frames of 48 x 48). Finished: nothing is to be done, which the output is checked for."


def run(*, rounds: int, without: set[str], pythons: dict[str, Path]) -> list[str]:
    """Return the table."""
    rows = []
    for count in SIZES:
        folder = BENCH / "dryrun" / str(count)
        made = finish_session(folder, count)
        seconds = [dry_run(folder) for _ in range(rounds)]
        rows.append((count, median(seconds), max(seconds), made))
    return [table("Dry run", ("recordings", "snakemake -n, s", "slowest, s", "making the session, s"), rows, NOTE)]


def finish_session(folder: Path, count: int) -> float:
    """Make a session and run the workflow on it in one process; return how long the workflow took."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    movie = simulate_recording(make_scene((48, 48), seed=1), frames=3, seed=2, rigid=1.0, nonrigid=0.0).movie
    for number in range(count):
        tifffile.imwrite(folder / f"recording_{number:04}.tif", movie, photometric="minisblack")
    (folder / "session.yaml").write_text(SETTINGS, encoding="utf-8")
    start = [sys.executable, "-m", "tests.bench.inprocess", *snakemake(folder)[3:]]
    with open(folder / "output.log", "w", encoding="utf-8") as log:
        begin = time.perf_counter()
        command = [*start, "--cores", "1", "--scheduler", "greedy"]
        if subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT).returncode:
            raise SystemExit(f"The session of {count} recordings failed: see {log.name}")
    return time.perf_counter() - begin


def dry_run(folder: Path) -> float:
    """Return the seconds of `snakemake -n` on a finished session."""
    start = time.perf_counter()
    done = subprocess.run([*snakemake(folder), "-n"], cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if "Nothing to be done" not in done.stdout + done.stderr:
        raise SystemExit(f"{folder} should be finished, but snakemake -n says:\n{done.stdout}\n{done.stderr}")
    return seconds
