"""The CuPy backend: what `backend_numba` does with a frame, for a batch of frames at once on an NVIDIA GPU.

The kernels are the CUDA twins of the Numba ones, in the .cu files beside them. A batch goes to the device, through all
levels and back on one stream, and the host waits only at its end.
"""

import threading
from copy import copy
from typing import NamedTuple, Self

import numpy as np

from .backend import slices
from .compact import as_compact, compact_shape
from .device import cupy, launch, type_code
from .device_memory import SLOTS, Frames, Layout, Slot, Slots
from .measure import from_sums
from .pyramid import resample_table
from .register import Registered, limits
from .relax import PLAIN
from .rigid import FLAT, RigidStart, window
from .tensor import CS, GC, GRAY, flatness

TENSORS = {GRAY: "gray_tensor", CS: "census_tensor"}
METHODS = {"nearest": 0, "linear": 1, "cubic": 2}
MEASURES = 12  # see measure.cu
LARGEST = float(np.finfo(np.float32).max)
BLOCK_CELLS = 2048  # a level with no more cells of a colour is relaxed in one launch, by a block per frame


class DeviceTable(NamedTuple):
    """One axis of a resampling, on the device; see `pyramid.Table`."""

    start: "cupy.ndarray"
    weight: "cupy.ndarray"
    taps: int

    @classmethod
    def of(cls, table) -> "DeviceTable":
        return cls(cupy.asarray(table.start), cupy.asarray(table.weight), len(table.weight))


class Constant:
    """An image that goes with every batch, kept on the device until it changes."""

    def __init__(self):
        self._lock, self._image, self._array = threading.Lock(), None, None

    def on_device(self, image: np.ndarray, stream) -> "cupy.ndarray":
        with self._lock:
            if self._image is None or self._image.dtype != image.dtype or not np.array_equal(self._image, image):
                self._image, self._array = image.copy(), cupy.asarray(np.ascontiguousarray(image))
                stream.synchronize()  # the other stream must find it complete
            return self._array


class CupyBackend:
    """Steps on the levels of a plan, against one reference, for batches of frames.

    A workspace is a `Slot`, whose arrays hold for every frame of the batch: `image0`, `image1`, ... (C, h, w) of every
    level; `start` and `flow` (2, h, w) of the level in work; `solved` (4, h, m), `system` (2, 5, h, m) and `edges`
    (2, 4, h, m) by colour (see relax.cu); `spare`, `difference` (C, h, w) and `tensor` (C, 6, h, w).

    Parameters
    ----------
    plan : Plan
        Levels and parameters, see estimator.
    reference : ndarray (H, W, C) float32
        Raw intensities.
    device : int
        Number of the GPU.

    Raises
    ------
    DeviceError
        There is no such GPU, or not even one frame fits into its memory.
    """

    workers = SLOTS

    def __init__(self, plan, reference: np.ndarray, device: int = 0):
        self.plan, self.device = plan, device
        self._fill, self._raw_reference = Constant(), Constant()
        with cupy.cuda.Device(device):
            self._rigid = RigidStart(np.zeros(plan.levels[plan.rigid_level].shape, np.float32))
            self.slots = Slots(device, self._layout(), (*plan.shape, plan.channels))
            self._weights = cupy.asarray(plan.weights)
            self._reduce = [[tuple(map(DeviceTable.of, pair)) for pair in level.reduce] for level in plan.levels]
            self._enlarge = [level.enlarge and tuple(map(DeviceTable.of, level.enlarge)) for level in plan.levels]
            self._to_frame = plan.to_frame and tuple(map(DeviceTable.of, plan.to_frame))
            self._compact = resize_tables(plan.shape, compact_shape(plan.shape, plan.params))
            self._add_reference(reference)
        self.slots.fit()

    def with_plan(self, plan) -> Self:
        """The same with the smoothness of another plan, all else of which is the same; memory is shared."""
        other = copy(self)
        other.plan = plan
        return other

    def parts(self, frames: int) -> list[slice]:
        """How to cut a number of frames into what is worked on at once, for threads to share the work."""
        return slices(frames, self.slots.frames_at_once)

    def _layout(self) -> Layout:
        """What a frame needs on the device. Raw frames are bytes, enough for any type."""
        plan, (height, width), channels = self.plan, self.plan.shape, self.plan.channels
        h, w = plan.levels[0].shape
        cells = h * ((w + 1) // 2)
        layout = {
            "frames": (8 * height * width * channels, "u1"),
            "smoothed": (4 * height * width * channels, "u1"),
            "rows": (h * width, "f4"),
            **{f"image{k}": (channels * lv.shape[0] * lv.shape[1], "f4") for k, lv in enumerate(plan.levels)},
            "start": (2 * h * w, "f4"),
            "flow": (2 * h * w, "f4"),
            "solved": (4 * cells, "f4"),
            "spare": (channels * h * w, "f4"),
            "difference": (channels * h * w, "f4"),
            "tensor": (6 * channels * h * w, "f4"),
            "system": (10 * cells, "f4"),
            "edges": (8 * cells if plan.params.a_smooth < 1 else 1, "f4"),
            "w": (2 * height * width, "f4"),
            "compact": (2 * int(np.prod(compact_shape(plan.shape, plan.params))), "f4"),
            "registered": (8 * height * width * channels, "u1"),
            "valid": (height * width, "u1"),
            "column sums": (MEASURES * width, "f8"),
            "sums": (MEASURES, "f8"),
        }
        (h, w), (ry, rx) = self._rigid.shape, self._rigid.reach
        frequencies, ny, nx = w // 2 + 1, 2 * ry + 1, 2 * rx + 1
        return layout | {
            "part": (h * w, "f4"),
            "part sums": (3 * h, "f4"),
            "spectral rows": (2 * h * frequencies, "f4"),
            "spectrum": (2 * h * frequencies, "f4"),
            "spectral columns": (2 * ny * frequencies, "f4"),
            "surface": (ny * nx, "f4"),
            "peaks": (ny, "i4"),
            "translation": (2, "f8"),
        }

    def _add_reference(self, reference) -> None:
        plan = self.plan
        for slot, _ in self.slots.batches(1):
            self.load(slot, slot.upload("frames", reference[None]))
            slot.stream.synchronize()
            images = [slot[f"image{k}"].get(stream=slot.stream) for k in range(len(plan.levels))]
        self._references = [cupy.asarray(image) for image in images]
        self._thetas = []
        for level, image in zip(plan.levels, images, strict=True):
            padded = (np.pad(one, 2, mode="edge") for one in image.reshape(plan.channels, *level.shape))
            thetas = np.array([flatness(one, level.hx, level.hy) for one in padded], np.float32)
            self._thetas.append(cupy.asarray(thetas))
        h, w = plan.levels[plan.rigid_level].shape
        mixed = np.tensordot(plan.weights, images[plan.rigid_level].reshape(plan.channels, h, w), 1)
        self._rigid = start = RigidStart(mixed)
        matrices = (cupy.asarray(matrix.astype(np.float32)) for matrix in start.matrices())
        self._along_x, self._along_y, self._back_y, self._back_x = matrices
        h, w = start.shape
        self._window = cupy.asarray(np.outer(window(h), window(w)).astype(np.float32))
        self._filter = cupy.asarray(np.stack([start.filter.real, start.filter.imag]).astype(np.float32))
        cupy.cuda.Device(self.device).synchronize()

    # What an estimator asks for.

    def flows(self, frames: np.ndarray, estimate) -> np.ndarray:
        """The flow (n, H, W, 2) of frames (n, H, W, C), by `estimate`, `estimator.coarse_to_fine`."""
        out = np.empty((*frames.shape[:3], 2), np.float32)
        for slot, part in self.slots.batches(len(frames)):
            estimate(self, slot, slot.upload("frames", frames[part]))
            w = slot.download("w", out[part].shape, np.float32)
            slot.stream.synchronize()
            out[part] = w
        return out

    def translations(self, frames: np.ndarray) -> np.ndarray:
        """The translations (n, 2) of frames (n, H, W, C), in pixels."""
        out = np.empty((len(frames), 2))
        for slot, part in self.slots.batches(len(frames)):
            self.load(slot, slot.upload("frames", frames[part]))
            self.translate(slot)
            found = slot.download("translation", out[part].shape, np.float64)
            slot.stream.synchronize()
            out[part] = found
        return out

    def register(
        self, frames, smoothed, fill, reference, estimate, *, measured=True, keep_w=True, compact=False
    ) -> Registered:
        """Flow of `smoothed` (n, H, W, C), or of `frames` if that is None; warped `frames`, masks and statistics, see
        `FlowEstimator.register_frames`."""
        n, (height, width), small = len(frames), self.plan.shape, compact_shape(self.plan.shape, self.plan.params)
        # what comes back: the array on the device, where it goes, and the type it has until then
        out = {
            "registered": (np.empty(frames.shape, frames.dtype), frames.dtype),
            "valid": (np.empty((n, height, width), bool), bool),
        }
        if measured:
            out["sums"] = np.empty((n, MEASURES)), np.float64
        if keep_w:
            out["w"] = np.empty((n, height, width, 2), np.float32), np.float32
        if compact:
            out["compact"] = np.empty((n, *small, 2), np.float16), np.float32
        for slot, part in self.slots.batches(n):
            raw = slot.upload("frames", frames[part])
            given = raw if smoothed is None else slot.upload("smoothed", smoothed[part].astype(np.float32, copy=False))
            estimate(self, slot, given)
            self.warp(slot, raw, self._fill.on_device(fill, slot.stream), frames.dtype)
            if measured:
                self.measure(slot, raw, self._raw_reference.on_device(reference, slot.stream), reference.dtype)
            if compact:
                self.resize(slot)
            there = {name: slot.download(name, to[part].shape, dtype) for name, (to, dtype) in out.items()}
            slot.stream.synchronize()
            for name, (to, _) in out.items():
                to[part] = as_compact(there[name]) if name == "compact" else there[name]
        arrays = {name: array for name, (array, _) in out.items()}
        if measured:
            sums = arrays["sums"]
            arrays["sums"] = np.array([from_sums(row, self.plan.shape, self.plan.channels) for row in sums])
        return Registered(*(arrays.get(name) for name in ("registered", "valid", "sums", "w", "compact")))

    # The steps, in the order of `estimator.coarse_to_fine`.

    def load(self, work: Slot, frames: Frames) -> None:
        """Normalise, smooth and reduce raw frames (n, H, W, C) to every level."""
        (height, width), channels = self.plan.shape, self.plan.channels
        work.count = frames.count
        for channel in range(channels):
            # how far it is from frame to frame, from row to row, from pixel to pixel, and to the channel
            steps = np.int64(height * width * channels), width * channels, channels, np.int64(channel)
            image, code, source_w = frames.array, frames.type, width
            (offset, scale), bounds = self.plan.normalisation[channel], self.plan.bounds[channel]
            for k, level in enumerate(self.plan.levels):
                (h, w), (y, x) = level.shape, self._reduce[k][channel]
                rows, out = work["rows"], work[f"image{k}"]
                launch("resample_rows", (h, source_w), work.count, image, code, *steps, *bounds, *y, h, source_w, rows)
                launch("resample_columns", (h, w), work.count, rows, source_w, *x, offset, scale, channel, channels,
                       h, w, out)  # fmt: skip
                image, code, source_w, offset, scale = out, type_code(np.dtype("f4")), w, 0.0, 1.0
                bounds = -LARGEST, LARGEST
                steps = np.int64(channels * h * w), w, 1, np.int64(channel * h * w)

    def translate(self, work: Slot) -> "cupy.ndarray":
        """The translations (n, 2), u and v, of the loaded frames, in pixels of the full frame; on the device."""
        level, start, n, channels = self.plan.levels[self.plan.rigid_level], self._rigid, work.count, self.plan.channels
        (h, w), (ry, rx) = start.shape, start.reach
        frequencies, ny, nx = w // 2 + 1, 2 * ry + 1, 2 * rx + 1
        top, left = (part.start for part in start.part)
        image, part, sums = work[f"image{self.plan.rigid_level}"], work["part"], work["part sums"]
        rows, spectrum, columns = work["spectral rows"], work["spectrum"], work["spectral columns"]
        surface, peaks, translation = work["surface"], work["peaks"], work["translation"]
        launch("mix", (h, w), n, image, self._weights, channels, *level.shape, top, left, h, w, part)
        launch("row_sums", (1, h), n, part, h, w, sums)
        launch("windowed", (h, w), n, sums, self._window, *map(np.float32, FLAT), h, w, part)
        _product(n, (part, w, 1, h * w), (self._along_x, 0), (h, w, 2 * frequencies), rows)
        _product(n, (self._along_y, 1, 2 * h, 0), (rows, 2 * h * frequencies), (2 * h, 2 * h, frequencies), spectrum)
        launch("whiten", (h, frequencies), n, self._filter, h, frequencies, spectrum)
        sizes = 2 * ny, 2 * h, frequencies
        _product(n, (self._back_y, 1, 2 * ny, 0), (spectrum, 2 * h * frequencies), sizes, columns)
        _product(n, (columns, 2 * frequencies, 1, 2 * ny * frequencies), (self._back_x, 0),
                 (ny, 2 * frequencies, nx), surface)  # fmt: skip
        launch("row_peaks", (1, ny), n, surface, ny, nx, peaks)
        pixel = np.float64(level.hx), np.float64(level.hy)
        launch("peak", (1, 1), n, surface, peaks, ny, nx, *pixel, translation)
        return translation

    def shift(self, work: Slot, k: int, translation: "cupy.ndarray") -> None:
        """Start level k from a translation (u, v) per frame, in pixels of the full frame."""
        h, w = self.plan.levels[k].shape
        launch("shift", (h, w), work.count, translation, h, w, work["start"])

    def enlarge(self, work: Slot, k: int) -> None:
        """Start level k from the flow of the next coarser one."""
        shape, coarser, (y, x) = self.plan.levels[k].shape, self.plan.levels[k + 1].shape, self._enlarge[k]
        launch("resample_flow", shape, work.count, work["flow"], *coarser, *y[:2], *x[:2], *shape, work["start"])

    def constrain(self, work: Slot, k: int) -> None:
        """Warp the level's frames with their starting flow and form the motion tensor of every channel.

        Nothing else needs the frames from now on: their coefficients take their place.
        """
        level, channels = self.plan.levels[k], self.plan.channels
        planes, spare, difference = work.count * channels, work["spare"], work["difference"]
        size = level.hx, level.hy, *level.shape
        image, reference = work[f"image{k}"], self._references[k]
        launch("spline_columns", level.shape, planes, image, *level.shape, spare)
        launch("spline_rows", level.shape, planes, spare, *level.shape, image)
        launch("warp_level", level.shape, planes, image, reference, work["start"], channels, *size, difference)
        if self.plan.constancy == GC:
            images = reference, difference, self._thetas[k], channels
            launch("gradient_tensor", level.shape, planes, *images, *size, work["tensor"])
        else:
            images = reference, difference, channels
            launch(TENSORS[self.plan.constancy], level.shape, planes, *images, *size, work["tensor"])

    def solve(self, work: Slot, k: int) -> None:
        """Relax the flow of level k from its start."""
        level, params = self.plan.levels[k], self.plan.params
        shape, n, start, solved, S = level.shape, work.count, work["start"], work["solved"], work["system"]
        J, s2, channels, plane = work["tensor"], work["spare"], self.plan.channels, shape[0] * shape[1]
        if params.a_smooth < 1:
            kind, weights = "_edges", (work["edges"],)
        else:
            kind, weights = "", (level.wx, level.wy)
        launch("copy_start", shape, n, start, *shape, solved)
        for done in range(0, params.iterations, params.update_lag):
            if params.a_smooth < 1:
                pixel = level.wx, level.wy, level.hx, level.hy, float(params.a_smooth)
                launch("renew_edges", shape, n, solved, *pixel, *shape, work["edges"])
            if done:
                launch("misfit", shape, n * channels, J, channels, start, solved, *shape, s2)
            misfits = (s2, plane) if done else (J[5 * plane :], 6 * plane)  # at the start it is J33
            data = J, self._weights, channels, start, *misfits, float(params.a_data)
            launch(f"renew_system{kind}", shape, n, *data, *weights, *shape, S)
            sweeps = min(params.update_lag, params.iterations - done)
            self._sweep(kind, shape, n, (S, *weights), self.plan.omega, sweeps, solved)
        launch(f"once_more{kind}", shape, n, *weights, solved, *shape, S)
        plain = min(params.iterations // 2, PLAIN)
        self._sweep(kind, shape, n, (S, *weights), self.plan.omega, params.iterations // 2 - plain, solved)
        self._sweep(kind, shape, n, (S, *weights), 1.0, plain, solved)

    def _sweep(self, kind, shape, n, system, omega, sweeps, solved) -> None:
        cells = shape[0], (shape[1] + 1) // 2
        if cells[0] * cells[1] <= BLOCK_CELLS:
            threads = min(-(-cells[0] * cells[1] // 32) * 32, 512)
            launch(f"sweep{kind}", cells, n, *system, omega, sweeps, *shape, solved, threads=threads)
            return
        for half in range(2 * sweeps):
            launch(f"half_sweep{kind}", cells, n, *system, omega, half % 2, *shape, solved)

    def smooth(self, work: Slot, k: int) -> None:
        """Replace the increment of level k by its 5 x 5 median."""
        shape = self.plan.levels[k].shape
        launch("median_increment", shape, 2 * work.count, work["start"], work["solved"], *shape, work["flow"])

    def finish(self, work: Slot) -> "cupy.ndarray":
        """The flow `w` (n, H, W, 2) of the full frames from the finest level; on the device."""
        shape, out = self.plan.shape, work["w"]
        if self._to_frame is None:
            launch("flow_to_frame", shape, work.count, work["flow"], *shape, out)
        else:
            y, x = self._to_frame
            finest = self.plan.levels[0].shape
            launch("resample_flow_to_frame", shape, work.count, work["flow"], *finest, *y[:2], *x[:2], *shape, out)
        return out

    # And what comes after them.

    def warp(self, work: Slot, frames: Frames, fill: "cupy.ndarray", dtype: np.dtype) -> None:
        """Warp raw frames by the flow `w`, into `registered` and `valid`."""
        method = self.plan.params.interpolation_method
        warp_frames(work, frames, work["w"], True, fill, method, dtype, self.plan.shape)

    def measure(self, work: Slot, frames: Frames, reference: "cupy.ndarray", dtype: np.dtype) -> None:
        """The sums from which the statistics are formed, see measure.cu."""
        h, w = self.plan.shape
        images = work["registered"], frames.type, reference, type_code(dtype), self.plan.channels
        launch("measure_columns", (1, w), work.count, work["w"], work["valid"], *images, h, w, work["column sums"])
        launch("sum_columns", (1, MEASURES), work.count, work["column sums"], w, work["sums"])

    def resize(self, work: Slot) -> None:
        """The flow `w` at the size it is kept at, as `compact`."""
        shape = compact_shape(self.plan.shape, self.plan.params)
        y, x = self._compact
        launch("resize_flow", shape, work.count, work["w"], *self.plan.shape, *y[:2], *x[:2], *shape, work["compact"])


def resize_tables(shape: tuple[int, int], to: tuple[int, int]) -> tuple[DeviceTable, DeviceTable]:
    """Tables (y, x) to bring a flow to another size, see `compact.resize_flow`."""
    return tuple(DeviceTable.of(resample_table(*sides)) for sides in zip(shape, to, strict=True))


def _product(n, a, b, sizes, out) -> None:
    """out = a b for n frames; a is (array, row, step, frame), b (array, frame), see rigid.cu; sizes rows, depth,
    columns."""
    rows, depth, columns = sizes
    launch("product", (rows, columns), n, *a, *b, depth, rows, columns, out)


def warp_frames(work: Slot, frames: Frames, flow, each: bool, fill, interpolation: str, dtype, shape) -> None:
    """Warp raw frames (n, H, W, C) by a flow for `each`, or by one for all, into `registered` and `valid` of a slot."""
    low, high, rounds = limits(np.dtype(dtype))
    images = frames.array, frames.type, flow, int(each), fill, int(fill.shape[-1])
    launch("warp_frames", shape, frames.count, *images, METHODS[interpolation], low, high, int(rounds), *shape,
           work["registered"], work["valid"])  # fmt: skip
