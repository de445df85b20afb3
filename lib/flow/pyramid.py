"""Resampling of images and flow between the levels of the pyramid.

Every resampling is separable and is described per axis by a table: output X is the sum over k of
`weight[k, X] * input[start[X] + k]`. Tables hold prefilter, anti-alias filter and interpolation in one, and fold the
mirror boundary into the weights.
"""

from dataclasses import dataclass

import numpy as np

from .jit import inlined, kernel
from .layout import LINE

_F, _N = np.float32, np.uint64
CUBIC_A = -0.75  # Keys, IEEE Trans. ASSP 29 (1981): the free parameter of cubic convolution


@dataclass(frozen=True)
class Table:
    """One axis of a resampling: `start` (n_out,) int32 and `weight` (taps, n_out) float32."""

    start: np.ndarray
    weight: np.ndarray


def cubic(t: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel of Keys (1981) at distance `t` from its centre, in samples."""
    t, a = np.abs(t), CUBIC_A
    inner = (a + 2) * t**3 - (a + 3) * t**2 + 1
    outer = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))


def _matrix(n_in: int, centre: np.ndarray, radius: float, weight_at) -> np.ndarray:
    """Dense (len(centre), n_in) matrix of the filter `weight_at(distance)` around `centre`, mirrored at the border."""
    reach = int(np.ceil(radius)) + 1
    matrix = np.zeros((len(centre), n_in))
    rows = np.arange(len(centre))
    period = 2 * n_in
    for k in range(-reach, reach + 1):
        at = np.floor(centre).astype(int) + k
        folded = np.minimum(at % period, period - 1 - at % period)
        np.add.at(matrix, (rows, folded), weight_at(at - centre))
    return matrix / matrix.sum(1, keepdims=True)


def resample_table(n_in: int, n_out: int, sigma: float = 0.0) -> Table:
    """Table that smooths by a Gaussian of `sigma` (input samples) and resamples `n_in` to `n_out` samples by a cubic.

    Sample centres are at (X + 1/2) * n_in / n_out - 1/2. Weights under 1e-3 of a row's largest are dropped.
    """
    centre = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    matrix = _matrix(n_in, centre, 2, cubic)
    if sigma > 0:
        matrix = matrix @ _matrix(n_in, np.arange(n_in), 3 * sigma, lambda t: np.exp(-0.5 * (t / sigma) ** 2))
    matrix[np.abs(matrix) < 1e-3 * np.abs(matrix).max(1, keepdims=True)] = 0
    matrix /= matrix.sum(1, keepdims=True)
    used = matrix != 0
    first, last = used.argmax(1), n_in - 1 - used[:, ::-1].argmax(1)
    taps = int((last - first).max()) + 1
    start = np.minimum(first, n_in - taps)
    weight = np.take_along_axis(matrix, start[:, None] + np.arange(taps), 1)
    return Table(start.astype(np.int32), np.ascontiguousarray(weight.T, dtype=np.float32))


@inlined
def _rows(image, start, weight, y, buffer):
    """buffer[x] = the sum over k of weight[k, y] * image[start[y] + k, x]."""
    first = start[y]
    for x in range(image.shape[1]):
        buffer[x] = weight[0, y] * _F(image[first, x])
    for k in range(1, weight.shape[0]):
        for x in range(image.shape[1]):
            buffer[x] += weight[k, y] * _F(image[first + k, x])


@kernel
def resample_image(image, y_start, y_weight, x_start, x_weight, offset, scale, buffer, out):
    """out[2:-2, 2:-2] = scale * (resampled image - offset), with two replicated pixels on every side.

    image (H, W) of any dtype, buffer (W,) float32, out (h + 4, w + 4) float32.
    """
    h, w = out.shape[0] - 4, out.shape[1] - 4
    shift = -_F(offset) * _F(scale)
    for y in range(h):
        _rows(image, y_start, y_weight, y, buffer)
        for x in range(w):
            out[y + 2, x + 2] = shift
        for k in range(x_weight.shape[0]):
            for x in range(w):
                out[y + 2, x + 2] += _F(scale) * x_weight[k, x] * buffer[_N(x_start[x] + k)]
        out[y + 2, 0] = out[y + 2, 2]
        out[y + 2, 1] = out[y + 2, 2]
        out[y + 2, w + 2] = out[y + 2, w + 1]
        out[y + 2, w + 3] = out[y + 2, w + 1]
    for x in range(w + 4):
        out[0, x] = out[2, x]
        out[1, x] = out[2, x]
        out[h + 2, x] = out[h + 1, x]
        out[h + 3, x] = out[h + 1, x]


@inlined
def _flow_rows(red, black, start, weight, y, buffer):
    """`_rows` for a red-black plane, even x to buffer[0], odd x to buffer[1]."""
    for j in range(red.shape[1] - 2 * LINE):
        buffer[0, j] = _F(0)
        buffer[1, j] = _F(0)
    for k in range(weight.shape[0]):
        row = start[y] + k + 2
        for j in range(red.shape[1] - 2 * LINE):
            i = _N(j + LINE)
            buffer[(row & 1), j] += weight[k, y] * red[row, i]
            buffer[1 - (row & 1), j] += weight[k, y] * black[row, i]


@inlined
def _interpolate(buffer, start, weight, x):
    total = _F(0)
    for k in range(weight.shape[0]):
        at = start[x] + k
        total += weight[k, x] * buffer[_N(at & 1), _N(at >> 1)]
    return total


@kernel
def resample_flow(red, black, y_start, y_weight, x_start, x_weight, buffer, out_red, out_black):
    """Resample one component of the flow, in red-black storage, to the finer level with len(y_start) x len(x_start)."""
    for y in range(y_start.size):
        _flow_rows(red, black, y_start, y_weight, y, buffer)
        for j in range((x_start.size - (y & 1) + 1) // 2):
            out_red[y + 2, j + LINE] = _interpolate(buffer, x_start, x_weight, 2 * j + (y & 1))
        for j in range((x_start.size + (y & 1)) // 2):
            out_black[y + 2, j + LINE] = _interpolate(buffer, x_start, x_weight, 2 * j + 1 - (y & 1))


@kernel
def resample_flow_to_frame(red, black, y_start, y_weight, x_start, x_weight, buffer, out):
    """Resample one component of the finest level's flow to the frame's size: out (H, W), any strides."""
    for y in range(out.shape[0]):
        _flow_rows(red, black, y_start, y_weight, y, buffer)
        for x in range(out.shape[1]):
            out[y, x] = _interpolate(buffer, x_start, x_weight, x)
