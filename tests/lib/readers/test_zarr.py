"""Zarr stores are written by zarr, versions 2 and 3."""

import shutil

import numpy as np
import pytest
import zarr

from lib.recording import Header, RecordingError, open_recording, read_header
from lib.sources import stat_all
from tests.movies import FRAMES, HEIGHT, WIDTH, movie, read_all

VERSIONS = [2, 3]
CHUNKS = (5, HEIGHT, 9)


@pytest.mark.parametrize("dtype", ["uint16", ">i2", "float32"])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_array(tmp_path, version, dtype):
    path = tmp_path / "movie.zarr"
    zarr.create_array(path, data=movie(dtype), chunks=CHUNKS, zarr_format=version)
    np.testing.assert_array_equal(read_all(path), movie(dtype))
    assert read_header(path) == Header("zarr", FRAMES, HEIGHT, WIDTH, 1, np.dtype(dtype).name)
    with open_recording(path, bin_size=5) as binned:
        np.testing.assert_allclose(binned.read(1, 2)[0], movie(dtype)[5:10].mean(axis=0), rtol=1e-6)


def test_shards_and_names_of_dimensions(tmp_path):
    path, frames = tmp_path / "movie.zarr", movie(channels=2)
    zarr.create_array(
        path,
        data=np.moveaxis(frames, -1, 0),
        chunks=(1, 2, HEIGHT, WIDTH),
        shards=(2, 4, HEIGHT, WIDTH),
        dimension_names=["channel", "time", "y", "x"],
    )
    np.testing.assert_array_equal(read_all(path), frames)


def test_axes_that_the_user_tells(tmp_path):
    zarr.create_array(tmp_path / "movie.zarr", data=np.moveaxis(movie(), 0, -1))
    np.testing.assert_array_equal(read_all(tmp_path / "movie.zarr", axes="YXT"), movie())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_group(tmp_path, version):
    path, frames = tmp_path / "movie.zarr", movie(channels=3)
    group = zarr.create_group(path, zarr_format=version)
    group.create_array("inside/mov", data=frames[..., 0])
    group.create_array("times", data=np.arange(FRAMES))
    np.testing.assert_array_equal(read_all(path), frames[..., 0])
    assert read_header(path).dataset == ("inside/mov",)
    group.create_array("other", data=frames[..., 1])
    with pytest.raises(RecordingError, match=r"movie\.zarr: expected one 3-D array .*inside/mov .*other .*`dataset`"):
        read_header(path)
    with pytest.raises(RecordingError, match="expected 3-D arrays blue .*correct `dataset`"):
        read_header(path, dataset="blue")
    np.testing.assert_array_equal(read_all(path, dataset=["other", "inside/mov"]), frames[..., [1, 0]])


def write_ome(path, data, axes, scale, version):
    """Write an image as OME-Zarr 0.4 (Zarr 2) or 0.5 (Zarr 3) has it, with a second resolution."""
    units = {"t": ("time", "millisecond"), "c": ("channel", None), "z": ("space", "micrometer")}
    group = zarr.create_group(path, zarr_format=version)
    group.create_array("0", data=data, chunks=(*[1] * (data.ndim - 2), HEIGHT, WIDTH))
    group.create_array("1", data=data[..., ::2, ::2])
    told = []
    for axis in axes:
        kind, unit = units.get(axis, ("space", "micrometer"))
        told.append({"name": axis, "type": kind} | ({"unit": unit} if unit else {}))
    attributes = {
        "multiscales": [
            {
                "axes": told,
                "datasets": [
                    {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]},
                    {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": scale}]},
                ],
            }
        ],
        "omero": {"channels": [{"label": "GCaMP"}, {"label": "tdTomato"}]},
    }
    group.attrs.update({"ome": {"version": "0.5"} | attributes} if version == 3 else attributes)


@pytest.mark.parametrize("version", VERSIONS)
def test_ome(tmp_path, version):
    path, frames = tmp_path / "movie.ome.zarr", movie(channels=2)
    stack = np.stack([frames, frames[:, ::-1]], axis=1)  # (T, Z, H, W, C)
    write_ome(path, np.moveaxis(stack, -1, 1), "tczyx", [50.0, 1.0, 5.0, 1.5, 2.0], version)
    header = read_header(path)
    assert (header.format, header.frames, header.planes, header.channels) == ("ome-zarr", 2 * FRAMES, 2, 2)
    assert (header.frame_rate, header.pixel_size) == (20.0, (1.5, 2.0))
    assert header.channel_names == ("GCaMP", "tdTomato")
    np.testing.assert_array_equal(read_all(path, plane=2), stack[:, 1])
    np.testing.assert_array_equal(read_all(path, plane=1, channels=[None, "red"]), stack[:, 0, ..., 1])


def test_ome_without_time(tmp_path):
    path = tmp_path / "movie.ome.zarr"
    write_ome(path, movie()[None, None], "tczyx", [1.0, 1.0, 5.0, 1.5, 2.0], 3)
    np.testing.assert_array_equal(read_all(path), movie())


@pytest.mark.parametrize("version", VERSIONS)
def test_damage(tmp_path, version):
    path = tmp_path / "movie one.zarr"
    zarr.create_array(path, data=movie(), chunks=CHUNKS, zarr_format=version)
    chunk = {2: path / "1.0.1", 3: path / "c" / "1" / "0" / "1"}[version]
    data = chunk.read_bytes()
    chunk.write_bytes(data[: len(data) // 2])
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read(0, 5), movie()[:5])
        with pytest.raises(RecordingError, match=r"movie one\.zarr: frame 5 \(counted from 0\) cannot be read"):
            recording.read(3, 12)
    chunk.unlink()
    chunk.with_name("0").unlink() if version == 3 else (path / "1.0.0").unlink()
    with pytest.raises(RecordingError, match="nothing of frames 5 to 9 is there, their chunks are missing"):
        read_header(path)
    ({2: path / ".zarray", 3: path / "zarr.json"}[version]).unlink()
    with pytest.raises(RecordingError, match=r"movie one\.zarr cannot be opened as ZARR"):
        read_header(path)
    shutil.rmtree(path)
    path.write_text("a file")
    with pytest.raises(RecordingError, match=r"movie one\.zarr is no Zarr store: expected a folder"):
        read_header(path)


def test_what_cannot_be_used(tmp_path):
    path = tmp_path / "movie.zarr"
    zarr.create_array(path, data=movie() > 50)
    with pytest.raises(RecordingError, match=r"movie\.zarr has pixels of type bool"):
        read_header(path)
    write_ome(tmp_path / "image.ome.zarr", np.stack([movie()[0]] * 2), "cyx", [1.0, 1.5, 2.0], 3)
    with pytest.raises(RecordingError, match=r"image\.ome\.zarr: the dimensions of the array are c, y, x; expected t"):
        read_header(tmp_path / "image.ome.zarr")


def test_a_chunk_that_changes_is_noticed(tmp_path):
    path = tmp_path / "movie.zarr"
    array = zarr.create_array(path, data=movie(), chunks=CHUNKS)
    before = stat_all((str(path),))
    array[11, 3, 12] += 1
    assert stat_all((str(path),)) != before
