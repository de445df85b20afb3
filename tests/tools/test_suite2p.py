"""suite2p finds cells in the exported session, with the lines of the README, and leaves the movie alone."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.bench.report import BENCH
from tests.readme import example

from .conftest import FRAMES, NAMES, call, snakemake

OLD = ("suite2p==0.14.6", "numpy==2.2.6")  # newer NumPy breaks the old line
WORKER = Path(__file__).parents[1] / "bench"


def overlay(python: Path) -> Path:
    """Return a folder with the old line, to be put before the packages of the new one."""
    folder = BENCH / "suite2p-0.14"
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(OLD):
        shutil.rmtree(folder, ignore_errors=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", folder, *OLD], check=True)
        stamp.write_text("\n".join(OLD))
    return folder


@pytest.mark.parametrize("line, number", [("1.x", 1), ("0.14", 2)])
def test_cells_are_found(session, suite2p, tmp_path, line, number):
    snakemake(session, "--force", "export_suite2p")  # paths in there are absolute
    plane = session / "final_results" / "suite2p" / "plane0"
    movie = hashlib.sha256((plane / "data.bin").read_bytes()).digest()
    script = tmp_path / "readme.py"
    script.write_text(
        # a CPU build of torch beside a torchvision for GPUs, see there
        "import torch\nfrom worker import allow_torchvision\nallow_torchvision(torch)\n"
        "import suite2p\nprint('version:', suite2p.version)\n" + example("**suite2p**", number)
    )
    before = [overlay(suite2p)] if line == "0.14" else []
    path = os.pathsep.join(map(str, [*before, WORKER]))
    output = call(suite2p, script, cwd=session, PYTHONPATH=path)
    assert f"version: {line.removesuffix('x')}" in output
    assert hashlib.sha256((plane / "data.bin").read_bytes()).digest() == movie
    cells = np.load(plane / "stat.npy", allow_pickle=True)
    traces = np.load(plane / "F.npy")
    assert traces.shape == (len(cells), FRAMES * len(NAMES)) and len(cells) >= 3
    ops = np.load(plane / "ops.npy", allow_pickle=True).item()
    for cell in cells:
        assert cell["ypix"].max() < ops["Ly"] and cell["xpix"].max() < ops["Lx"]
    assert np.load(plane / "iscell.npy").shape == (len(cells), 2)
