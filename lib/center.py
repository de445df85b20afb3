"""Choose the recording that defines the common frame, and find recordings that do not belong to the session.

Averages are compared pair by pair at reduced size (see `lib.likeness`): the translation between them is taken out, and
the Pearson correlation over what both show is their likeness. What unrelated images of the session reach by chance is
known from mirrored averages, which have the same light, noise and texture, but other content.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lib.likeness import Likeness, reduce
from lib.quality import pearson

SIDE = 128  # averages are compared at 128 to 255 pixels a side
PANEL = 48  # more recordings than this are not all compared with each other, but with so many of them
MIRRORED = 6  # others that the mirrored average of a recording is compared with
MARGIN = 0.15  # above the mirrored ones, in Fisher's z: of 0.2 and 0.6 it makes 0.34 and 0.69
CLEAR = 0.05  # of correlation: so much better is worth a warning
MOST = 3 / 4  # of the recordings must be more like the better one


@dataclass(frozen=True)
class Scores:
    """How alike the averages of n recordings are.

    Attributes
    ----------
    names : tuple of str
    panel : ndarray (m,) of int
        The recordings that all were compared with: all n, or `PANEL` of them, evenly spread.
    correlation : ndarray (n, m)
        With those of the panel; NaN with itself.
    unrelated : ndarray (n,)
        The largest correlation of the mirrored average with the others; NaN for an only recording.
    belongs : ndarray (n,) bool
        Whether a recording is of the largest group that matches: the session.
    """

    names: tuple[str, ...]
    panel: np.ndarray
    correlation: np.ndarray
    unrelated: np.ndarray
    belongs: np.ndarray

    @property
    def mean_correlation(self) -> np.ndarray:
        """With those of the panel that belong, (n,); 1 if there are none."""
        known = self.correlation[:, self.belongs[self.panel]]
        count = np.isfinite(known).sum(axis=1)
        return np.where(count > 0, np.nansum(known, axis=1) / np.maximum(count, 1), 1.0)

    def table(self) -> dict[str, dict]:
        """As it goes to center.json: by name, `mean_correlation`, `belongs`, `unrelated`, `correlation` by name."""
        rows = zip(self.names, self.mean_correlation, self.belongs, self.unrelated, self.correlation, strict=True)
        return {
            name: {
                "mean_correlation": round(float(mean), 6),
                "belongs": bool(belongs),
                "unrelated": round(float(unrelated), 6) if np.isfinite(unrelated) else None,
                "correlation": {
                    self.names[j]: round(float(c), 6) for j, c in zip(self.panel, row, strict=True) if np.isfinite(c)
                },
            }
            for name, mean, belongs, unrelated, row in rows
        }


def reduced(average: np.ndarray) -> np.ndarray:
    """Reduce an average (H, W[, C]) to what `compare` needs of it."""
    return reduce(average, SIDE)


def compare(names: Sequence[str], images: np.ndarray, center: str | None = None) -> Scores:
    """Compare the averages of recordings with each other.

    Parameters
    ----------
    names : sequence of str
        In the order of the session.
    images : ndarray (n, h, w) float32
        Their averages, as `reduced` returns them.
    center : str, optional
        The center, where it is known already. It is always of the panel, and of two groups of the same size, the
        session is the one that it is in.

    Notes
    -----
    Two recordings match if their correlation is above what mirrored averages reach, by `MARGIN`. Those that match
    directly or through others are a group. Pairs are compared in a time that grows with n for more than `PANEL`
    recordings: 0.4 ms each at 128 pixels.
    """
    n = len(names)
    known = None if center is None else names.index(center)
    panel = np.unique(np.linspace(0, n - 1, min(n, PANEL)).round().astype(int))
    if known is not None and known not in panel:
        panel = np.sort(np.append(panel, known))
    likeness = Likeness(images)
    correlation = np.full((n, len(panel)), np.nan)
    column = {int(j): k for k, j in enumerate(panel)}
    for k, j in enumerate(panel):
        others = np.array([i for i in range(n) if i > j or i not in column], int)
        correlation[others, k] = _correlations(likeness, images[j], others)
        for i in others:
            if i in column:
                correlation[j, column[i]] = correlation[i, k]
    unrelated = np.array([_mirrored(likeness, images[i], panel[panel != i]) for i in range(n)])
    belongs = _largest_group(correlation, unrelated, panel, known)
    return Scores(tuple(names), panel, correlation, unrelated, belongs)


def choose(setting: str, names: list[str], scores: Scores | None = None) -> tuple[str, str]:
    """The center recording and how it was chosen.

    Parameters
    ----------
    setting : "middle", "auto" or a recording's name
        The lexicographic middle, number ceil(n / 2) of n; the medoid, the recording that correlates best with all
        others of the session (the first of equals); or the one named.
    names : list of str
    scores : Scores
        "auto" needs them.

    Raises
    ------
    ValueError
        If the setting is none of these.
    """
    ordered = sorted(names)
    if setting == "middle":
        return ordered[(len(ordered) + 1) // 2 - 1], f"the middle of {len(ordered)} recordings in order of their names"
    if setting == "auto":
        return scores.names[_medoid(scores)], "the average that correlates best with those of all other recordings"
    if setting in names:
        return setting, "named in the configuration"
    raise ValueError(f"center is {setting!r}; expected 'middle', 'auto' or one of {', '.join(ordered)}")


def better_center(scores: Scores, center: str) -> str | None:
    """The medoid, if it is clearly more like the other recordings than the center is; else None.

    Clearly: by `CLEAR` in the mean, and for `MOST` of the others. A center that does not belong is always worse.
    """
    chosen, best = scores.names.index(center), _medoid(scores)
    if chosen == best:
        return None
    if scores.belongs[chosen]:
        use = scores.belongs[scores.panel] & (scores.panel != chosen) & (scores.panel != best)
        gain = scores.correlation[best, use] - scores.correlation[chosen, use]
        if not gain.size or gain.mean() < CLEAR or (gain > 0).mean() < MOST:
            return None
    return scores.names[best]


def explain_outliers(scores: Scores, labels: Sequence[str] | None = None) -> str | None:
    """Say which recordings do not belong and why, a line each, or None if all do.

    Parameters
    ----------
    scores : Scores
    labels : sequence of str, optional
        What to call the recordings, by default their names.
    """
    labels = list(labels or scores.names)
    outside = np.flatnonzero(~scores.belongs)
    if not outside.size:
        return None
    lines = [
        f"{len(outside)} of {len(labels)} recordings "
        f"{'does' if len(outside) == 1 else 'do'} not match the others, so that no alignment can be trusted:"
    ]
    session = scores.belongs[scores.panel]
    for i in outside:
        row = np.where(session, scores.correlation[i], -np.inf)
        k = int(np.nanargmax(row))
        lines.append(
            f"  {labels[i]}: its average correlates by {row[k]:.2f} at most with those of the session "
            f"({labels[scores.panel[k]]}); unrelated images reach {scores.unrelated[i]:.2f}"
        )
    return "\n".join(lines)


def _medoid(scores: Scores) -> int:
    return int(np.where(scores.belongs, scores.mean_correlation, -np.inf).argmax())


def _largest_group(correlation, unrelated, panel, known) -> np.ndarray:
    """(n,) bool: the largest group of recordings that match; of equals the center's, else the first."""
    n = len(correlation)
    chance = np.fmax(unrelated[:, None], unrelated[panel])
    with np.errstate(invalid="ignore"):
        match = _fisher(correlation) > _fisher(chance) + MARGIN
    i, k = np.nonzero(match)
    _, group = connected_components(coo_array((np.ones(len(i)), (i, panel[k])), shape=(n, n)), directed=False)
    size = np.bincount(group)
    first = np.array([np.flatnonzero(group == g)[0] for g in range(len(size))])
    own = np.zeros(len(size), bool) if known is None else np.arange(len(size)) == group[known]
    return group == np.lexsort((first, ~own, -size))[0]


def _mirrored(likeness: Likeness, image: np.ndarray, others: np.ndarray) -> float:
    """The largest correlation of an image, mirrored in every way, with some of the others."""
    if not len(others):
        return np.nan
    others = others[np.unique(np.linspace(0, len(others) - 1, MIRRORED).round().astype(int))]
    return max(_correlations(likeness, np.flip(image, axes), others).max() for axes in (0, 1, (0, 1)))


def _correlations(likeness: Likeness, image: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pearson correlation of an image with each of others, over their overlap where they are most alike, (m,).

    A parabola through the neighbouring shifts gives its value between whole pixels.
    """
    found = np.empty(len(others))
    for start in range(0, len(others), PANEL):
        some = others[start : start + PANEL]
        _, shift = likeness.with_one(image, some)
        for k, (i, (x, y)) in enumerate(zip(some, np.rint(shift).astype(int), strict=True)):
            other = likeness.images[i]
            peak = height = _overlap_correlation(image, other, x, y)
            for dx, dy in ((1, 0), (0, 1)):
                low = _overlap_correlation(image, other, x - dx, y - dy)
                high = _overlap_correlation(image, other, x + dx, y + dy)
                if height > max(low, high):
                    peak += (high - low) ** 2 / (8 * (2 * height - low - high))
            found[start + k] = min(peak, 1.0)
    return found


def _overlap_correlation(a: np.ndarray, b: np.ndarray, x: int, y: int) -> float:
    """Pearson correlation of a(.) and b(. + x, . + y) over their overlap; 0 if one is flat there."""
    h, w = a.shape
    a = a[max(-y, 0) : h - max(y, 0), max(-x, 0) : w - max(x, 0)].ravel()
    b = b[max(y, 0) : h - max(-y, 0), max(x, 0) : w - max(-x, 0)].ravel()
    if a.size < 2:
        return 0.0
    return pearson(a, b)


def _fisher(correlation: np.ndarray) -> np.ndarray:
    """Fisher's z, in which the spread of a correlation does not depend on its height."""
    return np.arctanh(np.clip(correlation, -1 + 1e-6, 1 - 1e-6))
