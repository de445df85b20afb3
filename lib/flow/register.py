"""Backward warping of whole frames with a finished flow, and the mask of valid pixels.

registered(x, y) = frame(x + u, y + v). A position outside [0, W - 1] x [0, H - 1] is invalid.
"""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from .jit import compiling, kernel
from .layout import in_lines
from .params import INTERPOLATION
from .sampling import locate, sample, sample_spline
from .spline import REACH, to_coefficients

_F = np.float32


class Registered(NamedTuple):
    """What became of frames; what was not asked for is None.

    Attributes
    ----------
    registered : ndarray (n, H, W[, C])
        The frames, warped, in their own type; invalid pixels hold the fill.
    valid : ndarray (n, H, W) bool
        Pixels whose source position lies inside the frame.
    statistics : ndarray (n, len(STATISTICS)) float64 or None
    w : ndarray (n, H, W, 2) float32 or None
        Backward displacement, pixels.
    compact : ndarray (n, h, w, 2) float16 or None
        The same as `pack_flow` makes it.
    """

    registered: np.ndarray
    valid: np.ndarray
    statistics: np.ndarray | None
    w: np.ndarray | None
    compact: np.ndarray | None


@kernel
def _pad(image, out):
    """out (H + 4, W + 4) float32 = image with two replicated pixels on every side."""
    h, w = image.shape
    for y in range(h + 4):
        row = min(max(y - 2, 0), h - 1)
        for x in range(w):
            out[y, x + 2] = _F(image[row, x])
        out[y, 0] = out[y, 1] = out[y, 2]
        out[y, w + 2] = out[y, w + 3] = out[y, w + 1]


@kernel
def _warp_cubic(padded, uv, fill, low, high, rounds, row, at, out, valid):
    """out (H, W) = frame at x + flow, `fill` where that is outside; clipped to [low, high], rounded if asked.

    uv (H, 2 W) is the flow as `in_lines` makes it.
    """
    h, w = out.shape
    tx, ty, warped = row[0], row[1], row[2]
    for y in range(h):
        for x in range(w):
            valid[y, x] = locate(_F(x) + uv[y, 2 * x], _F(y) + uv[y, 2 * x + 1], w, h, x, at, tx, ty)
        sample(padded, at, tx, ty, w, warped)
        for x in range(w):
            value = min(max(warped[x], low), high)
            value = np.rint(value) if rounds else value
            out[y, x] = value if valid[y, x] else fill[y, x]


@kernel
def _warp_other(frame, flow, fill, nearest, low, high, rounds, out, valid):
    """`_warp_cubic` with the nearest pixel or bilinear interpolation, from the frame itself."""
    h, w = frame.shape
    for y in range(h):
        for x in range(w):
            px, py = _F(x) + flow[y, x, 0], _F(y) + flow[y, x, 1]
            valid[y, x] = (px >= _F(0)) & (px <= _F(w - 1)) & (py >= _F(0)) & (py <= _F(h - 1))
            if not valid[y, x]:
                out[y, x] = fill[y, x]
            elif nearest:
                out[y, x] = frame[int(py + _F(0.5)), int(px + _F(0.5))]
            else:
                ix, iy = int(px), int(py)
                bx, by = min(ix + 1, w - 1), min(iy + 1, h - 1)
                tx, ty = px - _F(ix), py - _F(iy)
                top = (_F(1) - tx) * _F(frame[iy, ix]) + tx * _F(frame[iy, bx])
                bottom = (_F(1) - tx) * _F(frame[by, ix]) + tx * _F(frame[by, bx])
                value = min(max((_F(1) - ty) * top + ty * bottom, low), high)
                out[y, x] = np.rint(value) if rounds else value


@kernel
def _inside(flow, out):
    h, w = out.shape
    for y in range(h):
        for x in range(w):
            px, py = _F(x) + flow[y, x, 0], _F(y) + flow[y, x, 1]
            out[y, x] = (px >= _F(0)) & (px <= _F(w - 1)) & (py >= _F(0)) & (py <= _F(h - 1))


@kernel
def _sample_spline(coefficients, uv, row, at, out):
    """out (H, W) = the spline with coefficients (H + 4, W + 4) at x + flow, which must lie in the frame."""
    h, w = out.shape
    tx, ty, warped = row[0], row[1], row[2]
    for y in range(h):
        for x in range(w):
            locate(_F(x) + uv[y, 2 * x], _F(y) + uv[y, 2 * x + 1], w, h, x, at, tx, ty)
        sample_spline(coefficients, at, tx, ty, w, warped)
        for x in range(w):
            out[y, x] = warped[x]


_compiled = set()  # types that `warp_frame` has been called with in this process


def valid_mask(flow):
    """Pixels whose source position x + u, y + v lies inside the frame.

    Parameters
    ----------
    flow : ndarray (H, W, 2) float32
        Backward displacement in pixels.

    Returns
    -------
    ndarray (H, W) bool
    """
    out = np.empty(flow.shape[:2], np.bool_)
    _inside(flow, out)
    return out


def interpolate(image, flow):
    """The image at x + u, y + v by cubic splines, as an estimation sees it: to make images, not to correct them.

    Parameters
    ----------
    image : ndarray (H, W) or (H, W, C) float32
    flow : ndarray (H, W, 2) float32
        Pixels; no position may lie outside the image.

    Returns
    -------
    ndarray like `image`
    """
    h, w = image.shape[:2]
    out, plane, lines = np.empty_like(image), np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    row, at = np.empty((3, w + 2 * REACH), np.float32), np.empty(w, np.int32)
    for c in np.ndindex(image.shape[2:]):
        part = (slice(None), slice(None), *c)
        coefficients = np.pad(image[part], 2)
        to_coefficients(coefficients, row[0], lines)
        _sample_spline(coefficients, in_lines(flow), row, at, plane)
        out[part] = plane
    return out


def warp_frame(image, flow, *, fill, interpolation="cubic"):
    """Backward-warp an image: out(x, y) = image(x + u, y + v).

    Parameters
    ----------
    image : ndarray (H, W) or (H, W, C)
        Any integer or float type. Integers are rounded and clipped to their range.
    flow : ndarray (H, W, 2) float32
        Backward displacement in pixels.
    fill : ndarray like `image`, or a number
        Value where the source position is outside the image.
    interpolation : {"cubic", "linear", "nearest"}
        Keys' cubic convolution with a = -0.75, bilinear, or the nearest pixel.

    Returns
    -------
    ndarray like `image`
    """
    return warp_and_mask(image, flow, fill=fill, interpolation=interpolation)[0]


def warp_and_mask(image, flow, *, fill, interpolation="cubic"):
    """`warp_frame` and `valid_mask` in one pass: the warped image, and (H, W) bool where it is valid."""
    if interpolation not in INTERPOLATION:
        raise ValueError(f"interpolation is {interpolation!r}; expected one of {', '.join(INTERPOLATION)}")
    low, high, rounds = limits(image.dtype)
    fill = as_type(np.broadcast_to(np.asarray(fill), image.shape), image.dtype)
    out, valid = np.empty_like(image), np.empty(image.shape[:2], bool)
    with nullcontext() if image.dtype in _compiled else compiling():
        for c in np.ndindex(image.shape[2:]):
            part = (slice(None), slice(None), *c)
            source, filling = np.ascontiguousarray(image[part]), np.ascontiguousarray(fill[part])
            in_place = out[part].flags.c_contiguous  # a single channel
            target = out[part] if in_place else np.empty(image.shape[:2], image.dtype)
            if interpolation == "cubic":
                h, w = source.shape
                padded, row = np.empty((h + 4, w + 4), np.float32), np.empty((3, w), np.float32)
                _pad(source, padded)
                at = np.empty(w, np.int32)
                _warp_cubic(padded, in_lines(flow), filling, low, high, rounds, row, at, target, valid)
            else:
                _warp_other(source, flow, filling, interpolation == "nearest", low, high, rounds, target, valid)
            if not in_place:
                out[part] = target
    _compiled.add(image.dtype)
    return out, valid


def as_type(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The image in another type; what becomes an integer is rounded and clipped to its range."""
    if image.dtype == dtype:
        return image
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        image = np.clip(np.rint(image) if image.dtype.kind == "f" else image, limits.min, limits.max)
    return image.astype(dtype)


def limits(dtype: np.dtype) -> tuple[np.float32, np.float32, bool]:
    """Smallest and largest float32 that the type holds, and whether it takes whole numbers only."""
    if dtype.kind == "f":
        return -np.float32(np.inf), np.float32(np.inf), False
    limits = np.iinfo(dtype)
    low, high = np.float32(limits.min), np.float32(limits.max)
    # float32 rounds the upper limit of a 32- or 64-bit integer up and out of range: step one float down
    return low, high if int(high) <= limits.max else np.nextafter(high, np.float32(0)), True
