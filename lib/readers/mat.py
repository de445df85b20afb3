"""Read movies from MATLAB files.

MATLAB users store a movie as (height, width, frames), with channels as (height, width, channels, frames). Files of
version 7.3 are HDF5, where the axes come in reverse order.
"""

import struct
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import loadmat, whosmat

from lib.readers.arrays import ArrayReader, find_movie
from lib.readers.base import Header, RecordingError
from lib.readers.hdf5 import datasets

HEADER, TAG = 128, 8  # bytes of the header of a file of version 5, and of that of each element
COMPRESSED = 15  # type of elements that are not padded
AXES = {3: "YXT", 4: "YXCT"}  # as MATLAB shows them
CLASSES = {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}  # of numbers
CLASSES |= {"double": "float64", "single": "float32", "logical": "bool"}
SCALES = ("frame_rate", "pixel_size")


class MatReader(ArrayReader):
    """A MATLAB file of version 7.3, or of version 5, whose movies (2 GB at most) are read as a whole.

    The movie is one variable with all channels, or one per channel; the user may tell another order of three axes.
    Variables `frame_rate` (Hz) and `pixel_size` ([y, x], micrometres) are honoured.
    """

    TAKES_AXES = True

    def _open(self, dataset: tuple[str, ...]) -> Header:
        is_hdf5 = h5py.is_hdf5(self.path)
        found, values = self._open_hdf5() if is_hdf5 else self._open_version_5()
        axes = AXES | ({3: self.axes} if self.axes else {})
        if is_hdf5:
            axes = {rank: order[::-1] for rank, order in axes.items()}
        names = find_movie(self.path, found, dataset, axes, noun="variable")
        self._arrays = [found[name] for name in names]
        self._axes = axes[len(self._arrays[0].shape)]
        return Header(
            f"mat-{'7.3' if is_hdf5 else '5'}",
            dtype=np.dtype(self._arrays[0].dtype).name,
            dataset=names,
            in_memory=not is_hdf5,
            **self._sizes(),
            **_scales(self.path, values),
        )

    def _open_hdf5(self) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
        self._file = h5py.File(self.path, "r")
        found = {  # what cells hold is in #refs#
            name: item
            for name, item in datasets(self._file).items()
            if item.dtype.kind in "biuf" and not name.startswith("#")
        }
        return found, {name: found[name][()] for name in SCALES if name in found}

    def _open_version_5(self) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
        _check_complete(self.path)
        found = {
            name: _Variable(self.path, name, shape, CLASSES[kind])
            for name, shape, kind in whosmat(self.path)
            if kind in CLASSES
        }
        wanted = [name for name in SCALES if name in found]
        return found, loadmat(self.path, variable_names=wanted) if wanted else {}


class _Variable:
    """An array in a file of version 5, read when it is needed for the first time."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self._path, self._name = path, name
        self.shape, self.dtype = shape, dtype

    @cached_property
    def _values(self) -> np.ndarray:
        # MATLAB stores numbers in the smallest type that holds them; `mat_dtype` gives the type that MATLAB shows
        return loadmat(self._path, variable_names=[self._name], mat_dtype=True)[self._name]

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        return self._values[index]


def _check_complete(path: Path) -> None:
    """Find out whether a file of version 5 holds all that its elements tell of; SciPy stops at the end without a word.

    Raises
    ------
    RecordingError
        The file is cut off.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        written = file.read(HEADER)[-2:]
        if written not in (b"IM", b"MI"):
            raise RecordingError(
                f"{path} is no MATLAB file of version 5 or 7.3; save it in MATLAB with save(..., '-v7.3'), or copy it "
                "again"
            )
        order = "<" if written == b"IM" else ">"
        position = HEADER
        while position < size:
            file.seek(position)
            tag = file.read(TAG)
            kind, length = struct.unpack(order + "II", tag) if len(tag) == TAG else (0, 0)
            position += TAG + length + (0 if kind == COMPRESSED else -length % TAG)
            if len(tag) < TAG or position > size:
                raise RecordingError(
                    f"{path} is cut off or damaged: it has {size:,} bytes, its header tells of {position:,}; copy it "
                    "again or save it again"
                )


def _scales(path: Path, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, count, wanted in (("frame_rate", 1, "a number, in Hz"), ("pixel_size", 2, "[y, x], in micrometres")):
        if name in values:
            numbers = np.ravel(values[name])
            if len(numbers) != count or numbers.dtype.kind not in "iuf" or not (numbers > 0).all():
                raise RecordingError(
                    f"{path}: the variable {name} is {numbers[:5].tolist()}; expected {wanted}: correct it or remove it"
                )
            told[name] = float(numbers[0]) if count == 1 else tuple(map(float, numbers))
    return told
