"""Numbers on a flow and on a registered frame, for quality control; one pass each."""

import numpy as np

from .jit import bits_float, float_bits, kernel
from .layout import in_lines

_F, _D = np.float32, np.float64
STATISTICS = (
    "mean_disp",
    "max_disp",
    "mean_div",
    "mean_translation",
    "translation_x",
    "translation_y",
    "valid_fraction",
    "correlation",
    "nonrigid",
)


@kernel
def _flow_measures(uv, out):
    h, width = uv.shape[0], uv.shape[1] // 2
    total, squares, sum_u, sum_v, divergence = _D(0), _D(0), _D(0), _D(0), _D(0)
    largest = np.int32(0)  # the bits of a number that is not negative order like the number, and LLVM vectorises this
    for y in range(h):
        row, row_squares, row_u, row_v, row_divergence = _F(0), _F(0), _F(0), _F(0), _F(0)
        for x in range(width):
            u, v = uv[y, 2 * x], uv[y, 2 * x + 1]
            square = u * u + v * v
            row += np.sqrt(square)
            row_squares += square
            row_u += u
            row_v += v
            largest = max(largest, float_bits(square))
        if 0 < y < h - 1:
            for x in range(1, width - 1):
                i = 2 * x
                row_divergence += abs(uv[y, i + 2] - uv[y, i - 2] + uv[y + 1, i + 1] - uv[y - 1, i + 1])
        total += row
        squares += row_squares
        sum_u += row_u
        sum_v += row_v
        divergence += row_divergence
    out[0] = total / (h * width)
    out[1] = np.sqrt(bits_float(largest))
    out[2] = 0.5 * divergence / max((h - 2) * (width - 2), 1)
    out[3] = sum_u / (h * width)
    out[4] = sum_v / (h * width)
    out[5] = np.sqrt(max(squares / (h * width) - out[3] ** 2 - out[4] ** 2, _D(0)))


def flow_measures(w: np.ndarray) -> np.ndarray:
    """Mean and largest displacement, mean absolute divergence, mean u and mean v of a flow (H, W, 2) float32, and its
    root mean square deviation from that mean.

    Pixels, and pixels per pixel for the divergence (central differences, border left out); float64.
    """
    out = np.empty(6)
    _flow_measures(in_lines(np.ascontiguousarray(w)), out)
    return out


@kernel
def _moments(a, b, valid, pivot_a, pivot_b, out):
    h, w = a.shape
    n, sa, sb, saa, sbb, sab = 0, _D(0), _D(0), _D(0), _D(0), _D(0)
    for y in range(h):
        for x in range(w):
            on = _D(1) if valid[y, x] else _D(0)
            da, db = on * (_D(a[y, x]) - pivot_a), on * (_D(b[y, x]) - pivot_b)
            n += valid[y, x]
            sa += da
            sb += db
            saa += da * da
            sbb += db * db
            sab += da * db
    out[0] += n
    out[1] += sa
    out[2] += sb
    out[3] += saa
    out[4] += sbb
    out[5] += sab


def correlation(a: np.ndarray, b: np.ndarray, valid: np.ndarray) -> float:
    """Pearson correlation of two images (H, W[, C]) over the valid pixels (H, W) of all channels; 0 if one is flat."""
    out, pivot = np.zeros(6), (float(a.flat[0]), float(b.flat[0]))
    for c in np.ndindex(a.shape[2:]):
        part = (slice(None), slice(None), *c)
        _moments(np.ascontiguousarray(a[part]), np.ascontiguousarray(b[part]), valid, *pivot, out)
    return _pearson(*out)


def _pearson(n, sa, sb, saa, sbb, sab) -> float:
    """The correlation of a and b from their number, sums, sums of squares and of products."""
    if n == 0:
        return 0.0
    variance = (saa - sa * sa / n) * (sbb - sb * sb / n)
    return float((sab - sa * sb / n) / np.sqrt(variance)) if variance > 0 else 0.0


def statistics(w: np.ndarray, valid: np.ndarray, registered: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What quality control needs to know of one frame, in the order of `STATISTICS`, float64.

    Mean and largest displacement; mean absolute divergence; length and components of the mean displacement (all in
    pixels, divergence in pixels per pixel); fraction of valid pixels; Pearson correlation of the registered frame with
    the reference over valid pixels, 0 where either is constant; root mean square of what is not translation, pixels.
    """
    mean, largest, divergence, x, y, nonrigid = flow_measures(w)
    likeness = correlation(registered, reference, valid)
    inside = np.count_nonzero(valid) / valid.size
    return np.array([mean, largest, divergence, np.hypot(x, y), x, y, inside, likeness, nonrigid])


def from_sums(sums: np.ndarray, shape: tuple[int, int], channels: int) -> np.ndarray:
    """`statistics` from the sums over the pixels of a frame (H, W, C), in the order of measure.cu."""
    h, w = shape
    length, squares, u, v, divergence, largest, valid, *moments = sums
    x, y = u / (h * w), v / (h * w)
    nonrigid = np.sqrt(max(squares / (h * w) - x**2 - y**2, 0.0))
    divergence *= 0.5 / max((h - 2) * (w - 2), 1)
    likeness = _pearson(valid * channels, *moments)
    means = length / (h * w), np.sqrt(largest), divergence, np.hypot(x, y), x, y, valid / (h * w)
    return np.array([*means, likeness, nonrigid])
