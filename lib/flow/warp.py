"""Warping of a level's frame during the estimation: frame(x + u, y + v) by cubic convolution (Keys 1981, a = -0.75)."""

import numpy as np

from .jit import inlined, kernel
from .layout import LINE, replicate_border

_F, _N = np.float32, np.uint64


@inlined
def _keys(t):
    """The four weights of cubic convolution, a = -0.75, at fraction t in [0, 1) between the two middle samples."""
    a = _F(-0.75)
    s = _F(1) - t
    w0 = a * t * s * s
    w3 = a * s * t * t
    w1 = ((a + _F(2)) * t - (a + _F(3))) * t * t + _F(1)
    return w0, w1, _F(1) - w0 - w1 - w3, w3


@inlined
def cubic_sample(frame, px, py):
    """A frame that is padded by two pixels on every side at (px, py) in [0, w - 1] x [0, h - 1]."""
    ix, iy = np.int64(px), np.int64(py)
    x0, x1, x2, x3 = _keys(px - _F(ix))
    y0, y1, y2, y3 = _keys(py - _F(iy))
    a, b, c, d = _N(ix + 1), _N(ix + 2), _N(ix + 3), _N(ix + 4)
    r0, r1, r2, r3 = _N(iy + 1), _N(iy + 2), _N(iy + 3), _N(iy + 4)
    value = y0 * (x0 * frame[r0, a] + x1 * frame[r0, b] + x2 * frame[r0, c] + x3 * frame[r0, d])
    value += y1 * (x0 * frame[r1, a] + x1 * frame[r1, b] + x2 * frame[r1, c] + x3 * frame[r1, d])
    value += y2 * (x0 * frame[r2, a] + x1 * frame[r2, b] + x2 * frame[r2, c] + x3 * frame[r2, d])
    value += y3 * (x0 * frame[r3, a] + x1 * frame[r3, b] + x2 * frame[r3, c] + x3 * frame[r3, d])
    return value


@inlined
def _warp_row(frame, reference, u, v, y, s, w, h, to_x, to_y, mean, difference):
    """Row y of one colour; the frame, in rows of x, is padded by two pixels."""
    for j in range((w - s + 1) // 2):
        px = _F(2 * j + s) + u[y + 2, j + LINE] * to_x
        py = _F(y) + v[y + 2, j + LINE] * to_y
        inside = (px >= _F(0)) & (px <= _F(w - 1)) & (py >= _F(0)) & (py <= _F(h - 1))
        px = min(max(px, _F(0)), _F(w - 1))
        py = min(max(py, _F(0)), _F(h - 1))
        warped = cubic_sample(frame, px, py)
        ref = reference[y + 2, j + LINE]
        change = (warped - ref) if inside else _F(0)
        mean[y + 2, j + LINE] = ref + _F(0.5) * change
        difference[y + 2, j + LINE] = change


@kernel
def warp_level(frame, reference, flow, hx, hy, mean, difference):
    """Warp one channel of a level's frame and form its mean with, and difference to, the reference.

    frame (h + 4, w + 4), padded by two replicated pixels; reference, mean and difference (red, black), ghost cells of
    the outputs filled; flow (u_red, u_black, v_red, v_black) in full-resolution pixels; hx, hy the level's pixel
    size. Outside the frame the warped image equals the reference, so that nothing pulls there.
    """
    h, w = frame.shape[0] - 4, frame.shape[1] - 4
    to_x, to_y = _F(1.0 / hx), _F(1.0 / hy)
    for y in range(h):
        s = y & 1
        _warp_row(frame, reference[0], flow[0], flow[2], y, s, w, h, to_x, to_y, mean[0], difference[0])
        _warp_row(frame, reference[1], flow[1], flow[3], y, 1 - s, w, h, to_x, to_y, mean[1], difference[1])
    replicate_border(mean[0], mean[1], h, w)
    replicate_border(difference[0], difference[1], h, w)
