"""Frames with known motion, made of a recording's own: its reference, moved, and what its frames show beside that."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from .jit import kernel
from .measure import correlation
from .register import interpolate

_F = np.float32
INVERSION_STEPS = 4
PATCH = 4.0  # pixels: standard deviation of the filter that makes patches
ACTIVE = 3.0  # standard errors: a patch that differs more from the reference is no noise


@dataclass(frozen=True)
class Simulated:
    """A frame (H, W[, C]) float32 made of the reference, and its true flow (H, W, 2) float32."""

    frame: np.ndarray
    flow: np.ndarray


def residual(reference: np.ndarray, frame: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, float]:
    """What a frame shows beside the reference, at the reference's pixels, (H, W[, C]) float32; their correlation.

    Each pixel of the reference takes the value of the nearest pixel of the frame, so that noise is not smoothed, and
    the reference is sampled where that pixel looked.
    """
    nearest = _reflect(np.rint(_grid(flow.shape) + flow))
    x, y = (nearest[..., c].astype(np.intp) for c in (0, 1))
    seen, expected = frame[y, x].astype(np.float32), _sample(reference, nearest - flow)
    return seen - expected, correlation(seen, expected, np.ones(flow.shape[:2], bool))


def activity(rest: np.ndarray) -> np.ndarray:
    """The part of a residual (H, W[, C]) that is activity: patches that are brighter or darker as a whole."""
    part = np.zeros_like(rest)
    for c in np.ndindex(rest.shape[2:]):
        one = rest[..., *c]
        mean, power = gaussian_filter(one, PATCH), uniform_filter(one * one, int(8 * PATCH))
        doubt = np.sqrt(np.maximum(power, 0) / (4 * np.pi * PATCH**2))  # of the mean, were it white noise
        part[..., *c] = np.where(np.abs(mean) > ACTIVE * doubt, mean, 0)
    return part


def broken_up(rest: np.ndarray, seed: int) -> np.ndarray:
    """A residual (H, W[, C]) with random signs of small patches, but for its activity.

    The flow that left it has followed the noise a little, and not all of the motion. What that left behind is the same
    all over a place in the image; the patches are smaller. A cell that lights up keeps its sign: half of it dark would
    look like motion.
    """
    patches = gaussian_filter(np.random.default_rng(seed).standard_normal(rest.shape[:2], np.float32), PATCH)
    active = activity(rest)
    return active + (rest - active) * np.sign(patches).reshape(patches.shape + (1,) * (rest.ndim - 2))


def simulated(reference: np.ndarray, rest: np.ndarray, inverse: np.ndarray) -> Simulated:
    """The reference, moved, with what remained of a frame moving with it.

    `inverse` (H, W, 2) leads from the pixels of the simulated frame to the reference.
    """
    at = _reflect(_grid(inverse.shape) + inverse)
    x, y = (np.rint(at[..., c]).astype(np.intp) for c in (0, 1))
    return Simulated(_sample(reference, at) + rest[y, x], undone(inverse))


def still(image: np.ndarray) -> np.ndarray:
    """No displacement."""
    return np.zeros((*image.shape[:2], 2), np.float32)


def undone(flow: np.ndarray) -> np.ndarray:
    """The displacement that undoes a flow (H, W, 2), by fixed-point iteration; beyond the border it goes on."""
    found = np.empty_like(flow)
    _undo(flow, INVERSION_STEPS, found)
    return found


@kernel
def _undo(flow, steps, found):
    """found(x) = -flow(x + found(x)), from found = -flow on."""
    h, w = flow.shape[:2]
    for y in range(h):
        for x in range(w):
            u, v = -flow[y, x, 0], -flow[y, x, 1]
            for _ in range(steps):
                px = min(max(_F(x) + u, _F(0)), _F(w - 1))
                py = min(max(_F(y) + v, _F(0)), _F(h - 1))
                ix, iy = int(px), int(py)
                bx, by = min(ix + 1, w - 1), min(iy + 1, h - 1)
                tx, ty = px - _F(ix), py - _F(iy)
                a, b = (_F(1) - ty) * (_F(1) - tx), (_F(1) - ty) * tx
                c, d = ty * (_F(1) - tx), ty * tx
                u = -(a * flow[iy, ix, 0] + b * flow[iy, bx, 0] + c * flow[by, ix, 0] + d * flow[by, bx, 0])
                v = -(a * flow[iy, ix, 1] + b * flow[iy, bx, 1] + c * flow[by, ix, 1] + d * flow[by, bx, 1])
            found[y, x, 0], found[y, x, 1] = u, v


def _grid(shape) -> np.ndarray:
    """Pixel coordinates (H, W, 2) float32, x first."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.stack([x, y], axis=-1).astype(np.float32)


def _reflect(at: np.ndarray) -> np.ndarray:
    """Mirror positions (H, W, 2) at the border into the image, in place; beyond a whole side: the border."""
    for c, last in enumerate((at.shape[1] - 1, at.shape[0] - 1)):
        at[..., c] = np.clip(last - np.abs(last - np.abs(at[..., c])), 0, last)
    return at


def _sample(image: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The image at positions (H, W, 2), mirrored beyond the border."""
    return interpolate(image, _reflect(at) - _grid(at.shape))
