"""Compiled kernels: made once, by a process of their own, and the same for all who use them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lib.flow import FlowEstimator, FlowParams, jit

ROOT = Path(__file__).parents[3]
USE = """
import hashlib, json, logging, sys
import numpy as np
from numba.core import event
from lib.flow import FlowEstimator, FlowParams, calibrate

class Compiled(event.Listener):
    names = []
    def on_start(self, event):
        self.names.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

event.register("numba:compile", Compiled())
logging.basicConfig(level="INFO", stream=sys.stderr)
frames = np.random.default_rng(1).poisson(50, (4, 150, 173)).astype(np.uint16)
reference = frames.mean(0)
done = FlowEstimator(reference, FlowParams(quality="fast", alpha=5)).register_frames(frames, compact=True)
found = calibrate(reference, frames, FlowParams(quality="fast"))
parts = done.w, done.registered, done.statistics, np.array([point["epe"] for point in found.curve])
print(json.dumps([[hashlib.sha256(part.tobytes()).hexdigest() for part in parts], Compiled.names]))
"""


def start(cache):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", USE],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    results, compiled = json.loads(out)
    return results, compiled, err.count("Compiling the kernels")


def test_processes_that_start_together_compile_once_and_agree_with_later_ones(tmp_path):
    together = [ended(process) for process in [start(tmp_path), start(tmp_path)]]
    later = ended(start(tmp_path))
    assert [results for results, _, _ in (*together, later)] == [later[0]] * 3
    assert [compiled for _, compiled, _ in (*together, later)] == [[], [], []]
    assert sorted(said for _, _, said in together) == [0, 1] and later[2] == 0


def test_a_compiler_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "CACHE", tmp_path)
    monkeypatch.setattr(jit, "_ready", set())
    monkeypatch.setattr(jit.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match=f"could not be compiled into {tmp_path}.*exit status 1"):
        FlowEstimator(np.eye(20), FlowParams())
