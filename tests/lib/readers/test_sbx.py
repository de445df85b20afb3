"""Scanbox files, written as its own reader documents them: 65535 - value, the channels of a pixel together."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from lib.recording import Header, RecordingError, open_recording, read_header
from tests.movies import FRAMES, HEIGHT, WIDTH, movie, read_all


def write(path: Path, frames: np.ndarray, **told) -> Path:
    """Write (T, H, W[, C]) and what Scanbox tells of a recording."""
    (65535 - frames).astype("<u2").tofile(path)
    info = {
        "scanbox_version": 2,
        "sz": [HEIGHT, WIDTH],
        "recordsPerBuffer": HEIGHT,
        "resfreq": 7930,
        "scanmode": 1,
        "channels": 2,
        "otwave": [],
        "volscan": 0,
        "config": {"magnification": 2, "frames": FRAMES},
        "calibration": np.array([(1.0, 2.0), (0.5, 0.75)], dtype=[("x", float), ("y", float)]),
        "objective": "Nikon 16x",
    }
    savemat(path.with_suffix(".mat"), {"info": info | told})
    return path


def test_one_channel(tmp_path):
    path = write(tmp_path / "xx0_000_001.sbx", movie())
    np.testing.assert_array_equal(read_all(path), movie())
    assert read_header(path) == Header(
        *("sbx", FRAMES, HEIGHT, WIDTH, 1, "uint16", (), 793.0, (0.75, 0.5)),
        companions=(str(path.with_suffix(".mat")),),
    )


@pytest.mark.parametrize("told", [{"channels": 1}, {"channels": -1, "chan": {"nchan": 2, "sample": [1, 1, 0, 0]}}])
def test_two_channels_scanned_in_both_directions(tmp_path, told):
    frames = movie(channels=2)
    path = write(tmp_path / "a.sbx", frames, scanmode=0, recordsPerBuffer=HEIGHT // 2, **told)
    np.testing.assert_array_equal(read_all(path), frames)
    np.testing.assert_array_equal(read_all(path, channels=[None, "red"]), frames[..., 1])
    assert read_header(path).frame_rate == 1586.0


def test_planes_of_the_optotune(tmp_path):
    path = write(tmp_path / "a.sbx", movie(), otwave=[10.0, 20.0, 30.0], volscan=1)
    for plane in range(3):
        np.testing.assert_array_equal(read_all(path, plane=plane + 1), movie()[plane::3])
    assert read_header(path).frame_rate == pytest.approx(793 / 3)
    np.testing.assert_array_equal(read_all(write(tmp_path / "b.sbx", movie(), otwave=[10.0, 20.0])), movie())


def test_damage(tmp_path):
    path = write(tmp_path / "a b.sbx", movie())
    with open_recording(path) as recording:
        whole = path.read_bytes()
        path.write_bytes(whole[: 5 * HEIGHT * WIDTH * 2 + 7])
        np.testing.assert_array_equal(recording.read(0, 5), movie()[:5])
        with pytest.raises(RecordingError, match=r"a b\.sbx: frame 5 \(counted from 0\) cannot be read.*7 of its 280"):
            recording.read(3, FRAMES)
    with pytest.raises(RecordingError, match=r"a b\.sbx is cut off or does not belong to a b\.mat: .* 1,407 bytes"):
        read_header(path)
    path.write_bytes(whole)
    write(path, movie(), channels=7)
    with pytest.raises(RecordingError, match=r"a b\.mat: `info` tells neither `chan\.nchan` nor `channels`.* is 7"):
        read_header(path)
    savemat(path.with_suffix(".mat"), {"other": 1})
    with pytest.raises(RecordingError, match=r"a b\.mat cannot be read as the `info` of a b\.sbx: KeyError: 'info'"):
        read_header(path)
    path.with_suffix(".mat").unlink()
    with pytest.raises(RecordingError, match=r"a b\.sbx: expected a b\.mat beside it, which Scanbox writes too"):
        read_header(path)
