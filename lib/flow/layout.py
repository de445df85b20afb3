"""The red-black layout that the steps on one pyramid level share.

A plane of (h, w) pixels is kept as two arrays, red and black, of (h + 4, n + 32) float32, where n is (w + 1) // 2
rounded up to 16. Pixel (y, x) is red if x + y is even and lies at `[y + 2, x // 2 + 16]` of its array. All pixels of
one colour in a row are contiguous, and so are all their neighbours: with s the parity of x (y & 1 for red, 1 - (y &
1) for black)

    x - 2, x, x + 2            same colour,  same row,    i - 1, i, i + 1
    x - 1, x + 1               other colour, same row,    i - 1 + s, i + s
    (y +- 1, x)                other colour,              i
    (y +- 1, x +- 1)           same colour,               i - 1 + s, i + s
    (y +- 1, x +- 2)           other colour,              i - 1, i + 1
    (y +- 2, x)                same colour,               i

so that every inner loop runs over contiguous memory. Rows start on cache lines and loops run over all n cells, also
those without a pixel, so that LLVM's vector loops have neither a ragged start nor an end. Two ghost rows and sixteen
ghost cells surround the pixels. In the kernels an inner loop counts j from 0 and indexes with `_N(j + 16)`, an
unsigned number, because Numba's support for negative indices would otherwise turn contiguous reads into gathers.
"""

import numpy as np

from .jit import inlined

LINE = 16  # float32 in a cache line of 64 bytes


def aligned(*shape: int) -> np.ndarray:
    """A zeroed, C-contiguous float32 array that starts on a cache line."""
    size = int(np.prod(shape))
    memory = np.zeros(size + LINE, np.float32)
    first = (-memory.ctypes.data % 64) // 4
    return memory[first : first + size].reshape(shape)


def in_lines(flow: np.ndarray) -> np.ndarray:
    """A flow (..., h, w, 2) as (..., h, 2 w), u and v in turn: LLVM vectorises over a stride that it knows, here 2."""
    return flow.reshape(*flow.shape[:-2], -1)


def cells(w: int) -> int:
    """How many cells, n + 32, a row of one colour takes in an image of width w."""
    return -(-((w + 1) // 2) // LINE) * LINE + 2 * LINE


def empty_plane(shape: tuple[int, int], *leading: int) -> tuple[np.ndarray, np.ndarray]:
    """Zeroed red and black storage, each (*leading, h + 4, n + 32), for planes of `shape` (h, w)."""
    h, w = shape
    return aligned(*leading, h + 4, cells(w)), aligned(*leading, h + 4, cells(w))


def split(image: np.ndarray, border: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Red and black storage of an (h, w) image.

    Two pixels on every side repeat the nearest one if `border`; all other cells without a pixel are zero.
    """
    plane = empty_plane(image.shape)
    pad = 2 if border else 0
    for y, line in enumerate(np.pad(image, pad, mode="edge"), start=2 - pad):
        for colour in (0, 1):
            row = line[(y + colour) & 1 :: 2]
            plane[colour][y, LINE - pad // 2 : LINE - pad // 2 + len(row)] = row
    return plane


def join(red: np.ndarray, black: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The (h, w) image held in red-black storage: the inverse of `split`."""
    h, w = shape
    image = np.empty(shape, np.float32)
    for colour, plane in enumerate((red, black)):
        for y in range(h):
            parity = (y + colour) & 1
            image[y, parity::2] = plane[y + 2, LINE : LINE + (w - parity + 1) // 2]
    return image


@inlined
def replicate_border(red, black, h, w):
    """Fill the ghost cells, two pixels on every side, with the nearest pixel."""
    for y in range(2, h + 2):
        # `even` holds x = 0, 2, ... of this row, `odd` holds x = 1, 3, ...
        even, odd = (black, red) if y & 1 else (red, black)
        left = even[y, LINE]
        right = odd[y, LINE + (w - 1) // 2] if (w - 1) & 1 else even[y, LINE + (w - 1) // 2]
        even[y, LINE - 1] = left
        odd[y, LINE - 1] = left
        for x in range(w, w + 2):
            if x & 1:
                odd[y, LINE + x // 2] = right
            else:
                even[y, LINE + x // 2] = right
    for i in range(LINE - 1, LINE + w // 2 + 2):
        red[1, i], black[1, i] = black[2, i], red[2, i]
        red[0, i], black[0, i] = red[2, i], black[2, i]
        red[h + 2, i], black[h + 2, i] = black[h + 1, i], red[h + 1, i]
        red[h + 3, i], black[h + 3, i] = red[h + 1, i], black[h + 1, i]
