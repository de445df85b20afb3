"""Which backend a job takes, and that jobs do not share a GPU."""

import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lib.flow import Backend, chosen_backend, device
from lib.flow.device import DeviceError, device_count
from tests.conftest import GPU, STAND_IN

REPOSITORY = Path(__file__).parents[3]
stand_in_only = pytest.mark.skipif(GPU is not None, reason="needs another number of GPUs than the machine has")


def python(code, **environment):
    """A Python that runs in the repository, with the tests' CuPy."""
    path = {} if GPU else {"PYTHONPATH": str(STAND_IN)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=REPOSITORY,
        env=os.environ | path | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


HOLD = """
    import logging, sys
    logging.basicConfig(level="INFO")
    from lib.flow import chosen_backend
    with chosen_backend("cupy") as backend:
        print("took", backend.device, flush=True)
        sys.stdin.readline()
"""


def until(process, word):
    """Read what a process prints up to the line with a word."""
    for line in process.stdout:
        if word in line:
            return line
    raise AssertionError(f"ended without {word!r}")


@stand_in_only
def test_jobs_take_different_devices_and_wait_for_one():
    jobs = []
    try:
        for device in (0, 1):
            jobs.append(python(HOLD, FLOWSESSION_STAND_IN_DEVICES="2"))
            assert until(jobs[-1], "took") == f"took {device}\n"
        jobs.append(python(HOLD, FLOWSESSION_STAND_IN_DEVICES="2"))
        assert "other jobs use cuda:0, cuda:1" in until(jobs[2], "Waiting")
        jobs[1].kill()  # the lock goes with the process
        assert until(jobs[2], "took") == "took 1\n"
    finally:
        for job in jobs:
            job.kill()
            job.communicate()


@stand_in_only
def test_a_device_may_be_named(monkeypatch):
    monkeypatch.setenv("FLOWSESSION_STAND_IN_DEVICES", "3")
    with chosen_backend("cupy", "cuda:2") as backend:
        assert backend == Backend("cupy", 2)
    with pytest.raises(DeviceError, match="no 'cuda:3', only cuda:0, cuda:1, cuda:2"), chosen_backend("cupy", "cuda:3"):
        pass


@stand_in_only
def test_without_a_device_only_auto_goes_on(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("FLOWSESSION_STAND_IN_DEVICES", "0")
    with chosen_backend("auto") as backend:
        assert backend == Backend("numba")
    assert "auto finds no GPU to use" in caplog.text and "auto computes on the CPU" in caplog.text
    with pytest.raises(DeviceError, match="nvidia-smi.*CUDA 12 or 13.*'numba'"), chosen_backend("cupy"):
        pass
    monkeypatch.undo()
    with chosen_backend("auto") as backend:
        assert backend == Backend("cupy", 0)
    assert "auto computes on GPU cuda:0" in caplog.text


def test_without_cupy_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("lib.flow.device.cupy", None)
    monkeypatch.setattr("lib.flow.device._missing", ImportError("No module named 'cupy'"), raising=False)
    with pytest.raises(DeviceError, match="No module named 'cupy'.*make setup-gpu"):
        device_count()


def test_kernels_that_cannot_be_compiled_stop_before_computing(monkeypatch, caplog):
    class Broken:
        def __init__(self, **_):
            raise RuntimeError("failed to load libnvrtc.so.13")

    monkeypatch.setattr("cupy.RawModule", Broken)
    device._module.cache_clear()
    device._kernel.cache_clear()
    with pytest.raises(DeviceError, match="libnvrtc.so.13.*make setup-gpu.*'numba'"), chosen_backend("cupy"):
        pass
    with chosen_backend("auto") as backend:
        assert backend.name == "numba"


def test_numba_never_imports_cupy():
    code = """
        import sys
        import lib.flow.backend_numba, lib.flow.movie
        from lib.flow import chosen_backend
        with chosen_backend("numba"):
            assert not any(name.startswith("cupy") for name in sys.modules)
    """
    job = python(code)
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said
