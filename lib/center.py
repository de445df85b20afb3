"""Choose the recording that defines the common frame."""

from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as move
from skimage.registration import phase_cross_correlation

SMOOTH = 1.0  # pixels: single pixels' noise must not decide between recordings
REDUCED = 128  # pixels: averages are compared at about this size


def score_table(averages: dict[str, np.ndarray], center: str | None = None) -> dict[str, dict]:
    """How alike the recordings' averages are.

    Two averages are compared by their Pearson correlation over their overlap, at reduced size, after the translation
    between them (phase cross-correlation) is taken out.

    Parameters
    ----------
    averages : dict of ndarray (H, W) or (H, W, C)
        Temporal averages, all of one shape.
    center : str, optional
        Compare each recording with this one only; by default every pair is compared, which takes the square of their
        number.

    Returns
    -------
    dict
        Per recording its `correlation` with each other one, by name, and the mean of these, `mean_correlation` (1 if
        there are none).
    """
    images = {name: _reduce(average) for name, average in averages.items()}
    table = {name: {"mean_correlation": 1.0, "correlation": {}} for name in images}
    pairs = combinations(images, 2) if center is None else ((center, name) for name in images if name != center)
    for first, second in pairs:
        value = round(_correlation(images[first], images[second]), 6)
        table[first]["correlation"][second] = table[second]["correlation"][first] = value
    for row in table.values():
        if row["correlation"]:
            row["mean_correlation"] = round(float(np.mean(list(row["correlation"].values()))), 6)
    return table


def choose(setting: str, names: list[str], scores: dict[str, dict] | None = None) -> tuple[str, str]:
    """The center recording and how it was chosen.

    Parameters
    ----------
    setting : "middle", "auto" or a recording's name
        The lexicographic middle, number ceil(n / 2) of n; the medoid, the recording that correlates best with all
        others (the first of equals); or the one named.
    names : list of str
    scores : dict
        As `score_table` returns it for all pairs; "auto" needs it.

    Raises
    ------
    ValueError
        If the setting is none of these.
    """
    ordered = sorted(names)
    if setting == "middle":
        return ordered[(len(ordered) + 1) // 2 - 1], f"the middle of {len(ordered)} recordings in order of their names"
    if setting == "auto":
        best = max(ordered, key=lambda name: scores[name]["mean_correlation"])
        return best, "the average that correlates best with those of all other recordings"
    if setting in names:
        return setting, "named in the configuration"
    raise ValueError(f"center is {setting!r}; expected 'middle', 'auto' or one of {', '.join(ordered)}")


def _reduce(average: np.ndarray) -> np.ndarray:
    """Mean over channels, each scaled to zero mean and unit deviation, smoothed and thinned to about 128 pixels."""
    stack = average.reshape(*average.shape[:2], -1).astype(np.float64)
    stack -= stack.mean((0, 1))
    deviation = stack.std((0, 1))
    image = (stack / np.where(deviation > 0, deviation, 1)).mean(axis=-1)
    step = max(min(image.shape) // REDUCED, 1)
    return gaussian_filter(image, SMOOTH * step)[::step, ::step]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    offset, _, _ = phase_cross_correlation(a, b, upsample_factor=4, normalization=None)
    moved = move(b, offset, order=1, cval=np.nan)
    inside = np.isfinite(moved)
    x, y = a[inside], moved[inside]
    if x.size < 2 or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])
