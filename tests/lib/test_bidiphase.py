"""The offset of every second row is found and undone; where there is none, none is found."""

import numpy as np
import pytest
import tifffile

from lib.bidiphase import estimate_offset, shift_rows
from lib.recording import RecordingError, open_recording
from lib.simulate import make_scene, simulate_recording
from tests.movies import movie, read_all


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """(T, H, W) with photon noise, motion and random row jitter, but no offset."""
    return simulate_recording(make_scene((96, 128), 3), frames=16, seed=3, photons=5, jitter=0.5).movie


def displaced(frames: np.ndarray, offset: int) -> np.ndarray:
    """Every second row moved to the right, as a badly timed scanner does it."""
    moved = frames.copy()
    moved[:, 1::2] = np.roll(moved[:, 1::2], offset, axis=2)
    return moved


@pytest.mark.parametrize("offset", [0, 1, 3, -2, -7])
def test_an_offset_is_found(frames, offset):
    assert estimate_offset(displaced(frames, offset)) == offset


@pytest.mark.parametrize("offset", [0, 2])
def test_channels_are_taken_together(frames, offset):
    noise = np.random.default_rng(0).poisson(4, frames.shape).astype(frames.dtype)
    assert estimate_offset(displaced(np.stack([noise, frames], axis=-1), offset)) == offset


def test_no_offset_is_made_up(frames):
    rng = np.random.default_rng(1)
    noise = rng.poisson(5, (20, 16, 64, 80)).astype(np.uint16)
    assert [estimate_offset(movie) for movie in noise] == [0] * 20
    assert estimate_offset(np.zeros((5, 32, 32), np.uint16)) == 0
    assert estimate_offset(displaced(frames, 3)[:2]) == 0  # too few to be sure
    y, x = np.mgrid[:96, :128]  # stripes at a slant
    stripes = 100 + 50 * np.sin(x / 3 + y / 2) + rng.normal(0, 5, (16, 96, 128))
    assert estimate_offset(stripes.astype(np.float32)) == 0


@pytest.mark.parametrize("height", [10, 11])
@pytest.mark.parametrize("offset", [3, -3])
def test_rows_are_moved_back(offset, height):
    frames = np.random.default_rng(0).integers(0, 100, (4, height, 14, 2))
    moved = displaced(frames, offset)
    shift_rows(moved, offset)
    inside = slice(None, -offset) if offset > 0 else slice(-offset, None)
    edge = slice(-offset, None) if offset > 0 else slice(None, -offset)
    np.testing.assert_array_equal(moved[:, :, inside], frames[:, :, inside])
    np.testing.assert_array_equal(moved[:, ::2], frames[:, ::2])
    np.testing.assert_array_equal(moved[:, 1::2, edge], frames[:, : height // 2 * 2 : 2, edge])


def test_recordings_are_corrected_on_reading(tmp_path, frames):
    """In every way to read, before frames are averaged, for channels that take turns too."""
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, displaced(frames, 2), photometric="minisblack")
    with open_recording(path, bidiphase="auto") as recording:
        assert recording.bidiphase == 2
        np.testing.assert_array_equal(recording.read(0, 16)[:, :, :-2], frames[:, :, :-2])
        np.testing.assert_array_equal(recording.read_frames([7, 3]), recording.read(0, 16)[[7, 3]])
        by_hand = read_all(path, bidiphase=2)
        np.testing.assert_array_equal(recording.read(0, 16), by_hand)
    with open_recording(path, bidiphase="auto", bin_size=4) as binned:
        np.testing.assert_allclose(binned.read(1, 2)[0], by_hand[4:8].mean(axis=0), rtol=1e-6)
    turns = np.stack([displaced(frames, -1), displaced(frames // 2, -1)], axis=1).reshape(-1, *frames.shape[1:])
    tifffile.imwrite(path, turns, photometric="minisblack")
    with open_recording(path, channels=["green", None], bidiphase="auto") as green:
        assert green.bidiphase == -1
        np.testing.assert_array_equal(green.read(2, 5)[:, :, 1:], frames[2:5, :, 1:])


def test_more_than_a_row(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", movie(), photometric="minisblack")
    with pytest.raises(RecordingError, match=r"movie\.tif has frames that are 14 pixels wide, but `bidiphase` is -14"):
        open_recording(tmp_path / "movie.tif", bidiphase=-14)
