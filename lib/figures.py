"""Pictures of the report: as arrays for the pages, and as Matplotlib figures where there are axes."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator
from PIL import Image

RANGE = (1, 99.7)  # percentiles shown from black to white
ARROWS, FEW_ARROWS = 14, 9  # along the longer side; on small pictures
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#f0e442", "#0072b2", "#b3de69")  # Okabe and Ito's
OTHERS = "#9a9a9a"  # recordings that have no color of their own, and pixels that several leave invalid
X, Y, REST, BAD = "#0072b2", "#e69f00", "#7a7a7a", "#d62728"


def grey(image: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """An image (H, W) in [0, 1], the range taken from `like`, by default from itself."""
    low, high = np.percentile(image if like is None else like, RANGE)
    return np.clip((image - low) / max(high - low, 1e-9), 0, 1)


def overlay(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Two images (H, W) as one (H, W, 3): `moving` in magenta, `fixed` in green, white where both are bright."""
    moving, fixed = grey(moving), grey(fixed)
    return np.stack([moving, fixed, moving], axis=-1)


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """An image (H, W) or (H, W, 3) in [0, 1] as a JPEG."""
    file = BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def mask_picture(average: np.ndarray, count: np.ndarray, owner: np.ndarray, colors: Sequence[str]) -> np.ndarray:
    """The session's mask on the center's average, (H, W, 3) in [0, 1].

    Parameters
    ----------
    average : ndarray (H, W)
    count : ndarray (H, W) of int
        How many recordings leave a pixel invalid.
    owner : ndarray (H, W) of int
        Which one it is, where it is one only; else -1.
    colors : sequence of str
        Of each recording, "#rrggbb".
    """
    table = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in [*colors, OTHERS]])
    picture = np.repeat(grey(average)[..., None], 3, axis=-1)
    lost = count > 0
    picture[lost] = 0.35 * picture[lost] + 0.65 * table[owner[lost]]  # owner -1 is the last one, OTHERS
    return picture


def recording_colors(alone: np.ndarray) -> list[str]:
    """A color for each recording (n,): one of its own for those that cost the mask most by themselves."""
    colors = [OTHERS] * len(alone)
    for color, i in zip(COLORS, np.argsort(-alone, kind="stable"), strict=False):
        if alone[i] > 0 or len(alone) <= len(COLORS):
            colors[i] = color
    return colors


def arrows(image: np.ndarray, u: np.ndarray, v: np.ndarray, quality: int, count: int = ARROWS) -> bytes:
    """A displacement field (u, v), each (H, W) in pixels, as arrows on an image (h, w) of the same field; JPEG.

    An arrow starts where something is in the common frame, and ends where the recording shows it.
    """
    h, w = u.shape
    step = max(h, w) / count
    y, x = (_spread(side, max(int(side / step), 1)) for side in (h, w))
    at = np.ix_(y, x)
    width = 4.2 * min(1, w / h)
    figure = Figure(figsize=(width, width * h / w))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(0.7 * grey(image), cmap="gray", vmin=0, vmax=1, extent=(-0.5, w - 0.5, h - 0.5, -0.5))
    longest = float(np.hypot(u, v).max())
    scale = step / max(longest, 0.5)  # the longest reaches the next arrow
    axis.quiver(
        x, y, u[at] * scale, v[at] * scale, angles="xy", scale_units="xy", scale=1, color="#ffd42a", width=0.07 / count
    )
    axis.set_axis_off()
    axis.set(xlim=(-0.5, w - 0.5), ylim=(h - 0.5, -0.5))
    return _saved(figure, "jpg", dpi=100, pil_kwargs={"quality": quality})


def motion(statistics: Mapping[str, np.ndarray]) -> bytes:
    """Shift, non-rigid spread and correlation with the reference of every frame, as a PNG.

    Parameters
    ----------
    statistics : mapping of (T,) arrays
        As in statistics.npz.
    """
    # fixed margins: a layout engine takes as long as all the rest
    figure = Figure(figsize=(7.6, 4.4))
    figure.subplots_adjust(left=0.09, right=0.99, bottom=0.1, top=0.98, hspace=0.12)
    shift, spread, likeness = axes = figure.subplots(3, 1, sharex=True, height_ratios=[1.4, 1, 1])
    figure.align_ylabels(axes)
    frames, outlier = np.arange(len(statistics["correlation"])), statistics["outlier"]
    marker = {"marker": "."} if len(frames) == 1 else {}
    for name, color in (("x", X), ("y", Y)):
        shift.plot(frames, statistics[f"translation_{name}"], color=color, linewidth=0.8, label=name, **marker)
    spread.plot(frames, statistics["nonrigid"], color=REST, linewidth=0.8, **marker)
    likeness.plot(frames, statistics["correlation"], color=REST, linewidth=0.8, **marker)
    for axis, values in ((shift, "translation_x"), (spread, "nonrigid"), (likeness, "correlation")):
        axis.plot(frames[outlier], statistics[values][outlier], "x", color=BAD, markersize=5, label="outlier")
    handles, labels = shift.get_legend_handles_labels()
    count = len(handles) if outlier.any() else len(handles) - 1
    shift.legend(
        handles[:count], labels[:count], loc="upper right", fontsize=8, ncols=count, framealpha=0.8, edgecolor="none"
    )
    shift.set_ylabel("shift (px)")
    spread.set_ylabel("non-rigid (px)")
    likeness.set_ylabel("correlation")
    likeness.set_xlabel("frame")
    _quiet(axes)
    return _saved(figure, "png", dpi=110)


def calibration_curve(calibration: Mapping) -> bytes:
    """The error to expect at each alpha that was tried, as a PNG.

    Parameters
    ----------
    calibration : mapping
        The content of calibration.json.
    """
    figure = Figure(figsize=(3.6, 3.0))
    figure.subplots_adjust(left=0.17, right=0.97, bottom=0.16, top=0.97)
    axis = figure.subplots()
    ratios = sorted({point["ratio"] for point in calibration["curve"]})
    for ratio, color in zip(ratios, [X, Y, *COLORS[2:], *[REST] * len(ratios)], strict=False):
        line = sorted((p["alpha"], p["epe"]) for p in calibration["curve"] if p["ratio"] == ratio)
        axis.plot(*zip(*line, strict=True), marker=".", linewidth=1, color=color, label=f"{ratio:g} : 1")
    if len(ratios) > 1:
        axis.legend(title="alpha x : y", title_fontsize=7, fontsize=7, frameon=False)
    alpha = float(np.sqrt(np.prod(calibration["alpha"])))
    axis.plot(alpha, calibration["predicted_epe"], "o", color=BAD, markersize=7, fillstyle="none")
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set(xlabel="alpha (geometric mean)", ylabel="error to expect (px)")
    _quiet([axis])
    return _saved(figure, "png", dpi=110)


def session_picture(*, columns: list[dict], average: np.ndarray, mask: np.ndarray, center: str) -> bytes:
    """The session in one PNG: averages before and after, displacement over time, and the mask.

    Parameters
    ----------
    columns : list of dict
        Per recording `name`, `before` and `after` (h, w) or None, and `displacement` (T,) in pixels or None.
    average : (H, W)
        The center's average, under the session's mask.
    mask : (H, W) bool
        The session's mask.
    center : str
        Name of the center recording.
    """
    aspect = average.shape[0] / average.shape[1]
    width, height = 2.4 * (len(columns) + 1), 4.8 * min(aspect, 1.5) + 1.8
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left=0.6 / width, right=1 - 0.1 / width, bottom=0.5 / height, top=1 - 0.3 / height)
    figure.subplots_adjust(wspace=0.12, hspace=0.08)
    axes = figure.subplots(3, len(columns) + 1, squeeze=False, height_ratios=[1, 1, 0.6])
    for column, top in zip(columns, axes.T, strict=False):
        for axis, key in zip(top, ("before", "after"), strict=False):
            axis.set(xticks=[], yticks=[])
            if column[key] is not None:
                axis.imshow(grey(column[key], column["after"]), cmap="gray", vmin=0, vmax=1)
        top[0].set_title(column["name"] + (" (center)" if column["name"] == center else ""), fontsize=9)
        top[2].set_xlabel("frame", fontsize=8)
        top[2].tick_params(labelsize=7)
        if column["displacement"] is not None:
            top[2].plot(column["displacement"], linewidth=0.6)
    for axis, label in zip(axes[:, 0], ("mean, raw", "mean, compensated", "displacement (px)"), strict=True):
        axis.set_ylabel(label, fontsize=9)
    first, *rest = axes[:, -1]
    first.imshow(grey(average), cmap="gray", vmin=0, vmax=1)
    first.imshow(np.where(mask, np.nan, 1.0), cmap="autumn", alpha=0.5, vmin=0, vmax=1)
    first.set(xticks=[], yticks=[])
    first.set_title(f"session mask: {mask.mean():.1%} valid", fontsize=9)
    for axis in rest:
        axis.set_axis_off()
    return _saved(figure, "png", dpi=110)


def _spread(side: int, count: int) -> np.ndarray:
    """The middles of `count` equal parts of a side, whole pixels."""
    return ((np.arange(count) + 0.5) * side / count).astype(int)


def _quiet(axes) -> None:
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.xaxis.label.set_size(9)
        axis.yaxis.label.set_size(9)


def _saved(figure, kind: str, **options) -> bytes:
    file = BytesIO()
    # without a date and version in it, the same picture is the same file
    figure.savefig(file, format=kind, metadata={"Software": None} if kind == "png" else None, **options)
    return file.getvalue()
