"""The GPU path: what it moves and computes per frame, what the compiler makes of it, and how fast a GPU is, if any."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import numpy as np

from .report import ROOT, table

SIZE = 512
FRAMES = 64
PRESETS = ("fast", "balanced", "quality")
GOALS = {"fast": 3000, "balanced": None, "quality": 300}  # frames a second
BANDWIDTH = {"H100": 3.0e12, "RTX 4090": 0.9e12}  # bytes a second
ARITHMETIC = 30e12  # operations a second, less than half of what either has at its best
ARCHITECTURES = (75, 80, 90, 120)
COUNTED = (
    f"One frame of {SIZE} x {SIZE}, uint16, one channel: flow, warped frame, mask, statistics, compact flow. Counted "
    "while the CUDA source runs on the host: every operation, and every number that a launch reads or writes, once per "
    "launch; nothing is assumed to stay in a cache from one launch to the next. Not measured on a GPU."
)


def run(*, rounds: int, without: set[str], pythons: dict[str, Path]) -> list[str]:
    """Return the tables."""
    counted = subprocess.run(
        [sys.executable, "-m", "tests.bench.gpu_count", str(SIZE)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    kernels = json.loads(counted.stdout)
    return [_model(kernels), _traffic(kernels), _compiled(), _measured(rounds)]


def _model(kernels) -> str:
    rows = []
    for quality in PRESETS:
        launches, operations, asked, read, written = np.sum(list(kernels[quality].values()), axis=0)
        moved = read + written
        allowed = [rate / moved for rate in BANDWIDTH.values()]
        rows.append((quality, int(launches), moved / 1e6, asked / 1e6, operations / 1e6, *map(float, allowed),
                     ARITHMETIC / operations, GOALS[quality] or "none"))  # fmt: skip
    columns = ("preset", "launches per batch", "MB moved", "MB asked for", "million operations",
               *(f"frames/s at {rate / 1e12:g} TB/s ({card})" for card, rate in BANDWIDTH.items()),
               f"frames/s at {ARITHMETIC / 1e12:g} T operations/s", "goal")  # fmt: skip
    return table("GPU, by construction", columns, rows, COUNTED)


def _traffic(kernels) -> str:
    names = dict.fromkeys(name for quality in PRESETS for name in kernels[quality])
    rows = [(name, *(sum(kernels[quality].get(name, [0] * 5)[3:]) / 1e6 for quality in PRESETS)) for name in names]
    return table("GPU, MB moved per frame by kernel", ("kernel", *PRESETS), rows)


def _compiled() -> str:
    """Registers and spills of every kernel, and its memory instructions, from the compiler's own output."""
    title = "GPU, what nvcc makes of the kernels"
    if shutil.which("nvcc") is None:
        return f"### {title}\n\nThere is no nvcc on this machine.\n"
    from lib.flow.device import source

    registers, spills = defaultdict(dict), defaultdict(int)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernels.cu")
        path.write_text(source(), "utf-8")
        for architecture in ARCHITECTURES:
            command = ["nvcc", "-std=c++17", f"-arch=sm_{architecture}", "-cubin", "-Xptxas=-v"]
            done = subprocess.run(
                [*command, "-o", Path(folder, "out"), path], capture_output=True, text=True, check=True
            )
            one = r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+).*?Used (\d+)"
            found = re.findall(one, done.stderr, re.DOTALL)
            for name, stored, loaded, used in found:
                registers[name][architecture] = int(used)
                spills[name] += int(stored) + int(loaded)
        subprocess.run(["nvcc", "-std=c++17", "-arch=sm_90", "-ptx", "-o", path.with_suffix(".ptx"), path], check=True)
        ptx = path.with_suffix(".ptx").read_text("utf-8")
    bodies = dict(re.findall(r"\.entry (\w+)\((.*?)\n}", ptx, re.S))
    rows = [
        (name, *(used[a] for a in ARCHITECTURES), spills[name],
         len(re.findall(r"\bld\.global", bodies[name])), len(re.findall(r"\bst\.global", bodies[name])))
        for name, used in sorted(registers.items())
    ]  # fmt: skip
    columns = ("kernel", *(f"registers sm_{a}" for a in ARCHITECTURES), "bytes spilled", "loads", "stores")
    note = "Loads and stores of global memory in the PTX for sm_90: as written, before loops are counted."
    return table(title, columns, rows, note)


def _measured(rounds: int) -> str:
    from lib.flow import Backend, FlowEstimator, FlowParams
    from lib.flow.device import DeviceError, device_count, device_name
    from lib.simulate import make_scene, simulate_recording

    title = "GPU, measured"
    try:
        device_count()
    except DeviceError as error:
        return f"### {title}\n\nNothing was measured: there is no GPU here. {error}\n"
    made = simulate_recording(make_scene((SIZE, SIZE), 1), frames=FRAMES, seed=1)
    rows = []
    for quality in PRESETS:
        params, seconds, flows = FlowParams(quality=quality), {}, {}
        for backend in (Backend("cupy"), Backend("numba")):
            estimator = FlowEstimator(made.clean, params, backend)
            frames = made.movie if backend.name == "cupy" else made.movie[:4]
            flows[backend.name] = estimator.register_frames(frames).w
            times = []
            for _ in range(rounds):
                started = time.perf_counter()
                estimator.register_frames(frames, keep_w=False, compact=True)
                times.append((time.perf_counter() - started) / len(frames))
            seconds[backend.name] = median(times)
        difference = np.abs(flows["cupy"][:4] - flows["numba"])
        fps = {name: 1 / each for name, each in seconds.items()}
        faster, largest, mean = fps["cupy"] / fps["numba"], float(difference.max()), float(difference.mean())
        rows.append((quality, fps["cupy"], GOALS[quality] or "none", fps["numba"], faster, largest, mean))
    columns = "preset", "frames/s", "goal", "Numba, 1 thread", "faster", "largest difference, px", "mean, px"
    note = f"{device_name(0)}; {SIZE} x {SIZE}; batches of {FRAMES}, one at a time, from and to the host's memory."
    return table(title, columns, rows, note)
