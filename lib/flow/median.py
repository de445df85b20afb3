"""The 5 x 5 median of the flow's increment, as a network of minima and maxima.

A sorting network has no branches, so LLVM vectorises it over the pixels of a row; what does not reach the middle
output is dropped by the compiler. Network: Batcher, Sorting networks and their applications, AFIPS 1968 (odd-even
merge sort).
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import inlined, kernel
from .layout import LINE, replicate_border

_F, _N = np.float32, np.uint64


def sorting_network(n: int) -> list[tuple[int, int]]:
    """Batcher's comparators (low, high) that sort `n` values."""
    pairs, p = [], 1
    while p < n:
        k = p
        while k:
            for j in range(k % p, n - k, 2 * k):
                for i in range(min(k, n - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        pairs.append((i + j, i + j + k))
            k //= 2
        p *= 2
    return pairs


@intrinsic
def _median25(typingctx, values):
    """The median of a tuple of 25 float32."""

    def generate(context, builder, signature, args):
        v = [builder.extract_value(args[0], i) for i in range(25)]
        for low, high in sorting_network(25):
            a, b = v[low], v[high]
            v[low] = builder.select(builder.fcmp_ordered("<", a, b), a, b)
            v[high] = builder.select(builder.fcmp_ordered(">", a, b), a, b)
        return v[12]

    return types.float32(types.UniTuple(types.float32, 25)), generate


@inlined
def _median_row(d, o, y, s, start, out):
    """out = start + median of the 5 x 5 window, in row y of the colour of d; o is the other colour's increment."""
    for j in range(d.shape[1] - 2 * LINE):
        i, b, a = _N(j + LINE), _N(j + LINE - 1), _N(j + LINE + 1)
        left, right = _N(j + LINE - 1 + s), _N(j + LINE + s)
        out[y, i] = start[y, i] + _median25((
            d[y - 2, b], o[y - 2, left], d[y - 2, i], o[y - 2, right], d[y - 2, a],
            o[y - 1, b], d[y - 1, left], o[y - 1, i], d[y - 1, right], o[y - 1, a],
            d[y, b], o[y, left], d[y, i], o[y, right], d[y, a],
            o[y + 1, b], d[y + 1, left], o[y + 1, i], d[y + 1, right], o[y + 1, a],
            d[y + 2, b], o[y + 2, left], d[y + 2, i], o[y + 2, right], d[y + 2, a],
        ))  # fmt: skip


@inlined
def _subtract(a, b, out):
    for y in range(2, a.shape[0] - 2):
        for j in range(a.shape[1] - 2 * LINE):
            i = _N(j + LINE)
            out[y, i] = a[y, i] - b[y, i]


@kernel
def median_increment(start_red, start_black, w, increment, red, black):
    """flow = start + 5 x 5 median of (flow - start), borders replicated; one component, red and black arrays.

    `increment` (red, black) is workspace; w is the plane's width. Cells without a pixel are set to zero.
    """
    h = red.shape[0] - 4
    _subtract(red, start_red, increment[0])
    _subtract(black, start_black, increment[1])
    replicate_border(increment[0], increment[1], h, w)
    for y in range(2, h + 2):
        s = y & 1
        _median_row(increment[0], increment[1], y, s, start_red, red)
        _median_row(increment[1], increment[0], y, 1 - s, start_black, black)
        red[y, LINE + (w - s + 1) // 2 :] = _F(0)
        black[y, LINE + (w + s) // 2 :] = _F(0)
