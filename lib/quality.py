"""What motion correction did, in numbers: on single frames, on averages, between recordings, on the mask.

Before and after are always measured on the same frames and the same pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, map_coordinates

RUNS, RUN = 50, 4  # runs of consecutive frames, spread over a recording, and how long they are
SMOOTH = 1.0  # pixels: standard deviation of the Gaussian before gradients are taken and averages compared
BLOCKS = 10  # a recording's drift is between parts of it
LEAST_AREA = 0.01  # of the frame must be valid; else all of it is looked at


@dataclass(frozen=True)
class BeforeAfter:
    """Some frames of a recording before and after correction.

    Attributes
    ----------
    before, after : ndarray (H, W[, C]) float64
        Mean of the frames.
    correlation : (float, float)
        Mean Pearson correlation of the single frames with the reference, before and after.
    sharpness : (float, float)
        Root mean square gradient of the means, grey values per pixel.
    clips : (ndarray (n, h, w), ndarray (n, h, w)) float32
        Means of the runs of frames, reduced to one channel and to few pixels.
    """

    before: np.ndarray
    after: np.ndarray
    correlation: tuple[float, float]
    sharpness: tuple[float, float]
    clips: tuple[np.ndarray, np.ndarray]


def sampled_runs(frames: int) -> list[np.ndarray]:
    """Frames to look at: up to `RUNS` runs of up to `RUN` consecutive ones, evenly spread."""
    length = int(np.clip(frames // RUNS, 1, RUN))
    starts = np.unique(np.linspace(0, frames - length, min(RUNS, frames // length)).round().astype(int))
    return [np.arange(start, start + length) for start in starts]


def before_after(raw, compensated, reference: np.ndarray, mask: np.ndarray, *, side: int) -> BeforeAfter:
    """Compare a recording before and after correction.

    Parameters
    ----------
    raw, compensated : Recording
        Open, of the same frames.
    reference : ndarray (H, W[, C])
    mask : ndarray (H, W) bool
        Pixels that are valid in all frames: only these are compared.
    side : int
        The clips have at most so many pixels a side.
    """
    inside = mask if mask.mean() >= LEAST_AREA else np.ones(mask.shape, bool)
    runs = sampled_runs(compensated.frames)
    channel = structured_channel(reference)
    known = reference[inside].ravel()
    means, correlations, clips = [], [], []
    for movie in (raw, compensated):
        total, values, clip = np.zeros(reference.shape), [], []
        for run in runs:
            frames = movie.read_frames(run).astype(np.float64)
            total += frames.sum(axis=0)
            values += [pearson(frame[inside].ravel(), known) for frame in frames]
            clip.append(shrink(one_channel(frames.mean(axis=0), channel), side))
        means.append(total / sum(map(len, runs)))
        correlations.append(float(np.mean(values)))
        clips.append(np.array(clip, np.float32))
    sharp = tuple(sharpness(mean, inside) for mean in means)
    return BeforeAfter(*means, tuple(correlations), sharp, tuple(clips))


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two arrays (n,); 0 if one is flat."""
    a, b = a - a.mean(), b - b.mean()
    # not by BLAS, whose threads cost more than they bring at this size, where several processes work side by side
    aa, bb, ab = (float(np.einsum("i,i->", x, y)) for x, y in ((a, a), (b, b), (a, b)))
    return ab / (aa * bb) ** 0.5 if aa * bb > 0 else 0.0


def sharpness(image: np.ndarray, inside: np.ndarray) -> float:
    """Root mean square gradient of an image (H, W[, C]) over the pixels `inside` (H, W)."""
    stack = image.reshape(*image.shape[:2], -1)
    squares = sum(np.square(gaussian_gradient_magnitude(stack[..., c], SMOOTH)) for c in range(stack.shape[-1]))
    return float(np.sqrt(squares[inside].mean()))


def structured_channel(image: np.ndarray) -> int:
    """The channel of an image (H, W[, C]) to show: the first one that is not flat."""
    stack = image.reshape(*image.shape[:2], -1)
    return int((stack.std((0, 1)) > 0).argmax())


def one_channel(image: np.ndarray, channel: int) -> np.ndarray:
    return image if image.ndim == 2 else image[..., channel]


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """An image (H, W) reduced by a whole number, by means of blocks, until no side is longer than `side` pixels."""
    step = -(-max(image.shape) // side)
    h, w = (max(n // step, 1) for n in image.shape)
    image = image[: h * step, : w * step]
    return image.reshape(h, image.shape[0] // h, w, image.shape[1] // w).mean(axis=(1, 3))


def drift(statistics: Mapping[str, np.ndarray]) -> float:
    """How far the tissue moved for good: the largest distance between the median positions of parts of the recording.

    Parameters
    ----------
    statistics : mapping of (T,) arrays
        `translation_x`, `translation_y`, pixels, and `outlier`, whose frames do not count.

    Returns
    -------
    float, pixels
    """
    position = np.stack([statistics["translation_x"], statistics["translation_y"]], axis=-1)
    position = position[~statistics["outlier"]] if not statistics["outlier"].all() else position
    parts = np.array_split(position, min(BLOCKS, len(position)))
    middles = np.array([np.median(part, axis=0) for part in parts])
    return float(np.hypot(*(middles[:, None] - middles).transpose(2, 0, 1)).max())


@dataclass(frozen=True)
class Alignment:
    """An average in the common frame.

    Attributes
    ----------
    image : ndarray (H, W[, C])
        The average, where it is known; elsewhere its border goes on.
    correlation : (float, float)
        With the center's average, before and after, over the pixels that have data.
    """

    image: np.ndarray
    correlation: tuple[float, float]


def align(average: np.ndarray, center: np.ndarray, u: np.ndarray, v: np.ndarray) -> Alignment:
    """Compare an average with the center's, before and after the displacement (u, v) in pixels, all (H, W[, C])."""
    y, x = np.mgrid[: u.shape[0], : u.shape[1]].astype(np.float64)
    x, y = x + u, y + v
    inside = (x >= 0) & (x <= u.shape[1] - 1) & (y >= 0) & (y <= u.shape[0] - 1)
    stack = average.reshape(*u.shape, -1)
    moved = [map_coordinates(stack[..., c], (y, x), order=1, mode="nearest") for c in range(stack.shape[-1])]
    image = np.stack(moved, axis=-1).reshape(average.shape)
    if not inside.any():
        return Alignment(image, (0.0, 0.0))
    sigma = (SMOOTH, SMOOTH) + (0,) * (average.ndim - 2)
    fixed, before, after = (
        gaussian_filter(each.astype(np.float64), sigma)[inside].ravel() for each in (center, average, image)
    )
    return Alignment(image, (pearson(before, fixed), pearson(after, fixed)))


@dataclass(frozen=True)
class MaskCosts:
    """What each of n recordings costs the session's mask.

    Attributes
    ----------
    lost, alone : ndarray (n,)
        The part of the frame that the recording leaves invalid, and that no other does.
    count : ndarray (H, W) of int
        How many recordings leave a pixel invalid.
    owner : ndarray (H, W) of int
        Which one it is, where it is one only; else -1.
    """

    lost: np.ndarray
    alone: np.ndarray
    count: np.ndarray
    owner: np.ndarray

    def costliest(self) -> int | None:
        """The recording that costs most by itself; None if none costs anything by itself."""
        return int(self.alone.argmax()) if self.alone.any() else None


def mask_costs(masks: Iterable[np.ndarray]) -> MaskCosts:
    """Compare the recordings' masks (H, W) bool in the common frame, one at a time."""
    lost, count, owner = [], 0, -1
    for i, mask in enumerate(masks):
        lost.append(1 - mask.mean())
        count = count + ~mask
        owner = np.where(mask, owner, i)
    owner = np.where(count == 1, owner, -1)
    alone = np.bincount(owner[owner >= 0], minlength=len(lost)) / owner.size
    return MaskCosts(np.array(lost), alone, count, owner)


def mean_or_none(values: Sequence[float] | np.ndarray | None) -> float | None:
    """Mean of what is there, or None."""
    return None if values is None or not len(values) else float(np.mean(values))
