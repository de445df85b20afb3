"""Self-calibration: the smoothness that suits a recording, and the error to expect, without knowing its true motion.

Some frames are registered to the reference with a safe smoothness. What remains of them, noise and activity of the
recording itself, is put onto the reference warped by known random motion of the recording's own size; on these frames
the true error is known, and the smoothness with the smallest one is taken. This is done twice: with the smoothness that
the first round takes, at a coarse level, the second sees more of the motion and leaves less of it in what remains.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from lib.outliers import displaced, unlike

from .backend import Backend
from .estimator import FlowEstimator
from .known_motion import Simulated, broken_up, residual, simulated
from .motion import Basis, random_motion, true_sizes
from .params import FlowParams

SAFE_ALPHA = 72.0, 12.0  # along x and y: good enough on most recordings, and shows fine jitter of the scan
SAFE_LEVEL = 4  # finest level for residuals and motion, whatever the preset
FRAMES = 16  # of the recording, at most
PIXELS = 6 * 512**2  # of all simulated frames together;
MORE_PIXELS = 10 * 512**2  # where the finest level is coarse, and the time goes into making the frames;
COUNTS = 4, 16  # but no fewer and no more frames than these
START = 24.0, 1.0  # the first alpha tried and its alpha_x : alpha_y, in the first round; from there by factors of two
ENOUGH = 1.03, 1.3  # in both directions until the error is so many times the smallest, in the two rounds
LIMITS = 0.01, 1e5  # or so far
RATIOS = 0.5, 32.0  # alpha_x : alpha_y, as long as the error falls
EXTREME = 1e6  # times the reference's range: beyond it, no value of a frame makes sense
RELATED = 0.02  # correlation with the reference that half of the registered frames reach
BORDER = 24  # pixels, or a twentieth of the height if that is more: left out of errors


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found.

    Attributes
    ----------
    params : FlowParams
        The parameters to use; alpha as a pair of numbers.
    predicted_epe : float or None
        Mean endpoint error to expect, in pixels, without the border; None where it cannot be told.
    curve : tuple of dict
        The settings that were tried: `alpha` a and `ratio` r stand for (a sqrt(r), a / sqrt(r)), `epe` in pixels.
    motion : dict
        Root mean square of the recording's motion, in pixels: `shift`, `rows` (varies along y only), `deformation`.
    note : str or None
        Why nothing could be chosen or predicted, in words.
    """

    params: FlowParams
    predicted_epe: float | None
    curve: tuple[dict, ...]
    motion: dict[str, float]
    note: str | None = None


def calibrate(
    reference,
    frames,
    params: FlowParams,
    seed: int = 0,
    *,
    choose: bool = True,
    threads: int = 1,
    backend: str | Backend = "numba",
) -> Calibration:
    """Find the smoothness alpha with which frames of a recording are registered best.

    Parameters
    ----------
    reference : ndarray (H, W) or (H, W, C)
        Raw intensities.
    frames : ndarray (T, H, W[, C])
        Some frames of the recording, as the flow will be estimated on. At most 16 of them are used.
    params : FlowParams
        Everything but alpha, if that is to be chosen.
    choose : bool
        Choose alpha; else predict the error of the given one only.
    seed : int
        Of the random motion; the same seed gives the same result.
    threads : int
        Frames worked on at once; the result does not depend on it.
    backend : {"numba", "cupy"} or Backend
        What computes the flow.

    Raises
    ------
    ValueError
        There is no frame, or frames have another shape than the reference, or hold NaN or Inf.
    """
    reference, frames = np.asarray(reference, np.float32), np.asarray(frames)
    if len(frames) == 0 or frames.shape[1:] != reference.shape:
        raise ValueError(
            f"frames have shape {frames.shape}; expected (T, {', '.join(map(str, reference.shape))}), T > 0"
        )
    frames = frames[np.unique(np.linspace(0, len(frames) - 1, FRAMES).round().astype(int))]
    if not np.isfinite(frames).all():
        raise ValueError("frames hold NaN or Inf; expected finite intensities")
    span = float(np.ptp(reference)) or 1.0
    frames = [frame for frame in frames if max(abs(float(frame.min())), abs(float(frame.max()))) < EXTREME * span]
    shape, safe = reference.shape[:2], replace(params, alpha=SAFE_ALPHA, min_level=SAFE_LEVEL)
    few, many = (int(np.clip(pixels // np.prod(shape), *COUNTS)) for pixels in (PIXELS, MORE_PIXELS))
    with ThreadPoolExecutor(threads) as pool:
        estimator, basis = FlowEstimator(reference, safe, backend), Basis.of(shape, SAFE_ALPHA)
        simulator = _Simulator(reference, np.random.default_rng(seed), pool)
        seen, likeness = simulator.learn(frames, estimator, basis)
        if note := _no_use(reference, simulator.rest, likeness):
            return Calibration(replace(params, alpha=SAFE_ALPHA) if choose else params, None, (), {}, note)
        belong = ~unlike(likeness)
        belong &= ~displaced(seen[..., 0], shape, among=belong)
        seen, frames = seen[belong], [frame for frame, use in zip(frames, belong, strict=True) if use]
        simulator.rest = [rest for rest, use in zip(simulator.rest, belong, strict=True) if use]
        motion = _true_motion(estimator, basis, seen, simulator.frames(basis, seen, few), pool)

        trial = simulator.frames(basis, motion, few)
        best, _ = _search(estimator, trial, START, ENOUGH[0], pool)
        estimator, basis = estimator.with_alpha(pair(*best)), Basis.of(shape, pair(*best))
        seen, _ = simulator.learn(frames, estimator, basis)
        motion = _true_motion(estimator, basis, seen, trial, pool)

        estimator = FlowEstimator(reference, params, backend)
        trial = simulator.frames(basis, motion, many if params.finest_level >= SAFE_LEVEL else few)
        if choose:
            best, curve = _search(estimator, trial, best, ENOUGH[1], pool)
        else:
            ax, ay = params.alpha_xy
            curve = {(float(np.sqrt(ax * ay)), float(ax / ay)): _mean_error(estimator, trial, pool)}
    return Calibration(
        replace(params, alpha=pair(*best)) if choose else params,
        min(curve.values()),
        tuple({"alpha": a, "ratio": r, "epe": epe} for (a, r), epe in sorted(curve.items())),
        _summary(motion, basis),
    )


class _Simulator:
    """Makes frames with known motion of a reference (H, W[, C]) and of what was learned from a recording's frames."""

    def __init__(self, reference: np.ndarray, rng: np.random.Generator, pool: ThreadPoolExecutor):
        self.reference, self.rng, self.pool = reference, rng, pool
        self.rest: list[np.ndarray] = []  # what each frame shows beside the reference

    def learn(self, frames, estimator: FlowEstimator, basis: Basis) -> tuple[np.ndarray, np.ndarray]:
        """Register frames and keep what they show beside the reference; return their motion (T, 2, K), how alike."""
        flows = _flows(estimator, frames, self.pool)
        pairs = list(self.pool.map(lambda frame, flow: residual(self.reference, frame, flow), frames, flows))
        self.rest = [rest for rest, _ in pairs]
        motion = np.array([basis.analyse(flow) for flow in flows])
        return motion, np.array([likeness for _, likeness in pairs])

    def frames(self, basis: Basis, motion: np.ndarray, count: int) -> list[Simulated]:
        """`count` frames with motion like `motion` (T, 2, K)."""
        seeds = self.rng.integers(2**63, size=count)
        inverse = [basis.synthesise(one) for one in random_motion(basis, motion, count, self.rng)]
        rest = [self.rest[i * max(len(self.rest), count) // count % len(self.rest)] for i in range(count)]

        def one(rest, seed, w):
            return simulated(self.reference, broken_up(rest, seed), w)

        return list(self.pool.map(one, rest, seeds, inverse))


def _true_motion(estimator, basis, seen: np.ndarray, trial: list[Simulated], pool) -> np.ndarray:
    """The motion (T, 2, K) of which `seen` was found; what is lost and added shows on frames whose flow is known."""
    found = _flows(estimator, [one.frame for one in trial], pool)
    known, found = (np.stack([basis.analyse(w) for w in some]) for some in ((one.flow for one in trial), found))
    return seen * true_sizes(basis, seen, known, found)


def _flows(estimator: FlowEstimator, frames, pool) -> list[np.ndarray]:
    """The flow of every frame, in parts as large as the backend takes them."""
    parts = (np.stack(frames[part]) for part in estimator.parts(len(frames)))
    return [flow for flows in pool.map(estimator.flows, parts) for flow in flows]


def _no_use(reference: np.ndarray, rest: Sequence[np.ndarray], likeness: np.ndarray) -> str | None:
    """Why nothing can be learned from these images, if that is so."""
    if not rest:
        return "no frame can be registered: their values are beyond what the reference lets expect"
    span = float(np.ptp(reference))
    if span == 0:
        return "the reference is constant: there is nothing to register"
    if max(float(one.std()) for one in rest) < 1e-6 * span:
        return "the frames are the reference itself: they do not tell how noisy the recording is"
    if np.median(likeness) < RELATED:
        return "the frames do not resemble the reference"
    return None


def pair(alpha: float, ratio: float) -> tuple[float, float]:
    """alpha_x and alpha_y with the geometric mean `alpha` and the ratio alpha_x : alpha_y."""
    return float(alpha * ratio**0.5), float(alpha / ratio**0.5)


def error(estimated: np.ndarray, true: np.ndarray) -> float:
    """Mean endpoint error in pixels without the border (as much of it as a small frame affords)."""
    h, w = true.shape[:2]
    by, bx = (min(max(BORDER, h // 20), side // 4) for side in (h, w))
    e = (estimated - true)[by : h - by, bx : w - bx]
    return float(np.sqrt(e[..., 0] ** 2 + e[..., 1] ** 2).mean(dtype=np.float64))


def _mean_error(estimator: FlowEstimator, trial: list[Simulated], pool) -> float:
    """The error on frames whose flow is known, in pixels."""
    flows = _flows(estimator, [one.frame for one in trial], pool)
    return float(np.mean(list(pool.map(error, flows, (one.flow for one in trial)))))


def _search(estimator: FlowEstimator, trial: list[Simulated], start: tuple[float, float], enough: float, pool):
    """Try alpha by factors of two, then ratios, then alpha in between; the best, (alpha, ratio), and all errors."""
    tried: dict[tuple[float, float], float] = {}

    def epe(alpha: float, ratio: float) -> float:
        if (alpha, ratio) not in tried:
            tried[alpha, ratio] = _mean_error(estimator.with_alpha(pair(alpha, ratio)), trial, pool)
        return tried[alpha, ratio]

    def best() -> tuple[float, float]:
        return min(tried, key=lambda key: (tried[key], key))

    alpha, ratio = start
    epe(alpha, ratio)
    for factor in (0.5, 2.0):
        alpha = start[0] * factor
        while LIMITS[0] < alpha < LIMITS[1] and epe(alpha, ratio) < enough * min(tried.values()):
            alpha *= factor
    alpha = best()[0]
    for factor in (0.5, 2.0):
        other = ratio * factor
        while RATIOS[0] <= other <= RATIOS[1] and epe(alpha, other) <= min(tried.values()):
            other *= factor
    alpha, ratio = best()
    for finer in (alpha * 2**-0.5, alpha * 2**0.5):
        epe(finer, ratio)
    return best(), tried


def _summary(coefficients: np.ndarray, basis: Basis) -> dict[str, float]:
    power = (coefficients**2).mean(0).sum(0)
    ky, kx = np.nonzero(basis.kept)
    parts = {"shift": (ky == 0) & (kx == 0), "rows": (ky > 0) & (kx == 0), "deformation": kx > 0}
    return {name: float(np.sqrt(power[use].sum())) for name, use in parts.items()}
