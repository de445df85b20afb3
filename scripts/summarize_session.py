"""Draw what motion correction did to a session, and list figures per recording."""

import csv
import json
from pathlib import Path

import numpy as np

from lib import status
from lib.logs import job_log
from lib.masks import read_mask
from lib.recording import open_recording
from lib.store import atomic_path

MOST_COLUMNS = 8  # recordings in the figure; the table has all
MOST_FRAMES = 200  # raw frames averaged for the picture before correction


def table_row(*, name, status, statistics, u, v, mask) -> dict:
    """Return one row of the table.

    Parameters
    ----------
    name : str
    status : dict
        The recording's status.json.
    statistics : dict of (T,) arrays
        What statistics.npz holds; empty if it was not kept.
    u, v : (H, W) float32
        Displacement into the common frame, pixels.
    mask : (H, W) bool
        Pixels that are valid in all frames.
    """
    means, most = statistics.get("mean_disp"), statistics.get("max_disp")
    outliers = status["outliers"]
    return {
        "recording": name,
        "frames": status["frames"],
        "mean_displacement_px": "" if means is None else f"{means.mean():.3f}",
        "max_displacement_px": "" if most is None else f"{most.max():.3f}",
        "mean_displacement_to_center_px": f"{np.hypot(u, v).mean():.3f}",
        "valid_fraction": f"{mask.mean():.4f}",
        "bidiphase_px": status.get("bidiphase", 0),
        "outlier_frames": len(outliers["frames"]),
        "valid_fraction_with_outliers": f"{outliers['valid_pixels'] / mask.size:.4f}",
        "valid_fraction_without_outliers": f"{outliers['valid_pixels_without_them'] / mask.size:.4f}",
        "seconds": status["seconds"],
        "frames_per_second": status["frames_per_second"],
    }


def raw_mean(path: str, **reading) -> np.ndarray:
    """Return the mean (H, W[, C]) of up to `MOST_FRAMES` frames, evenly spread over the recording."""
    with open_recording(path, **reading) as recording:
        indices = np.linspace(0, recording.frames - 1, min(recording.frames, MOST_FRAMES)).round().astype(int)
        total = sum(recording.read_frames([index])[0].astype(np.float64) for index in indices)
    return total / len(indices)


def draw(*, columns: list[dict], average: np.ndarray, mask: np.ndarray, center: str):
    """Return the summary figure.

    Parameters
    ----------
    columns : list of dict
        Per recording `name`, `before` and `after` (H, W[, C]), and `displacement` (T,) in pixels or None.
    average : (H, W[, C])
        The center's average, under the session's mask.
    mask : (H, W) bool
        The session's mask.
    center : str
        Name of the center recording.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 * (len(columns) + 1), 6.6), layout="constrained")
    axes = figure.subplots(3, len(columns) + 1, squeeze=False, height_ratios=[1, 1, 0.6])
    for column, top in zip(columns, axes.T, strict=False):
        low, high = np.percentile(first_channel(column["after"]), [1, 99.7])
        for axis, key in zip(top, ("before", "after"), strict=False):
            axis.imshow(first_channel(column[key]), cmap="gray", vmin=low, vmax=high)
            axis.set(xticks=[], yticks=[])
        top[0].set_title(column["name"] + (" (center)" if column["name"] == center else ""), fontsize=9)
        top[2].set_xlabel("frame", fontsize=8)
        top[2].tick_params(labelsize=7)
        if column["displacement"] is not None:
            top[2].plot(column["displacement"], linewidth=0.6)
    for axis, label in zip(axes[:, 0], ("mean, raw", "mean, compensated", "displacement (px)"), strict=True):
        axis.set_ylabel(label, fontsize=9)
    first, *rest = axes[:, -1]
    first.imshow(first_channel(average), cmap="gray")
    first.imshow(np.where(mask, np.nan, 1.0), cmap="autumn", alpha=0.5, vmin=0, vmax=1)
    first.set(xticks=[], yticks=[])
    first.set_title(f"session mask: {mask.mean():.1%} valid", fontsize=9)
    for axis in rest:
        axis.set_axis_off()
    return figure


def first_channel(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else image[..., 0]


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.table).parent
        status.begin(folder, snakemake.rule)
        names, given = list(snakemake.params.names), snakemake.input
        center = json.loads(Path(given.center).read_text(encoding="utf-8"))["center"]

        rows, statistics = [], {}
        for i, name in enumerate(names):
            if given.get("statistics"):
                with np.load(given.statistics[i]) as arrays:
                    statistics[name] = dict(arrays)
            with np.load(given.to_reference[i]) as field:
                u, v = field["u"], field["v"]
            rows.append(
                table_row(
                    name=name,
                    status=json.loads(Path(snakemake.params.status[i]).read_text(encoding="utf-8")),
                    statistics=statistics.get(name, {}),
                    u=u,
                    v=v,
                    mask=read_mask(given.masks[i]),
                )
            )
        with (
            atomic_path(snakemake.output.table) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

        shown = np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST_COLUMNS)).round().astype(int))
        figure = draw(
            columns=[
                {
                    "name": names[i],
                    "before": raw_mean(given.recordings[i], **snakemake.params.reading[i] | {"bidiphase": 0}),
                    "after": np.load(given.averages[i]),
                    "displacement": statistics.get(names[i], {}).get("mean_disp"),
                }
                for i in shown
            ],
            average=np.load(given.averages[names.index(center)]),
            mask=read_mask(given.final_mask),
            center=center,
        )
        with atomic_path(snakemake.output.figure) as temporary:
            figure.savefig(temporary, dpi=110)
        status.record(folder, snakemake.rule, [snakemake.output.figure])


if __name__ == "__main__":
    main(snakemake)
