"""MATLAB files, written by SciPy (version 5) and in the layout that MATLAB gives HDF5 (version 7.3)."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from lib.recording import Header, RecordingError, open_recording, read_header
from tests.movies import FRAMES, HEIGHT, WIDTH, movie, read_all


def as_matlab(frames: np.ndarray) -> np.ndarray:
    """(T, H, W) as (H, W, T), (T, H, W, C) as (H, W, C, T)."""
    return np.moveaxis(frames, 0, -1)


def write_version_7_3(path: Path, **variables) -> None:
    """Write as MATLAB does: the axes of a column-major array reversed, a class for each, 512 bytes of text before."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            file[name] = np.transpose(np.atleast_2d(values))
            kind = {"float64": "double", "float32": "single"}.get(file[name].dtype.name, file[name].dtype.name)
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
        file["#refs#/a"] = np.zeros((3, 4, 5))  # what cells refer to
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def write_version_5(path: Path, **variables) -> None:
    savemat(path, variables, do_compression=True)


WRITERS = {"5": write_version_5, "7.3": write_version_7_3}


@pytest.mark.parametrize("dtype", ["uint16", "int8", "float64"])
@pytest.mark.parametrize("version", WRITERS)
def test_the_only_movie(tmp_path, version, dtype):
    path = tmp_path / "movie.mat"
    WRITERS[version](
        path, mov=as_matlab(movie(dtype)), frame_rate=30.5, pixel_size=np.array([1.5, 2.0]), note=np.ones((3, 3))
    )
    np.testing.assert_array_equal(read_all(path), movie(dtype))
    assert read_header(path) == Header(
        f"mat-{version}",
        *(FRAMES, HEIGHT, WIDTH, 1, dtype, ("mov",), 30.5, (1.5, 2.0)),
        in_memory=version == "5",
    )


@pytest.mark.parametrize("version", WRITERS)
def test_channels(tmp_path, version):
    """In one variable or in one for each, found or named."""
    frames = movie(channels=3)
    WRITERS[version](tmp_path / "one.mat", video=as_matlab(frames))
    np.testing.assert_array_equal(read_all(tmp_path / "one.mat"), frames)
    np.testing.assert_array_equal(read_all(tmp_path / "one.mat", channels=[None, "b", "c"]), frames[..., 1:])
    green, red = as_matlab(frames[..., 0]), as_matlab(frames[..., 1])
    WRITERS[version](tmp_path / "each.mat", ch1=green, ch2=red, x=green)
    np.testing.assert_array_equal(read_all(tmp_path / "each.mat"), frames[..., :2])
    np.testing.assert_array_equal(read_all(tmp_path / "each.mat", dataset=["ch2", "x"]), frames[..., [1, 0]])


@pytest.mark.parametrize("version", WRITERS)
def test_axes_that_the_user_tells(tmp_path, version):
    WRITERS[version](tmp_path / "a.mat", mov=movie())
    np.testing.assert_array_equal(read_all(tmp_path / "a.mat", axes="TYX"), movie())


@pytest.mark.parametrize("version", WRITERS)
def test_what_cannot_be_used(tmp_path, version):
    path = tmp_path / "two movies.mat"
    write = WRITERS[version]
    write(path, a=as_matlab(movie()), b=as_matlab(movie("float32")), c=as_matlab(movie(channels=2)))
    with pytest.raises(RecordingError, match=r"two movies\.mat: expected one 3-D or 4-D variable .*a .*name the movie"):
        read_header(path)
    with pytest.raises(RecordingError, match="expected 3-D or 4-D variables z .*correct `dataset`"):
        read_header(path, dataset="z")
    with pytest.raises(RecordingError, match="variables a, b must agree in shape and type"):
        read_header(path, dataset=["a", "b"])
    with pytest.raises(RecordingError, match="has several channels"):
        read_header(path, dataset=["c", "c"])
    write(path, text=np.zeros((2, 3)))
    with pytest.raises(RecordingError, match=r"it holds text \(\d, \d\) float64"):
        read_header(path)
    write(path, mov=as_matlab(movie()), frame_rate=-2.0)
    with pytest.raises(RecordingError, match=r"frame_rate is \[-2\.0\]; expected a number, in Hz"):
        read_header(path)
    write(path, mov=as_matlab(movie()))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RecordingError, match=r"two movies\.mat .*(cut off|truncated).*"):
        read_header(path)
    path.write_text("time, value\n" * 30)
    with pytest.raises(RecordingError, match="is no MATLAB file of version 5 or 7.3"):
        read_header(path)


def test_damage_inside_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "movie.mat"
    noise = np.random.default_rng(0).integers(0, 2**16, (256, 256, 20), dtype=np.uint16)
    write_version_5(path, mov=noise)
    data = bytearray(path.read_bytes())
    data[-1000:-900] = bytes(100)
    path.write_bytes(data)
    with (
        open_recording(path) as recording,
        pytest.raises(RecordingError, match=r"movie\.mat: frame 0 \(counted from 0\) cannot be read"),
    ):
        recording.read(0, 3)
