"""A verdict on each recording: good, look or bad, and why. The limits are here, all of them."""

from collections.abc import Mapping
from dataclasses import dataclass

GOOD, LOOK, BAD = GRADES = ("good", "look", "bad")

ERROR_LOOK, ERROR_BAD = 0.5, 1.0  # pixels, predicted
OUTLIERS_LOOK, OUTLIERS_BAD = 0.01, 0.2  # of the frames
DRIFT_LOOK = 0.08  # of the frame's shorter side
MASK_LOOK, MASK_BAD = 0.15, 0.4  # of the frame, invalid after alignment
WORSE = 0.01  # of correlation: after must not be so much below before
BLURRED = 0.97  # of the sharpness before


@dataclass(frozen=True)
class Verdict:
    """A grade, and the reasons for it, worst first; none if it is good."""

    grade: str
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)


def judge(facts: Mapping, shape: tuple[int, ...]) -> Verdict:
    """Judge a recording.

    Parameters
    ----------
    facts : mapping
        What is known, else None: `belongs`, `related` (its frames resemble each other), `frames`, `outlier_frames`,
        `predicted_error_px`, `drift_px`, `correlation_before`, `correlation_after`, `sharpness_before`,
        `sharpness_after`, `center_correlation_before`, `center_correlation_after`, `mask_lost_fraction`,
        `mask_lost_alone_fraction`, as in session_summary.csv.
    shape : tuple
        Of the frames, (H, W[, C]).
    """
    found = [(grade, text) for grade, text in _findings(facts, min(shape[:2])) if grade != GOOD]
    found.sort(key=lambda finding: -GRADES.index(finding[0]))
    return Verdict(found[0][0] if found else GOOD, tuple(text for _, text in found))


def _findings(facts: Mapping, side: int):
    known = {key: value for key, value in facts.items() if value is not None}

    def both(name):
        return known.get(f"{name}_before"), known.get(f"{name}_after")

    if not known.get("belongs", True):
        yield BAD, "its average matches no other recording"
    if not known.get("related", True):
        yield BAD, "its frames do not resemble each other: blank, or too noisy to be corrected"
    if "predicted_error_px" in known:
        error = known["predicted_error_px"]
        yield (
            _grade(error, ERROR_LOOK, ERROR_BAD),
            f"the flow's error is likely {error:.2f} px: noisy, or little structure",
        )
    before, after = both("correlation")
    if before is not None and after < before - WORSE:
        yield BAD, f"frames resemble the reference less than before ({after:.2f}, were {before:.2f})"
    before, after = both("sharpness")
    if before is not None and after < BLURRED * before:
        yield LOOK, f"the average lost sharpness ({after / before - 1:.0%})"
    before, after = both("center_correlation")
    if before is not None and after < before - WORSE:
        yield BAD, f"its average resembles the center's less than before alignment ({after:.2f}, was {before:.2f})"
    if known.get("outlier_frames"):
        count, share = known["outlier_frames"], known["outlier_frames"] / known["frames"]
        text = f"{count} outlier frame{'s' * (count > 1)}, {share:.1%}"
        yield _grade(share, OUTLIERS_LOOK, OUTLIERS_BAD), text
    if known.get("drift_px", 0) > DRIFT_LOOK * side:
        yield LOOK, f"it drifted by {known['drift_px']:.0f} px"
    lost = known.get("mask_lost_fraction", 0)
    alone = known.get("mask_lost_alone_fraction", 0)
    yield _grade(lost, MASK_LOOK, MASK_BAD), f"{lost:.0%} of the frame is not valid, {alone:.0%} because of it alone"


def _grade(value: float, look: float, bad: float) -> str:
    return BAD if value > bad else LOOK if value > look else GOOD
