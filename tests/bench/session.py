"""A whole session, from raw movies to the session mask: `snakemake --cores 2` beside `pyflowreg-session`."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import tifffile

from lib.simulate import simulate_session

from .peers import interpreter
from .report import BENCH, ROOT, table

CORES = 2
OURS = """\
root: .
flow_options:
  quality_setting: fast
"""
# Keys as its user guide gives them; both choose the middle recording as center by default.
PYFLOWREG = """\
root = "{folder}"
pattern = "*.tif"
output_root = "compensated_outputs"
final_results = "final_results"
resume = true
scheduler = "local"
n_workers = {cores}
flow_backend = "flowreg"

[flow_options]
quality_setting = "fast"
"""
NOTE = (
    f"Five recordings of 200 frames of 256 x 256, {CORES} cores, preset fast, else defaults, fresh folders, "
    "kernels compiled before; engines take turns, ours first and last. Alike: the least correlation of a recording's "
    "aligned and averaged movie with the center's, inside the session mask; of the raw movies it is {raw:.3f}."
)
COLUMNS = ("engine", "wall s", "each run", "CPU s", "times faster", "aligned movies", "alike", "mask % of frame")


def run(*, rounds: int, without: set[str], pythons: dict[str, Path]) -> list[str]:
    """Return the table; sessions take long, so `rounds` counts only ours, and the peer runs once less."""
    source, tiny = BENCH / "session" / "source", BENCH / "session" / "tiny"
    if not (source / "truth").exists():
        simulate_session(source)
    simulate_session(tiny, names=("a", "b", "c"), frames=4, shape=(64, 64), between_rigid=1.0)
    engines = {"flowsession": run_ours}
    if "pyflowreg" not in without:
        peer = interpreter("pyflowreg", pythons).with_name("pyflowreg-session")
        engines["pyflowreg-session"] = lambda folder: run_pyflowreg(peer, folder)
    times = {name: [] for name in engines}
    folders = {name: BENCH / "session" / name for name in engines}
    for name, engine in engines.items():
        engine(fresh(tiny, folders[name]))  # compiles
    for turn in range(max(rounds, 2)):
        for name, engine in engines.items():
            if name == "flowsession" or turn < max(rounds, 2) - 1:
                times[name].append(engine(fresh(source, folders[name])))
    ours = mean(wall for wall, _ in times["flowsession"])
    rows = []
    for name, measured in times.items():
        wall, cpu = (mean(part) for part in zip(*measured, strict=True))
        each = ", ".join(f"{seconds:.0f}" for seconds, _ in measured)
        rows.append((name, wall, each, cpu, wall / ours, *judge(folders[name])))
    mask = read_mask(folders["flowsession"])
    raw = alike({path.stem: average(path) for path in source.glob("*.tif")}, mask)
    return [table("Session", COLUMNS, rows, NOTE.format(raw=raw))]


def fresh(source: Path, folder: Path) -> Path:
    """Make `folder` anew with the recordings of `source`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in source.glob("*.tif"):
        os.link(path, folder / path.name)
    return folder


def run_ours(folder: Path) -> tuple[float, float]:
    """Run the workflow on a folder of recordings; return wall and CPU seconds."""
    (folder / "session.yaml").write_text(OURS, encoding="utf-8")
    return timed([*snakemake(folder), "--cores", str(CORES)], folder)


def snakemake(folder: Path) -> list[str | Path]:
    """Return the command for the session in `folder`."""
    start = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile"]
    return [*start, "--directory", folder, "--configfile", folder / "session.yaml"]


def run_pyflowreg(program: Path, folder: Path) -> tuple[float, float]:
    """Run the peer's session command; return wall and CPU seconds."""
    config = folder / "session.toml"
    config.write_text(PYFLOWREG.format(folder=folder, cores=CORES), encoding="utf-8")
    return timed([program, "run", "--config", config], folder)


def timed(command: Sequence[str | Path], folder: Path) -> tuple[float, float]:
    """Run a command and return its wall seconds and the CPU seconds of it and all its children."""
    # as users have it: compiled once, by the run before
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with open(folder / "output.log", "w", encoding="utf-8") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(map(str, command))} failed: see {log.name}")
    return wall, usage.ru_utime + usage.ru_stime


def judge(folder: Path) -> tuple[int, float, float]:
    """Look at what an engine left: aligned movies, how alike they are, and the size of the session mask."""
    movies = sorted((folder / "final_results").glob("aligned_*.tif"))
    mask = read_mask(folder)
    averages = {path.stem.removeprefix("aligned_"): average(path) for path in movies}
    return len(movies), alike(averages, mask), 100 * float(mask.mean())


def read_mask(folder: Path) -> np.ndarray:
    with np.load(folder / "final_results" / "final_valid_idx.npz") as results:
        return results["final_valid"].astype(bool)


def average(path: Path) -> np.ndarray:
    return tifffile.imread(path).mean(axis=0, dtype=np.float64)


def alike(averages: dict[str, np.ndarray], mask: np.ndarray) -> float:
    """Return the least correlation of the averages with that of the middle recording, where the mask is."""
    names = sorted(averages)
    center = averages.pop(names[(len(names) - 1) // 2])[mask]
    return min(float(np.corrcoef(other[mask], center)[0, 1]) for other in averages.values())
