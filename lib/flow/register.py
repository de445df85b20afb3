"""Backward warping of whole frames with a finished flow, and the mask of valid pixels.

registered(x, y) = frame(x + u, y + v). A position outside [0, W - 1] x [0, H - 1] is invalid.
"""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from .jit import compiling, inlined, kernel
from .layout import in_lines
from .params import INTERPOLATION
from .sampling import locate, sample, sample_spline
from .spline import REACH, to_coefficients

_F, _N = np.float32, np.uint64


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


@inlined
def _pad(frames, t, out):
    """out (H + 4, W + 4) float32 = frame t with two replicated pixels on every side."""
    h, w = frames.shape[1:]
    for y in range(h + 4):
        row = min(max(y - 2, 0), h - 1)
        for x in range(w):
            out[y, x + 2] = _F(frames[t, row, x])
        out[y, 0] = out[y, 1] = out[y, 2]
        out[y, w + 2] = out[y, w + 3] = out[y, w + 1]


@kernel
def _warp_cubic(frames, uv, fill, low, high, rounds, padded, row, at, out, valid):
    """out (n, H, W) = frames at x + flow, `fill` where that is outside; clipped to [low, high], rounded if asked.

    uv (n, H, 2 W), or (1, H, 2 W) for all frames, is the flow as `in_lines` makes it; padded (H + 4, W + 4), row (3, W)
    and at (W,) int32 are workspace.
    """
    n, h, w = out.shape
    tx, ty, warped = row[0], row[1], row[2]
    for t in range(n):
        k = _N(min(t, uv.shape[0] - 1))
        _pad(frames, t, padded)
        for y in range(h):
            for x in range(w):
                valid[t, y, x] = locate(_F(x) + uv[k, y, 2 * x], _F(y) + uv[k, y, 2 * x + 1], w, h, x, at, tx, ty)
            sample(padded, at, tx, ty, w, warped)
            for x in range(w):
                value = min(max(warped[x], low), high)
                value = np.rint(value) if rounds else value
                out[t, y, x] = value if valid[t, y, x] else fill[y, x]


@kernel
def _warp_other(frames, uv, fill, nearest, low, high, rounds, out, valid):
    """`_warp_cubic` with the nearest pixel or bilinear interpolation."""
    n, h, w = out.shape
    for t in range(n):
        k = _N(min(t, uv.shape[0] - 1))
        for y in range(h):
            for x in range(w):
                px, py = _F(x) + uv[k, y, 2 * x], _F(y) + uv[k, y, 2 * x + 1]
                valid[t, y, x] = (px >= _F(0)) & (px <= _F(w - 1)) & (py >= _F(0)) & (py <= _F(h - 1))
                if not valid[t, y, x]:
                    out[t, y, x] = fill[y, x]
                elif nearest:
                    out[t, y, x] = frames[t, int(py + _F(0.5)), int(px + _F(0.5))]
                else:
                    ix, iy = int(px), int(py)
                    bx, by = min(ix + 1, w - 1), min(iy + 1, h - 1)
                    tx, ty = px - _F(ix), py - _F(iy)
                    top = (_F(1) - tx) * _F(frames[t, iy, ix]) + tx * _F(frames[t, iy, bx])
                    bottom = (_F(1) - tx) * _F(frames[t, by, ix]) + tx * _F(frames[t, by, bx])
                    value = min(max((_F(1) - ty) * top + ty * bottom, low), high)
                    out[t, y, x] = np.rint(value) if rounds else value


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


_compiled = set()  # types of frames that have been warped in this process


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
    return warp_frames(image[None], flow[None], fill=fill, interpolation=interpolation)[0][0]


def warp_frames(frames, flows, *, fill, interpolation="cubic"):
    """`warp_frame` and `valid_mask` of several frames (n, H, W[, C]) in one pass.

    Parameters
    ----------
    flows : ndarray (n, H, W, 2) or (1, H, W, 2) float32
        Of each frame, or of all.
    fill : ndarray (H, W[, C]) or a number
        For all frames.
    frames, interpolation
        As for `warp_frame`.

    Returns
    -------
    warped : ndarray like `frames`
    valid : ndarray (n, H, W) bool
    """
    if interpolation not in INTERPOLATION:
        raise ValueError(f"interpolation is {interpolation!r}; expected one of {', '.join(INTERPOLATION)}")
    dtype, (h, w) = frames.dtype, frames.shape[1:3]
    terms = limits(dtype)
    fill = as_type(np.broadcast_to(np.asarray(fill), frames.shape[1:]), dtype)
    uv = in_lines(np.ascontiguousarray(flows))
    out, valid = np.empty_like(frames), np.empty(frames.shape[:3], bool)
    with nullcontext() if dtype in _compiled else compiling():
        for c in np.ndindex(frames.shape[3:]):
            source, filling = np.ascontiguousarray(frames[..., *c]), np.ascontiguousarray(fill[..., *c])
            in_place = out[..., *c].flags.c_contiguous  # a single channel
            target = out[..., *c] if in_place else np.empty(frames.shape[:3], dtype)
            if interpolation == "cubic":
                padded, row = np.empty((h + 4, w + 4), np.float32), np.empty((3, w), np.float32)
                _warp_cubic(source, uv, filling, *terms, padded, row, np.empty(w, np.int32), target, valid)
            else:
                _warp_other(source, uv, filling, interpolation == "nearest", *terms, target, valid)
            if not in_place:
                out[..., *c] = target
    _compiled.add(dtype)
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
