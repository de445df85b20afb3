"""The flow that is kept in little space, and its composition with the displacement between recordings."""

import numpy as np
import pytest

from lib.flow import FlowEstimator, FlowParams, compact_shape, compose_flow, pack_flow, unpack_flow, valid_mask
from lib.simulate import compose, make_scene, simulate_between, simulate_recording


@pytest.fixture(scope="module")
def recording():
    return simulate_recording(make_scene((160, 180), 1), frames=4, seed=2, photons=12.0)


@pytest.mark.parametrize(
    "quality, size, mean, most", [("fast", (42, 47), 0.005, 0.05), ("quality", (80, 90), 0.03, 0.25)]
)
def test_a_flow_comes_back(recording, quality, size, mean, most):
    params = FlowParams(quality=quality, alpha=1.5)  # rougher than anybody wants it
    estimator = FlowEstimator(recording.clean, params)
    shape = compact_shape((160, 180), params)
    assert shape == size
    for frame in recording.movie:
        w = estimator(frame)
        compact = pack_flow(w, shape)
        assert (compact.shape, compact.dtype) == ((*size, 2), np.float16)
        error = np.linalg.norm(unpack_flow(compact, w.shape[:2]) - w, axis=-1)
        assert error.mean() < mean and error.max() < most


def test_rounding_is_relative():
    w = np.random.default_rng(0).uniform(-300, 300, (20, 30, 2)).astype(np.float32)
    assert (np.abs(unpack_flow(pack_flow(w, (20, 30)), (20, 30)) - w) <= np.abs(w) * 2**-11).all()
    w[3, 4] = 1e30, -1e30
    assert np.isfinite(unpack_flow(pack_flow(w, (9, 13)), (20, 30))).all()


@pytest.mark.parametrize("shape, params", [((10, 10), {}), ((11, 200), {}), ((300, 40), {"min_level": 2})])
def test_extreme_frames(shape, params):
    size = compact_shape(shape, FlowParams(**params))
    constant = np.full((*shape, 2), (3.0, -2.0), np.float32)
    assert max(size) <= (max(shape) + 1) // 2
    np.testing.assert_allclose(unpack_flow(pack_flow(constant, size), shape), constant, atol=1e-5)


def test_composition(recording):
    between, within = simulate_between((160, 180), seed=3), recording.flow[1]
    found = compose_flow(between, within)
    inside = valid_mask(between)
    np.testing.assert_allclose(found[inside], compose(between, within)[inside], atol=1e-4)
    assert 0 < (~inside).sum() and not valid_mask(found)[~inside].any()
    np.testing.assert_array_equal(compose_flow(np.zeros_like(within), within), within)
