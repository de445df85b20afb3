"""Warping whole frames, against SciPy and by hand."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from lib.flow import valid_mask, warp_frame
from lib.flow.register import interpolate
from tests import oracle


@pytest.fixture
def flow():
    y, x = np.mgrid[0.0:40, 0.0:50]
    return np.stack([3 * np.sin(y / 5) + 1.3, 2.5 * np.cos(x / 6) - 0.7], -1).astype(np.float32)


@pytest.mark.parametrize("interpolation, order", [("nearest", 0), ("linear", 1)])
def test_agrees_with_scipy(flow, interpolation, order):
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    y, x = np.mgrid[0.0:40, 0.0:50].astype(np.float32)
    at = [y + flow[..., 1], x + flow[..., 0]]
    expected = ndi.map_coordinates(image, np.floor(np.add(at, 0.5)) if order == 0 else at, order=order, mode="nearest")
    found = warp_frame(image, flow, fill=np.nan, interpolation=interpolation)
    valid = valid_mask(flow)
    np.testing.assert_allclose(found[valid], expected[valid], atol=2e-5)
    assert np.isnan(found[~valid]).all() and 0 < (~valid).sum() < valid.size / 2


@pytest.mark.parametrize("swing, roughness", [(0, 0), (1, 0), (1, 0.2), (0, 3)])  # all pixels in runs, some, few, none
def test_cubic_agrees_with_the_oracle(flow, swing, roughness):
    rng = np.random.default_rng(0)
    image = rng.random((40, 50)).astype(np.float32)
    flow = (0.3 + swing * flow + roughness * rng.normal(0, 1, flow.shape)).astype(np.float32)
    keys = {"sample": oracle.sample_cubic}
    expected = oracle.warp(image.astype(float), np.full(image.shape, 7.0), flow.astype(float), **keys)
    np.testing.assert_allclose(warp_frame(image, flow, fill=7.0), expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(40, 50, 2), (10, 50), (40, 11)])
def test_splines_agree_with_scipy(flow, shape):
    image = ndi.gaussian_filter(np.random.default_rng(0).random(shape), (1.0, 1.0) + (0.0,) * (len(shape) - 2))
    h, w = shape[:2]
    y, x = np.mgrid[0:h, 0:w]
    at = np.stack([np.clip(x + flow[:h, :w, 0], 0, w - 1), np.clip(y + flow[:h, :w, 1], 0, h - 1)], -1)
    found = interpolate(image.astype(np.float32), (at - np.stack([x, y], -1)).astype(np.float32))
    for c in np.ndindex(shape[2:]):
        part = (slice(None), slice(None), *c)
        expected = ndi.map_coordinates(image[part], [at[..., 1], at[..., 0]], order=3, mode="mirror")
        np.testing.assert_allclose(found[part], expected, atol=2e-5)


def test_mask_has_the_border_inside():
    flow = np.zeros((4, 5, 2), np.float32)
    assert valid_mask(flow).all()
    flow[..., 0] = 1
    assert valid_mask(flow)[:, :4].all() and not valid_mask(flow)[:, 4].any()
    flow[..., 0] = -0.25
    assert valid_mask(flow)[:, 1:].all() and not valid_mask(flow)[:, 0].any()
    flow[...] = 0, np.inf
    assert not valid_mask(flow).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_integers_are_rounded_and_clipped(dtype):
    limits = np.iinfo(dtype)
    image = np.full((12, 12), limits.max // 2, dtype)
    image[:, 6:] = limits.max
    image[:, :3] = limits.min
    flow = np.full((12, 12, 2), 0.5, np.float32)  # cubic overshoots beyond both ends of the range
    found = warp_frame(image, flow, fill=0)
    assert found.dtype == dtype
    assert found.min() >= limits.min and found[5, 8] >= limits.max - limits.max // 2**20
    assert found[5, 1] == pytest.approx(limits.min, abs=limits.max / 10)
    small = np.random.default_rng(0).integers(0, 127, (12, 12)).astype(dtype)
    np.testing.assert_array_equal(warp_frame(small, np.zeros_like(flow), fill=0), small)


def test_channels_are_warped_alike(flow):
    image = np.random.default_rng(0).integers(0, 60000, (40, 50, 3)).astype(np.uint16)
    together = warp_frame(image, flow, fill=5)
    for c in range(3):
        np.testing.assert_array_equal(together[..., c], warp_frame(image[..., c].copy(), flow, fill=5))
