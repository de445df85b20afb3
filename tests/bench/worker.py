"""Runs one engine on frames with known motion, in that engine's own Python: `python -P worker.py ENGINE FOLDER`.

Needs NumPy and the engine, nothing of this project unless the engine is ours. Reads one task per line from
stdin, a JSON object of the engine's arguments, and answers with one JSON line: milliseconds and endpoint error
of every frame. A task that names `frames`, a file of other frames, has its flows saved there as `flows` instead.
"""

import json
import os
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

SCALE = 32  # grey values per pixel of ramps: as fine as 16 bits allow
BORDER = 24  # pixels left out of the error: what moved in from outside cannot be known


def ours(reference, quality, alpha, warp=False, sample=None):
    """`alpha` "auto": what calibration finds on the `sample`, other frames of the recording."""
    from lib.flow import FlowEstimator, FlowParams, calibrate

    if alpha == "auto":
        params = calibrate(reference, sample, FlowParams(quality=quality)).params
    else:
        params = FlowParams(quality=quality, alpha=alpha)
    estimator = FlowEstimator(reference, params)
    return each(lambda frame: estimator.register(frame)[1]) if warp else each(estimator)


def pyflowreg(reference, quality, alpha):
    """The function behind its presets, with their finest levels, on images scaled and smoothed as it does."""
    import cv2  # one of its requirements, and a faster filter than SciPy's
    from pyflowreg.core.optical_flow import get_displacement

    cv2.setNumThreads(1)
    low, high = float(reference.min()), float(reference.max())
    finest = {"fast": 6, "balanced": 4, "quality": 0}[quality]

    def prepare(image):
        return cv2.GaussianBlur((image.astype(np.float64) - low) / (high - low), (0, 0), 1.0)

    fixed = prepare(reference)
    return each(lambda frame: get_displacement(fixed, prepare(frame), alpha=(alpha, alpha), min_level=finest))


def opencv(reference, preset):
    """Dense inverse search on 8-bit images, the only type it takes, smoothed like ours."""
    import cv2

    cv2.setNumThreads(1)
    flow = cv2.DISOpticalFlow_create(("ultrafast", "fast", "medium").index(preset))
    low, high = float(reference.min()), float(np.percentile(reference, 99.8))

    def prepare(image):
        smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
        return cv2.convertScaleAbs(np.maximum(smooth - np.float32(low), 0), alpha=255 / (high - low))

    fixed = prepare(reference)
    return each(lambda frame: flow.calc(fixed, prepare(frame), None))


def suite2p(reference, warp=False, block=128):
    """Rigid and non-rigid shifts of a batch of frames, as its registration finds them; `warp` applies them too.

    Its displacement is read off ramps that are shifted like the frames.
    """
    import torch

    torch.set_num_threads(1)
    allow_torchvision(torch)
    from suite2p.registration import register

    cpu = torch.device("cpu")
    target = register.compute_filters_and_norm(reference.astype(np.int16), block_size=(block, block), device=cpu)
    blocks = target[6]
    y, x = np.mgrid[: reference.shape[0], : reference.shape[1]]
    ramps = np.stack([x, y]).astype(np.int16) * np.int16(SCALE)

    def run(frames):
        movie = torch.from_numpy(frames.astype(np.int16))
        start = time.perf_counter()
        dy, dx, _, dy_block, dx_block, *_ = register.compute_shifts(target, movie.clone())
        if warp:
            register.shift_frames(movie.clone(), dy, dx, dy_block, dx_block, blocks, device=cpu)
        seconds = time.perf_counter() - start
        shifts = (dy, dx, dy_block, dx_block, blocks)
        at = [
            register.shift_frames(torch.from_numpy(np.stack([ramp] * len(frames))), *shifts, device=cpu) / SCALE
            for ramp in ramps
        ]
        return list(np.stack([at[0] - x, at[1] - y], -1)), [seconds / len(frames)] * len(frames)

    return run


@cache  # once per process; it also keeps the definitions alive
def allow_torchvision(torch):
    """Let suite2p import torchvision where torch is a CPU build and torchvision, which has none on PyPI, is not.

    Its compiled operators cannot be loaded then, and importing it fails on two of them that it expects; the
    registration uses none.
    """
    library = None
    if "+cpu" in torch.__version__:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def each(estimate):
    """Make an engine of single frames run over several."""

    def run(frames):
        flows, seconds = [], []
        for frame in frames:
            start = time.perf_counter()
            flow = estimate(frame)
            seconds.append(time.perf_counter() - start)
            flows.append(flow)
        return flows, seconds

    return run


def main(engine, folder):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the engine prints must not get among the answers
    inner = (slice(BORDER, -BORDER),) * 2

    def load(name):
        return np.load(Path(folder, f"{name}.npy"))

    engines = {}
    for line in sys.stdin:
        task = json.loads(line)
        name, reference = task.pop("frames", None), task.pop("reference")
        frames = load(name or "frames")
        if line not in engines:
            if task.get("alpha") == "auto":
                task["sample"] = load("sample")
            engines[line] = globals()[engine](load(reference), **task)
            engines[line](frames[:2])  # what it compiles or plans at first must not count
        flows, seconds = engines[line](frames)
        answer = {"ms": [1e3 * s for s in seconds]}
        if name:
            np.save(Path(folder, "flows.npy"), np.stack(flows).astype(np.float32))
        else:
            pairs = zip(flows, load("flow"), strict=True)
            answer["error"] = [float(np.linalg.norm(w[inner] - t[inner], axis=-1).mean()) for w, t in pairs]
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
