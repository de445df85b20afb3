"""Sampling an image between its pixels, by cubic convolution (Keys 1981, a = -0.75) or by splines, a row at a time.

A row is sampled in passes, so that all of them vectorise: `locate` finds where each pixel comes from, `sample` and its
like fetch it. An image is padded by two pixels on every side, (h + 4, w + 4): replicated ones, or for splines mirrored
ones (`spline.to_coefficients`).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from .jit import inlined
from .spline import BSPLINE

_F = np.float32
A = -0.75
# The weights of the four samples around a position, as polynomials of its fraction t in [0, 1) between the two middle
# ones: the coefficients of 1, t, t^2 and t^3.
KEYS = ((0, 1, 0, 0), (A, 0, -A, 0), (-2 * A, -A - 3, 2 * A + 3, A), (A, A + 2, -A - 2, -A))
RUN = 8  # pixels that are sampled at once


def _vector(lanes, element):
    return ir.VectorType(element, lanes)


_LANE, _FAST = ir.IntType(32), ("fast",)


def _shuffled(builder, a, b, order):
    return builder.shuffle_vector(a, b, ir.Constant(_vector(len(order), _LANE), order))


def _spread(builder, number, lanes):
    """A vector of the same number."""
    vector = ir.Constant(_vector(lanes, number.type), ir.Undefined)
    return _shuffled(builder, builder.insert_element(vector, number, _LANE(0)), vector, [0] * lanes)


def _loaded(builder, data, index, lanes):
    """A vector of consecutive elements of an array."""
    pointer = builder.gep(data, [index])
    return builder.load(builder.bitcast(pointer, _vector(lanes, pointer.type.pointee).as_pointer()), align=4)


def _horner(builder, t, coefficients):
    """A polynomial of the vector t; its coefficients, lowest power first, are lists of one number per lane."""
    value = ir.Constant(t.type, coefficients[-1])
    for constant in reversed(coefficients[:-1]):
        value = builder.fadd(builder.fmul(value, t, _FAST), ir.Constant(t.type, constant), _FAST)
    return value


def _pixel(polynomials):
    """A function for compiled code: the sum of the 4 x 4 samples from the flat index `at` on, weighted by polynomials
    of the fractions tx and ty.

    The four samples of a row are a vector, and so are the four weights of an axis: LLVM does not find this by itself,
    and one gather per sample, which it does find, takes three times as long.
    """

    def generate(context, builder, signature, args):
        frame, at, stride, tx, ty = args
        data = make_array(signature.args[0])(context, builder, frame).data
        wx, wy = (_horner(builder, _spread(builder, t, 4), polynomials) for t in (tx, ty))
        total = ir.Constant(wx.type, [0.0] * 4)
        for k in range(4):
            weight = _shuffled(builder, wy, wy, [k] * 4)
            total = builder.fadd(total, builder.fmul(_loaded(builder, data, at, 4), weight, _FAST), _FAST)
            at = builder.add(at, stride)
        total = builder.fmul(total, wx, _FAST)
        total = builder.fadd(total, _shuffled(builder, total, total, [2, 3, 2, 3]), _FAST)
        return builder.fadd(*(builder.extract_element(total, _LANE(k)) for k in (0, 1)), _FAST)

    @intrinsic
    def pixel(typingctx, frame, at, stride, tx, ty):
        return types.float32(frame, types.int64, types.int64, types.float32, types.float32), generate

    return pixel


def _run(polynomials, step):
    """A function for compiled code: `_pixel` for RUN pixels from the j-th of a row on, if they come from places `step`
    pixels apart; nothing is done otherwise, and False returned.

    Most pixels come from such places, a flow being smooth. Each of the 16 samples is then read for all of them at once,
    which takes half the time.
    """

    def generate(context, builder, signature, args):
        arrays = dict(zip(("frame", "at", "tx", "ty", "out"), (args[i] for i in (0, 1, 3, 4, 6)), strict=True))
        types_of = dict(zip(arrays, (signature.args[i] for i in (0, 1, 3, 4, 6)), strict=True))
        data = {name: make_array(types_of[name])(context, builder, array).data for name, array in arrays.items()}
        stride, j = args[2], args[5]

        def samples(index):
            low = _loaded(builder, data["frame"], index, RUN)
            if step == 1:
                return low
            # every other one of 2 RUN - 1: the second half is read from one earlier, not to read beyond the last
            high = _loaded(builder, data["frame"], builder.add(index, index.type(RUN - 1)), RUN)
            return _shuffled(builder, low, high, [*range(0, RUN, 2), *range(RUN + 1, 2 * RUN, 2)])

        first = builder.load(builder.gep(data["at"], [j]))
        offsets = ir.Constant(_vector(RUN, _LANE), [step * k for k in range(RUN)])
        expected = builder.add(_spread(builder, first, RUN), offsets)
        same = builder.icmp_signed("==", _loaded(builder, data["at"], j, RUN), expected)
        all_same = builder.icmp_unsigned("==", builder.bitcast(same, ir.IntType(RUN)), ir.IntType(RUN)(-1))
        with builder.if_then(all_same, likely=True):
            tx, ty = (_loaded(builder, data[name], j, RUN) for name in ("tx", "ty"))
            wx, wy = ([_horner(builder, t, [[p[k]] * RUN for p in polynomials]) for k in range(4)] for t in (tx, ty))
            total = ir.Constant(tx.type, [0.0] * RUN)
            for x in range(4):
                column, index = ir.Constant(tx.type, [0.0] * RUN), builder.add(builder.sext(first, j.type), j.type(x))
                for y in range(4):
                    column = builder.fadd(column, builder.fmul(samples(index), wy[y], _FAST), _FAST)
                    index = builder.add(index, stride)
                total = builder.fadd(total, builder.fmul(column, wx[x], _FAST), _FAST)
            out = builder.gep(data["out"], [j])
            builder.store(total, builder.bitcast(out, total.type.as_pointer()), align=4)
        return all_same

    @intrinsic
    def run(typingctx, frame, at, stride, tx, ty, j, out):
        return types.boolean(frame, at, types.int64, tx, ty, types.int64, out), generate

    return run


def _sampler(polynomials, step):
    pixel, run = _pixel(polynomials), _run(polynomials, step)

    @inlined
    def sample(frame, at, tx, ty, count, out):
        """out[j] = the frame where `locate` said, for j < count."""
        stride, whole = np.int64(frame.shape[1]), count // RUN * RUN
        for first in range(0, whole, RUN):
            if not run(frame, at, stride, tx, ty, np.int64(first), out):
                for j in range(first, first + RUN):
                    out[j] = pixel(frame, np.int64(at[j]), stride, tx[j], ty[j])
        for j in range(whole, count):
            out[j] = pixel(frame, np.int64(at[j]), stride, tx[j], ty[j])

    return sample


sample = _sampler(KEYS, 1)
sample_spline = _sampler(BSPLINE, 1)  # of coefficients
sample_spline_colour = _sampler(BSPLINE, 2)  # the pixels of one colour


@inlined
def locate(px, py, w, h, j, at, tx, ty):
    """Note in the rows `at`, `tx`, `ty` which samples of a padded frame (px, py) lies between; whether it is inside."""
    x, y = min(max(px, _F(0)), _F(w - 1)), min(max(py, _F(0)), _F(h - 1))
    left, top = np.floor(x), np.floor(y)
    at[j] = np.int32((np.int32(top) + 1) * (w + 4) + np.int32(left) + 1)
    tx[j] = x - left
    ty[j] = y - top
    return (x == px) & (y == py)
