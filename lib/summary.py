"""Look at the recordings of a session one by one: numbers for its table, and small pictures for the report."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lib.masks import read_mask
from lib.preview import SIDE, write_preview
from lib.quality import (
    MaskCosts,
    align,
    before_after,
    drift,
    mean_or_none,
    one_channel,
    sampled_runs,
    shrink,
    structured_channel,
)
from lib.recording import open_recording
from lib.verdict import judge

SHOWN_SIDE = 400  # pixels of the pictures, at most


@dataclass(frozen=True)
class Files:
    """Where things of a recording are; None for what there is not."""

    name: str
    status: str
    average: str
    mask: str
    to_reference: str
    center_average: str
    compensated: str | None = None
    reference: str | None = None
    statistics: str | None = None
    raw: str | list | None = None
    reading: dict = field(default_factory=dict)  # how `raw` is opened
    preview: str | None = None


@dataclass(frozen=True)
class Look:
    """What was found out about a recording.

    Attributes
    ----------
    facts : dict
        Numbers, None where unknown; see `lib.verdict.judge`.
    statistics, calibration : dict
        What the files of these names hold; empty if there are none.
    pictures : dict of ndarray (h, w)
        `average`, `center`, `aligned`, and where it is known `before` and `after`; of one channel, reduced.
    field : (ndarray, ndarray)
        Displacement into the common frame, (H, W) pixels.
    preview : path or None
    """

    name: str
    facts: dict
    statistics: dict
    calibration: dict
    pictures: dict
    field: tuple[np.ndarray, np.ndarray]
    preview: str | None

    def without_pictures(self) -> "Look":
        """The numbers alone: of a thousand recordings, few are shown."""
        return Look(self.name, self.facts, {}, {}, {}, (), self.preview)


def look_at(files: Files) -> Look:
    """Look at a recording, and write its preview."""
    status = json.loads(Path(files.status).read_text(encoding="utf-8"))
    beside = Path(files.status).with_name("calibration.json")
    calibration = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    statistics = _arrays(files.statistics) if files.statistics else {}
    average, center, mask = np.load(files.average), np.load(files.center_average), read_mask(files.mask)
    w = _arrays(files.to_reference)
    u, v = w["u"], w["v"]
    channel = structured_channel(average)
    aligned = align(average, center, u, v)
    pictures = {"average": average, "center": center, "aligned": aligned.image}
    facts = _facts(status, statistics, calibration) | {
        "mean_displacement_to_center_px": float(np.hypot(u, v).mean()),
        "valid_fraction": float(mask.mean()),
        "correlation_before": None,
        "correlation_after": mean_or_none(statistics.get("correlation")),
        "sharpness_before": None,
        "sharpness_after": None,
        "center_correlation_before": aligned.correlation[0],
        "center_correlation_after": aligned.correlation[1],
        "valid_fraction_with_outliers": status["outliers"]["valid_pixels"] / mask.size,
        "valid_fraction_without_outliers": status["outliers"]["valid_pixels_without_them"] / mask.size,
    }
    if files.raw is not None:
        with ExitStack() as stack:
            raw = stack.enter_context(open_recording(files.raw, **files.reading | {"bidiphase": 0}))
            compensated = stack.enter_context(open_recording(files.compensated))
            both = before_after(raw, compensated, np.load(files.reference), mask, side=SIDE)
        pictures |= {"before": both.before, "after": both.after}
        for name in ("correlation", "sharpness"):
            facts[f"{name}_before"], facts[f"{name}_after"] = getattr(both, name)
        write_preview(files.preview, *both.clips)
    pictures = {key: shrink(one_channel(image, channel), SHOWN_SIDE) for key, image in pictures.items()}
    return Look(files.name, facts, statistics, calibration, pictures, (u, v), files.preview)


def _facts(status: dict, statistics: dict, calibration: dict) -> dict:
    """What the recording's own files tell."""
    alpha = calibration.get("alpha") or (None, None)
    largest = statistics.get("max_disp")
    return {
        "frames": status["frames"],
        "shape": tuple(status["shape"]),
        "backend": status.get("versions", {}).get("backend"),
        "related": status.get("reference", {}).get("frames_resemble_each_other", True),
        "predicted_error_px": calibration.get("predicted_epe"),
        "alpha_x": alpha[0],
        "alpha_y": alpha[1],
        "alpha_chosen": ("automatic" if calibration["automatic"] else "set") if calibration else None,
        "mean_displacement_px": mean_or_none(statistics.get("mean_disp")),
        "max_displacement_px": None if largest is None else float(largest.max()),
        "nonrigid_px": mean_or_none(statistics.get("nonrigid")),
        "drift_px": drift(statistics) if statistics else None,
        "bidiphase_px": status.get("bidiphase", 0),
        "outlier_frames": len(status["outliers"]["frames"]),
        "outliers": status["outliers"]["frames"],
        "sampled_frames": sum(map(len, sampled_runs(status["frames"]))),
        "seconds": status["seconds"],
        "frames_per_second": status["frames_per_second"],
    }


# Columns of session_summary.csv and digits after the point; None: as it is.
COLUMNS = {
    "recording": None,
    "verdict": None,
    "reason": None,
    "center": None,
    "frames": None,
    "predicted_error_px": 3,
    "alpha_x": 2,
    "alpha_y": 2,
    "alpha_chosen": None,
    "mean_displacement_px": 3,
    "max_displacement_px": 3,
    "nonrigid_px": 3,
    "drift_px": 3,
    "bidiphase_px": None,
    "outlier_frames": None,
    "correlation_before": 4,
    "correlation_after": 4,
    "sharpness_before": 4,
    "sharpness_after": 4,
    "mean_displacement_to_center_px": 3,
    "center_correlation_before": 4,
    "center_correlation_after": 4,
    "valid_fraction": 4,
    "mask_lost_fraction": 4,
    "mask_lost_alone_fraction": 4,
    "valid_fraction_with_outliers": 4,
    "valid_fraction_without_outliers": 4,
    "seconds": None,
    "frames_per_second": None,
}


def table_rows(looks: Sequence[Look], center: dict, costs: MaskCosts) -> list[dict]:
    """One row per recording: what is in session_summary.csv, None for what is not known.

    Parameters
    ----------
    looks : sequence of Look
    center : dict
        The content of center.json.
    costs : MaskCosts
        Of the masks in the common frame.
    """
    rows = []
    for look, lost, alone in zip(looks, costs.lost, costs.alone, strict=True):
        is_center = look.name == center["center"]
        facts = look.facts | {"mask_lost_fraction": float(lost), "mask_lost_alone_fraction": float(alone)}
        if is_center:
            facts |= {"center_correlation_before": None, "center_correlation_after": None}
        verdict = judge(facts | {"belongs": look.name not in center["not_belonging"]}, facts["shape"])
        facts |= {"recording": look.name, "verdict": verdict.grade, "reason": verdict.reason}
        rows.append({key: facts.get(key) for key in COLUMNS} | {"center": is_center})
    return rows


def as_text(row: dict) -> dict[str, str]:
    """A row as it goes into the table: nothing where something is not known, and never NaN."""
    text = {}
    for key, digits in COLUMNS.items():
        value = row[key]
        if value is None:
            text[key] = ""
        elif isinstance(value, bool):
            text[key] = str(value).lower()
        else:
            text[key] = str(value) if digits is None else f"{value:.{digits}f}"
    return text


def _arrays(path: str) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)
