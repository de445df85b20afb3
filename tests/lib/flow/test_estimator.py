"""FlowEstimator as a user calls it: accuracy on known motion, extremes, threads, errors."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lib.flow import FlowEstimator, FlowParams, valid_mask
from lib.flow.backend import cut
from lib.simulate import make_scene, simulate_recording


@pytest.fixture(scope="module")
def recording():
    return simulate_recording(make_scene((128, 144), 4), frames=6, seed=2)


def endpoint_error(w, truth, border=12):
    return np.hypot(*np.moveaxis(w - truth, -1, 0))[border:-border, border:-border].mean()


@pytest.mark.parametrize("quality, bound", [("fast", 0.42), ("balanced", 0.33), ("quality", 0.31)])
def test_finds_known_motion_in_noisy_frames(recording, quality, bound):
    estimator = FlowEstimator(recording.clean, FlowParams(quality=quality, alpha=5.0))
    w = np.stack([estimator(frame) for frame in recording.movie])
    assert w.dtype == np.float32 and w.shape == recording.flow.shape
    errors = [endpoint_error(*pair) for pair in zip(w, recording.flow, strict=True)]
    assert np.mean(errors) < bound
    assert endpoint_error(np.zeros_like(w[0]), recording.flow[0]) > 2  # what there was to find


@pytest.mark.parametrize("shift", [(30, -17), (-28, 30), (0, 0)])
def test_large_shifts_are_found(shift):
    rng = np.random.default_rng(0)
    scene = simulate_recording(make_scene((220, 240), 4), frames=1, seed=2, rigid=0, nonrigid=0, jitter=0).clean
    x, y = shift
    reference, frame = scene[40:168, 40:184], scene[40 - y : 168 - y, 40 - x : 184 - x]
    w = FlowEstimator(reference, FlowParams(quality="fast", alpha=25.0))(rng.poisson(frame))
    assert np.abs(np.median(w, axis=(0, 1)) - shift).max() < 0.2


def test_a_frame_alone_decides_its_flow(recording):
    estimator = FlowEstimator(recording.clean, FlowParams(quality="fast"))
    alone = [FlowEstimator(recording.clean, FlowParams(quality="fast"))(frame) for frame in recording.movie]
    order = [3, 0, 5, 5, 1, 2, 4, 0]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda t: estimator(recording.movie[t]), order))
    for t, w in zip(order, together, strict=True):
        np.testing.assert_array_equal(w, alone[t])


@pytest.mark.parametrize("interpolation", ["cubic", "linear"])
def test_frames_together_are_as_each_alone(recording, interpolation):
    movie = np.stack([recording.movie, recording.movie[::-1]], -1)
    params = FlowParams(quality="fast", alpha=8.0, interpolation_method=interpolation)
    estimator = FlowEstimator(np.stack([recording.clean, recording.clean], -1), params)
    together = estimator.register_frames(movie, compact=True)
    for t, frame in enumerate(movie):
        alone = estimator.register_frames(frame[None], compact=True)
        for found, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(found[t], expected[0])
        for found, expected in zip(
            (together.registered, together.w, together.valid), estimator.register(frame), strict=True
        ):
            np.testing.assert_array_equal(found[t], expected)


@pytest.mark.parametrize("shape", [(64, 64), (128, 144), (512, 512), (1500, 1500)])
@pytest.mark.parametrize("frames", [1, 15, 16, 100, 1000])
def test_threads_share_the_frames(shape, frames):
    parts = cut(frames, shape)
    assert np.concatenate([np.arange(frames)[part] for part in parts]).tolist() == list(range(frames))
    assert len(parts) >= min(frames, 16)
    assert max(part.stop - part.start for part in parts) * shape[0] * shape[1] <= max(512**2, shape[0] * shape[1])


@pytest.mark.parametrize("more", [{}, {"a_smooth": 0.7}])
def test_another_smoothness_is_as_a_new_estimator(recording, more):
    first, second = (FlowParams(quality="balanced", alpha=alpha, **more) for alpha in (3.0, (40.0, 7.0)))
    estimator, frame = FlowEstimator(recording.clean, first), recording.movie[2]
    before = estimator(frame)
    other = estimator.with_alpha((40.0, 7.0))
    assert other.params == second and estimator.params == first
    with ThreadPoolExecutor(2) as pool:  # side by side, with workspaces in common
        flows = list(pool.map(lambda one: one(frame), [other, estimator] * 4))
    new = FlowEstimator(recording.clean, second)(frame)
    for k, w in enumerate(flows):
        np.testing.assert_array_equal(w, before if k % 2 else new)


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.float32, np.float64])
def test_intensities_count_not_their_type(recording, dtype):
    estimator = FlowEstimator(recording.clean, FlowParams(quality="fast"))
    frame = recording.movie[1] // 4
    np.testing.assert_array_equal(estimator(frame.astype(dtype)), estimator(frame))


@pytest.mark.parametrize("quality", ["fast", "balanced", "quality"])
@pytest.mark.parametrize("shape", [(100, 700), (64, 64), (61, 47), (10, 10), (11, 200)])
def test_extreme_frames_give_finite_flow(quality, shape):
    rng = np.random.default_rng(1)
    reference = rng.integers(0, 3000, shape).astype(np.uint16)
    spot = np.zeros(shape, np.uint16)
    spot[shape[0] // 2, shape[1] // 2] = 65535
    frames = [np.zeros(shape, np.uint16), np.full(shape, 65535, np.uint16), spot, reference]
    for against in (reference, np.zeros(shape, np.uint16), spot):
        for more in ({}, {"constancy_assumption": "gray", "a_smooth": 0.5}, {"constancy_assumption": "cs"}):
            estimator = FlowEstimator(against, FlowParams(quality=quality, iterations=4, **more))
            for frame in frames:
                assert np.isfinite(estimator(frame)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_absurd_numbers_give_finite_flow(recording, dtype):
    spot = recording.movie[0].astype(dtype)
    spot[20, 20], spot[30, 31] = 1e30, -1e30
    params = FlowParams(quality="quality", iterations=4, alpha=10.0)
    estimator = FlowEstimator(recording.clean, params)
    done = estimator.register_frames(np.stack([spot, np.full_like(spot, -1e30)]))
    assert np.isfinite(done.w).all() and np.isfinite(done.registered).all() and np.isfinite(done.statistics).all()


def test_a_frame_like_the_reference_has_no_flow(recording):
    w = FlowEstimator(recording.clean, FlowParams(quality="quality", alpha=5.0))(recording.clean)
    assert np.abs(w).max() < 0.02


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_flat_frame_is_not_moved_far(recording, value):
    """Its rounding errors are a pattern too, but it does not show where the frame is."""
    w = FlowEstimator(recording.clean, FlowParams(quality="balanced", alpha=20.0))(
        np.full_like(recording.movie[0], value)
    )
    assert np.abs(w).max() < 2.5


@pytest.mark.parametrize("quality", ["fast", "balanced", "quality"])
@pytest.mark.parametrize("value", [0, 7, 1000])
def test_against_a_flat_reference_nothing_moves(recording, quality, value):
    estimator = FlowEstimator(np.full((48, 56), value, np.uint16), FlowParams(quality=quality, alpha=20.0))
    _, w, valid = estimator.register(np.full((48, 56), value, np.uint16))
    assert np.abs(w).max() < 1e-4 and valid.all()


@pytest.mark.parametrize("value", [0.0, 12.0])
def test_an_empty_channel_does_not_disturb(recording, value):
    empty = np.full_like(recording.clean, value)
    average = empty * (1 + 1e-6 * np.random.default_rng(0).uniform(-1, 1, empty.shape))  # as rounding leaves it
    reference = np.stack([recording.clean, average], -1)
    one = FlowEstimator(recording.clean, FlowParams(quality="balanced", alpha=10.0))(recording.movie[2])
    params = FlowParams(quality="balanced", alpha=5.0, channel_normalization="separate")  # half the data, half alpha
    frame = np.stack([recording.movie[2], empty.astype(np.uint16)], -1)
    assert endpoint_error(FlowEstimator(reference, params)(frame), one) < 0.05


def test_register_warps_masks_and_keeps_the_type(recording):
    reference = recording.clean
    estimator = FlowEstimator(reference, FlowParams(quality="balanced", alpha=25.0))
    frame = recording.movie[5]
    registered, w, valid = estimator.register(frame)
    assert registered.dtype == frame.dtype and valid.dtype == bool
    np.testing.assert_array_equal(w, estimator(frame))
    np.testing.assert_array_equal(valid, valid_mask(w))
    np.testing.assert_array_equal(registered[~valid], np.rint(reference[~valid]).astype(frame.dtype))
    inner = np.s_[8:-8, 8:-8]
    before, after = (np.corrcoef(image[inner].ravel(), reference[inner].ravel())[0, 1] for image in (frame, registered))
    assert after > before


def test_wrong_input_is_named():
    good = np.ones((20, 30))
    with pytest.raises(ValueError, match=r"\(20,\)"):
        FlowEstimator(np.ones(20), FlowParams())
    with pytest.raises(ValueError, match="at least 10"):
        FlowEstimator(np.ones((9, 30)), FlowParams())
    with pytest.raises(ValueError, match="NaN"):
        FlowEstimator(np.full((20, 30), np.nan), FlowParams())
    with pytest.raises(ValueError, match="opencl"):
        FlowEstimator(good, FlowParams(), backend="opencl")
    with pytest.raises(ValueError, match=r"\(30, 20\).*\(20, 30\)"):
        FlowEstimator(good, FlowParams())(np.ones((30, 20)))
