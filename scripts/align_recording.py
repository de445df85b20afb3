"""Warp a recording's mask and movie into the common frame."""

from pathlib import Path

import numpy as np

from lib import status
from lib.aligned import align_movie
from lib.logs import job_log
from lib.masks import read_mask, warp_mask
from lib.progress import Progress
from lib.recording import open_recording
from lib.sink import open_movie_sink
from lib.store import write_png

FORMATS = {".tif": "TIFF", ".h5": "HDF5"}


def align_recording(
    *,
    compensated: str,
    output: str,
    w: np.ndarray,
    fill: np.ndarray,
    interpolation: str,
    chunk: int,
    threads: int,
) -> None:
    """Write the movie `compensated` in the common frame to `output`.

    Parameters
    ----------
    compensated, output : path
        The compensated movie; the aligned one, BigTIFF where needed, or HDF5, by its suffix.
    w : (H, W, 2) float32
        Backward displacement into the common frame.
    fill : (H, W[, C])
        What to show where the recording has no data: the center's average.
    interpolation : str
        "cubic", "linear" or "nearest".
    chunk, threads : int
        Frames at once, and threads. Results do not depend on them.
    """
    with (
        open_recording(compensated) as movie,
        open_movie_sink(
            output,
            FORMATS[Path(output).suffix],
            (movie.frames, *movie.frame_shape),
            movie.dtype,
        ) as sink,
        Progress(movie.frames, Path(compensated).parent.name) as progress,
    ):
        align_movie(
            movie,
            w,
            sink,
            fill=fill,
            interpolation=interpolation,
            threads=threads,
            chunk=chunk,
            progress=progress,
        )


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.input.to_reference).parent
        status.begin(folder, snakemake.rule)
        with np.load(snakemake.input.to_reference) as field:
            w = np.stack([field["u"], field["v"]], axis=-1)
        write_png(snakemake.output.mask, warp_mask(read_mask(snakemake.input.mask), w))
        if snakemake.output.get("movie"):
            align_recording(
                compensated=snakemake.input.compensated,
                output=snakemake.output.movie,
                w=w,
                fill=np.load(snakemake.input.center),
                interpolation=snakemake.params.interpolation,
                chunk=snakemake.params.chunk,
                threads=snakemake.threads,
            )
        status.record(folder, snakemake.rule, snakemake.output)


if __name__ == "__main__":
    main(snakemake)
