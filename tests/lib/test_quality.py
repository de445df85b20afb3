"""Numbers before and after correction."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lib.quality import align, before_after, drift, mask_costs, sampled_runs, shrink, structured_channel

SHAPE = (48, 60)


class Movie:
    """What a Recording is to `before_after`."""

    def __init__(self, frames):
        self.array, self.frames = frames, len(frames)

    def read_frames(self, indices):
        return self.array[indices]


def scene(seed=0, shape=SHAPE):
    return 100 + 500 * gaussian_filter(np.random.default_rng(seed).normal(size=shape), (2, 2) + (0,) * (len(shape) - 2))


@pytest.mark.parametrize("frames, count, length", [(1, 1, 1), (7, 7, 1), (50, 50, 1), (120, 50, 2), (5000, 50, 4)])
def test_runs_are_spread_and_do_not_overlap(frames, count, length):
    runs = sampled_runs(frames)
    assert [len(run) for run in runs] == [length] * count
    flat = np.concatenate(runs)
    assert flat[0] == 0 and flat[-1] == frames - 1 and (np.diff(flat) > 0).all()


@pytest.mark.parametrize("channels", [(), (2,)])
def test_correction_is_seen_in_correlation_and_sharpness(channels):
    image = scene(shape=(*SHAPE, *channels))
    if channels:
        image[..., 0] = 7  # an empty channel
    rng = np.random.default_rng(1)
    still = np.stack([image + rng.normal(size=image.shape) for _ in range(30)])
    moving = np.stack([np.roll(frame, rng.integers(-4, 5, 2), (0, 1)) for frame in still])
    found = before_after(Movie(moving), Movie(still), image, np.ones(SHAPE, bool), side=20)
    np.testing.assert_allclose(found.before, moving.mean(0))
    np.testing.assert_allclose(found.after, still.mean(0))
    assert found.correlation[0] + 0.1 < found.correlation[1] <= 1
    assert found.sharpness[0] * 1.1 < found.sharpness[1]
    assert found.clips[0].shape == found.clips[1].shape == (30, 16, 20) and found.clips[0].std() > 1
    assert structured_channel(image) == len(channels)


def test_constant_and_single_frames_give_numbers():
    flat = Movie(np.full((1, *SHAPE), 5, np.uint16))
    found = before_after(flat, flat, np.full(SHAPE, 5.0), np.zeros(SHAPE, bool), side=64)
    assert found.correlation == found.sharpness == (0.0, 0.0)
    statistics = {"translation_x": np.zeros(1), "translation_y": np.ones(1), "outlier": np.array([True])}
    assert drift(statistics) == 0
    aligned = align(np.full(SHAPE, 5.0), np.full(SHAPE, 5.0), np.full(SHAPE, 99.0), np.zeros(SHAPE))
    assert aligned.correlation == (0.0, 0.0) and np.isfinite(aligned.image).all()


def test_drift_is_what_stays_and_not_what_jitters():
    rng = np.random.default_rng(0)
    x = np.linspace(0, 6, 500) + rng.normal(size=500)
    y = np.linspace(0, 8, 500) + rng.normal(size=500)
    x[7] = 300
    outlier = np.arange(500) == 7
    assert drift({"translation_x": x, "translation_y": y, "outlier": outlier}) == pytest.approx(9, abs=1)


def test_alignment_is_judged_where_there_is_data():
    image = scene()
    moved = np.roll(image, (3, -5), (0, 1))
    u, v = np.full(SHAPE, -5.0), np.full(SHAPE, 3.0)
    found = align(moved, image, u, v)
    np.testing.assert_allclose(found.image[:-3, 5:], image[:-3, 5:])
    assert found.correlation[0] < 0.7 and found.correlation[1] > 0.999


def test_each_pixel_of_the_mask_has_who_costs_it():
    masks = [np.ones((10, 10), bool) for _ in range(3)]
    masks[0][:2], masks[1][0], masks[1][:, 0] = False, False, False
    costs = mask_costs(iter(masks))
    np.testing.assert_allclose(costs.lost, [0.2, 0.19, 0])
    np.testing.assert_allclose(costs.alone, [0.09, 0.08, 0])
    assert costs.costliest() == 0 and costs.count.max() == 2
    assert costs.owner[1, 5] == 0 and costs.owner[5, 0] == 1 and costs.owner[0, 0] == costs.owner[5, 5] == -1
    assert mask_costs([np.ones((4, 4), bool)]).costliest() is None


def test_shrink_never_ends_at_nothing():
    assert shrink(np.ones((512, 256)), 256).shape == (256, 128)
    assert shrink(np.ones((3, 900)), 300).shape == (1, 300)
