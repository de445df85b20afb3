"""Rigid start: the translation of a frame against the reference, by phase correlation.

Kuglin and Hines, Proc. IEEE Int. Conf. Cybernetics and Society (1975). Both images are windowed, the cross spectrum is
whitened and low-passed, and the highest peak within a third of the frame is refined by a parabola per axis. Starting
every frame from here, and not from the frame before, keeps frames independent of each other.
"""

import numpy as np
from scipy import fft

MAX_SHIFT = 1 / 3  # of a side; beyond it little of the window overlaps
SMOOTH = 1.0  # pixels: Gaussian over the correlation surface, so that a peak between pixels is not split


def _window(n: int) -> np.ndarray:
    """Flat in the middle, cosine flanks over a quarter of the side at each end."""
    edge = max(n // 4, 1)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    window = np.ones(n)
    window[:edge], window[n - edge :] = ramp, ramp[::-1]
    return window


class RigidStart:
    """Phase correlation with one reference image (h, w)."""

    def __init__(self, reference: np.ndarray):
        # the transform is fast for sides with small prime factors only: leave a few border pixels out
        h, w = self.shape = tuple(fft.prev_fast_len(side, real=True) for side in reference.shape)
        self._part = tuple(
            slice((full - side) // 2, (full - side) // 2 + side)
            for full, side in zip(reference.shape, self.shape, strict=True)
        )
        self._window = np.outer(_window(h), _window(w)).astype(np.float32)
        fy, fx = fft.fftfreq(h)[:, None], fft.rfftfreq(w)[None, :]
        low_pass = np.exp(-2 * (np.pi * SMOOTH) ** 2 * (fx**2 + fy**2))
        spectrum = self._spectrum(reference)
        self._filter = (low_pass * np.conj(spectrum) / (np.abs(spectrum) + 1e-12)).astype(np.complex64)
        self._reach = max(int(h * MAX_SHIFT), 1), max(int(w * MAX_SHIFT), 1)

    def _spectrum(self, image: np.ndarray) -> np.ndarray:
        image = image[self._part]
        return fft.rfft2((image - image.mean()) * self._window)

    def __call__(self, image: np.ndarray) -> tuple[float, float]:
        """The (x, y) translation, in pixels, that takes the reference's content to where `image` shows it."""
        spectrum = self._spectrum(image)
        spectrum *= self._filter
        spectrum /= np.abs(spectrum) / np.maximum(np.abs(self._filter), 1e-30) + 1e-12
        surface = fft.irfft2(spectrum, s=self.shape)
        ry, rx = self._reach
        near = np.concatenate((surface[-ry:], surface[: ry + 1]))
        near = np.concatenate((near[:, -rx:], near[:, : rx + 1]), axis=1)
        y, x = np.unravel_index(int(near.argmax()), near.shape)
        return x - rx + _vertex(near[y], x), y - ry + _vertex(near[:, x], y)


def _vertex(line: np.ndarray, at: int) -> float:
    """Offset, within half a sample, of the parabola's vertex through three neighbours of a maximum."""
    if not 0 < at < len(line) - 1:
        return 0.0
    before, peak, after = (float(v) for v in line[at - 1 : at + 2])
    curvature = before - 2 * peak + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0
