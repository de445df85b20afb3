"""Files are whole or absent, equal data give equal bytes, and `verify` finds damage."""

import json
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from scipy.io import loadmat

from lib.store import atomic_path, verify, write_json, write_mat, write_npy, write_npz, write_png

ROOT = Path(__file__).parents[2]
IMAGE = np.arange(300 * 200, dtype=np.float64).reshape(300, 200)
WRITERS = {
    "a.json": lambda path: write_json(path, {"frames": 12, "name": "größer"}),
    "a.npy": lambda path: write_npy(path, IMAGE),
    "a.npz": lambda path: write_npz(path, {"u": IMAGE, "names": np.array(["ä", "b"])}),
    "a.png": lambda path: write_png(path, IMAGE > 7000),
    "a.mat": lambda path: write_mat(path, {"mask": IMAGE > 7000, "middle_idx": 3}),
}


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_path_shows_the_file_when_it_is_whole(tmp_path):
    target = tmp_path / "new folder" / "Maus größer 1.hdf5"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".hdf5"
        temporary.write_text("half")
        assert not target.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert listing(target.parent) == [target.name]


def test_atomic_path_keeps_the_old_file_on_an_exception(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert listing(tmp_path) == ["a.txt"]


def test_sigkill_leaves_the_old_file_and_the_next_writer_tidies_up(tmp_path):
    target = tmp_path / "a [1].npy"
    target.write_text("old")
    neighbour = tmp_path / ".a [1] b.other-1.npy"
    neighbour.touch()
    code = (
        "import sys, time; from lib.store import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t:\n"
        "    t.write_text('new'); print('ready', flush=True); time.sleep(60)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, target], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "ready\n"
    writer.kill()
    writer.wait()
    assert target.read_text() == "old"
    assert len(listing(tmp_path)) == 3
    write_npy(target, IMAGE)
    assert listing(tmp_path) == sorted([neighbour.name, target.name])


def test_a_writer_at_work_is_left_alone(tmp_path):
    with atomic_path(tmp_path / "a.txt") as first:
        first.write_text("1")
        code = "import sys; from lib.store import write_json; write_json(sys.argv[1], 2)"
        subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"], cwd=ROOT, check=True)
        assert (tmp_path / "a.txt").read_text() == "2\n"
    assert (tmp_path / "a.txt").read_text() == "1"


@pytest.mark.parametrize("name", WRITERS)
def test_equal_data_give_equal_bytes(tmp_path, name):
    WRITERS[name](tmp_path / name)
    first = (tmp_path / name).read_bytes()
    time.sleep(1.1 if name == "a.mat" else 0)  # SciPy writes the second into the header
    WRITERS[name](tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert listing(tmp_path) == [name]


def test_written_values_come_back(tmp_path):
    for name, write in WRITERS.items():
        write(tmp_path / name)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"frames": 12, "name": "größer"}
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), IMAGE)
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["u"], IMAGE)
        assert list(arrays["names"]) == ["ä", "b"]
    from PIL import Image

    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), (IMAGE > 7000) * np.uint8(255))
    mat = loadmat(tmp_path / "a.mat")
    np.testing.assert_array_equal(mat["mask"], IMAGE > 7000)
    assert mat["middle_idx"].item() == 3


def test_values_that_other_programs_cannot_read_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    with pytest.raises(ValueError, match=r"a\.png.*not float64"):
        write_png(tmp_path / "a.png", IMAGE)
    with pytest.raises(ValueError, match="pickle"):
        write_npy(tmp_path / "a.npy", np.array([{}], dtype=object))
    assert listing(tmp_path) == []


LIMITED = """
import resource, sys
import numpy as np
from lib.store import write_mat, write_npy, write_npz, write_png
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = np.random.default_rng(0).random((200, 200))
try:
    match sys.argv[1].rpartition(".")[2]:
        case "npy": write_npy(sys.argv[1], noise)
        case "npz": write_npz(sys.argv[1], {"u": noise})
        case "mat": write_mat(sys.argv[1], {"u": noise})
        case "png": write_png(sys.argv[1], (noise * 256).astype(np.uint8))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mat", "a.png"])
def test_no_space_names_the_file_and_leaves_nothing(tmp_path, name):
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path / name], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f"could not write {tmp_path / name}: " in run.stdout, run.stderr
    assert "bytes are free there" in run.stdout
    assert listing(tmp_path) == []


def make_outputs(folder: Path) -> list[Path]:
    for name, write in WRITERS.items():
        write(folder / name)
    noise = np.random.default_rng(0).integers(0, 4000, (8, 60, 70)).astype(np.uint16)
    with h5py.File(folder / "chunked.h5", "w") as file:
        file.create_dataset("ch1", data=noise, chunks=(1, 60, 70), compression="gzip")
    with h5py.File(folder / "compensated.hdf5", "w") as file:
        file["ch1"] = file["ch2"] = noise
    tifffile.imwrite(folder / "aligned.tif", noise, photometric="minisblack")
    return sorted(folder.iterdir())


def test_sound_files_pass(tmp_path):
    for path in make_outputs(tmp_path):
        assert verify(path) is None
    (tmp_path / "a.npy").rename(tmp_path / "a.bin")
    assert verify(tmp_path / "a.bin", "npy") is None


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "empty", "missing"])
def test_damage_is_found(tmp_path, damage):
    for path in make_outputs(tmp_path):
        data = path.read_bytes()
        if damage == "cut off":
            path.write_bytes(data[: len(data) * 9 // 10])
        elif damage == "overwritten":
            path.write_bytes(b"\0" * len(data))
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            path.unlink()
        reason = verify(path)
        assert reason is not None, path.name
        assert str(path) in reason


def test_hdf5_without_movie_is_found(tmp_path):
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()
    assert verify(path) == f"{path} has no dataset"
    with h5py.File(path, "w") as file:
        file["ch1"], file["ch2"] = np.zeros((3, 4, 5)), np.zeros((2, 4, 5))
    assert "/ch2 is (2, 4, 5), /ch1 is (3, 4, 5)" in verify(path)
    with h5py.File(path, "w") as file:
        file["ch1"] = np.zeros((0, 4, 5))
    assert verify(path) == f"{path}: dataset /ch1 is empty"


def test_mat_files_of_large_arrays_are_hdf5(tmp_path):
    arrays = {
        "averages": np.random.default_rng(0).random((3, 40, 50)),
        "mask": IMAGE > 7000,
        "paths": np.array(["/data/größer 1.h5", "b"], object),
    }
    small, large = tmp_path / "small.mat", tmp_path / "large.mat"
    write_mat(small, arrays, limit=10**6)
    write_mat(large, arrays, limit=arrays["averages"].nbytes - 1)
    assert small.read_bytes()[:10] == b"MATLAB 5.0" and large.read_bytes()[:10] == b"MATLAB 7.3"
    with h5py.File(large) as file:  # as MATLAB stores it: axes reversed, text as numbers behind references
        np.testing.assert_array_equal(file["averages"][:].T, arrays["averages"])
        assert [file["averages"].attrs["MATLAB_class"], file["mask"].attrs["MATLAB_class"]] == [b"double", b"logical"]
        assert file["paths"].attrs["MATLAB_class"] == b"cell"
        first = file[file["paths"][:].ravel()[0]]
        assert first.attrs["MATLAB_class"] == b"char" and bytes(first[:]).decode("utf-16") == "/data/größer 1.h5"
    again = tmp_path / "again.mat"
    write_mat(again, arrays, limit=1000)
    assert again.read_bytes() == large.read_bytes()
    assert verify(small) is None and verify(large) is None
    large.write_bytes(again.read_bytes()[:-1000])
    assert verify(large)
