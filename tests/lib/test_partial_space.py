"""No space for a compensation's outputs: found before the first frame where it can be, and nothing is lost."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores import FRAMES, check_outputs, complete, finish, open_store

ROOT = Path(__file__).parents[2]


LIMITED = """
import resource, sys
from pathlib import Path
from tests.stores import FRAMES, SHAPE, complete, finish, open_store, write
from lib.sink import open_movie_sink
what, folder, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
try:
    if what == "finish":
        store = open_store(folder)
        complete(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if what == "allocate":
        open_store(folder)
    elif what == "finish":
        finish(store, compression="gzip")
    else:
        with open_movie_sink(folder / "aligned.out", what, (FRAMES, *SHAPE), "uint16"):
            pass
except OSError as error:
    print(error)
"""


def run_limited(what: str, folder: Path, limit: int) -> str:
    command = [sys.executable, "-c", LIMITED, what, folder, str(limit)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("limit", [100, 4000])
def test_no_space_is_found_before_the_first_frame(tmp_path, limit):
    said = run_limited("allocate", tmp_path, limit)
    assert f"could not write {tmp_path}/.partial/compensated.hdf5: " in said
    assert "bytes are free there" in said
    assert [path.name for path in (tmp_path / ".partial").iterdir()] == ["lock"]
    with open_store(tmp_path) as store:
        complete(store)
        finish(store)
    check_outputs(tmp_path)


@pytest.mark.parametrize("output_format", ["TIFF", "HDF5"])
def test_no_space_for_the_aligned_movie(tmp_path, output_format):
    said = run_limited(output_format, tmp_path, 4000)
    assert f"could not write {tmp_path}/aligned.out: " in said
    assert list(tmp_path.iterdir()) == []


def test_no_space_for_compression_keeps_the_frames(tmp_path):
    said = run_limited("finish", tmp_path, 4000)
    assert "could not write" in said
    with open_store(tmp_path) as store:
        assert store.missing(FRAMES) == []
        finish(store, compression="gzip")
    check_outputs(tmp_path)


FULL_DISK = """
import os, subprocess, sys
from pathlib import Path
from tests.stores import complete, open_store, write
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", folder], check=True)
with open(folder / "ballast", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, 196_000)
try:
    open_store(folder / "rec")
except OSError as error:
    print(error)
os.truncate(folder / "ballast", 0)
store = open_store(folder / "rec")
write(store, 0, 8)
with open(folder / "ballast", "r+b", buffering=0) as file:  # fill the disk; the job's space is its own
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
write(store, 8, 16)
print(store.finished)
"""


def test_a_disk_that_is_really_full(tmp_path):
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-c", FULL_DISK, tmp_path]
    if shutil.which("unshare") is None or subprocess.run([*command[:3], "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    message, finished = run.stdout.splitlines()
    assert "compensated.hdf5: No space left on device (" in message
    assert "bytes are needed); " in message
    assert finished == "[(0, 16)]"
