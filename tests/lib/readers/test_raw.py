"""Raw binary files are written by NumPy, with a JSON file beside them."""

import json
from pathlib import Path

import numpy as np
import pytest

from lib.recording import Header, RecordingError, open_recording, read_header
from tests.movies import FRAMES, HEIGHT, WIDTH, movie, read_all


def write(path: Path, stored: np.ndarray, **told) -> Path:
    """Write an array in the order it has, and what is told of it."""
    stored.tofile(path)
    path.with_suffix(".json").write_text(json.dumps({"shape": stored.shape, "dtype": stored.dtype.name} | told))
    return path


@pytest.mark.parametrize("suffix", [".raw", ".bin"])
def test_a_movie(tmp_path, suffix):
    path = write(tmp_path / f"movie{suffix}", movie("int16"), frame_rate=30, pixel_size=[1.5, 2])
    np.testing.assert_array_equal(read_all(path), movie("int16"))
    assert read_header(path) == Header(
        *("raw", FRAMES, HEIGHT, WIDTH, 1, "int16", (), 30.0, (1.5, 2.0)),
        companions=(str(path.with_suffix(".json")),),
    )
    path.with_suffix(".json").rename(tmp_path / f"movie{suffix}.json")
    np.testing.assert_array_equal(read_all(path), movie("int16"))


@pytest.mark.parametrize("axes", ["TYXC", "TCYX", "CTYX", "TYCX", "CTXY"])
def test_axes(tmp_path, axes):
    frames = movie(channels=3)
    order = ["TYXC".index(axis) for axis in axes]
    path = write(tmp_path / "a.raw", np.ascontiguousarray(frames.transpose(order)), axes=axes)
    np.testing.assert_array_equal(read_all(path), frames)
    np.testing.assert_array_equal(read_all(path, channels=["a", None, "c"]), frames[..., [0, 2]])


def test_planes_byte_order_offset_and_matlab(tmp_path):
    volume = np.stack([movie(), movie()[:, ::-1]], axis=1)
    path = write(tmp_path / "a.raw", volume, axes="TZYX")
    np.testing.assert_array_equal(read_all(path, plane=2), volume[:, 1])
    path = write(tmp_path / "b.raw", movie(">u2"), byteorder="big")
    np.testing.assert_array_equal(read_all(path), movie())
    path.write_bytes(b"header.." + path.read_bytes())
    with pytest.raises(RecordingError, match=r"b\.raw has 3,368 bytes, but 3,360 are expected for 12 x 10 x 14"):
        read_header(path)
    told = path.with_suffix(".json")
    told.write_text(json.dumps(json.loads(told.read_text()) | {"offset": 8}))
    np.testing.assert_array_equal(read_all(path), movie())
    # MATLAB's fwrite of (height, width, frames)
    path = write(
        tmp_path / "c.raw", movie().swapaxes(1, 2).copy(), shape=(HEIGHT, WIDTH, FRAMES), axes="YXT", order="F"
    )
    np.testing.assert_array_equal(read_all(path), movie())


WRONG = {
    "shape": ([12, -10, 14], r"shape is \[12, -10, 14\], expected a list"),
    "dtype": ("u16", "dtype is 'u16', expected one of int8"),
    "axes": ("TYQ", "axes is 'TYQ', expected letters"),
    "order": ("fortran", "order is 'fortran', expected C or F"),
    "byteorder": ("native", "byteorder is 'native'"),
    "offset": (-1, "offset is -1"),
    "frame_rate": (0, "frame_rate is 0"),
    "pixel_size": (1.5, r"pixel_size is 1\.5, expected \[y, x\]"),
    "typo": (1, "'typo' is no key, allowed are shape, dtype"),
}


@pytest.mark.parametrize("key", WRONG)
def test_what_is_told_wrong(tmp_path, key):
    value, said = WRONG[key]
    path = write(tmp_path / "a.raw", movie(), **{key: value})
    with pytest.raises(RecordingError, match=rf"a\.json: {said}"):
        read_header(path)


def test_damage(tmp_path):
    path = write(tmp_path / "a.raw", movie())
    with open_recording(path) as recording:
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(RecordingError, match=r"a\.raw: frame 10 \(counted from 0\) cannot be read"):
            recording.read(0, FRAMES)
    with pytest.raises(RecordingError, match=r"a\.raw has 3,060 bytes, but 3,360 are expected .* as .*a\.json tells"):
        read_header(path)
    write(path, movie(), axes="YXT")
    with pytest.raises(RecordingError, match=r"the axes are YXT .* not together in the file"):
        read_header(path)
    write(path, movie(), axes="TCYX")
    with pytest.raises(RecordingError, match=r"shape \[12, 10, 14\] has 3 numbers, but axes is 'TCYX'"):
        read_header(path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(RecordingError, match=r"a\.json cannot be read as JSON"):
        read_header(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(RecordingError, match=r"a\.json must tell 'shape' and 'dtype'"):
        read_header(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(RecordingError, match=r"a\.raw tells neither shape nor type; expected a file a\.json beside it"):
        read_header(path)
