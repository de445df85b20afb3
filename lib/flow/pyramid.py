"""Resampling of images and flow between the levels of the pyramid.

Every resampling is separable and is described per axis by a table: output X is the sum over k of
`weight[k, X] * input[start[X] + k]`. Tables hold prefilter, anti-alias filter and interpolation in one, and fold the
mirror boundary into the weights.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .jit import inlined, merged
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


def even_first(table: Table) -> Table:
    """The same table with the even outputs first, then the odd ones."""
    order = np.r_[0 : len(table.start) : 2, 1 : len(table.start) : 2]
    return Table(table.start[order], np.ascontiguousarray(table.weight[:, order]))


@lru_cache(256)  # estimators that differ in their parameters alone have the same tables
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
    first = np.minimum.accumulate(first[::-1])[::-1]  # never decreasing, so that a pass can go through the input once
    taps = max(int((last - first).max()) + 1, 4)  # four, so that interpolation alone has a fixed number
    start = np.minimum(first, n_in - taps)
    weight = np.take_along_axis(matrix, start[:, None] + np.arange(taps), 1)
    return Table(start.astype(np.int32), np.ascontiguousarray(weight.T, dtype=np.float32))


@inlined
def weighted_rows(image, first, weight, y, buffer):
    """buffer[x] = the sum over k of weight[k, y] * image[first + k, x], four terms at a time."""
    taps = weight.shape[0]
    for x in range(image.shape[1]):
        buffer[x] = _F(0)
    for k in range(0, taps - 3, 4):
        a, b, c, d = weight[k, y], weight[k + 1, y], weight[k + 2, y], weight[k + 3, y]
        row = first + k
        for x in range(image.shape[1]):
            buffer[x] += a * image[row, x] + b * image[row + 1, x] + c * image[row + 2, x] + d * image[row + 3, x]
    for k in range(taps // 4 * 4, taps):
        for x in range(image.shape[1]):
            buffer[x] += weight[k, y] * image[first + k, x]


@merged
def resample_image(image, y_start, y_weight, x_start, x_weight, offset, scale, buffer, out):
    """out = scale * (resampled image - offset).

    image (H + 4, W + 4) and out (h + 4, w + 4) float32 have two replicated pixels on every side; buffer (W + 4,).
    """
    h, w = out.shape[0] - 4, out.shape[1] - 4
    scale = _F(scale)
    shift = -_F(offset) * scale
    for y in range(h):
        weighted_rows(image, y_start[y] + 2, y_weight, y, buffer)
        for x in range(w):
            out[y + 2, x + 2] = shift
        for k in range(x_weight.shape[0]):
            for x in range(w):
                out[y + 2, x + 2] += scale * x_weight[k, x] * buffer[_N(x_start[x] + k + 2)]
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
def _across(red, black, y, start, weight, line, out):
    """Interpolate row y of a red-black plane at every position of a four-tap table."""
    even, odd = (black, red) if y & 1 else (red, black)
    for j in range(red.shape[1] - 2 * LINE):
        i = _N(j + LINE)
        line[2 * j] = even[y + 2, i]
        line[2 * j + 1] = odd[y + 2, i]
    for x in range(start.size):
        at = start[x]
        out[x] = (
            weight[0, x] * line[_N(at)]
            + weight[1, x] * line[_N(at + 1)]
            + weight[2, x] * line[_N(at + 2)]
            + weight[3, x] * line[_N(at + 3)]
        )


@inlined
def _resample_component(red, black, y_start, y_weight, x_start, x_weight, line, rows, out_red, out_black):
    evens = (x_start.size + 1) // 2
    done = 0
    for y in range(y_start.size):
        first = y_start[y]
        while done < first + 4:
            if done >= first:
                _across(red, black, done, x_start, x_weight, line, rows[done & 3])
            done += 1
        a, b, c, d = rows[first & 3], rows[(first + 1) & 3], rows[(first + 2) & 3], rows[(first + 3) & 3]
        wa, wb, wc, wd = y_weight[0, y], y_weight[1, y], y_weight[2, y], y_weight[3, y]
        even, odd = (out_black, out_red) if y & 1 else (out_red, out_black)
        for j in range(evens):
            even[y + 2, _N(j + LINE)] = wa * a[j] + wb * b[j] + wc * c[j] + wd * d[j]
        for j in range(x_start.size - evens):
            i = _N(j + evens)
            odd[y + 2, _N(j + LINE)] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i]


@merged
def resample_flow(flow, y_start, y_weight, x_start, x_weight, line, rows, out):
    """Resample the flow, in red-black storage, to the finer level.

    The x table lists the even positions first, then the odd ones (`even_first`). Rows are interpolated along x once and
    kept, four at a time, for the interpolation along y: line (2 n,) and rows (4, w) are workspace.
    """
    _resample_component(flow[0], flow[1], y_start, y_weight, x_start, x_weight, line, rows, out[0], out[1])
    _resample_component(flow[2], flow[3], y_start, y_weight, x_start, x_weight, line, rows, out[2], out[3])


@merged
def resample_flow_to_frame(flow, y_start, y_weight, x_start, x_weight, line, rows, out):
    """Resample both components of the finest level's flow to out (H, 2 W), see `in_lines`; line (2 n,), rows two of
    (4, W)."""
    done = 0
    for y in range(out.shape[0]):
        first = y_start[y]
        while done < first + 4:
            if done >= first:
                _across(flow[0], flow[1], done, x_start, x_weight, line, rows[0][done & 3])
                _across(flow[2], flow[3], done, x_start, x_weight, line, rows[1][done & 3])
            done += 1
        k0, k1, k2, k3 = first & 3, (first + 1) & 3, (first + 2) & 3, (first + 3) & 3
        w0, w1, w2, w3 = y_weight[0, y], y_weight[1, y], y_weight[2, y], y_weight[3, y]
        u, v = rows
        for x in range(x_start.size):
            out[y, 2 * x] = w0 * u[k0, x] + w1 * u[k1, x] + w2 * u[k2, x] + w3 * u[k3, x]
            out[y, 2 * x + 1] = w0 * v[k0, x] + w1 * v[k1, x] + w2 * v[k2, x] + w3 * v[k3, x]


@merged
def flow_to_frame(flow, out):
    """Both components of a flow at full size, from red-black storage to out (H, 2 W), see `in_lines`."""
    h, w = out.shape[0], out.shape[1] // 2
    for y in range(h):
        s = y & 1
        u_even, u_odd, v_even, v_odd = flow[s], flow[1 - s], flow[2 + s], flow[3 - s]
        for j in range((w + 1) // 2):
            i = _N(j + LINE)
            out[y, 4 * j] = u_even[y + 2, i]
            out[y, 4 * j + 1] = v_even[y + 2, i]
        for j in range(w // 2):
            i = _N(j + LINE)
            out[y, 4 * j + 2] = u_odd[y + 2, i]
            out[y, 4 * j + 3] = v_odd[y + 2, i]
