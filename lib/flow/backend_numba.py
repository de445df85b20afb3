"""The Numba backend: a workspace per thread, and the steps of the method on one level.

The estimator calls these steps in their order; the CUDA twins take the same place on a GPU.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from . import median, pyramid, relax, tensor, warp
from .layout import empty_plane, replicate_border, split


@dataclass(frozen=True)
class _Scratch:
    """Arrays of one level that every frame overwrites; `image` is one padded (h + 4, w + 4) plane per channel."""

    image: list
    mean: tuple
    difference: tuple
    tensor: tuple
    system: tuple
    start: tuple
    flow: tuple
    spare: tuple
    edges: tuple | None
    neighbours: tuple


class NumbaBackend:
    """Steps on the levels of a plan, against one reference.

    Parameters
    ----------
    plan : Plan
        Levels and parameters, see estimator.
    reference : ndarray (H, W, C)
        Raw intensities.
    """

    def __init__(self, plan, reference):
        self.plan = plan
        scratch = self.workspace()
        self.load(scratch, reference)
        self.reference = [[_with_border(image[2:-2, 2:-2]) for image in level.image] for level in scratch]
        self.neighbours = [_neighbour_weights(level) for level in plan.levels]
        self.images = [self.mixed(scratch, k) for k in range(len(plan.levels))]

    def workspace(self) -> list:
        """What one thread needs to work on a frame, finest level first."""
        make, channels = [], self.plan.channels
        for level in self.plan.levels:
            plane = partial(empty_plane, level.shape)
            h, w = level.shape
            weighted = self.plan.params.a_smooth < 1
            make.append(_Scratch(
                image=[np.zeros((h + 4, w + 4), np.float32) for _ in range(channels)],
                mean=plane(), difference=plane(), tensor=plane(channels, 6), system=plane(5),
                start=(*plane(), *plane()), flow=(*plane(), *plane()), spare=(plane(), plane()),
                edges=plane(4) if weighted else None, neighbours=plane() if weighted else None,
            ))  # fmt: skip
        return make

    def load(self, work, frame):
        """Normalise, smooth and reduce a raw frame (H, W, C) to every level."""
        buffer = np.empty(self.plan.shape[1], np.float32)
        for c in range(self.plan.channels):
            image = np.ascontiguousarray(frame[..., c])
            offset, scale = self.plan.normalisation[c]
            for level, scratch in zip(self.plan.levels, work, strict=True):
                ty, tx = level.reduce[c]
                pyramid.resample_image(
                    image, ty.start, ty.weight, tx.start, tx.weight, offset, scale, buffer, scratch.image[c]
                )
                image, offset, scale = scratch.image[c][2:-2, 2:-2], 0.0, 1.0

    def mixed(self, work, k) -> np.ndarray:
        """The weighted mean of the channels on level k, (h, w)."""
        return sum(w * image[2:-2, 2:-2] for w, image in zip(self.plan.weights, work[k].image, strict=True))

    def shift(self, work, k, u, v):
        """Start level k from one translation (u, v), in pixels of the full frame."""
        for component, value in zip((0, 2), (u, v), strict=True):
            for colour in (0, 1):
                work[k].start[component + colour][...] = np.where(self.neighbours[k][colour] > 0, np.float32(value), 0)

    def enlarge(self, work, k):
        """Start level k from the flow of the next coarser one."""
        ty, tx = self.plan.levels[k].enlarge
        coarse, start = work[k + 1].flow, work[k].start
        buffer = np.empty((2, coarse[0].shape[1]), np.float32)
        for c in (0, 2):
            pyramid.resample_flow(
                coarse[c],
                coarse[c + 1],
                ty.start,
                ty.weight,
                tx.start,
                tx.weight,
                buffer,
                start[c],
                start[c + 1],
            )

    def constrain(self, work, k):
        """Warp the level's frame with its starting flow and form the motion tensor of every channel."""
        level, s = self.plan.levels[k], work[k]
        for c in range(self.plan.channels):
            warp.warp_level(s.image[c], self.reference[k][c], s.start, level.hx, level.hy, s.mean, s.difference)
            J = s.tensor[0][c], s.tensor[1][c]
            tensor.motion_tensor(
                self.plan.constancy, s.mean, s.difference, level.shape[1], level.hx, level.hy, J, s.spare
            )

    def solve(self, work, k):
        """Relax the flow of level k from its start."""
        level, params, s = self.plan.levels[k], self.plan.params, work[k]
        for flow, start in zip(s.flow, s.start, strict=True):
            flow[...] = start
        done, omega = 0, self.plan.omega
        while done < params.iterations:
            sweeps = min(params.update_lag, params.iterations - done)
            if s.edges is None:
                relax.renew_system(
                    s.tensor, self.plan.weights, s.start, s.flow, params.a_data, self.neighbours[k], s.system
                )
                relax.sweep(s.system, level.wx, level.wy, omega, sweeps, s.flow)
            else:
                relax.renew_edges(
                    s.flow,
                    level.shape[1],
                    level.wx,
                    level.wy,
                    level.hx,
                    level.hy,
                    params.a_smooth,
                    s.edges,
                    s.neighbours,
                )
                relax.renew_system(s.tensor, self.plan.weights, s.start, s.flow, params.a_data, s.neighbours, s.system)
                relax.sweep_edges(s.system, s.edges, omega, sweeps, s.flow)
            done += sweeps

    def smooth(self, work, k):
        """Replace the increment of level k by its 5 x 5 median."""
        s = work[k]
        for c in (0, 2):
            median.median_increment(
                s.start[c], s.start[c + 1], self.plan.levels[k].shape[1], s.spare[0], s.flow[c], s.flow[c + 1]
            )

    def finish(self, work) -> np.ndarray:
        """The flow (H, W, 2) of the full frame from the finest level."""
        out = np.empty((*self.plan.shape, 2), np.float32)
        ty, tx = self.plan.to_frame
        flow = work[0].flow
        buffer = np.empty((2, flow[0].shape[1]), np.float32)
        for c in (0, 1):
            pyramid.resample_flow_to_frame(
                flow[2 * c], flow[2 * c + 1], ty.start, ty.weight, tx.start, tx.weight, buffer, out[..., c]
            )
        return out


def _with_border(image):
    """Red-black storage of an image with its ghost cells replicated."""
    plane = split(image)
    replicate_border(*plane, *image.shape)
    return plane


def _neighbour_weights(level):
    """Sum of the constant neighbour weights of each pixel, zero in cells without a pixel."""
    h, w = level.shape
    rows = np.full(h, 2.0)
    rows[[0, -1]] = 1
    columns = np.full(w, 2.0)
    columns[[0, -1]] = 1
    return split((level.wy * rows[:, None] + level.wx * columns[None, :]).astype(np.float32))
