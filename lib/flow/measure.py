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
    frames, h, width = uv.shape[0], uv.shape[1], uv.shape[2] // 2
    for t in range(frames):
        total, squares, sum_u, sum_v, divergence = _D(0), _D(0), _D(0), _D(0), _D(0)
        largest = np.int32(0)  # the bits of a number that is not negative order like it, and LLVM vectorises this
        for y in range(h):
            row, row_squares, row_u, row_v, row_divergence = _F(0), _F(0), _F(0), _F(0), _F(0)
            for x in range(width):
                u, v = uv[t, y, 2 * x], uv[t, y, 2 * x + 1]
                square = u * u + v * v
                row += np.sqrt(square)
                row_squares += square
                row_u += u
                row_v += v
                largest = max(largest, float_bits(square))
            if 0 < y < h - 1:
                for x in range(1, width - 1):
                    i = 2 * x
                    row_divergence += abs(uv[t, y, i + 2] - uv[t, y, i - 2] + uv[t, y + 1, i + 1] - uv[t, y - 1, i + 1])
            total += row
            squares += row_squares
            sum_u += row_u
            sum_v += row_v
            divergence += row_divergence
        out[t, 0] = total / (h * width)
        out[t, 1] = np.sqrt(bits_float(largest))
        out[t, 2] = 0.5 * divergence / max((h - 2) * (width - 2), 1)
        out[t, 3] = sum_u / (h * width)
        out[t, 4] = sum_v / (h * width)
        out[t, 5] = np.sqrt(max(squares / (h * width) - out[t, 3] ** 2 - out[t, 4] ** 2, _D(0)))


@kernel
def _moments(a, b, valid, pivot_a, pivot_b, out):
    """Add to out (n, 6) the number, sums, sums of squares and of products of the valid pixels of a (n, H, W) and b (H,
    W), pivots subtracted: (n,) and a number."""
    frames, h, w = a.shape
    for t in range(frames):
        n, sa, sb, saa, sbb, sab = 0, _D(0), _D(0), _D(0), _D(0), _D(0)
        for y in range(h):
            for x in range(w):
                on = _D(1) if valid[t, y, x] else _D(0)
                da, db = on * (_D(a[t, y, x]) - pivot_a[t]), on * (_D(b[y, x]) - pivot_b)
                n += valid[t, y, x]
                sa += da
                sb += db
                saa += da * da
                sbb += db * db
                sab += da * db
        out[t, 0] += n
        out[t, 1] += sa
        out[t, 2] += sb
        out[t, 3] += saa
        out[t, 4] += sbb
        out[t, 5] += sab


def correlation(a: np.ndarray, b: np.ndarray, valid: np.ndarray) -> float:
    """Pearson correlation of two images (H, W[, C]) over the valid pixels (H, W) of all channels; 0 if one is flat."""
    return float(_pearson(*_sums(a[None], b, valid[None]).T)[0])


def _sums(frames: np.ndarray, image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """What `_moments` adds up over the channels of frames (n, H, W[, C]) and of an image (H, W[, C])."""
    n = len(frames)
    sums, pivots = np.zeros((n, 6)), (frames.reshape(n, -1)[:, 0].astype(float), float(image.flat[0]))
    for c in np.ndindex(frames.shape[3:]):
        channel = np.ascontiguousarray(frames[..., *c]), np.ascontiguousarray(image[..., *c])
        _moments(*channel, valid, *pivots, sums)
    return sums


def _pearson(n, sa, sb, saa, sbb, sab):
    """The correlation of a and b from their number, sums, sums of squares and of products: numbers or arrays."""
    n = np.maximum(n, 1)
    variance = (saa - sa * sa / n) * (sbb - sb * sb / n)
    varies = variance > 0
    return np.where(varies, (sab - sa * sb / n) / np.sqrt(np.where(varies, variance, 1)), 0.0)


def statistics(w: np.ndarray, valid: np.ndarray, registered: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What quality control needs to know of frames, (n, len(STATISTICS)) float64 in the order of `STATISTICS`.

    Mean and largest displacement; mean absolute divergence (central differences, border left out); length and
    components of the mean displacement (all in pixels, divergence in pixels per pixel); fraction of valid pixels;
    Pearson correlation of the registered frame with the reference over valid pixels, 0 where either is constant; root
    mean square of what is not translation, pixels.

    Parameters
    ----------
    w : ndarray (n, H, W, 2) float32
    valid : ndarray (n, H, W) bool
    registered : ndarray (n, H, W[, C])
    reference : ndarray (H, W[, C])
    """
    measures = np.empty((len(w), 6))
    _flow_measures(in_lines(np.ascontiguousarray(w)), measures)
    mean, largest, divergence, x, y, nonrigid = measures.T
    sums = _sums(registered, reference, valid).T
    columns = mean, largest, divergence, np.hypot(x, y), x, y, sums[0] / reference.size, _pearson(*sums), nonrigid
    return np.array(columns).T


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
