"""The reference of a recording: frames that belong together, registered to each other and averaged."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from lib.flow import Backend, FlowEstimator, FlowParams
from lib.flow import correlation as pearson
from lib.likeness import Likeness, reduce, reduction
from lib.outliers import displaced, unlike
from lib.recording import default_batch

AUTO_FRAMES = 200  # spread over the recording for `reference_frames: auto`
COMPARED = 100  # frames compared with each other, pair by pair
FIRST = 1 / 4  # of them make the first average, at least MIN_FIRST
MIN_FIRST = 5
RELATED = 1.1  # times as alike as mirrored images: frames that show the same thing
EXTRA_ALPHA = 2.0  # the pre-registration is stiffer than the final one, and
EXTRA_SIGMA = 1.0  # pixels: smoother, because it works against a single frame's noise
FEW = 64  # frames: the noise of their average is little beside that of a frame that is registered to it


@dataclass(frozen=True)
class Reference:
    """A reference and what it was made of.

    Attributes
    ----------
    image : ndarray (H, W[, C]) float64
        In raw intensities.
    frames, left_out : tuple of int
        Frames that were averaged, and frames that were looked at and do not belong; from 0.
    related : bool
        False if the frames are no more alike than unrelated images: then the reference is their plain mean.
    """

    image: np.ndarray
    frames: tuple[int, ...]
    left_out: tuple[int, ...]
    related: bool


def reference_indices(spec: str | list[int], frames: int) -> np.ndarray:
    """The frames that a setting of `reference_frames` names, of a recording with `frames` frames.

    Parameters
    ----------
    spec : "auto", "first:stop" or list of int
        Frames from 0; a range is clipped to what exists; "auto" spreads frames over the whole recording.

    Raises
    ------
    ValueError
        For a list that names a frame which does not exist.

    Notes
    -----
    A recording that ends before the range starts is used whole.
    """
    if spec == "auto":
        return np.linspace(0, frames - 1, min(frames, AUTO_FRAMES)).round().astype(np.intp)
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


def build_reference(
    recording,
    params: FlowParams,
    *,
    indices: np.ndarray,
    leave_out: bool = False,
    threads: int = 1,
    backend: str | Backend = "numba",
) -> Reference:
    """Average of the frames `indices`, registered to each other.

    All frames are compared at reduced size. Those most like each other make a first average; the shift of every frame
    to that is found, and where asked for, frames are left out that do not resemble the average or lie far away from
    where the others are. What remains is shifted towards its median position and averaged. Then, twice, the flow of
    every frame to the average is estimated with a stronger prefilter (+1 pixel) and smoothness (alpha + 2), and the
    warped frames are averaged where they are valid: first of a few of them, then of all.

    Parameters
    ----------
    recording : Recording
        Open for reading.
    params : FlowParams
        Those of the final registration.
    indices : ndarray of int
        Frames to use, from 0.
    leave_out : bool
        Leave out frames that do not belong.
    threads : int
        Frames worked on at once; the result does not depend on it.
    backend : {"numba", "cupy"} or Backend
        What computes the flow.

    Notes
    -----
    To start from the frames that correlate best with each other is what suite2p does (Pachitariu et al., bioRxiv
    061507, 2017), there without taking the shifts out first.
    """
    with ThreadPoolExecutor(threads) as pool:
        reduced = np.stack(list(_map(pool, reduce, recording, indices)))
        likeness = Likeness(reduced)
        group, related = most_alike(likeness)
        if not related:
            image = _masked_mean(((frame, True) for frame in _map(pool, _as_it_is, recording, indices)), recording)
            return Reference(image, tuple(indices.tolist()), (), False)
        correlation, shift = positions(likeness, group)
        shift = shift * reduction(recording.frame_shape)[::-1]
        belongs = np.ones(len(indices), bool)
        if leave_out:
            belongs = ~unlike(correlation)
            belongs &= ~displaced(shift, recording.frame_shape, among=belongs)
        used = indices[belongs]
        if len(used) == 1:
            image = recording.read_frames(used)[0].astype(np.float64)
            return Reference(image, tuple(used.tolist()), tuple(indices[~belongs].tolist()), True)
        shift = np.rint(shift[belongs] - np.median(shift[belongs], axis=0)).astype(int)
        frames = _map(pool, _as_it_is, recording, used)
        image = _masked_mean((_shift(frame, *by) for frame, by in zip(frames, shift, strict=True)), recording)
        alpha = tuple(a + EXTRA_ALPHA for a in params.alpha_xy)
        sigma = tuple((x + EXTRA_SIGMA, y + EXTRA_SIGMA, t) for x, y, t in params.channel_sigma(recording.channels))
        params = replace(params, alpha=alpha, sigma=sigma)
        few = used[np.unique(np.linspace(0, len(used) - 1, FEW).round().astype(int))]
        for frames in (few, used):
            image = _registered_average(recording, image, params, frames, pool, backend)
    return Reference(image, tuple(used.tolist()), tuple(indices[~belongs].tolist()), True)


def most_alike(likeness: Likeness) -> tuple[np.ndarray, bool]:
    """Images that resemble each other most, and whether they resemble each other at all.

    Returns
    -------
    group : ndarray of int
        The image that is most like at least half of the others, followed by those most like it.
    related : bool
        False if pairs are no more alike than pairs of which one is mirrored: same light and noise, other content.
    """
    some = np.unique(np.linspace(0, len(likeness) - 1, min(len(likeness), COMPARED)).round().astype(int))
    if len(some) == 1:
        return some, bool(likeness.images.any())
    table = np.zeros((len(some), len(some)))
    for i in range(len(some) - 1):
        table[i, i + 1 :] = table[i + 1 :, i] = likeness.with_one(likeness.images[some[i]], some[i + 1 :])[0]
    others = ~np.eye(len(some), dtype=bool)
    typical = np.array([_upper_median(row[use]) for row, use in zip(table, others, strict=True)])
    mirrored = [
        max(
            _upper_median(likeness.with_one(np.flip(likeness.images[i], axes), some[some != i])[0])
            for axes in (0, 1, (0, 1))
        )
        for i in some[:: max(len(some) // 20, 1)]
    ]
    best = int(typical.argmax())
    order = np.argsort(-table[best] - 2 * (np.arange(len(some)) == best), kind="stable")  # itself first
    count = max(round(FIRST * len(some)), min(MIN_FIRST, len(some) // 2))
    return some[order[:count]], bool(np.median(typical) > RELATED * np.median(mirrored))


def positions(likeness: Likeness, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much every image resembles the average of the images `group`, and where it is.

    Returns
    -------
    correlation : ndarray (n,)
        Over the part that both show; images of the group do not see their own share of the average.
    shift : ndarray (n, 2)
        (x, y) in reduced pixels that lead from a place in the average to the same one in the image.
    """
    images = likeness.images
    _, shift = likeness.with_one(images[group[0]], group)
    moved = {i: _shift(images[i], *by)[0] for i, by in zip(group, np.rint(shift).astype(int), strict=True)}
    total = np.sum(list(moved.values()), axis=0)
    _, shift = likeness.with_one(total)
    correlation = np.empty(len(images))
    for i, image in enumerate(images):
        other = total
        if i in moved and len(group) > 1:
            other = total - moved[i]
            shift[i] = likeness.with_one(other, np.array([i]))[1][0]
        there, inside = _shift(image, *np.rint(shift[i]).astype(int))
        correlation[i] = pearson(there, other, inside)
    return correlation, shift


def _upper_median(values: np.ndarray) -> float:
    return float(np.sort(values)[len(values) // 2])


def _registered_average(recording, image, params, indices, pool, backend) -> np.ndarray:
    """Average of frames that are registered to `image`, where they are valid."""
    estimator = FlowEstimator(image, params, backend)

    def register(frames):
        done = estimator.register_frames(frames.astype(np.float32), measured=False, keep_w=False)
        return zip(done.registered, done.valid, strict=True)

    def images():
        for frames in _blocks(recording, indices):
            yield from chain.from_iterable(pool.map(register, (frames[part] for part in estimator.parts(len(frames)))))

    return _masked_mean(images(), recording, image)


def _as_it_is(frame: np.ndarray) -> np.ndarray:
    return frame


def _shift(frame: np.ndarray, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """frame(. + x, . + y) for whole pixels, and where that lies inside the frame."""
    h, w = frame.shape[:2]
    shifted, valid = np.zeros(frame.shape, np.float32), np.zeros((h, w), bool)
    to = slice(max(-y, 0), h - max(y, 0)), slice(max(-x, 0), w - max(x, 0))
    source = slice(max(y, 0), h - max(-y, 0)), slice(max(x, 0), w - max(-x, 0))
    shifted[to], valid[to] = frame[source], True
    return shifted, valid


def _masked_mean(images, recording, otherwise=0.0) -> np.ndarray:
    """Mean over (image, valid mask) pairs, added in order; `otherwise` where no image is valid."""
    total, count = np.zeros(recording.frame_shape), np.zeros(recording.frame_shape[:2])
    channel = (1,) * (total.ndim - 2)
    for image, valid in images:
        np.add(total, image, out=total, where=np.reshape(valid, np.shape(valid) + channel))
        count += valid
    count = count.reshape(count.shape + channel)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)


def _map(pool, function, recording, indices):
    """function(frame) of the frames `indices`, in order; only a batch of frames and results is in memory at once."""
    for frames in _blocks(recording, indices):
        yield from pool.map(function, frames)


def _blocks(recording, indices):
    step = default_batch(recording)
    for start in range(0, len(indices), step):
        yield recording.read_frames(indices[start : start + step])
