"""Two-photon recordings whose motion is known, for the demo, the tests and the benchmarks.

A scene is one field of view with a margin around it. A recording looks at it through two displacements, both
backward and in pixels like every flow of this project:

    within    clean(x)           = frame_t(x + flow_t(x))      motion during the recording
    between   clean_of_base(x)   = clean(x + between(x))       the field of view found again on another day

Frames are sampled with the inverses, so the truth holds up to the interpolation of the displacement itself (a
few thousandths of a pixel) and never went through a motion estimate.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from lib.store import atomic_path, write_npz

DEFAULT_NAMES = ("baseline_001", "baseline_002", "stimulus_001", "stimulus_002", "recovery_001")

MARGIN = 48  # pixels of scene around the frame, for what motion brings into view
OFFSET, GAIN, READ_NOISE = 100.0, 20.0, 10.0  # grey values: dark level, per photon, standard deviation
CELL_SPACING = 18.0  # pixels: one cell per square of this side, on average
TRANSIENT_RATE, TRANSIENT_DECAY = 0.01, 20.0  # transients per cell and frame; frames
DRIFT_TIME = 12.0  # frames after which drift and deformation have forgotten where they were
JITTER_ROWS = 4.0  # rows over which the scan jitter is correlated
MODES = 6  # independent smooth deformations


@dataclass(frozen=True)
class Scene:
    """A field of view: what the microscope would see without motion, activity and noise.

    `canvas` (H + 2 MARGIN, W + 2 MARGIN) and the cells are coefficients of a cubic B-spline, so the scene is
    a smooth function that can be sampled exactly anywhere. Its mean is 1. Each cell is (row, column, patch):
    the corner of the patch on the canvas, and what a transient of amplitude 1 adds there.
    """

    shape: tuple[int, int]
    canvas: np.ndarray
    cells: tuple[tuple[int, int, np.ndarray], ...]


@dataclass(frozen=True)
class SimulatedRecording:
    """What `simulate_recording` returns: `movie` (T, H, W) uint16, `flow` (T, H, W, 2), `clean` (H, W), the
    expected grey value without activity, and `between` (H, W, 2), all float32."""

    movie: np.ndarray
    flow: np.ndarray
    clean: np.ndarray
    between: np.ndarray


def make_scene(shape: tuple[int, int], seed: int) -> Scene:
    """Make a scene of neuropil, fine processes, vessels and ring-shaped cells for frames of shape (H, W)."""
    rng = np.random.default_rng(seed)
    size = (shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN)
    neuropil = 0.25 * _texture(rng, size, 12.0) + 0.15 * _texture(rng, size, 3.0)
    processes = 0.5 * np.maximum(_texture(rng, size, 1.2) - 0.8, 0.0)
    vessels = 1.0 - 0.6 * np.exp(-0.5 * (_texture(rng, size, 22.0) / 0.12) ** 2)  # along the zero lines of a field
    canvas = np.maximum(0.8 + neuropil + processes, 0.1) * vessels
    cells = tuple(_cell(rng, size) for _ in range(round(size[0] * size[1] / CELL_SPACING**2)))
    for row, column, patch in cells:
        _add(canvas, row, column, patch)
    level = canvas.mean()
    cells = tuple((row, column, (patch / level).astype(np.float32)) for row, column, patch in cells)
    return Scene(shape, (canvas / level).astype(np.float32), cells)


def simulate_recording(
    scene: Scene,
    *,
    frames: int,
    seed: int | np.random.SeedSequence,
    photons: float = 30.0,
    rigid: float = 4.0,
    nonrigid: float = 2.0,
    jitter: float = 0.5,
    between: np.ndarray | None = None,
    brightness: float = 1.0,
) -> SimulatedRecording:
    """Record a scene in motion.

    Parameters
    ----------
    scene
        What is looked at.
    frames
        Length of the recording.
    seed
        The same seed gives the same recording, bit for bit.
    photons
        Photons per pixel at the scene's mean, at brightness 1.
    rigid, nonrigid
        Largest shift and largest smooth deformation of the recording, in pixels.
    jitter
        Standard deviation of the row-wise scan jitter, in pixels.
    between
        (H, W, 2) displacement that takes the scene's own frame into this recording's; None for none.
    brightness
        Factor on the light.

    Raises
    ------
    ValueError
        The motion folds the image over itself and has no inverse.
    """
    rng = np.random.default_rng(seed)
    flow = simulate_motion(rng, frames, scene.shape, rigid=rigid, nonrigid=nonrigid, jitter=jitter)
    between = np.zeros((*scene.shape, 2), np.float32) if between is None else between.astype(np.float32)
    to_scene = invert(between)
    activity = _activity(rng, frames, len(scene.cells))
    light = photons * brightness
    movie = np.empty((frames, *scene.shape), np.uint16)
    for t in range(frames):
        canvas = scene.canvas.copy()
        for (row, column, patch), amplitude in zip(scene.cells, activity[t], strict=True):
            if amplitude > 0.01:
                _add(canvas, row, column, amplitude * patch)
        seen = rng.poisson(light * _look(canvas, compose(invert(flow[t]), to_scene)))
        grey = OFFSET + GAIN * seen + READ_NOISE * rng.standard_normal(scene.shape, np.float32)
        movie[t] = np.clip(np.rint(grey), 0, np.iinfo(np.uint16).max)
    clean = OFFSET + GAIN * light * _look(scene.canvas, to_scene)
    return SimulatedRecording(movie, flow, clean.astype(np.float32), between)


def simulate_motion(
    rng: np.random.Generator,
    frames: int,
    shape: tuple[int, int],
    *,
    rigid: float,
    nonrigid: float,
    jitter: float,
) -> np.ndarray:
    """Return the (T, H, W, 2) float32 flow of a recording: drift, smooth deformation and row-wise jitter.

    Amplitudes are those of `simulate_recording`.
    """
    deformations = _deformations(rng, MODES, shape).astype(np.float32)
    flow = np.tensordot(_wander(rng, frames, MODES).astype(np.float32), deformations, axes=1)
    flow *= nonrigid / np.hypot(flow[..., 0], flow[..., 1]).max()
    drift = _wander(rng, frames, 2)
    flow += (drift * (rigid / np.hypot(*drift.T).max())).astype(np.float32)[:, None, None, :]
    rows = gaussian_filter1d(rng.standard_normal((frames, shape[0], 2)), JITTER_ROWS, axis=1)
    flow += (rows * (jitter / rows.std())).astype(np.float32)[:, :, None, :]
    return flow


def simulate_between(
    shape: tuple[int, int], *, seed: int | np.random.SeedSequence, rigid: float = 6.0, nonrigid: float = 1.5
) -> np.ndarray:
    """Return an (H, W, 2) float32 displacement between two recordings: a shift of length `rigid` pixels in a
    random direction plus a smooth deformation of at most `nonrigid` pixels."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    deformation = _deformations(rng, 1, shape)[0]
    deformation *= nonrigid / np.hypot(*np.moveaxis(deformation, -1, 0)).max()
    return (deformation + rigid * np.array([np.cos(angle), np.sin(angle)])).astype(np.float32)


def simulate_session(
    folder: str | Path,
    *,
    names: Sequence[str] = DEFAULT_NAMES,
    frames: int = 200,
    shape: tuple[int, int] = (256, 256),
    seed: int = 1,
    between_rigid: float = 6.0,
    between_nonrigid: float = 1.5,
    **motion: float,
) -> None:
    """Write a session of several recordings of one scene, and its truth.

    Writes `folder/<name>.tif` and `folder/truth/<name>.npz` with `flow` (T, H, W, 2) float16, `clean` (H, W)
    and `between` (H, W, 2). The first recording is the base: its `between` is zero, the others are displaced.

    Parameters
    ----------
    folder
        Where to write.
    names, frames, shape, seed
        One recording per name, all of `frames` frames of `shape` (H, W); the same seed gives the same files.
    between_rigid, between_nonrigid
        See `simulate_between`, in pixels.
    **motion
        `photons`, `rigid`, `nonrigid`, `jitter` of `simulate_recording`.
    """
    folder = Path(folder)
    scene = make_scene(shape, seed)

    def write(index: int) -> None:
        own, apart, light = np.random.SeedSequence([seed, index]).spawn(3)
        amplitudes = {"rigid": between_rigid, "nonrigid": between_nonrigid}
        between = simulate_between(shape, seed=apart, **amplitudes) if index else None
        brightness = np.random.default_rng(light).uniform(0.85, 1.15)
        recording = simulate_recording(scene, frames=frames, seed=own, between=between, brightness=brightness, **motion)
        truth = {
            "flow": recording.flow.astype(np.float16),
            "clean": recording.clean,
            "between": recording.between,
        }
        write_npz(folder / "truth" / f"{names[index]}.npz", truth)
        with atomic_path(folder / f"{names[index]}.tif") as temporary:
            tifffile.imwrite(temporary, recording.movie, photometric="minisblack", metadata={"axes": "TYX"})

    # SciPy and NumPy release the interpreter's lock in everything that takes time here.
    with ThreadPoolExecutor(min(len(names), os.cpu_count() or 1)) as pool:
        list(pool.map(write, range(len(names))))


def compose(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Return the (H, W, 2) displacement that applies `first` and, from where that leads, `then`."""
    return first + _sample(then, first)


def invert(w: np.ndarray) -> np.ndarray:
    """Return the (H, W, 2) displacement that undoes `w`, by fixed-point iteration to a thousandth of a pixel.

    Beyond the image `w` continues as on its border. Raises ValueError where `w` folds and has no inverse.
    """
    inverse = -w
    for _ in range(50):
        previous, inverse = inverse, -_sample(w, inverse)
        if np.abs(inverse - previous).max() < 1e-3:
            return inverse
    raise ValueError("the displacement folds the image over itself and cannot be inverted; use smaller amplitudes")


def _sample(w: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """Return `w` at x + displacement(x), linear between pixels, constant beyond the border."""
    at = _positions(displacement)
    parts = [map_coordinates(w[..., k], at, order=1, mode="nearest") for k in (0, 1)]
    return np.stack(parts, axis=-1)


def _positions(displacement: np.ndarray) -> np.ndarray:
    """Return the (2, H, W) row and column positions that a displacement points to."""
    height, width = displacement.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None] + displacement[..., 1]
    columns = np.arange(width, dtype=np.float32)[None, :] + displacement[..., 0]
    return np.stack([rows, columns])


def _look(canvas: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """Sample the scene where a displacement of the frame's pixels points to."""
    seen = map_coordinates(canvas, _positions(displacement) + MARGIN, order=3, mode="mirror", prefilter=False)
    return np.maximum(seen, 0.0)


def _texture(rng: np.random.Generator, size: tuple[int, int], sigma: float) -> np.ndarray:
    """Return smooth noise of standard deviation 1 with structures of `sigma` pixels."""
    noise = gaussian_filter(rng.standard_normal(size), sigma, mode="wrap")
    return noise / noise.std()


def _cell(rng: np.random.Generator, size: tuple[int, int]) -> tuple[int, int, np.ndarray]:
    """Return a cell at a random place: a bright, somewhat oval ring of cytoplasm around a dark nucleus."""
    reach = 11
    row, column = (int(rng.integers(0, side - 2 * reach)) for side in size)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] - rng.uniform(-0.5, 0.5, (2, 1, 1))
    stretch = rng.uniform(0.85, 1.15)
    distance = np.hypot(x * stretch, y / stretch)
    radius = rng.uniform(4.0, 6.5)
    ring = np.exp(-0.5 * ((distance - radius) / 1.4) ** 2)
    return row, column, rng.uniform(0.2, 1.0) * ring


def _add(canvas: np.ndarray, row: int, column: int, patch: np.ndarray) -> None:
    canvas[row : row + patch.shape[0], column : column + patch.shape[1]] += patch


def _deformations(rng: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    """Return (count, H, W, 2) smooth displacements of mean zero, with structures of a sixth of the image."""
    sigma = (0, shape[0] / 6, shape[1] / 6, 0)
    fields = gaussian_filter(rng.standard_normal((count, *shape, 2)), sigma, mode="reflect")
    return fields - fields.mean(axis=(1, 2), keepdims=True)


def _wander(rng: np.random.Generator, frames: int, count: int) -> np.ndarray:
    """Return (frames, count) random courses that wander about zero and forget within DRIFT_TIME frames."""
    keep = np.exp(-1.0 / DRIFT_TIME)
    settle = round(5 * DRIFT_TIME)
    return _decay(rng.standard_normal((settle + frames, count)), keep)[settle:]


def _activity(rng: np.random.Generator, frames: int, cells: int) -> np.ndarray:
    """Return (frames, cells) brightness added by calcium transients: sudden rise, exponential decay."""
    settle = round(5 * TRANSIENT_DECAY)
    spikes = rng.random((settle + frames, cells)) < TRANSIENT_RATE
    heights = spikes * rng.uniform(0.5, 2.0, spikes.shape)
    return _decay(heights, np.exp(-1.0 / TRANSIENT_DECAY))[settle:].astype(np.float32)


def _decay(pushes: np.ndarray, keep: float) -> np.ndarray:
    """Return the courses that add up `pushes` (T, n) and keep a part of themselves at each step."""
    for t in range(1, len(pushes)):
        pushes[t] += keep * pushes[t - 1]
    return pushes
