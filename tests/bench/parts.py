"""Where the time of a frame goes, per preset, in `lib.compensation.compensate` with one thread."""

import time
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np

from lib import compensation
from lib.flow import backend_numba
from lib.partial import CompensationStore

from .data import default_params, make_movie
from .report import BENCH, table
from .scaling import compensate_once
from .stopwatch import Stopwatch

FRAMES = 40
BACKEND, KERNELS = backend_numba.NumbaBackend, backend_numba
PARTS = [
    ("load: smooth and reduce to all levels", BACKEND, "load"),
    ("rigid start", BACKEND, "translate"),
    ("rigid start", BACKEND, "shift"),
    ("enlarge the coarser level's flow", BACKEND, "enlarge"),
    ("warp the level, motion tensor", BACKEND, "constrain"),
    ("weights, system and sweeps", BACKEND, "solve"),
    ("5 x 5 median", BACKEND, "smooth"),
    ("flow at full size", BACKEND, "finish"),
    ("register: warp the frame and its mask", KERNELS, "warp_frames"),
    ("statistics", KERNELS, "statistics"),
    ("between these", compensation, "register"),
]
BESIDE = [
    ("read (thread of its own)", compensation, "read_smoothed"),
    ("write (thread of its own)", CompensationStore, "write"),
]
NOTE = (
    "Milliseconds of CPU time per frame of 512 x 512 with the workflow's default options, one thread, and the share of "
    "the frame in percent; medians over rounds. Reading and writing run beside the frames. Steps are taken one by one "
    "here; in use, those from the rigid start to the last median are one compiled call."
)


def step_by_step(backend, frames, estimate) -> np.ndarray:
    """Take the place of a backend's `flows`: the same steps, each a call that can be timed."""
    return np.stack([estimate(backend, backend._work(), frame) for frame in frames])


def run(*, rounds: int, without: set[str], pythons: dict[str, Path]) -> list[str]:
    """Return the table."""
    path = BENCH / "movies" / "profile.tif"
    reference = make_movie(path, 512, FRAMES)
    spent = {quality: [] for quality in ("fast", "balanced", "quality")}
    for quality in spent:
        compensate_once(path, reference, default_params(quality))  # compiles
    for _ in range(rounds):
        for quality, results in spent.items():
            # what the estimator does with the reference comes once per recording, and is left out by that
            with (
                patch.object(BACKEND, "flows", step_by_step),
                Stopwatch([*PARTS, *BESIDE], time.thread_time) as watch,
            ):
                compensate_once(path, reference, default_params(quality), ready=watch.seconds.clear)
            results.append({part: 1e3 * seconds / FRAMES for part, seconds in watch.seconds.items()})
    names = list(dict.fromkeys(part for part, _, _ in PARTS))
    beside = [part for part, _, _ in BESIDE]
    ms = {q: {p: median(r.get(p, 0.0) for r in results) for p in names + beside} for q, results in spent.items()}
    whole = {quality: sum(parts[name] for name in names) for quality, parts in ms.items()}
    rows = [
        [name, *(cell for q, parts in ms.items() for cell in (parts[name], 100 * parts[name] / whole[q]))]
        for name in names
    ]
    rows.append(["all of these", *(cell for q in ms for cell in (whole[q], 100.0))])
    rows += [[name, *(cell for parts in ms.values() for cell in (parts[name], ""))] for name in beside]
    columns = ["part", *(cell for quality in ms for cell in (f"{quality} ms", "%"))]
    return [table("Parts of a frame", columns, rows, NOTE)]
