"""Movies written block by block: right where they are complete, absent where not."""

import h5py
import numpy as np
import pytest
import tifffile

from lib import layout
from lib.recording import open_recording, read_header
from lib.sink import open_movie_sink

SHAPES = [(9, 12, 15), (9, 12, 15, 2)]


def movie(shape: tuple[int, ...], dtype="uint16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 120, shape).astype(dtype)


def write(path, output_format, frames, blocks=(2, 3, 8)) -> None:
    with open_movie_sink(path, output_format, frames.shape, frames.dtype) as sink:
        for block in np.split(frames, blocks):
            sink.append(block)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("output_format", ["TIFF", "HDF5"])
def test_frames_come_back(tmp_path, output_format, shape, dtype):
    path = tmp_path / f"aligned Maus größer.{'tif' if output_format == 'TIFF' else 'h5'}"
    write(path, output_format, movie(shape, dtype))
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read(0, 9), movie(shape, dtype))
        assert recording.dtype == dtype
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_other_programs_find_the_layout(tmp_path):
    write(tmp_path / "a.tif", "TIFF", movie(SHAPES[1]))
    write(tmp_path / "a.h5", "HDF5", movie(SHAPES[1]))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert (file.series[0].axes, file.series[0].shape, len(file.pages)) == ("TCYX", (9, 2, 12, 15), 18)
        assert not file.is_bigtiff
    with h5py.File(tmp_path / "a.h5") as file:
        assert {name: item.shape for name, item in file.items()} == {"ch1": (9, 12, 15), "ch2": (9, 12, 15)}


def test_bytes_do_not_depend_on_the_blocks(tmp_path):
    for output_format in ("TIFF", "HDF5"):
        write(tmp_path / "a", output_format, movie(SHAPES[1]), blocks=())
        write(tmp_path / "b", output_format, movie(SHAPES[1]), blocks=(1, 4, 5))
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_from_four_gigabytes_on_it_is_a_bigtiff(tmp_path):
    """The file has holes here, so this takes no space."""
    path = tmp_path / "a.tif"
    region = layout.create_tiff(path, (2049, 1024, 1024), np.dtype(np.uint16))
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        assert file.series[0].dataoffset == region.offset
    assert read_header(path).frames == 2049
    assert path.stat().st_blocks * 512 < 2**22


@pytest.mark.parametrize("output_format", ["TIFF", "HDF5"])
def test_an_incomplete_movie_does_not_appear(tmp_path, output_format):
    frames = movie(SHAPES[0])
    path = tmp_path / "a.out"
    with (
        pytest.raises(ValueError, match=r"a\.out: expected 9 frames, got 4"),
        open_movie_sink(path, output_format, frames.shape, frames.dtype) as sink,
    ):
        sink.append(frames[:4])
    with pytest.raises(ZeroDivisionError), open_movie_sink(path, output_format, frames.shape, "uint16") as sink:
        sink.append(frames)
        sink.append(frames[: 1 // 0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("output_format", ["TIFF", "HDF5"])
def test_frames_that_do_not_fit_are_refused(tmp_path, output_format, shape):
    frames = movie(shape)
    wrong = [frames[:, :-1], frames.astype("float32"), np.concatenate([frames, frames]), frames[0], frames[..., None]]
    for bad in wrong:
        with (
            pytest.raises(ValueError, match="frames"),
            open_movie_sink(tmp_path / "a", output_format, shape, "uint16") as sink,
        ):
            sink.append(bad)
    with pytest.raises(ValueError, match="must be TIFF or HDF5, not 'avi'"), open_movie_sink("a", "avi", shape, "u2"):
        pass
    assert list(tmp_path.iterdir()) == []
