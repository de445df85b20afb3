"""Dense variational flow between a frame and a reference, coarse to fine.

On each level of a pyramid the flow is started from the coarser level (the coarsest from a rigid shift), the frame is
warped with it, and the increment that minimises

    sum_k weight_k psi_d(d^T J_k d) + alpha_x psi_s(|d/dx (u + du, v + dv)|^2) + alpha_y psi_s(|d/dy (u + du, v +
    dv)|^2)

with d = (du, dv, 1) and psi(s2) = (s2 + 1e-5)^a is solved for and passed through a 5 x 5 median.

Brox, Bruhn, Papenberg, Weickert, ECCV 2004; Sun, Roth, Black, CVPR 2010; Flotho et al., J. Biophotonics 2022.
"""

from copy import copy
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .backend import Backend, as_backend
from .jit import compiled_elsewhere
from .params import FlowParams
from .pyramid import Table, resample_table
from .register import Registered, as_type, warp_frames
from .tensor import CS, GC, GRAY

SMALLEST_SIDE = 10  # pixels: the pyramid ends above it
# The rigid start is found on the finest level whose sides are within so many pixels, and half of the frame's.
RIGID_SIDE = 64
EMPTY = 1e-5  # of the values: what a reference spans through rounding alone
TWICE = 2**0.5 - 1  # of alpha: a flow that is smoothed twice loses as much at the wave length that once would halve
FAR = 1e6  # times what the reference spans: frames are clipped there, so that squares of squares stay finite


@dataclass(frozen=True)
class Level:
    """One level of the pyramid; tables lead to it from the next finer (or the frame), and from the next coarser one."""

    shape: tuple[int, int]
    hx: float  # pixel size, in pixels of the full frame
    hy: float
    wx: float  # weight of a neighbour along x and y: alpha / h^2
    wy: float
    reduce: tuple[tuple[Table, Table], ...]  # per channel (y, x)
    enlarge: tuple[Table, Table] | None


@dataclass(frozen=True)
class Plan:
    """Everything about an estimation that does not depend on the images: levels, finest first, tables, weights."""

    shape: tuple[int, int]
    channels: int
    params: FlowParams
    constancy: int
    omega: float
    weights: np.ndarray  # (C,) float32
    normalisation: tuple[tuple[float, float], ...]  # per channel (offset, scale)
    bounds: tuple[tuple[float, float], ...]  # per channel (low, high), to which raw values are clipped
    levels: tuple[Level, ...]
    rigid_level: int  # where the rigid start is found
    to_frame: tuple[Table, Table] | None  # none where the finest level is the frame itself


def level_shapes(shape: tuple[int, int], params: FlowParams) -> list[tuple[int, tuple[int, int]]]:
    """The levels that are solved as (number, (h, w)), finest first."""
    shapes, level = [], 0
    while level < params.levels or level == 0:
        size = tuple(round(side * params.eta**level) for side in shape)
        if min(size) < SMALLEST_SIDE and level > 0:
            break
        shapes.append((level, size))
        level += 1
    finest = min(params.finest_level, len(shapes) - 1)
    return shapes[finest:]


def make_plan(reference: np.ndarray, params: FlowParams) -> Plan:
    """The plan for frames like `reference` (H, W, C)."""
    shape, channels = reference.shape[:2], reference.shape[2]
    numbered = level_shapes(shape, params)
    sigma = params.channel_sigma(channels)
    levels = []
    for k, (number, size) in enumerate(numbered):
        hy, hx = (full / side for full, side in zip(shape, size, strict=True))
        source = shape if k == 0 else numbered[k - 1][1]
        reduce = []
        for sx, sy, _ in sigma:
            blur = [
                _extra_sigma(full, source[axis], size[axis], s, first=k == 0)
                for axis, (full, s) in enumerate(zip(shape, (sy, sx), strict=True))
            ]
            reduce.append(tuple(resample_table(source[a], size[a], blur[a]) for a in (0, 1)))
        coarser = numbered[k + 1][1] if k + 1 < len(numbered) else None
        enlarge = None
        if coarser:
            enlarge = resample_table(coarser[0], size[0]), resample_table(coarser[1], size[1])
        levels.append(Level(size, hx, hy, *_smoothness(params, k, number, hx, hy), tuple(reduce), enlarge))
    rigid_side = min(RIGID_SIDE, max(shape) // 2)
    fits = [k for k, (_, size) in enumerate(numbered) if max(size) <= rigid_side]
    normalisation = _normalisation(reference, params.channel_normalization)
    return Plan(
        shape=shape,
        channels=channels,
        params=params,
        constancy={"gc": GC, "gray": GRAY, "cs": CS}[params.constancy_assumption],
        omega=relaxation_factor(params, levels[0]),
        weights=np.array(params.channel_weight(channels), np.float32),
        normalisation=normalisation,
        bounds=tuple(_bounds(offset, scale) for offset, scale in normalisation),
        levels=tuple(levels),
        rigid_level=fits[0] if fits else len(levels) - 1,
        to_frame=_to_frame(numbered[0][1], shape),
    )


def _smoothness(params: FlowParams, k: int, number: int, hx: float, hy: float) -> tuple[float, float]:
    """Weights of a neighbour along x and y on the k-th level from the finest one, whose number is `number`."""
    scale = TWICE * (1.0 if k == 0 else params.eta ** (-number / 2))
    ax, ay = params.alpha_xy
    return scale * ax / hx**2, scale * ay / hy**2


def with_alpha(plan: Plan, alpha) -> Plan:
    """The same plan for another smoothness."""
    params = replace(plan.params, alpha=alpha)
    levels = []
    for k, ((number, _), level) in enumerate(zip(level_shapes(plan.shape, params), plan.levels, strict=True)):
        wx, wy = _smoothness(params, k, number, level.hx, level.hy)
        levels.append(replace(level, wx=wx, wy=wy))
    return replace(plan, params=params, levels=tuple(levels), omega=relaxation_factor(params, levels[0]))


def _to_frame(finest: tuple[int, int], shape: tuple[int, int]) -> tuple[Table, Table] | None:
    if finest == shape:
        return None
    return resample_table(finest[0], shape[0]), resample_table(finest[1], shape[1])


def relaxation_factor(params: FlowParams, finest: Level) -> float:
    """Over-relaxation of the sweeps, 1.95 at most.

    The farther smoothness carries, in pixels of the finest level, the more is needed (Young, 1971, gives the best one
    for sweeps without end). Few sweeps cannot damp what much of it leaves. The constants were found by measuring.
    """
    reach2 = float(np.sqrt(np.prod(params.alpha_xy))) / (finest.hx * finest.hy)  # squared, up to the data's weight
    return min(1.95, 2 / (1 + max(0.7 / params.iterations, min(0.3 / reach2, 1 / 3))))


def _extra_sigma(full: int, source: int, size: int, sigma: float, first: bool) -> float:
    """Blur to add on the way from `source` to `size` samples, in source samples (variances add).

    A level of pixel size h has the prefilter and an anti-alias Gaussian of (h - 1) / 2 full-resolution pixels behind
    it.
    """
    target = sigma**2 + ((full / size - 1) / 2) ** 2
    present = 0.0 if first else sigma**2 + ((full / source - 1) / 2) ** 2
    return float(np.sqrt(max(target - present, 0.0)) * source / full)


def _normalisation(reference, mode):
    """Offset and scale per channel; scale 0 takes out a channel in which the reference shows nothing but rounding."""
    low, high = reference.min((0, 1)).astype(float), reference.max((0, 1)).astype(float)
    if mode == "joint":
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    empty = high - low <= EMPTY * np.maximum(abs(low), abs(high))
    return tuple((float(a), 0.0 if e else 1.0 / float(b - a)) for a, b, e in zip(low, high, empty, strict=True))


def _bounds(offset: float, scale: float) -> tuple[float, float]:
    reach = FAR / scale if scale else 0.0
    return offset - reach, offset + reach


def coarse_to_fine(backend, work, frames):
    """The flow of what a backend takes at once, in its workspace: a frame (Numba) or a batch of frames (CuPy)."""
    levels = backend.plan.levels
    backend.load(work, frames)
    backend.shift(work, len(levels) - 1, backend.translate(work))
    for k in reversed(range(len(levels))):
        if k + 1 < len(levels):
            backend.enlarge(work, k)
        backend.constrain(work, k)
        backend.solve(work, k)
        backend.smooth(work, k)
    return backend.finish(work)


class FlowEstimator:
    """Estimate the backward flow from frames to one reference.

    Parameters
    ----------
    reference : ndarray (H, W) or (H, W, C)
        Raw intensities; at least 10 pixels a side.
    params : FlowParams
    backend : {"numba", "cupy"} or Backend
        What computes: the CPU, or a GPU, the first one unless a `Backend` says which.

    Raises
    ------
    ValueError
        For a reference of another dimension, too small, or not finite; an unknown backend; parameters given for another
        number of channels.
    DeviceError
        For "cupy" without CuPy, without a GPU, or with too little memory on it.

    Notes
    -----
    The result for a frame depends on nothing but the frame, the reference and the parameters. One estimator may be
    called from several threads at once; each has its own workspace.
    """

    def __init__(self, reference: np.ndarray, params: FlowParams, backend: str | Backend = "numba"):
        reference = np.asarray(reference)
        if reference.ndim not in (2, 3) or min(reference.shape[:2]) < SMALLEST_SIDE:
            raise ValueError(
                f"reference has shape {reference.shape}; expected (H, W) or (H, W, C), "
                f"at least {SMALLEST_SIDE} pixels a side"
            )
        if not np.isfinite(reference).all():
            raise ValueError("reference holds NaN or Inf; expected finite intensities")
        backend = as_backend(backend)
        self.params = params
        self.reference = reference
        stack = reference.reshape(*reference.shape[:2], -1).astype(np.float32)
        self.plan = make_plan(stack, params)
        if backend.name == "numba":
            compiled_elsewhere(constancy_assumption=params.constancy_assumption, a_smooth=params.a_smooth)
        self._backend = backend.estimation(self.plan, stack)

    def with_alpha(self, alpha: float | tuple[float, float]) -> Self:
        """The same with another smoothness, at little cost: reference and workspaces are shared."""
        other = copy(self)
        other.plan = with_alpha(self.plan, alpha)
        other.params = other.plan.params
        other._backend = self._backend.with_plan(other.plan)
        return other

    @property
    def workers(self) -> int | None:
        """How many threads can work at once; None where that is up to the caller."""
        return self._backend.workers

    def parts(self, frames: int) -> list[slice]:
        """How to cut a number of frames into what is computed at once, for threads to share the work."""
        return self._backend.parts(frames)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Flow of one frame.

        Parameters
        ----------
        frame : ndarray, shape of the reference
            Raw finite intensities of any integer type, float32 or float64.

        Returns
        -------
        ndarray (H, W, 2) float32
            Backward displacement in pixels: reference(x, y) matches frame(x + u, y + v).

        Raises
        ------
        ValueError
            If the frame's shape is not the reference's.
        """
        return self.flows(frame[None])[0]

    def flows(self, frames: np.ndarray) -> np.ndarray:
        """Flow (n, H, W, 2) of several frames (n, H, W[, C])."""
        return self._backend.flows(self._stack(frames), coarse_to_fine)

    def translations(self, frames: np.ndarray) -> np.ndarray:
        """The rigid part alone of several frames (n, H, W[, C]), by phase correlation: (n, 2) float64, u and v."""
        return self._backend.translations(self._stack(frames))

    def translation(self, frame: np.ndarray) -> tuple[float, float]:
        """The rigid part alone, from which `__call__` starts: (u, v) in pixels, by phase correlation."""
        u, v = self.translations(frame[None])[0]
        return float(u), float(v)

    def register(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Register one frame to the reference.

        Returns
        -------
        registered : ndarray, shape and dtype of `frame`
            The frame warped by `w`; invalid pixels hold the reference.
        w : ndarray (H, W, 2) float32
        valid : ndarray (H, W) bool
            Pixels whose source position lies inside the frame.
        """
        w = self(frame)
        method = self.params.interpolation_method
        registered, valid = warp_frames(frame[None], w[None], fill=self.reference, interpolation=method)
        return registered[0], w, valid[0]

    def register_frames(
        self,
        frames: np.ndarray,
        smoothed: np.ndarray | None = None,
        fill: np.ndarray | None = None,
        *,
        measured: bool = True,
        keep_w: bool = True,
        compact: bool = False,
    ) -> Registered:
        """Register several frames, and say how well.

        Parameters
        ----------
        frames : ndarray (n, H, W[, C])
            What is warped.
        smoothed : ndarray (n, H, W[, C]), optional
            What the flow is estimated on; by default `frames`.
        fill : ndarray (H, W[, C]), optional
            Shown where a frame has no data, in the frames' type; by default the reference.
        measured, keep_w, compact : bool
            Return the statistics, the displacements, and those as `pack_flow` makes them.
        """
        fill = as_type(self.reference if fill is None else fill, frames.dtype)
        smoothed = None if smoothed is None or smoothed is frames else self._stack(smoothed)
        stacks = self._stack(frames), smoothed, self._plane(fill), self._plane(self.reference)
        done = self._backend.register(*stacks, coarse_to_fine, measured=measured, keep_w=keep_w, compact=compact)
        return done._replace(registered=done.registered.reshape(frames.shape))

    def _plane(self, image: np.ndarray) -> np.ndarray:
        """An image as (H, W, C)."""
        return image.reshape(*image.shape[:2], -1)

    def _stack(self, frames: np.ndarray) -> np.ndarray:
        """Frames as (n, H, W, C), of the reference's shape."""
        if frames.shape[1:] != self.reference.shape:
            raise ValueError(f"frame has shape {frames.shape[1:]}; expected the reference's {self.reference.shape}")
        return frames.reshape(*frames.shape[:3], -1)
