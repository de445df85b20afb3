"""HDF5 is written by h5py, and read back bit by bit."""

import h5py
import numpy as np
import pytest
import tifffile

from lib.recording import Header, RecordingError, open_recording, read_header
from tests.movies import FRAMES, HEIGHT, WIDTH, movie, read_all

HDF5S = {
    "contiguous": {},
    "chunked": {"chunks": (5, 4, 7)},
    "gzip": {"chunks": (1, HEIGHT, WIDTH), "compression": "gzip", "shuffle": True},
    "big-endian": {"dtype": ">u2"},
}


@pytest.mark.parametrize("kind", HDF5S)
@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".hdf", ".HDF5"])
def test_hdf5_kinds(tmp_path, kind, suffix):
    path = tmp_path / f"movie{suffix}"
    with h5py.File(path, "w") as file:
        file.create_dataset("deep/inside/mov", data=movie(), **HDF5S[kind])
        file["frame_times"] = np.arange(FRAMES)
    np.testing.assert_array_equal(read_all(path), movie())
    assert read_header(path) == Header("hdf5", FRAMES, HEIGHT, WIDTH, 1, "uint16", ("deep/inside/mov",))


def test_hdf5_channels_by_number_and_by_name(tmp_path):
    path = tmp_path / "movie.h5"
    with h5py.File(path, "w") as file:
        for c in range(3):
            file[f"ch{c + 1}"] = movie(channels=3)[..., c]
        file["other"] = movie()
    np.testing.assert_array_equal(read_all(path), movie(channels=3))
    np.testing.assert_array_equal(read_all(path, dataset="ch2"), movie(channels=3)[..., 1])
    named = read_all(path, dataset=["ch3", "ch1"])
    np.testing.assert_array_equal(named, movie(channels=3)[..., [2, 0]])


@pytest.mark.parametrize("axes", ["TXY", "YXT", "XTY"])
def test_axes_in_any_order(tmp_path, axes):
    """As the user tells it, or as pyflowreg writes it; what the file says goes before."""
    path, stored = tmp_path / "movie.h5", movie().transpose(["TYX".index(axis) for axis in axes])
    with h5py.File(path, "w") as file:
        file.create_dataset("ch1", data=stored, chunks=(3, 4, 5), compression="gzip")
        where = file["ch1"].id.get_chunk_info(0).byte_offset
    np.testing.assert_array_equal(read_all(path, axes=axes), movie())
    with open_recording(path, axes=axes) as recording:
        np.testing.assert_array_equal(recording.read_frames([7, 2, 3]), movie()[[7, 2, 3]])
    with h5py.File(path, "a") as file:
        file["ch1"].attrs["dimension_ordering"] = [axes.index(axis) for axis in "YXT"]
    np.testing.assert_array_equal(read_all(path), movie())
    np.testing.assert_array_equal(read_all(path, axes="TYX"), movie())
    data = bytearray(path.read_bytes())
    data[where : where + 9] = b"\xff" * 9
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=r"frame 0 \(counted from 0\) cannot be read"):
        read_all(path)


def test_a_tiff_tells_its_axes(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", movie(), photometric="minisblack")
    with pytest.raises(RecordingError, match=r"movie\.tif tells the order of its axes itself; unset `axes`"):
        open_recording(tmp_path / "movie.tif", axes="TXY")


def test_ambiguous_hdf5_lists_what_there_is(tmp_path):
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        file["green"], file["group/red"], file["times"] = movie(), movie("float32"), np.arange(3)
    with pytest.raises(RecordingError, match=r"two\.h5.*green \(12, 10, 14\) uint16.*group/red .*`dataset`"):
        read_header(path)
    with pytest.raises(RecordingError, match=r"expected 3-D datasets blue.*green \(12"):
        read_header(path, dataset="blue")
    with pytest.raises(RecordingError, match="expected 3-D datasets times"):
        read_header(path, dataset="times")
    with pytest.raises(RecordingError, match="must agree in shape and type"):
        read_header(path, dataset=["green", "group/red"])
    np.testing.assert_array_equal(read_all(path, dataset="green"), movie())


def test_damaged_hdf5_chunk_names_the_frame(tmp_path):
    path = tmp_path / "chunk.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ch1", data=movie(), chunks=(1, HEIGHT, WIDTH), compression="gzip")
        where = file["ch1"].id.get_chunk_info(8).byte_offset
    data = bytearray(path.read_bytes())
    data[where : where + 20] = b"\xff" * 20
    path.write_bytes(data)
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read(0, 8), movie()[:8])
        with pytest.raises(RecordingError, match=r"chunk\.h5: frame 8 \(counted from 0\) cannot be read"):
            recording.read(3, FRAMES)
