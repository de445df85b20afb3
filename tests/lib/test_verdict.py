"""Verdicts and their reasons."""

import pytest

from lib.verdict import judge

SHAPE = (100, 200)
FINE = {
    "belongs": True,
    "related": True,
    "frames": 1000,
    "outlier_frames": 0,
    "predicted_error_px": 0.2,
    "drift_px": 4.0,
    "correlation_before": 0.5,
    "correlation_after": 0.6,
    "sharpness_before": 10.0,
    "sharpness_after": 12.0,
    "center_correlation_before": 0.7,
    "center_correlation_after": 0.9,
    "mask_lost_fraction": 0.08,
    "mask_lost_alone_fraction": 0.02,
}


def test_a_good_recording_needs_no_reason():
    assert judge(FINE, SHAPE) == judge(dict.fromkeys(FINE) | {"frames": 1}, SHAPE)
    assert (judge(FINE, SHAPE).grade, judge(FINE, SHAPE).reason) == ("good", "")


@pytest.mark.parametrize(
    "changes, grade, said",
    [
        ({"belongs": False}, "bad", "matches no other"),
        ({"related": False}, "bad", "do not resemble each other"),
        ({"predicted_error_px": 0.7}, "look", "0.70 px"),
        ({"predicted_error_px": 1.4}, "bad", "1.40 px"),
        ({"outlier_frames": 5}, "good", ""),
        ({"outlier_frames": 30}, "look", "30 outlier frames, 3.0%"),
        ({"outlier_frames": 300}, "bad", "300 outlier frames"),
        ({"outlier_frames": 1, "frames": 20}, "look", "1 outlier frame, 5.0%"),
        ({"drift_px": 9.0}, "look", "drifted by 9 px"),
        ({"correlation_after": 0.4}, "bad", "resemble the reference less than before (0.40, were 0.50)"),
        ({"sharpness_after": 9.0}, "look", "lost sharpness (-10%)"),
        ({"sharpness_before": 0.0, "sharpness_after": 0.0}, "good", ""),
        ({"center_correlation_after": 0.6}, "bad", "less than before alignment (0.60, was 0.70)"),
        ({"mask_lost_fraction": 0.3}, "look", "30% of the frame is not valid, 2% because of it alone"),
        ({"mask_lost_fraction": 0.6}, "bad", "60% of the frame"),
    ],
)
def test_what_is_wrong_is_told(changes, grade, said):
    verdict = judge(FINE | changes, SHAPE)
    assert verdict.grade == grade and said in verdict.reason


def test_the_worst_comes_first():
    verdict = judge(FINE | {"drift_px": 50.0, "belongs": False}, SHAPE)
    assert verdict.grade == "bad" and "matches no other" in verdict.reasons[0] and "drifted" in verdict.reasons[1]
