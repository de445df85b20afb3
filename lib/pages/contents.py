"""What the report's pages show."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib import figures
from lib.figures import grey, jpeg, overlay
from lib.pages import data_uri, render
from lib.quality import MaskCosts, shrink
from lib.summary import Look

MOST_BETWEEN = 30  # recordings shown in the common frame
MOST_COSTS = 20  # recordings whose share of the mask is listed
MOST_SCORES = 20  # recordings whose averages are compared in a table
SMALL_SIDE = 200  # pixels of pictures that stand in a row


def recording_page(look: Look, row: dict, center: str) -> str:
    """The page of one recording.

    Parameters
    ----------
    look : Look
    row : dict
        Its row of the table, see `lib.summary.table_rows`.
    center : str
        The center's name.
    """
    motion = figures.motion(look.statistics) if look.statistics else None
    curve = figures.calibration_curve(look.calibration) if _has_curve(look.calibration) else None
    preview = Path(look.preview).read_bytes() if look.preview else None
    fixed = {
        "row": row,
        "center": center,
        "sampled": look.facts["sampled_frames"],
        "outliers": _list(look.facts["outliers"]),
        "longest": float(np.hypot(*look.field).max()),
        "motion": motion and data_uri(motion, "png"),
        "curve": curve and data_uri(curve, "png"),
        "preview": preview and data_uri(preview, "gif"),
        "preview_note": "each picture the mean of up to four consecutive frames, from all of the recording",
    }

    def fill(quality):
        shown = look.pictures
        before, after = shown.get("before"), shown.get("after", shown["average"])
        return (
            fixed
            | {
                "before": None if before is None else data_uri(jpeg(grey(before, after), quality), "jpeg"),
                "after": data_uri(jpeg(grey(after), quality), "jpeg"),
            }
            | _between(look, quality)
        )

    return render("recording", fill)


def session_page(
    *,
    looks: Sequence[Look],
    rows: Sequence[dict],
    center: dict,
    costs: MaskCosts,
    average: np.ndarray,
    valid_fraction: float,
    choices: Sequence[tuple[str, str, bool]],
) -> str:
    """The page of the session.

    Parameters
    ----------
    looks, rows : sequence
        Of all recordings; a look may be without pictures.
    center : dict
        The content of center.json.
    costs : MaskCosts
    average : ndarray (H, W)
        One channel of the center's average.
    valid_fraction : float
        Of the session's mask.
    choices : sequence of (what, value, whether it was chosen automatically)
    """
    colors = figures.recording_colors(costs.alone)
    names = [row["recording"] for row in rows]
    order = np.lexsort((-costs.lost, -costs.alone))[:MOST_COSTS]
    chosen = center["center"]
    shown = [look for look in looks if look.pictures and look.name != chosen][:MOST_BETWEEN]
    by_name = {row["recording"]: row for row in rows}
    costliest = costs.costliest()
    step = -(-max(average.shape) // 512)
    mask = figures.mask_picture(average, costs.count, costs.owner, colors)[::step, ::step]
    fixed = {
        "rows": rows,
        "shape": looks[0].facts["shape"],
        "frames": sum(row["frames"] for row in rows),
        "counts": {grade: sum(row["verdict"] == grade for row in rows) for grade in ("good", "look", "bad")},
        "valid_fraction": valid_fraction,
        "costliest": None if costliest is None or len(rows) == 1 else rows[costliest],
        "warnings": _warnings(center, looks),
        "choices": choices,
        "costs": [rows[i] | {"color": colors[i]} for i in order],
        "largest": max(float(costs.lost.max()), 1e-9),
        "center": chosen,
        "how": center["how"],
        "center_automatic": center["automatic"],
        "scores": _scores(center, names) if 1 < len(names) <= MOST_SCORES else None,
        "unrelated": max((s["unrelated"] or 0 for s in center["scores"].values()), default=0),
    }

    def fill(quality):
        between = [
            {
                "name": look.name,
                "longest": float(np.hypot(*look.field).max()),
                "before": by_name[look.name]["center_correlation_before"],
                "after": by_name[look.name]["center_correlation_after"],
            }
            | _between(look, quality, SMALL_SIDE)
            for look in shown
        ]
        return fixed | {"mask": data_uri(jpeg(mask, quality), "jpeg"), "between": between}

    return render("session", fill)


def _between(look: Look, quality: int, side: int | None = None) -> dict[str, str]:
    """Overlays with the center before and after alignment, and the displacement as arrows."""
    average, aligned, fixed = (look.pictures[key] for key in ("average", "aligned", "center"))
    count = figures.ARROWS
    if side:
        count = figures.FEW_ARROWS
        average, aligned, fixed = (shrink(image, side) for image in (average, aligned, fixed))
    return {
        "overlay_before": data_uri(jpeg(overlay(average, fixed), quality), "jpeg"),
        "overlay_after": data_uri(jpeg(overlay(aligned, fixed), quality), "jpeg"),
        "arrows": data_uri(figures.arrows(fixed, *look.field, quality, count), "jpeg"),
    }


def _warnings(center: dict, looks: Sequence[Look]) -> list[str]:
    texts = [text for text in (center["warning"], center["outliers"]) if text]
    return texts + [f"{look.name}: {look.calibration['note']}" for look in looks if look.calibration.get("note")]


def _scores(center: dict, names: list[str]) -> dict:
    """The table of correlations, each with a background: the whiter, the less alike."""
    scores = center["scores"]
    values = [c for row in scores.values() for c in row["correlation"].values()]
    low, high = min(values), max(values)
    lines = []
    for name in names:
        cells = [(scores[name]["correlation"].get(other), "#fff") for other in names]
        cells = [(c, color if c is None else _shade((c - low) / max(high - low, 0.05))) for c, color in cells]
        lines.append({"name": name, "values": cells, "mean": scores[name]["mean_correlation"]})
    return {"columns": names, "lines": lines}


def _shade(part: float) -> str:
    return f"rgba(0, 114, 178, {0.08 + 0.42 * part:.2f})"


def _has_curve(calibration: dict) -> bool:
    """Whether there is more than one point to draw: with alpha given there is not."""
    return len(calibration.get("curve", ())) > 1 and calibration.get("predicted_epe") is not None


def _list(frames: Sequence[int], most: int = 30) -> str:
    shown = ", ".join(map(str, frames[:most]))
    return f"{shown} and {len(frames) - most} more" if len(frames) > most else shown
