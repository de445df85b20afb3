"""The other engines: each in a virtual environment of its own, driven through `worker.py` as a black box."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Self

import numpy as np

from .report import BENCH, ROOT

PINS = {
    "pyflowreg": ("pyflowreg==0.1.0a9", "numba==0.68.1", "numpy==2.4.6"),
    "opencv": ("opencv-python-headless==5.0.0.93", "numpy==2.4.6"),
    # large: --without suite2p. === leaves out other builds of torch, which torchvision would not go with
    "suite2p": ("suite2p==1.1.0", "torch===2.13.0", "torchvision==0.28.0", "numpy==2.4.6"),
}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def interpreter(engine: str, given: dict[str, Path]) -> Path:
    """Return the Python of an engine, `given` or made under `.bench/` from pinned requirements."""
    if engine == "ours":
        return Path(sys.executable)
    if engine in given:
        return given[engine]
    folder, pins = BENCH / engine, "\n".join(PINS[engine])
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != pins:
        print(f"Installing {engine} into {folder} ...", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PINS[engine]], check=True)
        stamp.write_text(pins)
    return python


class Worker:
    """A process that runs one engine, single-threaded, on the frames in a folder (see worker.py)."""

    def __init__(self, engine: str, python: Path, data: Path) -> None:
        self.engine, self._data = engine, data
        script = Path(__file__).with_name("worker.py")
        self._process = subprocess.Popen(
            [python, "-P", script, engine, data],
            env=os.environ | ONE_THREAD | ({"PYTHONPATH": str(ROOT)} if engine == "ours" else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.stdin.close()
        self._process.wait()

    def run(self, **task) -> dict:
        """Run a task once over all frames; return {"ms": per frame, "error": per frame, in pixels}."""
        print(json.dumps(task), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"The {self.engine} worker failed at {task}; its messages are above.")
        return json.loads(answer)

    def flows(self, frames: str, **task) -> np.ndarray:
        """Return the flows (T, H, W, 2) float32 of the frames in the file `frames`."""
        self.run(frames=frames, **task)
        return np.load(self._data / "flows.npy")
