"""What an aligned movie loses when its frames are interpolated twice instead of once."""

import numpy as np
from scipy.ndimage import map_coordinates

from lib.flow import FlowParams, compact_shape, compose_flow, pack_flow, unpack_flow, warp_frame
from lib.simulate import MARGIN, invert, make_scene, simulate_between, simulate_recording

from .report import table

SHAPE, FRAMES = (256, 256), 16
INNER = np.s_[24:-24, 24:-24]
COLUMNS = ("interpolation", "frame, once", "frame, twice", "average, once", "average, twice", "gradient, once", "twice")
NOTE = (
    f"{FRAMES} simulated frames of {SHAPE[0]} x {SHAPE[1]} without noise, moved by the true displacements within the "
    "recording (what is kept of them at preset quality) and between recordings. Error against the image that is "
    "sought, in % of its standard deviation; mean norm of the frames' gradient, in % of that image's: above 100 the "
    "cubic overshoots. Once: align_from: raw; twice: compensated."
)


def run(**_) -> list[str]:
    """Return the table; nothing is timed."""
    scene = make_scene(SHAPE, seed=1)
    between = simulate_between(SHAPE, seed=7)
    flow = simulate_recording(scene, frames=FRAMES, seed=2).flow
    size = compact_shape(SHAPE, FlowParams(quality="quality"))
    composed = [compose_flow(between, unpack_flow(pack_flow(w, size), SHAPE)) for w in flow]

    def look(displacement: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + np.moveaxis(displacement[..., ::-1], -1, 0) + MARGIN
        return map_coordinates(scene.canvas, (y, x), order=3, prefilter=False).astype(np.float32)

    sought, raw = look(between)[INNER], [look(invert(w)) for w in flow]
    rows = []
    for method in ("cubic", "linear", "nearest"):

        def warp(frame: np.ndarray, w: np.ndarray, how: str = method) -> np.ndarray:
            return warp_frame(frame, w, fill=0, interpolation=how)

        once = np.stack([warp(frame, w)[INNER] for frame, w in zip(raw, composed, strict=True)])
        twice = np.stack([warp(warp(frame, w), between)[INNER] for frame, w in zip(raw, flow, strict=True)])
        values = [
            *(100 * (movie - sought).std(axis=(1, 2)).mean() / sought.std() for movie in (once, twice)),
            *(100 * (movie.mean(0) - sought).std() / sought.std() for movie in (once, twice)),
            *(100 * np.mean([_gradient(frame) for frame in movie]) / _gradient(sought) for movie in (once, twice)),
        ]
        rows.append((method, *map(float, values)))
    return [table("Interpolation", COLUMNS, rows, NOTE)]


def _gradient(image: np.ndarray) -> float:
    return float(np.hypot(*np.gradient(image)).mean())
