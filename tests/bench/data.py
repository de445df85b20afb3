"""Simulated recordings for the benchmarks."""

from pathlib import Path

import numpy as np
import tifffile

from lib.config import load
from lib.flow import FlowParams
from lib.preparation import flow_params
from lib.simulate import make_scene, simulate_recording

from .report import ROOT

STILL_FRAMES = 50  # averaged into the noisy reference


def make_frames(folder: Path, frames: int) -> None:
    """Save `frames` frames of 512 x 512 and their true flow, other frames of the recording to calibrate with, and two
    references: noise-free, and with noise left."""
    folder.mkdir(parents=True, exist_ok=True)
    scene = make_scene((512, 512), seed=1)
    moving = simulate_recording(scene, frames=4 * frames, seed=2)
    still = simulate_recording(scene, frames=STILL_FRAMES, seed=3, rigid=0.0, nonrigid=0.0, jitter=0.0)
    np.save(folder / "frames.npy", moving.movie[::4])  # neighbours are too much alike
    np.save(folder / "flow.npy", moving.flow[::4])
    np.save(folder / "sample.npy", np.delete(moving.movie, np.s_[::4], axis=0))
    np.save(folder / "clean.npy", moving.clean)
    np.save(folder / "noisy.npy", still.movie.mean(axis=0, dtype=np.float32))


def make_movie(path: Path, size: int, frames: int) -> np.ndarray:
    """Write a movie of size x size, a few simulated frames over and over; return its reference (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    recording = simulate_recording(make_scene((size, size), seed=1), frames=8, seed=2)
    repeats = -(-frames // len(recording.movie))
    tifffile.imwrite(path, np.tile(recording.movie, (repeats, 1, 1))[:frames], photometric="minisblack")
    return recording.clean


def default_options(quality: str) -> dict:
    """Return the `flow_options` that the workflow uses for a quality setting."""
    config = load({"flow_options": {"quality_setting": quality}}, ROOT / "config" / "session.schema.json")
    return config["flow_options"]


def default_params(quality: str) -> FlowParams:
    """Return the parameters that the workflow estimates the flow with for a quality setting."""
    return flow_params(default_options(quality))
