"""Where the arrays of an estimation lie, so that one compiled call can take frames through all levels.

How many levels there are, and of which shapes, differs between recordings; the types that code is compiled for must
not. So compiled code is handed two blocks of float32, `c` with what the reference and the parameters decide (constants)
and `m` with what every frame overwrites (one per thread), and records that say at which index of which block an array
begins. Every array begins on a cache line.
"""

import numpy as np

from .jit import view
from .layout import LINE, aligned


def _record(integers: str, reals: str = "") -> np.dtype:
    return np.dtype([(name, np.int64) for name in integers.split()] + [(name, np.float64) for name in reals.split()])


# A level. n and size: cells of a row and of a plane of one colour, ghosts included (see layout). In m: image (C, h + 4,
# w + 4), start and flow; in c: reference, a pair of planes per channel, theta (C,), and neighbours, a pair.
LEVEL = _record("h w n size image start flow reference theta neighbours", "hx hy wx wy")
# What all levels share. In m: difference, two pairs in spare, (C, 6) and 5
# pairs of planes in tensor and system; with a_smooth < 1 also 4 in edges and one in sums; columns; rows of `row` cells
# from rows on. In c: weights (C,) and normalisation (C, 2).
SHARED = _record(
    "h w channels iterations lag difference spare tensor system edges sums columns row rows weights normalisation",
    "a_data omega",
)
# The rigid start, see `rigid.RigidStart`: level, part of the image, frequencies, shifts; its constants, its workspace.
RIGID = _record(
    "level top left h w frequencies ny nx window along_x along_y filter back_y back_x mixed part rows spectrum columns "
    "surface"
)
# A table of a resampling in c: `n` starts as int32, then the weights (taps, n) from the next cache line on.
TABLE = _record("at taps n")


def whole_lines(size: int) -> int:
    """The size rounded up to cache lines."""
    return -(-size // LINE) * LINE


class Block:
    """A block of float32 that is laid out first and allocated then."""

    def __init__(self):
        self.size = 0
        self._contents = []

    def reserve(self, *shape: int) -> int:
        """Where an array of this shape begins."""
        at = self.size
        self.size += whole_lines(int(np.prod(shape)))
        return at

    def add(self, array) -> int:
        """Where this array begins; `allocate` puts it there."""
        array = np.asarray(array, np.float32)
        at = self.reserve(array.size)
        self._contents.append((at, array.ravel()))
        return at

    def allocate(self) -> np.ndarray:
        """The block, zeros where nothing was added."""
        block = aligned(self.size)
        for at, array in self._contents:
            block[at : at + array.size] = array
        return block


@view
def array_2d(block, at, h, w):
    return block[at : at + h * w].reshape(h, w)


@view
def array_3d(block, at, n, h, w):
    return block[at : at + n * h * w].reshape(n, h, w)


@view
def plane(block, at, level):
    return block[at : at + level.size].reshape(level.h + 4, level.n)


@view
def pair(block, at, level):
    """Red and black storage of an image on a level."""
    return plane(block, at, level), plane(block, at + level.size, level)


@view
def two_pairs(block, at, level):
    """Red and black storage of u, then of v."""
    return (
        plane(block, at, level),
        plane(block, at + level.size, level),
        plane(block, at + 2 * level.size, level),
        plane(block, at + 3 * level.size, level),
    )


@view
def stacks(block, at, count, level):
    """Red and black storage of `count` images."""
    size, shape = count * level.size, (count, level.h + 4, level.n)
    return block[at : at + size].reshape(shape), block[at + size : at + 2 * size].reshape(shape)


@view
def row(m, shared, k):
    """The k-th of the rows that all steps use as workspace."""
    return m[shared.rows + k * shared.row : shared.rows + (k + 1) * shared.row]


@view
def some_rows(m, shared, k, count):
    return m[shared.rows + k * shared.row : shared.rows + (k + count) * shared.row].reshape(count, shared.row)


@view
def table(c, t):
    """Starts and weights of a table."""
    first = t.at + (t.n + LINE - 1) // LINE * LINE
    return c.view(np.int32)[t.at : t.at + t.n], c[first : first + t.taps * t.n].reshape(t.taps, t.n)
