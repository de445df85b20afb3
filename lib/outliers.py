"""What does not belong: robust rules for frames, the same for those of a reference and those of a movie.

A value is an outlier if it is further from the median than `DEVIATIONS` robust standard deviations (1.4826 times the
median absolute deviation) and further than a floor, below which a difference does no harm. Up to a third of the values
may be outliers without moving the limit by much.
"""

import numpy as np

DEVIATIONS = 6.0
LIKENESS_FLOOR = 0.3  # of the median correlation
DISTANCE_FLOOR = 0.03  # of the frame's shorter side


def unlike(correlation: np.ndarray) -> np.ndarray:
    """Which of the correlations (n,) with what they should resemble are far below the others, (n,) bool."""
    middle, spread = _middle_and_spread(correlation)
    return correlation < middle - max(DEVIATIONS * spread, LIKENESS_FLOOR * abs(middle))


def displaced(position: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which of the positions (n, 2), in pixels of frames of `shape` (H, W), are far away from the others, (n,) bool."""
    distance = np.hypot(*(position - np.median(position, axis=0)).T)
    middle, spread = _middle_and_spread(distance)
    return distance > middle + max(DEVIATIONS * spread, DISTANCE_FLOOR * min(shape[:2]))


def _middle_and_spread(values: np.ndarray) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))
