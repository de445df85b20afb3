"""Movies in the common frame."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lib.compensation import default_batch
from lib.flow import as_type, warp_frame


def align_movie(recording, w, sink, *, fill, interpolation="cubic", threads=1, chunk=None, progress=None) -> None:
    """Write a movie in the common frame: every frame warped by one displacement field.

    Parameters
    ----------
    recording : Recording
        The compensated movie, open for reading.
    w : ndarray (H, W, 2) float32
        Backward displacement into the common frame, pixels.
    sink : MovieSink
        Takes the frames in order.
    fill : ndarray (H, W[, C])
        Shown where the recording has no data.
    interpolation : {"cubic", "linear", "nearest"}
    threads, chunk : int
        Frames worked on at once, and frames read at once; results do not depend on them.
    progress : Progress, optional
    """
    step, fill = chunk or default_batch(recording), as_type(fill, recording.dtype)
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, recording.frames, step):
            frames = recording.read(start, min(start + step, recording.frames))
            warped = pool.map(lambda frame: warp_frame(frame, w, fill=fill, interpolation=interpolation), frames)
            sink.append(np.stack(list(warped)))
            if progress is not None:
                progress.update(len(frames))
