"""Register the frames of one recording to its reference, in batches that a store keeps.

A reader thread stays one batch ahead, a pool of threads estimates and warps frames, a writer thread stores finished
batches behind. Every frame is computed on its own, so that results do not depend on threads, batches or restarts.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
from scipy.ndimage import gaussian_filter1d

from lib.flow import Backend, FlowEstimator, FlowParams, Registered, as_type
from lib.recording import default_batch


def read_smoothed(recording, start: int, stop: int, params: FlowParams) -> tuple[np.ndarray, np.ndarray]:
    """Raw frames [start, stop) and what to estimate the flow on: the same, smoothed over time if `sigma` asks for it.

    Frames around the range are read for the filter, so that the result does not depend on how a recording is cut into
    ranges; at the recording's ends the first and last frame repeat.
    """
    channels = recording.channels
    sigma_t = [s[2] for s in params.channel_sigma(channels)]
    halo = max(int(4 * s + 0.5) for s in sigma_t)
    if halo == 0:
        frames = recording.read(start, stop)
        return frames, frames
    first, last = max(start - halo, 0), min(stop + halo, recording.frames)
    frames = recording.read(first, last)
    padded = np.concatenate(
        (
            np.repeat(frames[:1], halo - (start - first), axis=0),
            frames,
            np.repeat(frames[-1:], halo - (last - stop), axis=0),
        )
    ).astype(np.float32)
    stack = padded.reshape(*padded.shape[:3], channels)
    for c, sigma in enumerate(sigma_t):
        if int(4 * sigma + 0.5):
            stack[..., c] = gaussian_filter1d(stack[..., c], sigma, axis=0)
    return frames[start - first : stop - first], padded[halo : halo + stop - start]


def register(estimator: FlowEstimator, raw: np.ndarray, smoothed: np.ndarray, fill: np.ndarray, store) -> Registered:
    """What the store keeps of frames: the flow of `smoothed`, the warped `raw` in the type of `fill`, and the like."""
    keep = {"keep_w": store.save_w, "compact": store.compact_shape is not None}
    return estimator.register_frames(as_type(raw, fill.dtype), smoothed, fill, **keep)


def compensate(
    recording,
    reference,
    params: FlowParams,
    store,
    *,
    threads: int = 1,
    batch: int | None = None,
    progress=None,
    backend: str | Backend = "numba",
) -> None:
    """Register the frames that `store` does not have yet and put them there.

    Parameters
    ----------
    recording : Recording
        Open for reading.
    reference : ndarray (H, W[, C])
        Raw intensities.
    params : FlowParams
    store : CompensationStore
        Says which frames are missing and takes finished batches.
    threads : int
        Frames worked on at once.
    batch : int, optional
        Frames read and stored together; by default near 8 MiB of raw frames.
    progress : Progress, optional
        Counts frames, also those that were there already.
    backend : {"numba", "cupy"} or Backend
        What computes.
    """
    batch = batch or default_batch(recording)
    if progress is not None:
        progress.resume(sum(stop - start for start, stop in store.finished))
    estimator, fill = FlowEstimator(reference, params, backend), as_type(reference, store.dtype)
    with ExitStack() as stack:
        reader, writer = (stack.enter_context(ThreadPoolExecutor(1)) for _ in range(2))
        pool = stack.enter_context(ThreadPoolExecutor(estimator.workers or threads))

        def batches() -> Iterator[tuple[int, list[Future[Registered]]]]:
            """First frame and parts of batches in order, at work in the pool; the next one is read meanwhile."""
            ranges = deque(store.missing(batch))
            ahead = reader.submit(read_smoothed, recording, *ranges[0], params) if ranges else None
            while ranges:
                start, _ = ranges.popleft()
                raw, smoothed = ahead.result()
                if ranges:
                    ahead = reader.submit(read_smoothed, recording, *ranges[0], params)
                parts = estimator.parts(len(raw))
                yield start, [pool.submit(register, estimator, raw[k], smoothed[k], fill, store) for k in parts]

        def keep(start: int, work: list[Future[Registered]]) -> None:
            done = Registered(*zip(*(part.result() for part in work), strict=True))
            store.write(start, *(None if parts[0] is None else parts for parts in done))
            if progress is not None:
                progress.update(sum(map(len, done.registered)))

        writing: deque[Future] = deque()
        try:
            for now in batches():
                writing.append(writer.submit(keep, *now))
                if len(writing) > 2:  # bounds the memory: one batch is written, one computed, one waits
                    writing.popleft().result()
            while writing:
                writing.popleft().result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)  # an error or Ctrl-C must not wait for queued frames
            raise
