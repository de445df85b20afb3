"""Backward warping of whole frames with a finished flow, and the mask of valid pixels.

registered(x, y) = frame(x + u, y + v). A position outside [0, W - 1] x [0, H - 1] is invalid.
"""

from contextlib import nullcontext

import numpy as np

from .jit import compiling, inlined, kernel
from .warp import keys

NEAREST, LINEAR, CUBIC = 0, 1, 3
_F, _N = np.float32, np.uint64


@inlined
def _sample(frame, px, py, order):
    """frame at (px, py) inside it, by the given order; taps over the border repeat the border pixel."""
    h, w = frame.shape
    if order == NEAREST:
        return _F(frame[int(py + _F(0.5)), int(px + _F(0.5))])
    ix, iy = int(px), int(py)
    if order == LINEAR:
        tx, ty = px - _F(ix), py - _F(iy)
        bx, by = min(ix + 1, w - 1), min(iy + 1, h - 1)
        top = (_F(1) - tx) * _F(frame[iy, ix]) + tx * _F(frame[iy, bx])
        bottom = (_F(1) - tx) * _F(frame[by, ix]) + tx * _F(frame[by, bx])
        return (_F(1) - ty) * top + ty * bottom
    x0, x1, x2, x3 = keys(px - _F(ix))
    y0, y1, y2, y3 = keys(py - _F(iy))
    a, b, c, d = _N(max(ix - 1, 0)), _N(ix), _N(min(ix + 1, w - 1)), _N(min(ix + 2, w - 1))
    total = _F(0)
    for row, weight in ((max(iy - 1, 0), y0), (iy, y1), (min(iy + 1, h - 1), y2), (min(iy + 2, h - 1), y3)):
        r = _N(row)
        total += weight * (x0 * _F(frame[r, a]) + x1 * _F(frame[r, b]) + x2 * _F(frame[r, c]) + x3 * _F(frame[r, d]))
    return total


@kernel
def _warp_channel(frame, flow, fill, order, low, high, rounds, out):
    """out (H, W) = frame at x + flow, `fill` where that is outside; clipped to [low, high], rounded if asked."""
    h, w = frame.shape
    for y in range(h):
        for x in range(w):
            px, py = _F(x) + flow[y, x, 0], _F(y) + flow[y, x, 1]
            if (px >= _F(0)) & (px <= _F(w - 1)) & (py >= _F(0)) & (py <= _F(h - 1)):
                value = min(max(_sample(frame, px, py, order), low), high)
                out[y, x] = np.rint(value) if rounds else value
            else:
                out[y, x] = fill[y, x]


@kernel
def _inside(flow, out):
    h, w = out.shape
    for y in range(h):
        for x in range(w):
            px, py = _F(x) + flow[y, x, 0], _F(y) + flow[y, x, 1]
            out[y, x] = (px >= _F(0)) & (px <= _F(w - 1)) & (py >= _F(0)) & (py <= _F(h - 1))


_compiled = set()  # types that `_warp_channel` has been called with in this process


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
    order = {"cubic": CUBIC, "linear": LINEAR, "nearest": NEAREST}[interpolation]
    integer = image.dtype.kind in "iu"
    limits = np.iinfo(image.dtype) if integer else np.finfo(np.float32)
    # float32 rounds a 32- or 64-bit integer's upper limit up and out of range: step one float down
    low, high = np.float32(limits.min), np.float32(limits.max)
    high = np.nextafter(high, np.float32(0)) if integer and int(high) > limits.max else high
    fill = np.broadcast_to(np.asarray(fill), image.shape)
    if integer:
        fill = np.clip(np.rint(fill), limits.min, limits.max)
    fill = fill.astype(image.dtype)
    out = np.empty_like(image)
    for c in np.ndindex(image.shape[2:]):
        part = (slice(None), slice(None), *c)
        source, target = np.ascontiguousarray(image[part]), np.empty(image.shape[:2], image.dtype)
        arguments = (source, flow, np.ascontiguousarray(fill[part]), order, low, high, integer, target)
        with nullcontext() if image.dtype in _compiled else compiling():
            _warp_channel(*arguments)
        _compiled.add(image.dtype)
        out[part] = target
    return out
