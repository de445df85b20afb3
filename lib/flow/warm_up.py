"""Compile the kernels of one kind of estimation into the cache; `jit.compiled_elsewhere` runs this as a process.

Half of the steps are compiled by a second process meanwhile. Then each kernel is called once, as users' code calls it,
with a small image.
"""

import gc
import json
import multiprocessing
import sys

import numpy as np
from numba import float32, float64, int64, typeof, types

from . import jit, steps
from .calibration import calibrate
from .compact import pack_flow
from .estimator import FlowEstimator
from .measure import statistics
from .memory import LEVEL, RIGID, SHARED, TABLE
from .params import FlowParams
from .register import warp_frames


def compile_kernels(params: FlowParams) -> None:
    """Estimate, register and calibrate with these parameters; what other types of frames need is compiled when met."""
    frames = np.random.default_rng(0).integers(0, 1000, (2, 64, 64)).astype(np.uint16)
    reference = frames[0].astype(np.float64)
    other = multiprocessing.get_context("fork").Process(target=_one_half, args=(params, frames[0]))
    other.start()
    _other_half(params)
    other.join()
    if other.exitcode:
        raise RuntimeError(f"the process that compiles one half ended with {other.exitcode}")
    FlowEstimator(reference, params).register_frames(frames, compact=True)
    calibrate(reference, frames, params)


def _one_half(params: FlowParams, frame: np.ndarray) -> None:
    c, m, shared, levels, tables = _places()
    constancy = types.none if params.constancy_assumption == "gc" else int64
    steps.constrain.compile((c, m, shared, levels, int64, constancy))
    steps.translate.compile((c, m, shared, levels, typeof(np.zeros(1, RIGID)[0])))
    steps.load.compile((c, m, float32[:, :, ::1], shared, levels, tables))
    w = np.zeros((1, *frame.shape, 2), np.float32)
    statistics(w, warp_frames(frame[None], w, fill=0)[1], frame[None], frame)
    pack_flow(w, (32, 32))


def _other_half(params: FlowParams) -> None:
    c, m, shared, levels, tables = _places()
    steps.solve.compile((c, m, shared, levels, int64, types.none if params.a_smooth == 1 else float64))
    steps.smooth.compile((m, shared, levels, int64))
    steps.enlarge.compile((c, m, shared, levels, tables, int64))
    steps.finish.compile((c, m, shared, levels, tables, float32[:, ::1]))
    steps.shift.compile((c, m, levels, int64, float64, float64))


def _places() -> tuple[types.Type, ...]:
    """The types of what says where the arrays of an estimation lie, see `steps`."""
    block = float32[::1]
    return block, block, typeof(np.zeros(1, SHARED)[0]), typeof(np.zeros(1, LEVEL)), typeof(np.zeros((1, 1, 2), TABLE))


if __name__ == "__main__":
    jit.compile_for_parent()
    gc.set_threshold(50_000)  # of millions of objects most stay: looking for others is a twentieth of the time
    compile_kernels(FlowParams(**json.loads(sys.argv[1])))
