"""The same on a GPU, for batches of frames: see `movie`."""

import numpy as np

from .backend import slices
from .backend_cupy import resize_tables, warp_frames
from .device import cupy, launch
from .device_memory import SLOTS, Slots


class CupyWarper:
    """`NumbaWarper`, with the number of a GPU, and with the shape (h, w) of the frames' own displacements or None.

    Raises
    ------
    DeviceError
        There is no such GPU, or not even one frame fits into its memory.
    """

    workers = SLOTS

    def __init__(
        self, w: np.ndarray, fill: np.ndarray, interpolation: str, within: tuple[int, int] | None, device: int
    ):
        self.shape, self.within, self.interpolation = w.shape[:2], within, interpolation
        (height, width), pixels, channels = self.shape, fill.size, fill.size // w[..., 0].size
        layout = {
            "frames": (8 * pixels, "u1"),
            "registered": (8 * pixels, "u1"),
            "valid": (height * width, "u1"),
        }
        if within is not None:
            flows = {"compact": (2 * within[0] * within[1], "f4"), "unpacked": (2 * height * width, "f4")}
            layout |= flows | {"w": (2 * height * width, "f4")}
        with cupy.cuda.Device(device):
            self._slots = Slots(device, layout, (height, width, channels))
            self._w, self._fill = cupy.asarray(w), cupy.asarray(fill.reshape(height, width, channels))
            self._tables = within and resize_tables(within, self.shape)
            cupy.cuda.Device(device).synchronize()
        self._slots.fit()

    def parts(self, frames: int) -> list[slice]:
        """How to cut a number of frames into what is warped at once, for threads to share the work."""
        return slices(frames, min(-(-frames // SLOTS), self._slots.frames_at_once))

    def __call__(self, frames: np.ndarray, within: np.ndarray | None) -> np.ndarray:
        out = np.empty_like(frames)
        for slot, part in self._slots.batches(len(frames)):
            raw = slot.upload("frames", frames[part])
            flow, each = self._w, False
            if within is not None:
                slot.upload("compact", within[part].astype(np.float32))
                flow, each = self._compose(slot), True
            warp_frames(slot, raw, flow, each, self._fill, self.interpolation, frames.dtype, self.shape)
            warped = slot.download("registered", out[part].shape, frames.dtype)
            slot.stream.synchronize()
            out[part] = warped
        return out

    def _compose(self, slot) -> "cupy.ndarray":
        y, x = self._tables
        sizes = *self.within, *y[:2], *x[:2], *self.shape
        launch("resize_flow", self.shape, slot.count, slot["compact"], *sizes, slot["unpacked"])
        launch("compose_flow", self.shape, slot.count, self._w, slot["unpacked"], *self.shape, slot["w"])
        return slot["w"]
