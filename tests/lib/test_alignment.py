"""Alignment between recordings, and masks."""

import h5py
import numpy as np
import pytest

from lib.aligned import align_movie
from lib.alignment import between_flow
from lib.flow import warp_frame
from lib.masks import count_valid, intersect, warp_mask
from lib.recording import open_recording
from lib.simulate import make_scene, simulate_between, simulate_recording
from lib.sink import open_movie_sink

OPTIONS = {"sigma_smooth": 3.0, "cc_upsample": 4, "alpha": 25.0, "iterations": 100, "constancy_assumption": "gc"}


@pytest.fixture(scope="module")
def pair():
    """A base image, another recording's clean image, and the true displacement between them."""
    shape, scene = (160, 176), make_scene((160, 176), 2)
    between = simulate_between(shape, seed=9)
    base = simulate_recording(scene, frames=1, seed=0, rigid=0, nonrigid=0, jitter=0)
    other = simulate_recording(scene, frames=1, seed=1, rigid=0, nonrigid=0, jitter=0, between=between)
    return base.clean, other.clean, other.between


def inner_error(w, truth):
    return np.hypot(*np.moveaxis(w - truth, -1, 0))[16:-16, 16:-16].mean()


@pytest.mark.parametrize("constancy, bound", [("gc", 0.12), ("gray", 0.2), ("cs", 0.2)])
def test_finds_the_displacement_between_averages(pair, constancy, bound):
    base, other, truth = pair
    w = between_flow(other, base, **OPTIONS | {"constancy_assumption": constancy})
    assert w.dtype == np.float32 and np.hypot(*np.moveaxis(truth, -1, 0)).mean() > 2
    assert inner_error(w, truth) < bound


def test_on_a_gpu_the_displacement_is_the_same(pair):
    base, other, _ = pair
    numba, gpu = (between_flow(other, base, **OPTIONS, backend=backend) for backend in ("numba", "cupy"))
    assert np.abs(numba - gpu).max() < 0.02


def test_brightness_and_contrast_do_not_matter(pair):
    base, other, _ = pair
    w = between_flow(other, base, **OPTIONS)
    np.testing.assert_allclose(between_flow(other * 3.0 + 500, base, **OPTIONS), w, atol=0.02)


def test_the_same_average_is_not_moved(pair):
    base, _, _ = pair
    assert np.abs(between_flow(base, base, **OPTIONS)).max() < 0.02


@pytest.mark.parametrize("value", [0.0, 7.3])
def test_a_constant_average_is_not_moved(pair, value):
    base, other, truth = pair
    flat = np.full_like(base, value)
    for average, reference in ((flat, base), (base, flat), (flat, flat)):
        assert not between_flow(average, reference, **OPTIONS).any()
    w = between_flow(np.stack([other, flat], -1), np.stack([base, flat], -1), **OPTIONS | {"alpha": 12.5})
    assert inner_error(w, truth) < 0.12


def test_channels_are_not_blurred_into_each_other(pair):
    base, other, truth = pair
    dark = np.zeros_like(base)
    alone = between_flow(other, base, **OPTIONS)
    w = between_flow(np.stack([other, dark], -1), np.stack([base, dark], -1), **OPTIONS | {"alpha": 12.5})
    np.testing.assert_allclose(w, alone, atol=0.05)  # half the data term, half the smoothness


@pytest.mark.parametrize("kind", ["TIFF", "HDF5"])
def test_align_movie_warps_every_frame(tmp_path, kind):
    frames = np.random.default_rng(0).integers(0, 4000, (7, 30, 36)).astype(np.uint16)
    with h5py.File(tmp_path / "movie.hdf5", "w") as file:
        file["ch1"] = frames
    w = np.full((30, 36, 2), (2.25, -1.5), np.float32)
    fill = np.full((30, 36), 77.0)
    output = tmp_path / ("aligned.tif" if kind == "TIFF" else "aligned.h5")
    with (
        open_recording(tmp_path / "movie.hdf5") as movie,
        open_movie_sink(output, kind, frames.shape, np.uint16) as sink,
    ):
        align_movie(movie, w, sink, fill=fill, threads=2, chunk=3)
    with open_recording(output) as aligned:
        found = aligned.read(0, 7)
    for t in range(7):
        np.testing.assert_array_equal(found[t], warp_frame(frames[t], w, fill=fill))


def test_valid_frames_are_counted_with_and_without_outliers(tmp_path):
    valid = np.full((5, 20, 24), 255, np.uint8)
    valid[2, 3:5, 7] = 0
    valid[4, :, 0] = 0
    with h5py.File(tmp_path / "idx.hdf", "w") as file:
        file["ch1"] = valid
    outlier = np.arange(5) == 4
    with open_recording(tmp_path / "idx.hdf") as masks:
        of_all, of_usual = count_valid(masks, outlier)
    np.testing.assert_array_equal(of_all, (valid > 0).sum(0))
    np.testing.assert_array_equal(of_usual, (valid[:4] > 0).sum(0))


def test_masks_are_sampled_at_the_nearest_pixel_and_end_at_the_border():
    mask = np.ones((10, 12), bool)
    mask[4, 6] = False
    w = np.full((10, 12, 2), (1.4, -0.6), np.float32)
    expected = np.zeros((10, 12), bool)
    for y in range(10):
        for x in range(12):
            px, py = x + 1.4, y - 0.6
            expected[y, x] = 0 <= px <= 11 and 0 <= py <= 9 and mask[round(py), round(px)]
    np.testing.assert_array_equal(warp_mask(mask, w), expected)
    assert not warp_mask(mask, np.full((10, 12, 2), 40, np.float32)).any()
    np.testing.assert_array_equal(intersect([mask, expected]), mask & expected)
