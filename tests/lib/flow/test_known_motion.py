"""Frames made of a recording's own: what they show lies where their true flow says."""

import numpy as np
import pytest

from lib.flow import warp_frame
from lib.flow.known_motion import activity, broken_up, residual, simulated, still, undone
from lib.flow.motion import Basis
from lib.simulate import make_scene, simulate_recording

SHAPE = (96, 120)
INNER = np.s_[16:-16, 16:-16]


@pytest.fixture(scope="module")
def reference():
    return simulate_recording(make_scene(SHAPE, 4), frames=1, seed=3).clean.astype(np.float32)


def smooth_motion(size, seed=0):
    """A random displacement (H, W, 2) float32 of about `size` pixels."""
    basis = Basis.of(SHAPE)
    coefficients = np.zeros((2, basis.kept.sum()))
    ky, kx = np.nonzero(basis.kept)
    low = ky + kx <= 2
    coefficients[:, low] = np.random.default_rng(seed).normal(0, size / np.sqrt(low.sum()), (2, low.sum()))
    return basis.synthesise(coefficients)


@pytest.mark.parametrize("size", [0.5, 4.0])
def test_a_displacement_and_what_undoes_it_lead_back(size):
    flow = smooth_motion(size)
    back = undone(flow)
    there = np.stack([warp_frame(flow[..., c], back, fill=0, interpolation="linear") for c in (0, 1)], axis=-1)
    assert np.abs(there + back)[INNER].max() < 0.01 * size
    assert np.abs(flow).max() > size / 2


@pytest.mark.parametrize("channels", [1, 2])
def test_a_simulated_frame_registers_by_its_true_flow(reference, channels):
    images = reference if channels == 1 else np.stack([reference, reference[::-1]], axis=-1)
    found = simulated(images, np.zeros_like(images), smooth_motion(3.0))
    assert found.frame.dtype == found.flow.dtype == np.float32
    registered = warp_frame(found.frame, found.flow, fill=0)
    scale = np.std(images)
    assert np.abs(registered - images)[INNER].mean() < 0.03 * scale
    assert np.abs(found.frame - images)[INNER].mean() > 0.2 * scale


def test_noise_is_found_again_as_it_was(reference):
    noise = np.random.default_rng(1).normal(0, 5, SHAPE).astype(np.float32)
    found = simulated(reference, noise, smooth_motion(3.0))
    rest, likeness = residual(reference, found.frame, found.flow)
    assert 0.95 < rest[INNER].std() / noise.std() < 1.2  # nothing was smoothed
    assert np.corrcoef(rest[INNER].ravel(), noise[INNER].ravel())[0, 1] > 0.6
    assert likeness > 0.8


def test_without_motion_the_residual_is_what_was_added(reference):
    noise = np.random.default_rng(1).normal(0, 5, SHAPE).astype(np.float32)
    rest, _ = residual(reference, reference + noise, still(reference))
    np.testing.assert_allclose(rest, noise, atol=1e-3 * np.ptp(reference))


def test_signs_of_noise_are_broken_up_and_sizes_kept():
    noise = np.random.default_rng(1).choice((-3.0, 3.0), SHAPE).astype(np.float32)
    quiet = activity(noise) == 0
    assert quiet.mean() > 0.95
    broken = broken_up(noise, seed=5)
    assert set(np.unique(broken[quiet])) == {-3.0, 3.0}
    assert 0.4 < (broken == noise).mean() < 0.6
    np.testing.assert_array_equal(broken, broken_up(noise, seed=5))


@pytest.mark.parametrize("channels", [1, 2])
def test_activity_is_told_from_noise(channels):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    cell = 40 * np.exp(-((y - 40) ** 2 + (x - 70) ** 2) / (2 * 6.0**2))
    rest = np.stack(
        [noise + sign * cell for sign, noise in zip((1, -1), rng.normal(0, 10, (2, *SHAPE)), strict=True)], -1
    )
    rest = rest.astype(np.float32) if channels == 2 else rest[..., 0].astype(np.float32)
    found = activity(rest).reshape(*SHAPE, channels)
    far = np.hypot(y - 40, x - 70) > 24
    for c, sign in zip(range(channels), (1, -1), strict=False):
        assert 20 < sign * found[40, 70, c] < 40
        assert (found[far, c] == 0).mean() > 0.95
