"""Warp the frames of a movie by one displacement, alone or composed with each frame's own."""

import numpy as np

from .backend import cut
from .compact import compose_flow, unpack_flow
from .register import warp_frames


class NumbaWarper:
    """Warp frames by w, or by w composed with a displacement of their own: within(x + w(x)) + w(x).

    Parameters
    ----------
    w : ndarray (H, W, 2) float32
        Backward displacement, pixels.
    fill : ndarray (H, W[, C])
        Shown where a frame has no data, in the frames' type.
    interpolation : {"cubic", "linear", "nearest"}
    """

    workers = None  # as many threads as the caller likes

    def __init__(self, w: np.ndarray, fill: np.ndarray, interpolation: str):
        self.w, self.fill, self.interpolation = w, fill, interpolation

    def parts(self, frames: int) -> list[slice]:
        """How to cut a number of frames into what is warped at once, for threads to share the work."""
        return cut(frames, self.w.shape[:2])

    def __call__(self, frames: np.ndarray, within: np.ndarray | None) -> np.ndarray:
        """Warped frames (n, H, W[, C]); `within` (n, h, w, 2) float16 as `pack_flow` makes it, or None."""
        flows = self.w[None] if within is None else compose_flow(self.w, unpack_flow(within, self.w.shape[:2]))
        return warp_frames(frames, flows, fill=self.fill, interpolation=self.interpolation)[0]
