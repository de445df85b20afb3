"""File systems of clusters: without locks, with nodes of several kinds, with a home that jobs cannot write to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib.flow import jit

ROOT = Path(__file__).parents[2]
NO_LOCKS = """
#include <errno.h>
int flock(int fd, int operation) { errno = ENOLCK; return -1; }
"""
USE = """
import sys
import lib, h5py, numpy
from lib.claim import claim
from lib.flow import jit
from lib.partial import CompensationStore
folder = sys.argv[1]
with h5py.File(folder + "/movie.h5", "w") as file:
    file["ch1"] = numpy.zeros((2, 3, 4))
with h5py.File(folder + "/movie.h5") as file:
    assert file["ch1"].shape == (2, 3, 4)
assert claim(folder) is None
with jit.compiling():
    pass
job = {"frames": 2, "frame_shape": (3, 4), "dtype": "uint16", "fingerprint": {}, "statistics": ("a",)}
with CompensationStore(folder + "/a_1", **job) as store:
    assert store.missing(9) == [(0, 2)]
"""


def test_file_system_without_locks(tmp_path):
    (tmp_path / "locks.c").write_text(NO_LOCKS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "locks.so", tmp_path / "locks.c"], check=True)
    environment = {key: value for key, value in os.environ.items() if key != "HDF5_USE_FILE_LOCKING"}
    environment |= {"LD_PRELOAD": str(tmp_path / "locks.so"), "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    done = subprocess.run(
        [sys.executable, "-c", USE, tmp_path], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "no file lock" in done.stderr  # said, and gone on


def test_processors_of_several_kinds_share_no_kernels(monkeypatch):
    here = jit._cache_folder()
    monkeypatch.setattr(jit.binding, "get_host_cpu_name", lambda: "another")
    assert jit._cache_folder() != here and jit._cache_folder().parent == here.parent


def test_home_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setattr(jit, "CACHE", tmp_path / "home" / "kernels")
    with pytest.raises(OSError, match="set NUMBA_CACHE_DIR to a folder"), jit.compiling():
        pass
