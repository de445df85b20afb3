"""How alike images are, whatever the shift between them, at reduced size.

An image is reduced to 64 to 128 pixels a side, scaled channel by channel, and band-passed: noise of single pixels and
uneven light must not decide. The largest value of the cross-correlation over all shifts within a third of the image is
the likeness of two images; 1 for equal ones. Unlike a whitened (phase) correlation it weighs what is above the noise,
and its height means the same for all images.
"""

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

SIDE = 64  # pixels
FINE, COARSE = 1.0, 8.0  # pixels, after the reduction: standard deviations of the band-pass
MAX_SHIFT = 1 / 3  # of a side


def reduction(shape: tuple[int, ...], side: int = SIDE) -> tuple[int, int]:
    """Rows and columns that become one, so that no side of an image (H, W[, C]) stays longer than 2 `side` pixels."""
    return max(shape[0] // side, 1), max(shape[1] // side, 1)


def reduce(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Reduce an image (H, W[, C]): mean of blocks of pixels, mean of its scaled channels, band-passed; (h, w) float32.

    A channel without any structure does not count; an image without any is all zeros.
    """
    y, x = reduction(image.shape, side)
    h, w = image.shape[0] // y, image.shape[1] // x
    stack = image[: h * y, : w * x].reshape(h, y, w, x, -1).mean((1, 3), dtype=np.float64)
    stack -= stack.mean((0, 1))
    deviation = stack.std((0, 1))
    found = deviation > 1e-9 * np.abs(image).max()  # rounding is no structure
    if not found.any():
        return np.zeros((h, w), np.float32)
    flat = (stack[..., found] / deviation[found]).mean(axis=-1)
    return (gaussian_filter(flat, FINE) - gaussian_filter(flat, COARSE)).astype(np.float32)


class Likeness:
    """Compare reduced images with each other.

    Parameters
    ----------
    images : ndarray (n, h, w) float32
        As `reduce` returns them.
    """

    def __init__(self, images: np.ndarray):
        self.images = np.asarray(images, np.float32)
        h, w = self.shape = self.images.shape[1:]
        # transforms are fast for sides with small prime factors only; the window is zero at the border anyway
        self._padded = tuple(fft.next_fast_len(side, real=True) for side in self.shape)
        self._reach = max(int(h * MAX_SHIFT), 1), max(int(w * MAX_SHIFT), 1)
        self._window = np.outer(_window(h), _window(w)).astype(np.float32)
        self._spectra = self._spectrum(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def _spectrum(self, images: np.ndarray) -> np.ndarray:
        part = images * self._window
        part -= part.mean((-2, -1), keepdims=True)
        length = np.sqrt(np.square(part).sum((-2, -1), keepdims=True))
        return fft.rfft2(part / np.where(length > 0, length, 1), s=self._padded)

    def with_one(self, image: np.ndarray, which: slice | np.ndarray = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Compare one reduced image with those at `which`.

        Returns
        -------
        height : ndarray (m,) float32
            The largest correlation over all shifts, in [-1, 1]; 0 for an image without structure.
        shift : ndarray (m, 2) float64
            Where it is: (x, y) in reduced pixels that lead from a place in `image` to the same one in the other.
        """
        surface = fft.irfft2(self._spectra[which] * np.conj(self._spectrum(image)), s=self._padded)
        ry, rx = self._reach
        surface = np.concatenate((surface[:, -ry:], surface[:, : ry + 1]), axis=1)
        surface = np.concatenate((surface[:, :, -rx:], surface[:, :, : rx + 1]), axis=2)
        flat = surface.reshape(len(surface), -1)
        at = flat.argmax(axis=1)
        y, x = np.unravel_index(at, surface.shape[1:])
        each = np.arange(len(flat))
        shift = np.stack([x - rx + _vertex(surface, each, y, x, 2), y - ry + _vertex(surface, each, y, x, 1)], axis=-1)
        return flat[each, at], shift


def _vertex(surface, each, y, x, axis):
    """Offset, within half a sample, of the parabola's vertex through three neighbours of a maximum, along `axis`."""
    position, last = (y, x)[axis - 1], surface.shape[axis] - 1
    inner = (position > 0) & (position < last)
    before, after = [list((each, y, x)) for _ in range(2)]
    before[axis], after[axis] = np.maximum(position - 1, 0), np.minimum(position + 1, last)
    low, peak, high = (surface[tuple(at)].astype(np.float64) for at in (before, (each, y, x), after))
    curvature = low - 2 * peak + high
    usable = inner & (curvature < 0)
    return np.where(usable, 0.5 * (low - high) / np.where(usable, curvature, 1), 0.0)


def _window(n: int) -> np.ndarray:
    """Flat in the middle, cosine flanks over a quarter of the side at each end."""
    edge = max(n // 4, 1)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    window = np.ones(n)
    window[:edge], window[n - edge :] = ramp, ramp[::-1]
    return window
