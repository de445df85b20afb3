"""Warping: frame(x + u, y + v), for raw frames by cubic convolution (Keys 1981, a = -0.75), on a level by splines.

A row of pixels is warped in passes, so that all but the sampling itself vectorise over the row: `locate` finds where
each pixel comes from, `sample` and `sample_spline` fetch it. A frame is padded by two pixels on every side, (h + 4, w +
4): replicated ones, or for splines mirrored ones (`spline.to_coefficients`).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from .jit import inlined, merged
from .layout import LINE, replicate_border
from .spline import BSPLINE

_F, _N = np.float32, np.uint64
A = -0.75
# The weights of the four samples around a position, as polynomials of its fraction t in [0, 1) between the two middle
# ones: the coefficients of 1, t, t^2 and t^3.
KEYS = ((0, 1, 0, 0), (A, 0, -A, 0), (-2 * A, -A - 3, 2 * A + 3, A), (A, A + 2, -A - 2, -A))


def _weighted(polynomials):
    """A function for compiled code: the sum of the 4 x 4 samples from the flat index `at` on, weighted by polynomials
    of the fractions tx and ty.

    The four samples of a row are a vector, and so are the four weights of an axis: LLVM does not find this by itself,
    and one gather per sample, which it does find, takes three times as long.
    """
    four, integer = ir.VectorType(ir.FloatType(), 4), ir.IntType(32)
    unset, fast = ir.Constant(four, ir.Undefined), ("fast",)

    def generate(context, builder, signature, args):
        def lanes(vector, *order):
            return builder.shuffle_vector(vector, unset, ir.Constant(ir.VectorType(integer, 4), order))

        def weights(t):
            t = lanes(builder.insert_element(unset, t, integer(0)), 0, 0, 0, 0)
            w = ir.Constant(four, polynomials[3])
            for power in (2, 1, 0):
                w = builder.fadd(builder.fmul(w, t, fast), ir.Constant(four, polynomials[power]), fast)
            return w

        data = make_array(signature.args[0])(context, builder, args[0]).data
        at, stride, wx, wy = args[1], args[2], weights(args[3]), weights(args[4])
        total = ir.Constant(four, [0.0] * 4)
        for k in range(4):
            row = builder.load(builder.bitcast(builder.gep(data, [at]), four.as_pointer()), align=4)
            total = builder.fadd(total, builder.fmul(row, lanes(wy, k, k, k, k), fast), fast)
            at = builder.add(at, stride)
        total = builder.fmul(total, wx, fast)
        total = builder.fadd(total, lanes(total, 2, 3, 2, 3), fast)
        return builder.fadd(*(builder.extract_element(total, integer(k)) for k in (0, 1)), fast)

    @intrinsic
    def weighted(typingctx, frame, at, stride, tx, ty):
        return types.float32(frame, types.int64, types.int64, types.float32, types.float32), generate

    return weighted


_cubic, _spline = _weighted(KEYS), _weighted(BSPLINE)


@inlined
def locate(px, py, w, h, j, at, tx, ty):
    """Note in the rows `at`, `tx`, `ty` which samples of a padded frame (px, py) lies between; whether it is inside."""
    x, y = min(max(px, _F(0)), _F(w - 1)), min(max(py, _F(0)), _F(h - 1))
    left, top = np.floor(x), np.floor(y)
    at[j] = np.int32((np.int32(top) + 1) * (w + 4) + np.int32(left) + 1)
    tx[j] = x - left
    ty[j] = y - top
    return (x == px) & (y == py)


@inlined
def sample(frame, at, tx, ty, count, out):
    """out[j] = the frame where `locate` said, for j < count."""
    stride = np.int64(frame.shape[1])
    for j in range(count):
        out[j] = _cubic(frame, np.int64(at[j]), stride, tx[j], ty[j])


@inlined
def sample_spline(coefficients, at, tx, ty, count, out):
    """The same from the coefficients of a spline."""
    stride = np.int64(coefficients.shape[1])
    for j in range(count):
        out[j] = _spline(coefficients, np.int64(at[j]), stride, tx[j], ty[j])


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
    sample_spline(coefficients, at, tx, ty, count, warped)
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
