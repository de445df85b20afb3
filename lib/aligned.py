"""Movies in the common frame."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lib.compensation import default_batch
from lib.flow import as_type, warp_frame


def aligned_blocks(recording, w, *, fill, interpolation="cubic", threads=1, chunk=None) -> Iterator[np.ndarray]:
    """Yield the frames of a movie in the common frame, in order, in blocks (n, H, W[, C]) of the movie's type.

    Parameters
    ----------
    recording : Recording
        The compensated movie, open for reading.
    w : ndarray (H, W, 2) float32
        Backward displacement into the common frame, pixels.
    fill : ndarray (H, W[, C])
        Shown where the recording has no data.
    interpolation : {"cubic", "linear", "nearest"}
    threads, chunk : int
        Frames worked on at once, and frames read at once; results do not depend on them.
    """
    step, fill = chunk or default_batch(recording), as_type(fill, recording.dtype)
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, recording.frames, step):
            frames = recording.read(start, min(start + step, recording.frames))
            warped = pool.map(lambda frame: warp_frame(frame, w, fill=fill, interpolation=interpolation), frames)
            yield np.stack(list(warped))


def align_movie(recording, w, sink, *, progress=None, **how) -> None:
    """Write a movie in the common frame into `sink` (MovieSink); `how` are the parameters of `aligned_blocks`."""
    for block in aligned_blocks(recording, w, **how):
        sink.append(block)
        if progress is not None:
            progress.update(len(block))
