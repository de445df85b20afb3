"""Average the compensated frames of a recording and intersect their masks."""

from pathlib import Path

import numpy as np

from lib import status
from lib.compensation import average
from lib.logs import job_log
from lib.masks import recording_mask
from lib.progress import Progress
from lib.recording import open_recording
from lib.store import write_npy, write_png


def average_recording(*, compensated: str, valid: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the frames, (H, W[, C]) float64, and the mask of ever valid pixels, (H, W) bool."""
    with (
        open_recording(compensated) as movie,
        Progress(movie.frames, Path(compensated).parent.name) as progress,
    ):
        mean = average(movie, progress=progress)
    return mean, recording_mask(valid)


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.average).parent
        status.begin(folder, snakemake.rule)
        mean, mask = average_recording(compensated=snakemake.input.compensated, valid=snakemake.input.valid)
        write_npy(snakemake.output.average, mean)
        write_png(snakemake.output.mask, mask)
        status.record(folder, snakemake.rule, snakemake.output)


if __name__ == "__main__":
    main(snakemake)
