"""Compile the kernels of one kind of estimation into the cache; `jit.compiled_elsewhere` runs this as a process.

Each kernel is called once, as users' code calls it, with a small image.
"""

import gc
import json
import sys

import numpy as np

from . import jit
from .calibration import calibrate
from .estimator import FlowEstimator
from .params import FlowParams


def compile_kernels(params: FlowParams) -> None:
    """Estimate, register and calibrate with these parameters; what other types of frames need is compiled when met."""
    frames = np.random.default_rng(0).integers(0, 1000, (2, 64, 64)).astype(np.uint16)
    reference = frames[0].astype(np.float64)
    FlowEstimator(reference, params).register_frames(frames, compact=True)
    calibrate(reference, frames, params)


if __name__ == "__main__":
    jit.compile_for_parent()
    gc.set_threshold(50_000)  # of millions of objects most stay: looking for others is a twentieth of the time
    compile_kernels(FlowParams(**json.loads(sys.argv[1])))
