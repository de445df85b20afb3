"""Warp a recording's mask and movie into the common frame."""

from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np

from lib import status
from lib.aligned import align_movie, raw_fill
from lib.flow import Backend, chosen_backend
from lib.logs import job_log
from lib.masks import read_mask, warp_mask
from lib.progress import Progress
from lib.recording import Recording, RecordingError, open_recording
from lib.sink import open_movie_sink
from lib.store import write_png

FORMATS = {".tif": "TIFF", ".h5": "HDF5"}


def align_recording(
    *,
    movie: Recording,
    output: str,
    w: np.ndarray,
    fill: np.ndarray,
    within: Recording | None = None,
    dtype: np.dtype | str | None = None,
    interpolation: str,
    chunk: int,
    threads: int,
    backend: str | Backend = "numba",
) -> None:
    """Write a movie in the common frame to `output`.

    Parameters
    ----------
    movie : Recording
        The compensated movie, or with `within` the raw one.
    output : path
        BigTIFF where needed, or HDF5, by its suffix.
    w : (H, W, 2) float32
        Backward displacement into the common frame.
    fill : (H, W[, C])
        What to show where the recording has no data.
    within : Recording, optional
        The displacement of every frame, see `aligned_blocks`.
    dtype : optional
        The type to write, by default the movie's.
    interpolation : str
        "cubic", "linear" or "nearest".
    chunk, threads : int
        Frames at once, and threads. Results do not depend on them.
    backend : {"numba", "cupy"} or Backend
        What computes.

    Raises
    ------
    RecordingError
        The raw movie has another number of frames than the displacements.
    """
    if within is not None and within.frames != movie.frames:
        raise RecordingError(
            f"{movie.path} has {movie.frames} frames, but {within.path} holds the motion of {within.frames}: the "
            "recording was exchanged after its compensation. Run again, and it is compensated again."
        )
    shape, dtype = (movie.frames, *movie.frame_shape), movie.dtype if dtype is None else np.dtype(dtype)
    with (
        open_movie_sink(output, FORMATS[Path(output).suffix], shape, dtype) as sink,
        Progress(movie.frames, Path(output).stem.removeprefix("aligned_")) as progress,
    ):
        align_movie(
            movie,
            w,
            sink,
            fill=fill,
            within=within,
            dtype=dtype,
            interpolation=interpolation,
            threads=threads,
            chunk=chunk,
            backend=backend,
            progress=progress,
        )


def main(snakemake):
    with job_log(snakemake.log[0]), ExitStack() as stack:
        given, params = snakemake.input, snakemake.params
        folder = Path(given.to_reference).parent
        status.begin(folder, snakemake.rule)
        with np.load(given.to_reference) as field:
            w = np.stack([field["u"], field["v"]], axis=-1)
        write_png(snakemake.output.mask, warp_mask(read_mask(given.mask), w))
        if snakemake.output.get("movie"):
            fill, within, dtype = np.load(given.center), None, None
            if given.get("compact_flow"):
                with h5py.File(given.compact_flow) as file:  # rows are moved as they were for the compensation
                    reading = params.reading | {"bidiphase": int(file.attrs.get("bidiphase", 0))}
                movie = open_recording(given.recording, **reading, bin_size=params.bin_size)
                within = stack.enter_context(open_recording(given.compact_flow, dataset=["u", "v"]))
                dtype = None if params.typename == "source" else params.typename
                fill = raw_fill(np.load(given.reference), fill, w)
            else:
                movie = open_recording(given.compensated)
            align_recording(
                movie=stack.enter_context(movie),
                output=snakemake.output.movie,
                w=w,
                fill=fill,
                within=within,
                dtype=dtype,
                interpolation=params.interpolation,
                chunk=params.chunk,
                threads=snakemake.threads,
                backend=stack.enter_context(chosen_backend(**params.backend)),
            )
        status.record(folder, snakemake.rule, snakemake.output)


if __name__ == "__main__":
    main(snakemake)
