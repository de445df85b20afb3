"""The reference of a recording: frames pre-registered to each other and averaged."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from lib.compensation import default_batch
from lib.flow import FlowEstimator, FlowParams, warp_and_mask

EXTRA_ALPHA = 2.0  # the pre-registration is stiffer than the final one, and
EXTRA_SIGMA = 1.0  # pixels: smoother, because it works against a single frame's noise


def reference_indices(spec: str | list[int], frames: int) -> np.ndarray:
    """The frames that a setting of `reference_frames` names, of a recording with `frames` frames.

    Parameters
    ----------
    spec : "start:stop" or list of int
        Frames from 0; a range is clipped to what exists.

    Raises
    ------
    ValueError
        For a list that names a frame which does not exist.

    Notes
    -----
    A recording that ends before the range starts is used whole.
    """
    if isinstance(spec, str):
        start, stop = (int(part) for part in spec.split(":"))
        return np.arange(start if start < frames else 0, min(stop, frames))
    indices = np.asarray(spec, dtype=np.intp)
    wrong = indices[(indices < 0) | (indices >= frames)]
    if wrong.size:
        raise ValueError(
            f"flow_options.reference_frames names frame {wrong[0]}, but the recording has frames 0 to {frames - 1}; "
            "name frames that exist in every recording"
        )
    return indices


def build_reference(recording, params: FlowParams, *, indices: np.ndarray, threads: int = 1) -> np.ndarray:
    """Average of the frames `indices`, registered to each other.

    All frames are first shifted, by whole pixels and towards their median position, and averaged. The flow of every
    frame to that first average is then estimated with a stronger prefilter (+1 pixel) and smoothness (alpha + 2), and
    the warped frames are averaged where they are valid.

    Parameters
    ----------
    recording : Recording
        Open for reading.
    params : FlowParams
        Those of the final registration.
    indices : ndarray of int
        Frames to use, from 0.
    threads : int
        Frames worked on at once; the result does not depend on it.

    Returns
    -------
    ndarray (H, W[, C]) float64, in raw intensities
    """
    with ThreadPoolExecutor(threads) as pool:
        first = _shifted_average(recording, params, indices, pool)
        alpha = tuple(a + EXTRA_ALPHA for a in params.alpha_xy)
        sigma = tuple((x + EXTRA_SIGMA, y + EXTRA_SIGMA, t) for x, y, t in params.channel_sigma(recording.channels))
        estimator = FlowEstimator(first, replace(params, alpha=alpha, sigma=sigma))

        def register(frame):
            w = estimator(frame)
            return warp_and_mask(frame.astype(np.float32), w, fill=0)

        return _masked_mean(_map(pool, register, recording, indices), first)


def _shifted_average(recording, params, indices, pool) -> np.ndarray:
    """Average of frames that are shifted by whole pixels to their median position."""
    middle = recording.read_frames(indices[len(indices) // 2 : len(indices) // 2 + 1])[0]
    estimator = FlowEstimator(middle, params)
    shifts = np.array(list(_map(pool, estimator.translation, recording, indices)))
    shifts = np.rint(shifts - np.median(shifts, axis=0)).astype(int)
    frames = _map(pool, lambda frame: frame, recording, indices)
    return _masked_mean((_shift(frame, *shift) for frame, shift in zip(frames, shifts, strict=True)), middle)


def _shift(frame: np.ndarray, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """frame(. + x, . + y) for whole pixels, and where that lies inside the frame."""
    h, w = frame.shape[:2]
    shifted, valid = np.zeros(frame.shape, np.float32), np.zeros((h, w), bool)
    to = slice(max(-y, 0), h - max(y, 0)), slice(max(-x, 0), w - max(x, 0))
    source = slice(max(y, 0), h - max(-y, 0)), slice(max(x, 0), w - max(-x, 0))
    shifted[to], valid[to] = frame[source], True
    return shifted, valid


def _masked_mean(images, otherwise: np.ndarray) -> np.ndarray:
    """Mean over (image, valid mask) pairs, added in order; `otherwise` where no image is valid."""
    total, count = np.zeros(otherwise.shape), np.zeros(otherwise.shape[:2])
    for image, valid in images:
        total[valid] += image[valid]
        count += valid
    count = count.reshape(count.shape + (1,) * (total.ndim - 2))
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)


def _map(pool, function, recording, indices):
    """function(frame) of the frames `indices`, in order; only a batch of frames and results is in memory at once."""
    step = default_batch(recording)
    for start in range(0, len(indices), step):
        yield from pool.map(function, recording.read_frames(indices[start : start + step]))
