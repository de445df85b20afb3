"""Memory of a GPU for batches of frames: two slots, each with a stream of its own, so that copies and kernels overlap.

All that a batch needs is allocated at once and used again for the next one. How many frames fit is told from the
free memory and `bytes_needed`; where that is not to be had after all, because another process took it, batches become
half as large, again and again.
"""

import logging
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from .device import DeviceError, cupy, device_name, free_memory, type_code

log = logging.getLogger(__name__)

SLOTS = 2
UNIT = 512  # bytes: CuPy's memory pool gives out multiples of it
USED = 0.9  # of the free memory: the rest is for the driver, and for what cannot be foreseen
PIXELS_AT_ONCE = 2**24  # of full frames in a batch; more makes no GPU faster
FRAMES_AT_ONCE = 4096  # a launch has at most 65,535 planes

Layout = Mapping[str, tuple[int, str]]  # name: (numbers per frame, their type)


class Frames(NamedTuple):
    """Frames on the device: their memory, the number of their type, and how many there are."""

    array: "cupy.ndarray"
    type: int
    count: int


def bytes_needed(layout: Layout, frames: int) -> int:
    """Device memory of one slot with room for so many frames."""
    sizes = (frames * count * np.dtype(dtype).itemsize for count, dtype in layout.values())
    return sum(-(-size // UNIT) * UNIT for size in sizes)


class Slot:
    """Room for a batch on the device, and as much of it as is copied in pinned memory of the host."""

    def __init__(self, layout: Layout, frames: int):
        self.frames = frames
        self._arrays = {name: cupy.empty(frames * count, dtype) for name, (count, dtype) in layout.items()}
        self._pinned = {}
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.count = 0  # frames in work

    def __getitem__(self, name: str) -> "cupy.ndarray":
        """The whole array of this name, flat."""
        return self._arrays[name]

    def upload(self, name: str, frames: np.ndarray) -> Frames:
        """Start to copy frames to the array `name`."""
        self.count = len(frames)
        pinned = self._host(name, frames.nbytes)
        np.copyto(pinned.view(frames.dtype).reshape(frames.shape), frames)
        array = self[name]
        array[: frames.nbytes // array.dtype.itemsize].set(pinned.view(array.dtype), stream=self.stream)
        return Frames(array, type_code(frames.dtype), len(frames))

    def download(self, name: str, shape: tuple[int, ...], dtype) -> np.ndarray:
        """Start to copy the beginning of an array to the host; what is returned is there once the stream is done."""
        dtype = np.dtype(dtype)
        count = int(np.prod(shape))
        pinned = self._host(name, count * dtype.itemsize)
        array = self[name]
        part = array[: len(pinned) // array.dtype.itemsize]
        part.get(stream=self.stream, out=pinned.view(array.dtype), blocking=False)
        return pinned.view(dtype).reshape(shape)

    def _host(self, name: str, nbytes: int) -> np.ndarray:
        """Pinned memory for an array."""
        if name not in self._pinned or len(self._pinned[name]) < nbytes:
            self._pinned[name] = np.frombuffer(cupy.cuda.alloc_pinned_memory(nbytes), np.uint8, nbytes)
        return self._pinned[name][:nbytes]


class Slots:
    """The slots of an estimation on the present device; several threads may take one each.

    Raises
    ------
    DeviceError
        Not even one frame fits.

    Attributes
    ----------
    frames_at_once : int
        The largest batch: what fits, and not more than makes sense.
    """

    def __init__(self, device: int, layout: Layout, frame_shape: tuple[int, ...]):
        self.device, self.layout, self.shape = device, layout, frame_shape
        self.frames_at_once = 1
        self._slots = queue.LifoQueue()
        self._count, self._lock = SLOTS, threading.Lock()
        for _ in range(SLOTS):
            self._slots.put(None)
        if free_memory() < bytes_needed(layout, 1):
            raise self._too_large()

    def fit(self) -> None:
        """Choose the batch by the memory that is free now."""
        with cupy.cuda.Device(self.device):
            fits = int(USED * free_memory() / SLOTS) // bytes_needed(self.layout, 1)
        pixels = self.shape[0] * self.shape[1]
        self.frames_at_once = max(min(fits, -(-PIXELS_AT_ONCE // pixels), FRAMES_AT_ONCE), 1)

    def batches(self, frames: int) -> Iterator[tuple[Slot, slice]]:
        """Cut a number of frames into batches; each is yielded with its slot, on the device and stream of that."""
        done = 0
        while done < frames:
            with cupy.cuda.Device(self.device), self._take(frames - done) as slot, slot.stream:
                part = slice(done, min(done + slot.frames, frames))
                yield slot, part
            done = part.stop

    @contextmanager
    def _take(self, frames: int) -> Iterator[Slot]:
        slot = self._slots.get()
        try:
            while slot is None or slot.frames < min(frames, self.frames_at_once):
                slot = None  # its memory is free now
                # where there is memory for one slot only, wait for that
                slot = self._make(frames) or self._slots.get()
            yield slot
        finally:
            self._slots.put(slot)

    def _make(self, frames: int) -> Slot | None:
        """A slot for so many frames, or for as many as there is memory for; None if that is none, but another has a
        slot."""
        while True:
            wanted = min(frames, self.frames_at_once)
            try:
                return Slot(self.layout, wanted)
            except cupy.cuda.memory.OutOfMemoryError:
                pass
            cupy.get_default_memory_pool().free_all_blocks()  # after the exception, which held the arrays
            if wanted > 1:
                self.frames_at_once = wanted // 2
                log.warning(
                    "%s: no memory for %d frames at once; going on with %d",
                    device_name(self.device), wanted, self.frames_at_once,
                )  # fmt: skip
                continue
            with self._lock:
                if self._count > 1:
                    self._count -= 1
                    return None
            raise self._too_large()

    def _too_large(self) -> DeviceError:
        needed, free = bytes_needed(self.layout, 1) / 1e6, free_memory() / 1e6
        return DeviceError(
            f"a frame of {' x '.join(map(str, self.shape))} needs {needed:,.1f} MB of device memory at these settings, "
            f"but {free:,.1f} MB are free on {device_name(self.device)}. Use a GPU with more memory, end what else "
            "runs on it, choose a coarser quality_setting, or set flow_backend to 'numba'."
        )
