"""What does not belong: robust rules, for the frames of a reference and those of a registered movie.

A value is an outlier if it is further from the median than `DEVIATIONS` robust standard deviations (1.4826 times the
median absolute deviation) and further than a floor, below which a difference does no harm. A third of the values may be
outliers without moving the limits by much.
"""

from collections.abc import Mapping

import numpy as np

DEVIATIONS = 6.0
LIKENESS_FLOOR = 0.2  # of the median correlation
DISTANCE_FLOOR = 0.05  # of the frame's shorter side, for shifts
LARGEST_FLOOR = 0.1  # the same, for the largest displacement of a pixel, which one wild corner decides


def unlike(correlation: np.ndarray) -> np.ndarray:
    """Which of the correlations (n,) with what they should resemble are far below the others, (n,) bool."""
    middle, spread = _middle_and_spread(correlation)
    return correlation < middle - max(DEVIATIONS * spread, LIKENESS_FLOOR * abs(middle))


def displaced(position: np.ndarray, shape: tuple[int, ...], among: np.ndarray | None = None) -> np.ndarray:
    """Which of the positions (n, 2), in pixels of frames of `shape` (H, W), are far from where the others are.

    What is usual is taken from those positions that are set in `among` (n,) bool, by default from all.
    """
    among = slice(None) if among is None else among
    distance = np.hypot(*(position - np.median(position[among], axis=0)).T)
    return _far_above(distance, DISTANCE_FLOOR * min(shape[:2]), among)


def outlier_frames(statistics: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Frames whose registered image does not match the reference, or that moved much further than the others.

    Parameters
    ----------
    statistics : mapping of (T,) arrays
        `correlation`, `translation_x`, `translation_y` and `max_disp` of all frames; pixels.
    shape : tuple
        Of the frames, (H, W[, C]).

    Returns
    -------
    ndarray (T,) bool
    """
    unmatched = unlike(statistics["correlation"])
    matched = ~unmatched  # what was registered to something else says nothing about usual displacements
    position = np.stack([statistics["translation_x"], statistics["translation_y"]], axis=-1)
    wild = _far_above(statistics["max_disp"], LARGEST_FLOOR * min(shape[:2]), matched)
    return unmatched | displaced(position, shape, matched) | wild


def _far_above(values, floor, among) -> np.ndarray:
    middle, spread = _middle_and_spread(values[among])
    return values > middle + max(DEVIATIONS * spread, floor)


def _middle_and_spread(values: np.ndarray) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))
