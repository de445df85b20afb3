"""The motion of a recording, as cosines: measured on some frames, and made again at random.

A displacement is a sum of c_k phi_k, phi the cosines of a discrete cosine transform with mean square 1: `rows` along y
alone, for the shift and the row-by-row jitter of a raster scan, and `MODES` per axis for the deformation of the tissue.
"""

from dataclasses import dataclass

import numpy as np

MODES = 6  # cosines per axis for what varies along x
ROWS = 96  # cosines for what varies along y alone, at most
BAND = 1.35  # modes are pooled in bands, each so much wider than what is below it
OBSERVED = 0.15  # a mode of which less than this part is found says little about its true size


def cosines(size: int, count: int) -> np.ndarray:
    """The first cosines (count, size) over a side, mean square 1."""
    k = np.arange(count)[:, None]
    phi = np.cos(np.pi * k * (np.arange(size) + 0.5) / size)
    return np.where(k > 0, np.sqrt(2.0), 1.0) * phi


@dataclass(frozen=True)
class Basis:
    """The modes of frames of one size, those in bands that a smoothness alpha (x, y) damps alike."""

    y: np.ndarray  # (rows, H)
    x: np.ndarray  # (modes, W)
    kept: np.ndarray  # (rows, modes) bool: those in use
    band: np.ndarray  # (number in use,) int: which modes are pooled

    @classmethod
    def of(cls, shape: tuple[int, int], alpha: tuple[float, float] = (1.0, 1.0)) -> "Basis":
        """The modes for frames (H, W)."""
        h, w = shape
        rows, columns = min(ROWS, h // 2), min(MODES, w // 2)
        kept = np.zeros((rows, columns), bool)
        kept[:, 0] = True
        kept[:MODES] = True
        ky, kx = np.nonzero(kept)
        # the shift apart, then modes along y alone, then the others
        unit = np.sqrt(alpha) / (w, h)
        steepness = np.hypot(unit[0] * kx, unit[1] * ky) / unit.min()  # the smoothness term of a mode is its square
        fine = np.floor(np.log(np.maximum(steepness, 1)) / np.log(BAND)).astype(int)
        band = np.where((ky == 0) & (kx == 0), 0, np.where(kx == 0, 1 + fine, 1001 + fine))
        return cls(cosines(h, rows), cosines(w, columns), kept, np.unique(band, return_inverse=True)[1])

    def analyse(self, flow: np.ndarray) -> np.ndarray:
        """Coefficients (2, number in use) of a displacement (H, W, 2), pixels."""
        h, w = flow.shape[:2]
        along = np.tensordot(self.x, flow, (1, 1))  # (modes, H, 2)
        return np.stack([(self.y @ along[..., c].T / (h * w))[self.kept] for c in (0, 1)])

    def synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        """The displacement (H, W, 2) float32 of coefficients (2, number in use)."""
        planes = []
        for part in coefficients:
            full = np.zeros(self.kept.shape)
            full[self.kept] = part
            alike = self.y[MODES:].T @ full[MODES:, 0]  # along x, as all modes are that are finer along y
            planes.append(self.y[:MODES].T @ (full[:MODES] @ self.x) + alike[:, None])
        return np.stack(planes, axis=-1).astype(np.float32)

    def pooled(self, squares: np.ndarray) -> np.ndarray:
        """Values (..., number in use) averaged over each band."""
        count = np.bincount(self.band)
        flat = squares.reshape(-1, squares.shape[-1])
        means = np.stack([np.bincount(self.band, row) / count for row in flat])
        return means[:, self.band].reshape(squares.shape)


def true_sizes(basis: Basis, measured: np.ndarray, known: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Factors (2, K) that give measured coefficients the size of the true ones.

    What a method finds of each mode, and the noise it adds, is seen where the motion is known. The shift is taken as it
    is.

    Parameters
    ----------
    measured : ndarray (T, 2, K)
        Found in the recording.
    known, found : ndarray (M, 2, K)
        Put into simulated frames, and found in them by the same method.
    """
    both = basis.pooled((known * found).mean(0)).sum(0), basis.pooled((known**2).mean(0)).sum(0)  # u and v
    gain = np.clip(both[0] / np.maximum(both[1], 1e-12), OBSERVED, 1.2)
    noise = basis.pooled(((found - gain * known) ** 2).mean(0))
    seen = basis.pooled((measured**2).mean(0))
    true = np.maximum(seen - noise, 0) / gain**2
    size = np.sqrt(true / np.maximum(seen, 1e-12))
    size[:, basis.band == 0] = 1
    return size


def random_motion(basis: Basis, measured: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` sets (count, 2, K) of coefficients: measured ones (T, 2, K), mirrored and turned round at random.

    So motion keeps its shape, also towards the border, and frames that move much stay frames that move much. Of fewer
    sets than measured ones, there is one from every part of the range from still to moving.
    """
    if count < len(measured):
        order = rng.permutation(len(measured))
        deformed = (measured[order, :, 1:] ** 2).sum((1, 2))  # all but the shift
        part = ((np.arange(count) + rng.random(count)) / count * len(measured)).astype(int)
        order = rng.permutation(order[np.argsort(deformed, kind="stable")][part])
    else:
        order = np.concatenate([rng.permutation(len(measured)) for _ in range(-(-count // len(measured)))])[:count]
    ky, kx = np.nonzero(basis.kept)
    turned, upside_down, left_right = rng.choice((-1.0, 1.0), (3, count, 2, 1))
    return measured[order] * turned * np.where(ky % 2, upside_down, 1) * np.where(kx % 2, left_right, 1)
