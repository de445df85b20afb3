"""Rigid start: the translation of a frame against the reference, by phase correlation.

Kuglin and Hines, Proc. IEEE Int. Conf. Cybernetics and Society (1975). Both images are windowed, the cross spectrum is
whitened and low-passed, and the highest peak within a third of the frame is refined by a parabola per axis. Starting
every frame from here, and not from the frame before, keeps frames independent of each other.

Images are small (64 pixels a side), so the Fourier transforms of a frame are products with their matrices. A complex
number is two real ones that follow each other, by rows or by columns, and so the products are real.
"""

import numpy as np
from scipy import fft

from .jit import inlined, merged
from .pyramid import weighted_rows

_F, _D = np.float32, np.float64
MAX_SHIFT = 1 / 3  # of a side; beyond it little of the window overlaps
SMOOTH = 1.0  # pixels: Gaussian over the correlation surface, so that a peak between pixels is not split
FLAT = 1e-6, 1e-5  # of the reference's range, and of the image's own values: what is no structure, but rounding


def window(n: int) -> np.ndarray:
    """Flat in the middle, cosine flanks over a quarter of the side at each end."""
    edge = max(n // 4, 1)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    values = np.ones(n)
    values[:edge], values[n - edge :] = ramp, ramp[::-1]
    return values


class RigidStart:
    """What phase correlation with one reference image (h, w) needs to know.

    Attributes
    ----------
    full, shape : (int, int)
        The image's shape, and that of the part of it which is transformed; `part` is that as slices.
    filter : ndarray (h, F) complex64
        What the spectrum is multiplied by, at the frequencies that the others mirror.
    reach : (int, int)
        Largest shift along y and x, in pixels.
    """

    def __init__(self, reference: np.ndarray):
        self.full = reference.shape
        # an FFT is fast for sides with small prime factors only: leave a few border pixels out
        h, w = self.shape = tuple(fft.prev_fast_len(side, real=True) for side in reference.shape)
        self.part = tuple(
            slice((full - side) // 2, (full - side) // 2 + side)
            for full, side in zip(reference.shape, self.shape, strict=True)
        )
        fy, fx = fft.fftfreq(h)[:, None], fft.rfftfreq(w)[None, :]
        low_pass = np.exp(-2 * (np.pi * SMOOTH) ** 2 * (fx**2 + fy**2))
        image = reference[self.part]
        spectrum = fft.rfft2((image - image.mean()) * np.outer(window(h), window(w)).astype(np.float32))
        self.filter = (low_pass * np.conj(spectrum) / (np.abs(spectrum) + 1e-12)).astype(np.complex64)
        self.reach = max(int(h * MAX_SHIFT), 1), max(int(w * MAX_SHIFT), 1)

    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The transforms as real matrices: (w, 2 F), (2 h, 2 h), (2 h, 2 ny) and (2 F, nx), for products from the
        right, left, left and right; the left ones are transposed. ny and nx count the shifts within reach."""
        (h, w), (ry, rx) = self.shape, self.reach
        f = np.arange(w // 2 + 1)
        along_x = np.exp(-2j * np.pi / w * np.outer(np.arange(w), f))
        along_y = np.exp(-2j * np.pi / h * np.outer(np.arange(h), np.arange(h)))
        back_y = np.exp(2j * np.pi / h * np.outer(np.arange(h), np.arange(-ry, ry + 1)))
        back_x = np.exp(2j * np.pi / w * np.outer(f, np.arange(-rx, rx + 1)))
        twice = np.where((f == 0) | (2 * f == w), 1, 2)  # a frequency and its mirror image
        back_x *= twice[:, None] / (h * w)
        return (
            np.hstack((along_x.real, along_x.imag)),
            _interleaved(along_y),
            _interleaved(back_y),
            np.vstack((back_x.real, -back_x.imag)),
        )


def _interleaved(matrix: np.ndarray) -> np.ndarray:
    """A complex matrix for products from the left, transposed: real and imaginary parts follow each other by rows."""
    n, m = matrix.shape
    both = np.empty((n, 2, m, 2))
    both[:, 0, :, 0] = both[:, 1, :, 1] = matrix.real
    both[:, 0, :, 1] = matrix.imag
    both[:, 1, :, 0] = -matrix.imag
    return both.reshape(2 * n, 2 * m)


@inlined
def _product(a_transposed, b, out):
    for y in range(out.shape[0]):
        weighted_rows(b, 0, a_transposed, y, out[y])


@inlined
def _windowed(image, top, left, window, out):
    """(image - mean) * window, transposed; zeros for a flat image: whitening would make a pattern of its rounding."""
    h, w = window.shape
    total = _D(0)
    low = high = image[top, left]
    for y in range(h):
        row = _F(0)
        for x in range(w):
            value = image[top + y, left + x]
            row += value
            low, high = min(low, value), max(high, value)
        total += row
    mean = _F(total / (h * w))
    if high - low <= _F(FLAT[0]) + _F(FLAT[1]) * max(abs(low), abs(high)):
        out[:] = _F(0)
        return
    for y in range(h):
        for x in range(w):
            out[x, y] = (image[top + y, left + x] - mean) * window[y, x]


@inlined
def _whiten(filter_, spectrum):
    """Multiply by the filter (2, h, F) and keep the phase; the spectrum has real and imaginary rows in turn."""
    for y in range(filter_.shape[1]):
        for x in range(filter_.shape[2]):
            re, im = spectrum[2 * y, x], spectrum[2 * y + 1, x]
            fr, fi = filter_[0, y, x], filter_[1, y, x]
            pr, pi = re * fr - im * fi, re * fi + im * fr
            size = max(np.sqrt(fr * fr + fi * fi), _F(1e-30))
            scale = _F(1) / (np.sqrt(pr * pr + pi * pi) / size + _F(1e-12))
            spectrum[2 * y, x], spectrum[2 * y + 1, x] = scale * pr, scale * pi


@inlined
def _vertex(before, peak, after):
    """Offset half a sample, of the vertex of the parabola through a maximum and its neighbours."""
    curvature = _D(before) - _D(2) * peak + after
    return _D(0.5) * (_D(before) - after) / curvature if curvature < 0 else _D(0)


@merged
def phase_correlation(
    image, top, left, window, along_x, along_y, filter_, back_y, back_x, part, rows, spectrum, columns, surface
):
    """The (x, y) translation, in pixels, that takes the reference's content to where `image` shows it.

    What comes from `RigidStart` ends with `back_x`, `filter_` as (2, h, F) real and imaginary; the rest is workspace:
    part (w, h), rows (h, 2 F), spectrum (2 h, F), columns (2 ny, F), surface (ny, nx).
    """
    h, frequencies = filter_.shape[1:]
    ny, nx = surface.shape
    _windowed(image, top, left, window, part)
    _product(part, along_x, rows)
    _product(along_y, rows.reshape(2 * h, frequencies), spectrum)
    _whiten(filter_, spectrum)
    _product(back_y, spectrum, columns)
    _product(columns.reshape(ny, 2 * frequencies).T, back_x, surface)
    y, x = ny // 2, nx // 2  # no shift, if the surface is flat
    for j in range(ny):
        for i in range(nx):
            if surface[j, i] > surface[y, x]:
                y, x = j, i
    dx, dy = _D(x - nx // 2), _D(y - ny // 2)
    if 0 < x < nx - 1:
        dx += _vertex(surface[y, x - 1], surface[y, x], surface[y, x + 1])
    if 0 < y < ny - 1:
        dy += _vertex(surface[y - 1, x], surface[y, x], surface[y + 1, x])
    return dx, dy
