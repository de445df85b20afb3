"""Between recordings: the displacement from one average to another."""

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

from lib.flow import Backend, FlowEstimator, FlowParams, warp_frame

REFINED = 0.25  # of sigma_smooth in the second pass
EMPTY = 1e-9  # of the values: what a channel spans through rounding alone


def between_flow(
    average: np.ndarray,
    reference_average: np.ndarray,
    *,
    sigma_smooth: float,
    cc_upsample: int,
    alpha: float,
    iterations: int,
    constancy_assumption: str,
    backend: str | Backend = "numba",
) -> np.ndarray:
    """Backward displacement that brings one recording's average onto another's.

    Both averages are smoothed in the plane. A rigid start is found by phase cross-correlation (Guizar-Sicairos,
    Thurman, Fienup, Optics Letters 33, 2008), and the flow of what is left is estimated at full size. Strong smoothing
    makes this safe and leaves it coarse, so a second pass with a quarter of the smoothing corrects what is left.

    Parameters
    ----------
    average, reference_average : ndarray (H, W) or (H, W, C)
        Temporal averages, raw intensities. Each channel is scaled to its own range first, so that a difference in
        overall brightness does not matter.
    sigma_smooth : float
        Gaussian smoothing of the first pass in pixels, in the plane only, never across channels.
    cc_upsample : int
        The rigid start is found to 1 / cc_upsample pixels.
    alpha, iterations, constancy_assumption
        Of the flow, see `FlowParams`.
    backend : {"numba", "cupy"} or Backend
        What computes the flow.

    Returns
    -------
    ndarray (H, W, 2) float32, pixels
        reference_average(x, y) matches average(x + u, y + v). Zero if one of them is constant.
    """
    params = FlowParams(
        quality="quality",
        alpha=alpha,
        iterations=iterations,
        update_lag=iterations,
        constancy_assumption=constancy_assumption,
        sigma=(0.0, 0.0, 0.0),
    )
    moving, fixed = (_prepare(image, sigma_smooth) for image in (average, reference_average))
    if not (moving.any() and fixed.any()):
        return np.zeros((*fixed.shape[:2], 2), np.float32)
    y, x = phase_cross_correlation(
        fixed.mean(axis=-1), moving.mean(axis=-1), upsample_factor=cc_upsample, normalization=None
    )[0]
    # that is how to move `moving`; a backward displacement says where to look
    w = np.broadcast_to(np.array([-x, -y], np.float32), (*fixed.shape[:2], 2))
    w = _add_flow(w, moving, fixed, params, backend)
    moving, fixed = (_prepare(image, sigma_smooth * REFINED) for image in (average, reference_average))
    return _add_flow(w, moving, fixed, params, backend)


def _add_flow(w: np.ndarray, moving: np.ndarray, fixed: np.ndarray, params: FlowParams, backend) -> np.ndarray:
    """The displacement w, composed with the flow of what it leaves between `moving` and `fixed`."""
    w = np.ascontiguousarray(w)
    rest = FlowEstimator(fixed, params, backend)(warp_frame(moving, w, fill=fixed))
    return rest + warp_frame(w, rest, fill=w, interpolation="linear")


def _prepare(image: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W, C) float32, smoothed in the plane, every channel scaled to [0, 1]; a constant one is 0."""
    stack = gaussian_filter(image.reshape(*image.shape[:2], -1).astype(np.float64), (sigma, sigma, 0), mode="nearest")
    low, span = stack.min((0, 1)), np.ptp(stack, (0, 1))
    scale = np.where(span > EMPTY * abs(stack).max((0, 1)), 1 / np.maximum(span, 1e-300), 0)
    return ((stack - low) * scale).astype(np.float32)
