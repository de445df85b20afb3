"""Take over a recording that another tool has compensated."""

import time
from pathlib import Path

import numpy as np

from lib import status
from lib.average import average
from lib.external import open_masks
from lib.logs import job_log
from lib.masks import valid_pixels
from lib.progress import Progress
from lib.recording import Recording, RecordingError, open_recording
from lib.sources import FileList, fingerprint
from lib.store import write_npy, write_png


def adopt_recording(
    *, movie: Recording, masks: Recording, outlier: np.ndarray, given: str | None = None, exclude_outliers: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    """Read or compute the average, and intersect the masks.

    Parameters
    ----------
    movie, masks : Recording
        The compensated movie and the masks of its frames, open.
    outlier : (T,) bool
        Frames that do not match.
    given : path, optional
        The average of the other tool, (H, W), (H, W, 1) or (H, W, C).
    exclude_outliers : bool
        Leave them out of the mask and, where it has to be computed, the average.

    Returns
    -------
    mean : (H, W[, C]) float64
    mask, valid_fraction, facts
        See `lib.masks.valid_pixels`.

    Raises
    ------
    RecordingError
        The average has not the shape of the frames, or holds NaN or Inf.
    """
    if given:
        mean = read_average(given, movie.frame_shape)
    else:
        with Progress(movie.frames, movie.name) as progress:
            mean = average(movie, leave_out=outlier if exclude_outliers else None, progress=progress)
    return mean, *valid_pixels(masks, outlier, exclude_outliers)


def read_average(path: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return an average as float64 (H, W[, C]); see `adopt_recording`."""
    mean = np.load(path).astype(np.float64)
    if mean.shape == (*shape, 1):
        mean = mean[..., 0]
    if mean.shape != shape or not np.isfinite(mean).all():
        found = f"of shape {mean.shape}" if mean.shape != shape else "with NaN or infinite pixels"
        raise RecordingError(
            f"{path}: found an average {found}, expected one of shape {shape} and finite pixels; delete it, and it is "
            "computed from the movie"
        )
    return mean


def known_outliers(folder: Path, frames: int, exclude: bool) -> np.ndarray:
    """Return which frames do not match, (T,) bool, if statistics.npz says so; else none.

    Raises
    ------
    RecordingError
        They are to be left out and not known.
    """
    path = folder / "statistics.npz"
    if path.exists():
        with np.load(path) as statistics:
            if "outlier" in statistics and len(statistics["outlier"]) == frames:
                return statistics["outlier"]
    if exclude:
        raise RecordingError(
            f"{path}: there is no `outlier` for {frames} frames, so mask_exclude_outliers cannot be followed; set it "
            "to false"
        )
    return np.zeros(frames, bool)


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.average).parent
        status.begin(folder, snakemake.rule)
        started = time.perf_counter()
        source, given = snakemake.input.compensated, snakemake.input.get("average")
        listed, exclude = FileList.read(source), snakemake.params.exclude_outliers
        with (
            open_recording(source) as movie,
            open_masks(listed.source.files[0], listed.opening["axes"]) as masks,
        ):
            mean, mask, valid_fraction, outliers = adopt_recording(
                movie=movie,
                masks=masks,
                outlier=known_outliers(folder, movie.frames, exclude),
                given=given,
                exclude_outliers=exclude,
            )
            facts = {
                "source": fingerprint(source),
                "external": listed.opening | {"average": "given" if given else "computed"},
                "stage1": "done",
                "frames": movie.frames,
                "shape": list(movie.frame_shape),
                "dtype": movie.dtype.name,
                "channels": list(movie.channel_names),
                **movie.scales,
            }
        write_npy(snakemake.output.average, mean)
        write_npy(snakemake.output.valid_fraction, valid_fraction)
        write_png(snakemake.output.mask, mask)
        seconds = time.perf_counter() - started
        facts |= {"seconds": round(seconds, 3), "frames_per_second": round(facts["frames"] / seconds, 1)}
        written = [path for path in snakemake.output if path != snakemake.output.status]
        status.record(folder, snakemake.rule, written, outliers=outliers, **facts)


if __name__ == "__main__":
    main(snakemake)
