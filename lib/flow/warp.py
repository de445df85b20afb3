"""Warping a level's frame by a flow, against the reference: frame(x + u, y + v) by splines."""

import numpy as np

from .jit import inlined, merged
from .layout import LINE, replicate_border
from .sampling import locate, sample_spline_colour

_F, _N = np.float32, np.uint64


@inlined
def _warp_row(coefficients, reference, u, v, y, s, to_x, to_y, row, at, difference):
    """Row y of one colour; the coefficients are in rows of x."""
    h, w = coefficients.shape[0] - 4, coefficients.shape[1] - 4
    count = (w - s + 1) // 2
    tx, ty, keep, warped = row[0], row[1], row[2], row[3]
    for j in range(count):
        i = _N(j + LINE)
        px, py = _F(2 * j + s) + u[y + 2, i] * to_x, _F(y) + v[y + 2, i] * to_y
        keep[j] = _F(1) if locate(px, py, w, h, j, at, tx, ty) else _F(0)
    sample_spline_colour(coefficients, at, tx, ty, count, warped)
    for j in range(count):
        i = _N(j + LINE)
        difference[y + 2, i] = keep[j] * (warped[j] - reference[y + 2, i])


@merged
def warp_level(coefficients, reference, flow, hx, hy, row, at, difference):
    """Warp one channel of a level's frame and subtract the reference.

    coefficients (h + 4, w + 4) of the frame; reference and difference (red, black), ghost cells of the output filled;
    flow (u_red, u_black, v_red, v_black) in full-resolution pixels; hx, hy the level's pixel size; workspace `row`
    (4, w) and `at` (w,) int32. Outside the frame the warped image equals the reference, so that nothing pulls there.
    """
    h, w = coefficients.shape[0] - 4, coefficients.shape[1] - 4
    to_x, to_y = _F(1.0 / hx), _F(1.0 / hy)
    for y in range(h):
        s = y & 1
        _warp_row(coefficients, reference[0], flow[0], flow[2], y, s, to_x, to_y, row, at, difference[0])
        _warp_row(coefficients, reference[1], flow[1], flow[3], y, 1 - s, to_x, to_y, row, at, difference[1])
    replicate_border(difference[0], difference[1], h, w)
