"""The mean of a movie's frames; apart from `lib.compensation`, whose compiled code takes long to import."""

import numpy as np

from lib.recording import default_batch


def average(movie, *, leave_out: np.ndarray | None = None, progress=None) -> np.ndarray:
    """Mean over the frames of an open movie, (H, W[, C]) float64, without those that are set in `leave_out` (T,) bool.

    Frames are added one by one, so that the result does not depend on how many are read at once.
    """
    use = np.ones(movie.frames, bool) if leave_out is None else ~leave_out
    total = np.zeros(movie.frame_shape)
    step = default_batch(movie)
    for start in range(0, movie.frames, step):
        block = movie.read(start, min(start + step, movie.frames))
        for frame, wanted in zip(block, use[start : start + len(block)], strict=True):
            if wanted:
                total += frame
        if progress is not None:
            progress.update(len(block))
    return total / use.sum()
