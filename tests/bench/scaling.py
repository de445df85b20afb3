"""How compensation scales: with threads, with the size of frames, and its memory with the length of a movie."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from lib import compensation
from lib.flow import STATISTICS, FlowEstimator, FlowParams, backend_numba
from lib.partial import CompensationStore
from lib.recording import open_recording
from tests.memory import measure

from .data import default_params, make_movie
from .report import BENCH, table
from .stopwatch import Stopwatch

# preset, side, and frames of the movies that threads are timed on
MOVIES = [("fast", 128, 8000), ("fast", 512, 1000), ("balanced", 512, 500), ("quality", 512, 150)]
LENGTHS, SIZES = (600, 1800), (256, 512, 1024)
REQUESTS = [(128, 300, "fast"), (512, 300, "fast"), (512, 300, "quality"), (2048, 60, "fast"), (2048, 20, "quality")]
WORK = [
    ("estimate", backend_numba.NumbaBackend, "flows"),
    ("warp", backend_numba, "warp_frames"),
    ("other", backend_numba, "statistics"),
]


def compensate_once(
    path: Path, reference: np.ndarray, params: FlowParams, threads: int = 1, ready: Callable[[], object] = int
) -> float:
    """Compensate a movie into a fresh store and throw the result away; return the seconds from `ready()` on.

    `ready` is called when the first frames are asked for: the estimator has been made by then.
    """
    folder = BENCH / "store"
    shutil.rmtree(folder, ignore_errors=True)
    started = []

    class Store(CompensationStore):
        def missing(self, batch):
            ready()
            started.append(time.perf_counter())
            return super().missing(batch)

    with (
        open_recording(path) as recording,
        Store(
            folder,
            frames=recording.frames,
            frame_shape=recording.frame_shape,
            dtype=recording.dtype,
            fingerprint={},
            statistics=STATISTICS,
        ) as store,
    ):
        compensation.compensate(recording, reference, params, store, threads=threads)
        seconds = time.perf_counter() - started[0]
    shutil.rmtree(folder)
    return seconds


def run(*, rounds: int, without: set[str], pythons: dict[str, Path]) -> list[str]:
    """Return the tables."""
    return [_threads(rounds), _sizes(rounds), _memory()]


def _threads(rounds: int) -> str:
    path, rows = BENCH / "movies" / "threads.tif", []
    cores = sorted(os.sched_getaffinity(0))
    for quality, side, frames in MOVIES:
        reference, params = make_movie(path, side, frames), default_params(quality)
        compensate_once(path, reference, params)  # compiles
        seconds, alone, shares = {1: [], 2: []}, {1: [], 2: []}, {1: [], 2: []}
        for _ in range(rounds):
            for threads in seconds:
                seconds[threads].append(compensate_once(path, reference, params, threads))
                os.sched_setaffinity(0, cores[:threads])
                alone[threads].append(compensate_once(path, reference, params, threads))
                os.sched_setaffinity(0, cores)
                with Stopwatch(WORK) as watch:
                    whole = compensate_once(path, reference, params, threads, ready=watch.seconds.clear)
                shares[threads].append([watch.seconds[part] / (threads * whole) for part, _, _ in WORK])
        for threads in seconds:
            share = [100 * float(s) for s in np.median(shares[threads], axis=0)]
            speeds = [(frames / median(times[threads]), _gain(times, threads)) for times in (seconds, alone)]
            rows.append([quality, side, threads, *speeds[0], *speeds[1], share[0] + share[1], *share])
    columns = ["preset", "side", "threads", "frames/s", "speed-up", "frames/s, cores = threads"]
    columns += ["speed-up, cores = threads", "estimate + warp %", "estimate %", "warp %", "statistics %"]
    note = (
        "`compensate` from file to disk, uint16, and the share of the wall time of the threads; what is left "
        "is waiting for the reader and the writer. Those have a thread each beside them, which a free core takes off a "
        "single thread's shoulders: with as many cores as threads, which is what a scheduler gives a job, all have to "
        "share."
    )
    return table("Threads", columns, rows, note)


def _gain(seconds: dict[int, list[float]], threads: int) -> float:
    return median(one / now for one, now in zip(seconds[1], seconds[threads], strict=True))


def _sizes(rounds: int) -> str:
    path, frames = BENCH / "movies" / "sizes.tif", 4
    rows = []
    for quality in ("fast", "balanced", "quality"):
        estimators, movies, ms = {}, {}, {size: [] for size in SIZES}
        for size in SIZES:
            estimators[size] = FlowEstimator(make_movie(path, size, frames), default_params(quality))
            with open_recording(path) as recording:
                movies[size] = recording.read(0, frames)
        for _ in range(rounds):
            for size, times in ms.items():
                for frame in movies[size]:
                    start = time.perf_counter()
                    estimators[size].register(frame)
                    times.append(1e3 * (time.perf_counter() - start))
        pixel = {size: 1e6 * median(times) / size**2 for size, times in ms.items()}
        rows += [[quality, size, median(ms[size]), pixel[size], pixel[size] / pixel[SIZES[0]]] for size in SIZES]
    columns = ["preset", "side", "ms per frame", "ns per pixel", f"per pixel, {SIZES[0]} = 1"]
    return table("Frame size", columns, rows, "Flow and warp of one frame, one thread, default options.")


def _memory() -> str:
    cases = [(512, frames, "fast", 2) for frames in LENGTHS]
    cases += [(size, frames, quality, threads) for size, frames, quality in REQUESTS for threads in (1, 4)]
    rows = []
    for size, frames, quality, threads in cases:
        path, folder = BENCH / "movies" / "memory.tif", BENCH / "memory"
        make_movie(path, size, frames)
        shutil.rmtree(folder, ignore_errors=True)
        needed = measure(path, folder, quality=quality, threads=threads)
        movie = path.stat().st_size / 1e6
        rows.append([size, frames, quality, threads, movie, needed.peak, needed.request, needed.peak / needed.request])
        shutil.rmtree(folder)
        path.unlink()
    columns = ["side", "frames", "preset", "threads", "movie MB", "peak MB", "mem_mb", "peak of request"]
    note = (
        "One uint16 recording, from its file to its results: the largest resident set of compensate_recording, and "
        "what the workflow asks for it. The request also covers two waiting Snakemakes and compiling the kernels."
    )
    return table("Memory", columns, rows, note)
