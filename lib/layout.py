"""Movie files that are laid out before their frames come.

The file is made at its full size with the pixels of each dataset in one piece at a known offset. After that its
structure never changes: frames are written with `pwritev`, in any order and from any thread, and a file that was
cut off shows in its size. Space is reserved at once, so a full disk is found before any computing.
"""

import io
import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

MOST_PARTS = 512  # that are handed to the system at once: Linux and macOS take 1024


@dataclass(frozen=True)
class Region:
    """Where a dataset of `shape` (T, ...) and `dtype` lies: in one piece from byte `offset` on."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def frame_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    @property
    def end(self) -> int:
        return self.offset + self.shape[0] * self.frame_bytes


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a new HDF5 file for writing; an OSError comes at the end of the block.

    The HDF5 library does not survive a write that fails: closing the file then fails too, or the process crashes.
    """
    with _LateErrors(path, "w+") as raw:
        try:
            with h5py.File(raw, "w") as file:
                yield file
        finally:
            if raw.error is not None:
                raise raw.error


class _LateErrors(io.FileIO):
    """A file that says all went well and keeps the first error."""

    error: OSError | None = None

    def write(self, data: memoryview) -> int:
        left = memoryview(data).cast("B")
        try:
            while left and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return memoryview(data).nbytes

    def truncate(self, size: int) -> int:
        try:
            super().truncate(size)
        except OSError as error:
            self.error = self.error or error
        return size


def create_hdf5(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: np.dtype,
    attributes: Mapping[str, Any] | None = None,
    arrays: Mapping[str, Any] | None = None,
) -> dict[str, Region]:
    """Make an HDF5 file with `attributes`, small `arrays` and one contiguous dataset per name of `shapes`.

    Return where the latter lie.
    """
    regions = {}
    with new_hdf5(path) as file:
        file.attrs.update(attributes or {})
        for name, array in (arrays or {}).items():
            file.create_dataset(name, data=array, track_times=False)
        for name, shape in shapes.items():
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_obj_track_times(False)  # equal data, equal bytes
            plan.set_layout(h5py.h5d.CONTIGUOUS)
            plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            kind, space = h5py.h5t.py_create(dtype, logical=True), h5py.h5s.create_simple(shape)
            dataset = h5py.h5d.create(file.id, name.encode(), kind, space, plan)
            regions[name] = Region(dataset.get_offset(), shape, dtype)
    return regions


def create_tiff(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> Region:
    """Make a TIFF of (T, H, W) or (T, C, H, W) planes, a BigTIFF if it needs to be; return where they lie."""
    pages = int(np.prod(shape[:-2], dtype=np.int64))
    size = pages * (shape[-2] * shape[-1] * dtype.itemsize + 512)  # 512 bytes are ample for a page's header
    with tifffile.TiffWriter(path, bigtiff=size >= 2**32) as writer:
        axes = "TYX" if len(shape) == 3 else "TCYX"
        where = writer.write(
            shape=shape, dtype=dtype, photometric="minisblack", metadata={"axes": axes}, returnoffset=True
        )
    return Region(where[0], shape, dtype)


def create_raw(path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype) -> dict[str, Region]:
    """Make a file that holds nothing but the arrays, one after another; return where they lie."""
    regions, offset = {}, 0
    for name, shape in shapes.items():
        regions[name] = Region(offset, shape, dtype)
        offset = regions[name].end
    with open(path, "wb") as file:
        file.truncate(offset)
    return regions


class FrameFile:
    """A laid-out file, opened for writing frames into its regions; OSError if its space cannot be reserved.

    Processes on several machines may write into it at once if all say `shared`. With O_DSYNC, NFS sends the bytes that
    were written and no others; without, it may send whole pages, with old content for what another machine has written
    meanwhile. Space is not reserved then: where the file system cannot do it, the C library writes zeros instead.
    """

    def __init__(self, path: Path, regions: Mapping[str, Region], *, shared: bool = False) -> None:
        self.path = path
        self._regions = regions
        self._descriptor = os.open(path, os.O_WRONLY | os.O_DSYNC if shared else os.O_RDWR)
        if shared:
            return
        size = os.fstat(self._descriptor).st_size
        try:
            os.posix_fallocate(self._descriptor, 0, size)
        except OSError as error:
            self.close()
            raise OSError(error.errno, f"{error.strerror} ({size:,} bytes are needed)") from error

    def write(self, name: str, start: int, *parts: np.ndarray) -> None:
        """Write frames of dataset `name` from frame `start` on, in parts (n, ...) that follow each other."""
        region, stop = self._regions[name], start + sum(map(len, parts))
        for frames in parts:
            if frames.dtype != region.dtype or frames.shape[1:] != region.shape[1:]:
                raise ValueError(
                    f"{self.path}: {name} takes frames of {region.shape[1:]} {region.dtype}, got {frames.shape[1:]} "
                    f"{frames.dtype}"
                )
        if start < 0 or stop > region.shape[0]:
            raise ValueError(f"{self.path}: {name} has {region.shape[0]} frames, got [{start}, {stop})")
        left = deque(memoryview(np.ascontiguousarray(frames).reshape(-1).view(np.uint8)) for frames in parts)
        position = region.offset + start * region.frame_bytes
        while left:
            written = os.pwritev(self._descriptor, list(islice(left, MOST_PARTS)), position)
            position += written
            while left and written >= len(left[0]):
                written -= len(left.popleft())
            if written:
                left[0] = left[0][written:]

    def sync(self) -> None:
        """Wait until what was written is on disk."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
