"""The Numba backend: the steps of the method on one level, and the workspace in which a thread takes them.

`coarse_to_fine` calls the steps in their order; a twin for another device, with the same methods, takes its place.
"""

import threading
from dataclasses import dataclass

import numpy as np

from . import median, pyramid, relax, tensor, warp
from .layout import aligned, empty_plane, split
from .measure import statistics
from .register import warp_and_mask
from .rigid import RigidStart


@dataclass(frozen=True)
class Scratch:
    """The arrays of one level that every frame overwrites; pairs are (red, black), see layout.

    What is needed only while its level is solved shares memory with the other levels.
    """

    image: list[np.ndarray]  # per channel, (h + 4, w + 4) with two replicated pixels around
    start: tuple  # u_red, u_black, v_red, v_black
    flow: tuple
    mean: tuple
    difference: tuple
    spare: tuple  # two pairs
    columns: tuple  # (5, n + 32) for even and odd x
    tensor: tuple  # (C, 6, ...)
    system: tuple  # (5, ...)
    edges: tuple | None  # (4, ...) if a_smooth < 1
    neighbours: tuple | None


class NumbaBackend:
    """Steps on the levels of a plan, against one reference.

    Parameters
    ----------
    plan : Plan
        Levels and parameters, see estimator.
    reference : ndarray (H, W, C) float32
        Raw intensities.
    """

    frames_at_once = 1

    def __init__(self, plan, reference: np.ndarray):
        self.plan = plan
        work = self.workspace()
        self.load(work, reference)
        self.reference = [[split(image[2:-2, 2:-2], border=True) for image in scratch.image] for scratch in work]
        self.images = [self.mixed(work, k) for k in range(len(plan.levels))]
        self.neighbours = [_neighbour_weights(level) for level in plan.levels]
        self._rigid = RigidStart(self.images[plan.rigid_level])
        self._columns = [level.enlarge and pyramid.even_first(level.enlarge[1]) for level in plan.levels]
        self._local = threading.local()

    def flows(self, frames: np.ndarray, estimate) -> np.ndarray:
        """The flow (n, H, W, 2) of frames (n, H, W, C), by `coarse_to_fine`."""
        return _together([estimate(self, self._work(), frame) for frame in frames])

    def translations(self, frames: np.ndarray) -> np.ndarray:
        """The translations (n, 2) of frames (n, H, W, C), in pixels."""
        found = []
        for frame in frames:
            self.load(self._work(), frame)
            found.append(self.translate(self._work()))
        return np.array(found)

    def register(self, frames: np.ndarray, smoothed: np.ndarray, fill: np.ndarray, reference: np.ndarray, estimate):
        """Flow of `smoothed` (n, H, W, C); warped `frames`, their masks and statistics, see `FlowEstimator`."""
        w = self.flows(smoothed, estimate)
        method = self.plan.params.interpolation_method
        warped = [warp_and_mask(*pair, fill=fill, interpolation=method) for pair in zip(frames, w, strict=True)]
        numbers = [statistics(flow, valid, image, reference) for flow, (image, valid) in zip(w, warped, strict=True)]
        registered, valid = (_together(list(part)) for part in zip(*warped, strict=True))
        return w, registered, valid, np.array(numbers)

    def _work(self) -> list[Scratch]:
        if not hasattr(self._local, "work"):
            self._local.work = self.workspace()
        return self._local.work

    def workspace(self) -> list[Scratch]:
        """What one thread needs to work on a frame, one entry per level, finest first."""
        channels, weighted = self.plan.channels, self.plan.params.a_smooth < 1
        sizes = {"mean": (), "difference": (), "tensor": (channels, 6), "system": (5,)}
        if weighted:
            sizes |= {"edges": (4,), "neighbours": ()}
        spare = {"spare_0": (), "spare_1": ()}
        largest = empty_plane(self.plan.levels[0].shape)[0].size
        memory = {
            name: [aligned(int(np.prod(size)) * largest) for _ in (0, 1)] for name, size in (sizes | spare).items()
        }
        work = []
        for level in self.plan.levels:
            h, w = level.shape
            red, black = empty_plane(level.shape)

            def shared(name, size, shape=red.shape):
                return tuple(m[: int(np.prod((*size, *shape)))].reshape(*size, *shape) for m in memory[name])

            part = {name: shared(name, size) for name, size in sizes.items()}
            if not weighted:
                part |= {"edges": None, "neighbours": None}
            work.append(
                Scratch(
                    image=[np.zeros((h + 4, w + 4), np.float32) for _ in range(channels)],
                    start=(red, black, *empty_plane(level.shape)),
                    flow=(*empty_plane(level.shape), *empty_plane(level.shape)),
                    spare=tuple(shared(name, ()) for name in spare),
                    columns=(aligned(5, red.shape[1]), aligned(5, red.shape[1])),
                    **part,
                )
            )
        return work

    def load(self, work, frame):
        """Normalise, smooth and reduce a raw frame (H, W, C) to every level."""
        buffer = np.empty(self.plan.shape[1], np.float32)
        for c in range(self.plan.channels):
            image = np.ascontiguousarray(frame[..., c], np.float32)
            offset, scale = self.plan.normalisation[c]
            for level, scratch in zip(self.plan.levels, work, strict=True):
                y, x = level.reduce[c]
                pyramid.resample_image(
                    image, y.start, y.weight, x.start, x.weight, offset, scale, buffer, scratch.image[c]
                )
                image, offset, scale = scratch.image[c][2:-2, 2:-2], 0.0, 1.0

    def mixed(self, work, k) -> np.ndarray:
        """The weighted mean of the channels on level k, (h, w)."""
        return sum(w * image[2:-2, 2:-2] for w, image in zip(self.plan.weights, work[k].image, strict=True))

    def translate(self, work) -> tuple[float, float]:
        """The translation (u, v) of the loaded frame, in pixels of the full frame."""
        k = self.plan.rigid_level
        x, y = self._rigid(self.mixed(work, k))
        return x * self.plan.levels[k].hx, y * self.plan.levels[k].hy

    def shift(self, work, k, translation):
        """Start level k from one translation (u, v), in pixels of the full frame."""
        u, v = translation
        for component, value in zip((0, 2), (u, v), strict=True):
            for colour in (0, 1):
                work[k].start[component + colour][...] = np.where(self.neighbours[k][colour] > 0, np.float32(value), 0)

    def enlarge(self, work, k):
        """Start level k from the flow of the next coarser one."""
        y, x = self.plan.levels[k].enlarge[0], self._columns[k]
        coarse, start = work[k + 1].flow, work[k].start
        line, rows = np.empty(2 * coarse[0].shape[1], np.float32), np.empty((4, x.start.size), np.float32)
        pyramid.resample_flow(coarse, y.start, y.weight, x.start, x.weight, line, rows, start)

    def constrain(self, work, k):
        """Warp the level's frame with its starting flow and form the motion tensor of every channel."""
        level, s = self.plan.levels[k], work[k]
        for c in range(self.plan.channels):
            warp.warp_level(s.image[c], self.reference[k][c], s.start, level.hx, level.hy, s.mean, s.difference)
            J = s.tensor[0][c], s.tensor[1][c]
            tensor.motion_tensor(self.plan.constancy, s.mean, s.difference, level, J, s.spare)

    def solve(self, work, k):
        """Relax the flow of level k from its start."""
        level, params, s = self.plan.levels[k], self.plan.params, work[k]
        system = s.tensor, self.plan.weights, s.start, params.a_data
        sweeps = self.plan.omega, params.iterations, params.update_lag
        if s.edges is None:
            relax.solve(*system, self.neighbours[k], level.wx, level.wy, *sweeps, s.system, s.flow)
        else:
            grid = level.shape[1], level.wx, level.wy, level.hx, level.hy
            pixels = self.neighbours[k]
            relax.solve_edges(*system, grid, params.a_smooth, pixels, *sweeps, s.edges, s.neighbours, s.system, s.flow)

    def smooth(self, work, k):
        """Replace the increment of level k by its 5 x 5 median."""
        s = work[k]
        median.median_increment(s.start, self.plan.levels[k].shape[1], s.spare[0], *s.columns, s.flow)

    def finish(self, work) -> np.ndarray:
        """The flow (H, W, 2) of the full frame from the finest level."""
        out = np.empty((*self.plan.shape, 2), np.float32)
        flow = work[0].flow
        if self.plan.to_frame is None:
            pyramid.flow_to_frame(flow, out)
        else:
            y, x = self.plan.to_frame
            line, rows = np.empty(2 * flow[0].shape[1], np.float32), np.empty((2, 4, x.start.size), np.float32)
            pyramid.resample_flow_to_frame(flow, y.start, y.weight, x.start, x.weight, line, rows, out)
        return out


def _together(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays along a new first axis, without a copy of a single one."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _neighbour_weights(level):
    """Sum of the constant neighbour weights of each pixel, zero in cells without a pixel."""
    h, w = level.shape
    rows, columns = np.full(h, 2.0), np.full(w, 2.0)
    rows[[0, -1]] = columns[[0, -1]] = 1
    return split((level.wy * rows[:, None] + level.wx * columns[None, :]).astype(np.float32))
