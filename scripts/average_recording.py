"""Average the compensated frames of a recording and intersect their masks."""

from pathlib import Path

import numpy as np

from lib import status
from lib.average import average
from lib.logs import job_log
from lib.masks import valid_pixels
from lib.progress import Progress
from lib.recording import open_recording
from lib.store import write_npy, write_png


def average_recording(
    *, compensated: str, valid: str, outlier: np.ndarray, exclude_outliers: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    """Average frames and intersect masks.

    Parameters
    ----------
    compensated, valid : path
        The compensated movie, and the masks of its frames.
    outlier : (T,) bool
        Frames that do not match.
    exclude_outliers : bool
        Leave them out of the mean and the mask.

    Returns
    -------
    mean : (H, W[, C]) float64
        Of the frames.
    mask : (H, W) bool
        Pixels that are valid in all of them.
    valid_fraction : (H, W) float32
        In which part of all frames, outliers included, each pixel is valid.
    facts : dict
        How many pixels are valid with and without outliers.
    """
    with (
        open_recording(compensated) as movie,
        Progress(movie.frames, Path(compensated).parent.name) as progress,
    ):
        mean = average(movie, leave_out=outlier if exclude_outliers else None, progress=progress)
    with open_recording(valid, dataset="ch1") as masks:
        return mean, *valid_pixels(masks, outlier, exclude_outliers)


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.average).parent
        status.begin(folder, snakemake.rule)
        with np.load(snakemake.input.statistics) as statistics:
            outlier = statistics["outlier"]
        mean, mask, valid_fraction, outliers = average_recording(
            compensated=snakemake.input.compensated,
            valid=snakemake.input.valid,
            outlier=outlier,
            exclude_outliers=snakemake.params.exclude_outliers,
        )
        write_npy(snakemake.output.average, mean)
        write_npy(snakemake.output.valid_fraction, valid_fraction)
        write_png(snakemake.output.mask, mask)
        status.record(folder, snakemake.rule, snakemake.output, outliers=outliers)


if __name__ == "__main__":
    main(snakemake)
