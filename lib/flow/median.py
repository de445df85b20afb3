"""The 5 x 5 median of the flow's increment, as a network of minima and maxima.

A network has no branches, so LLVM vectorises it over the pixels of a row. Columns of five are sorted once and shared
by the five windows that hold them. Within a window the columns' n-th smallest values are sorted too, row by row; then
entry (i, j) of the 5 x 5 table has at least (i + 1)(j + 1) - 1 entries below it and (5 - i)(5 - j) - 1 above it, so
that only 13 of them can be the median, and it is the median of those (after Paeth, Median finding on a 3 x 3 grid,
Graphics Gems 1990).
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import inlined, merged
from .layout import LINE, replicate_border

_F, _N = np.float32, np.uint64

SORT_5 = [(0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3)]
# The 13 candidates (row, column), in the order that the network below wants them: an odd-even merge sort (Batcher,
# AFIPS 1968) without the comparators that find their pair in order for every table with sorted rows and columns.
CANDIDATES = [(0, 3), (0, 4), (1, 3), (1, 4), (1, 2), (2, 1), (3, 0), (4, 0), (2, 2), (3, 1), (4, 1), (2, 3), (3, 2)]
MEDIAN_13 = [
    (4, 5), (8, 9), (10, 11), (4, 6), (5, 7), (1, 2), (5, 6), (9, 10), (0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5),
    (10, 12), (1, 2), (3, 4), (5, 6), (11, 12), (4, 8), (5, 9), (6, 10), (7, 11), (2, 4), (3, 5), (6, 8), (7, 9),
    (10, 12), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12),
]  # fmt: skip


def sort_network(values, comparators, smaller, larger):
    """Apply (low, high) comparators to a list; `smaller(a, b)` and `larger(a, b)` give their minimum and maximum."""
    values = list(values)
    for low, high in comparators:
        a, b = values[low], values[high]
        values[low], values[high] = smaller(a, b), larger(a, b)
    return values


def median_of_columns(columns, smaller, larger):
    """The median of 25 values given as five sorted columns of five."""
    rows = [sort_network([column[i] for column in columns], SORT_5, smaller, larger) for i in range(5)]
    return sort_network([rows[i][j] for i, j in CANDIDATES], MEDIAN_13, smaller, larger)[6]


def _emit(builder):
    """Minimum and maximum as LLVM instructions."""

    def choose(sign):
        return lambda a, b: builder.select(builder.fcmp_ordered(sign, a, b), a, b)

    return choose("<"), choose(">")


@intrinsic
def _sort_5(typingctx, values):
    def generate(context, builder, signature, args):
        sorted_ = sort_network([builder.extract_value(args[0], i) for i in range(5)], SORT_5, *_emit(builder))
        return context.make_tuple(builder, signature.return_type, sorted_)

    five = types.UniTuple(types.float32, 5)
    return five(five), generate


@intrinsic
def _median_of_columns(typingctx, values):
    def generate(context, builder, signature, args):
        v = [builder.extract_value(args[0], i) for i in range(25)]
        return median_of_columns([v[5 * k : 5 * k + 5] for k in range(5)], *_emit(builder))

    return types.float32(types.UniTuple(types.float32, 25)), generate


@inlined
def _sort_columns(a, b, y, out):
    """Sort the five values around row y in every column of one parity: a holds rows y, y +- 2, b rows y +- 1."""
    for j in range(a.shape[1] - 2 * LINE + 2):
        i = _N(j + LINE - 1)
        out[0, i], out[1, i], out[2, i], out[3, i], out[4, i] = _sort_5(
            (a[y - 2, i], b[y - 1, i], a[y, i], b[y + 1, i], a[y + 2, i])
        )


@inlined
def _median_row(same, other, y, s, start, out):
    """out = start + median, in row y for x of parity s; `same` and `other` are the columns of that parity and not."""
    for j in range(out.shape[1] - 2 * LINE):
        i, b, a = _N(j + LINE), _N(j + LINE - 1), _N(j + LINE + 1)
        left, right = _N(j + LINE - 1 + s), _N(j + LINE + s)
        out[y, i] = start[y, i] + _median_of_columns((
            same[0, b], same[1, b], same[2, b], same[3, b], same[4, b],
            other[0, left], other[1, left], other[2, left], other[3, left], other[4, left],
            same[0, i], same[1, i], same[2, i], same[3, i], same[4, i],
            other[0, right], other[1, right], other[2, right], other[3, right], other[4, right],
            same[0, a], same[1, a], same[2, a], same[3, a], same[4, a],
        ))  # fmt: skip


@inlined
def _subtract(a, b, out):
    for y in range(2, a.shape[0] - 2):
        for j in range(a.shape[1] - 2 * LINE):
            i = _N(j + LINE)
            out[y, i] = a[y, i] - b[y, i]


@inlined
def _component(start_red, start_black, w, increment, even, odd, red, black):
    h = red.shape[0] - 4
    _subtract(red, start_red, increment[0])
    _subtract(black, start_black, increment[1])
    replicate_border(increment[0], increment[1], h, w)
    for y in range(2, h + 2):
        if y & 1:
            _sort_columns(increment[1], increment[0], y, even)
            _sort_columns(increment[0], increment[1], y, odd)
            _median_row(odd, even, y, 1, start_red, red)
            _median_row(even, odd, y, 0, start_black, black)
        else:
            _sort_columns(increment[0], increment[1], y, even)
            _sort_columns(increment[1], increment[0], y, odd)
            _median_row(even, odd, y, 0, start_red, red)
            _median_row(odd, even, y, 1, start_black, black)
        s = y & 1
        red[y, LINE + (w - s + 1) // 2 :] = _F(0)
        black[y, LINE + (w + s) // 2 :] = _F(0)


@merged
def median_increment(start, w, increment, even, odd, flow):
    """flow = start + 5 x 5 median of (flow - start), borders replicated, for u and v.

    start and flow are (u_red, u_black, v_red, v_black); `increment` (red, black) and the columns of even and odd x,
    (5, n + 32) each, are workspace; w is the plane's width. Cells without a pixel are set to zero.
    """
    _component(start[0], start[1], w, increment, even, odd, flow[0], flow[1])
    _component(start[2], start[3], w, increment, even, odd, flow[2], flow[3])
