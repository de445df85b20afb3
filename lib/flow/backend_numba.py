"""The Numba backend: everything is laid out in memory once, and then a few frames are one call into compiled code.

Every step is a method too, so that tests and benchmarks can take one at a time, by `estimator.coarse_to_fine`.
"""

import threading
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np

from . import steps
from .backend import at_once, cut
from .compact import compact_shape, pack_flow
from .layout import aligned, cells, in_lines, split
from .measure import statistics
from .memory import LEVEL, RIGID, SHARED, TABLE, Block, whole_lines
from .pyramid import even_first
from .register import Registered, warp_frames
from .rigid import RigidStart, window
from .tensor import GC, flatness


@dataclass(frozen=True)
class LevelArrays:
    """A level's arrays in a thread's memory; pairs are (red, black), see layout."""

    image: np.ndarray  # (C, h + 4, w + 4) with two replicated pixels around
    start: np.ndarray  # u_red, u_black, v_red, v_black
    flow: np.ndarray
    difference: np.ndarray  # a pair; from here on shared with the other levels
    tensor: np.ndarray  # a pair of (C, 6, ...)


class NumbaBackend:
    """Steps on the levels of a plan, against one reference.

    Parameters
    ----------
    plan : Plan
        Levels and parameters, see estimator.
    reference : ndarray (H, W, C) float32
        Raw intensities.
    """

    workers = None  # as many threads as the caller likes

    def __init__(self, plan, reference: np.ndarray):
        self.plan = plan
        self._constancy = None if plan.constancy == GC else plan.constancy
        self._a_smooth = None if plan.params.a_smooth == 1 else float(plan.params.a_smooth)
        self._local = threading.local()
        self._constants, self._memory = Block(), Block()
        self.levels = np.zeros(len(plan.levels), LEVEL)
        self._shared, self._rigid = np.zeros(1, SHARED), np.zeros(1, RIGID)
        self._bounds = np.array(plan.bounds, np.float32)
        self._compact = compact_shape(plan.shape, plan.params)
        self._lay_out()
        self._add_tables()
        self._c = self._constants.allocate()
        self._add_reference(reference)
        self._c = self._constants.allocate()

    def _lay_out(self) -> None:
        """Where the arrays lie that a frame overwrites, and the numbers that belong to the plan."""
        plan, m, shared = self.plan, self._memory, self._shared[0]
        (h, w), channels, params = plan.shape, plan.channels, plan.params
        for level, at in zip(plan.levels, self.levels, strict=True):
            at["h"], at["w"] = level.shape
            at["n"] = cells(level.shape[1])
            at["size"] = (at["h"] + 4) * at["n"]
            at["hx"], at["hy"], at["wx"], at["wy"] = level.hx, level.hy, level.wx, level.wy
            at["image"] = m.reserve(channels, at["h"] + 4, at["w"] + 4)
            at["start"], at["flow"] = m.reserve(4, at["size"]), m.reserve(4, at["size"])
        largest = self.levels[0]["size"]
        planes = {"difference": 2, "spare": 4, "tensor": 12 * channels, "system": 10}
        if params.a_smooth < 1:
            planes |= {"edges": 8, "sums": 2}
        for name, count in planes.items():
            shared[name] = m.reserve(count, largest)
        shared["h"], shared["w"], shared["channels"] = h, w, channels
        shared["iterations"], shared["lag"] = params.iterations, params.update_lag
        shared["a_data"], shared["omega"] = params.a_data, plan.omega
        shared["columns"] = m.reserve(10, self.levels[0]["n"])
        shared["row"] = whole_lines(max(w + 4, 2 * self.levels[0]["n"]))
        shared["rows"] = m.reserve(steps.ROWS, shared["row"])

    def _add_tables(self) -> None:
        plan, c, shared = self.plan, self._constants, self._shared[0]
        shared["weights"] = c.add(plan.weights)
        shared["normalisation"] = c.add(np.array(plan.normalisation))
        self._tables = np.zeros((len(plan.levels), plan.channels + 1, 2), TABLE)
        for k, level in enumerate(plan.levels):
            y, x = plan.levels[k - 1].enlarge if k > 0 else plan.to_frame or (None, None)
            back = (y, even_first(x)) if k > 0 else (y, x)
            for i, pair in enumerate((*level.reduce, back)):
                for axis, table in enumerate(pair):
                    if table is not None:
                        self._tables[k, i, axis] = _add_table(c, table)

    def _add_reference(self, reference) -> None:
        plan, c, m, rigid = self.plan, self._constants, self._memory, self._rigid[0]
        work = self.workspace()
        self.load(work, reference)
        for k, (level, at) in enumerate(zip(plan.levels, self.levels, strict=True)):
            images = self.arrays(work, k).image
            at["reference"] = c.add([split(image[2:-2, 2:-2], border=True) for image in images])
            at["theta"] = c.add([flatness(image, level.hx, level.hy) for image in images])
            at["neighbours"] = c.add(_neighbour_weights(level))
        mixed = np.tensordot(plan.weights, self.arrays(work, plan.rigid_level).image, 1)[2:-2, 2:-2]
        start = RigidStart(mixed)
        rigid["level"], (rigid["top"], rigid["left"]) = plan.rigid_level, (part.start for part in start.part)
        (h, w), frequencies = start.shape, start.filter.shape[1]
        ny, nx = (2 * side + 1 for side in start.reach)
        rigid["h"], rigid["w"], rigid["frequencies"], rigid["ny"], rigid["nx"] = h, w, frequencies, ny, nx
        names = "along_x", "along_y", "back_y", "back_x"
        for name, matrix in zip(names, start.matrices(), strict=True):
            rigid[name] = c.add(matrix)
        rigid["window"] = c.add(np.outer(window(h), window(w)))
        rigid["filter"] = c.add([start.filter.real, start.filter.imag])
        rigid["mixed"] = m.reserve(mixed.shape[0] + 4, mixed.shape[1] + 4)
        rigid["part"], rigid["rows"] = m.reserve(w, h), m.reserve(h, 2 * frequencies)
        rigid["spectrum"] = m.reserve(2 * h, frequencies)
        rigid["columns"], rigid["surface"] = m.reserve(2 * ny, frequencies), m.reserve(ny, nx)

    def with_plan(self, plan) -> Self:
        """The same with the smoothness of another plan, all else of which is the same."""
        other = copy(self)  # with our workspaces: they are laid out alike, and a thread is in one estimation at a time
        other.plan, other.levels, other._shared = plan, self.levels.copy(), self._shared.copy()
        other._shared[0]["omega"] = plan.omega
        other._c = aligned(self._c.size)
        other._c[:] = self._c
        for level, at in zip(plan.levels, other.levels, strict=True):
            at["wx"], at["wy"] = level.wx, level.wy
            weights = np.stack(_neighbour_weights(level)).ravel()
            other._c[at["neighbours"] : at["neighbours"] + weights.size] = weights
        return other

    def workspace(self) -> np.ndarray:
        """What one thread needs to work on a frame."""
        return self._memory.allocate()

    def arrays(self, work, k) -> LevelArrays:
        """The arrays of level k in a workspace."""
        level, channels = self.levels[k], self.plan.channels
        h, w, n = (int(level[name]) for name in ("h", "w", "n"))

        def at(start, *shape):
            return work[start : start + int(np.prod(shape))].reshape(shape)

        return LevelArrays(
            image=at(level["image"], channels, h + 4, w + 4),
            start=at(level["start"], 4, h + 4, n),
            flow=at(level["flow"], 4, h + 4, n),
            difference=at(self._shared[0]["difference"], 2, h + 4, n),
            tensor=at(self._shared[0]["tensor"], channels, 2, 6, h + 4, n).swapaxes(0, 1),
        )

    def reference(self, k, channel) -> np.ndarray:
        """The reference on level k, (red, black) with two replicated pixels around."""
        level = self.levels[k]
        first, h, n = level["reference"] + 2 * channel * level["size"], level["h"] + 4, level["n"]
        return self._c[first : first + 2 * level["size"]].reshape(2, h, n)

    def flows(self, frames: np.ndarray, estimate) -> np.ndarray:
        """The flow (n, H, W, 2) of frames (n, H, W, C), the same as by `estimate`, `estimator.coarse_to_fine`."""
        out = np.empty((*frames.shape[:3], 2), np.float32)
        places = self._shared[0], self.levels, self._tables, self._rigid[0]
        terms, step = (self._constancy, self._a_smooth), at_once(self.plan.shape)
        for start in range(0, len(frames), step):
            padded, w = self._padded(frames[start : start + step]), in_lines(out[start : start + step])
            steps.flows(self._c, self._work(), padded, *places, *terms, w)
        return out

    def parts(self, frames: int) -> list[slice]:
        """How to cut a number of frames into what is worked on at once, for threads to share the work."""
        return cut(frames, self.plan.shape)

    def translations(self, frames: np.ndarray) -> np.ndarray:
        """The translations (n, 2) of frames (n, H, W, C), in pixels."""
        found = []
        for frame in frames:
            self.load(self._work(), frame)
            found.append(self.translate(self._work()))
        return np.array(found)

    def register(
        self, frames, smoothed, fill, reference, estimate, *, measured=True, keep_w=True, compact=False
    ) -> Registered:
        """Flow of `smoothed` (n, H, W, C), or of `frames` if that is None; warped `frames`, masks and statistics, see
        `FlowEstimator.register_frames`."""
        w = self.flows(frames if smoothed is None else smoothed, estimate)
        method = self.plan.params.interpolation_method
        registered, valid = warp_frames(frames, w, fill=fill, interpolation=method)
        numbers = statistics(w, valid, registered, reference) if measured else None
        packed = pack_flow(w, self._compact) if compact else None
        return Registered(registered, valid, numbers, w if keep_w else None, packed)

    def _work(self) -> np.ndarray:
        if not hasattr(self._local, "work"):
            self._local.work = self.workspace()
        return self._local.work

    def _padded(self, frames) -> np.ndarray:
        """Frames (n, H, W, C) as (n, C, H + 4, W + 4)."""
        n, h, w, channels = frames.shape
        out = np.empty((n, channels, h + 4, w + 4), np.float32)
        steps.pad(np.moveaxis(frames, -1, 1), self._bounds, out)
        return out

    # The steps, in the order of `estimator.coarse_to_fine`.

    def load(self, work, frame):
        """Normalise, smooth and reduce a raw frame (H, W, C) to every level."""
        steps.load(self._c, work, self._padded(frame[None])[0], self._shared[0], self.levels, self._tables)

    def translate(self, work) -> tuple[float, float]:
        """The translation (u, v) of the loaded frame, in pixels of the full frame."""
        return steps.translate(self._c, work, self._shared[0], self.levels, self._rigid[0])

    def shift(self, work, k, translation):
        """Start level k from one translation (u, v), in pixels of the full frame."""
        steps.shift(self._c, work, self.levels, k, *translation)

    def enlarge(self, work, k):
        """Start level k from the flow of the next coarser one."""
        steps.enlarge(self._c, work, self._shared[0], self.levels, self._tables, k)

    def constrain(self, work, k):
        """Warp the level's frame with its starting flow and form the motion tensor of every channel."""
        steps.constrain(self._c, work, self._shared[0], self.levels, k, self._constancy)

    def solve(self, work, k):
        """Relax the flow of level k from its start."""
        steps.solve(self._c, work, self._shared[0], self.levels, k, self._a_smooth)

    def smooth(self, work, k):
        """Replace the increment of level k by its 5 x 5 median."""
        steps.smooth(work, self._shared[0], self.levels, k)

    def finish(self, work) -> np.ndarray:
        """The flow (H, W, 2) of the full frame from the finest level."""
        out = np.empty((*self.plan.shape, 2), np.float32)
        steps.finish(self._c, work, self._shared[0], self.levels, self._tables, in_lines(out))
        return out


def _add_table(block, table):
    at = block.add(table.start.view(np.float32))
    block.add(table.weight)
    return at, *table.weight.shape


def _neighbour_weights(level):
    """Sum of the constant neighbour weights of each pixel, zero in cells without a pixel."""
    h, w = level.shape
    rows, columns = np.full(h, 2.0), np.full(w, 2.0)
    rows[[0, -1]] = columns[[0, -1]] = 1
    return split((level.wy * rows[:, None] + level.wx * columns[None, :]).astype(np.float32))
