"""Movies in the common frame."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from lib.flow import Backend, as_backend, as_type, warp_frame
from lib.recording import default_batch


def aligned_blocks(
    recording,
    w,
    *,
    fill,
    within=None,
    dtype=None,
    interpolation="cubic",
    threads=1,
    chunk=None,
    backend: str | Backend = "numba",
) -> Iterator[np.ndarray]:
    """Yield the frames of a movie in the common frame, in order, in blocks (n, H, W[, C]).

    The frames of a compensated movie are warped by one displacement. Those of a raw movie are warped once by the
    composed displacement within(x + w(x)) + w(x), because every interpolation costs detail. While a block is in use,
    the next one is read and warped.

    Parameters
    ----------
    recording : Recording
        The compensated movie, or with `within` the raw one; open for reading.
    w : ndarray (H, W, 2) float32
        Backward displacement into the common frame, pixels.
    fill : ndarray (H, W[, C])
        Shown where the recording has no data.
    within : Recording, optional
        The displacement of every frame to the recording's reference, as `pack_flow` makes it; two channels, u and v.
    dtype : dtype, optional
        Of the blocks; by default the movie's.
    interpolation : {"cubic", "linear", "nearest"}
    threads, chunk : int
        Frames worked on at once, and frames read at once; results do not depend on them.
    backend : {"numba", "cupy"} or Backend
        What computes.
    """
    dtype = recording.dtype if dtype is None else np.dtype(dtype)
    step = chunk or default_batch(recording)
    warp = as_backend(backend).warper(w, as_type(fill, dtype), interpolation, within and within.frame_shape[:2])

    def block(start: int) -> np.ndarray:
        frames = as_type(recording.read(start, min(start + step, recording.frames)), dtype)
        flows = None if within is None else within.read(start, start + len(frames))
        parts = warp.parts(len(frames))
        return np.concatenate(
            list(pool.map(lambda part: warp(frames[part], None if flows is None else flows[part]), parts))
        )

    with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(warp.workers or threads) as pool:
        blocks: deque[Future] = deque()
        for start in range(0, recording.frames, step):
            blocks.append(ahead.submit(block, start))
            if len(blocks) > 1:
                yield blocks.popleft().result()
        while blocks:
            yield blocks.popleft().result()


def align_movie(recording, w, sink, *, progress=None, **how) -> None:
    """Write a movie in the common frame into `sink` (MovieSink); `how` are the parameters of `aligned_blocks`."""
    for block in aligned_blocks(recording, w, **how):
        sink.append(block)
        if progress is not None:
            progress.update(len(block))


def raw_fill(reference: np.ndarray, center_average: np.ndarray, w: np.ndarray) -> np.ndarray:
    """What a raw movie shows in the common frame where it has no data, (H, W[, C]).

    The recording's own reference, as its compensated movie does; beyond the reference, the center's average.

    Parameters
    ----------
    reference, center_average : ndarray (H, W[, C])
    w : ndarray (H, W, 2) float32
        Backward displacement into the common frame, pixels.
    """
    return warp_frame(reference.astype(np.float64), w, fill=center_average)
