"""An array that lies in a file as it is, read piece by piece."""

import os
from collections.abc import Sequence
from itertools import product
from math import prod
from pathlib import Path

import numpy as np

from lib.readers.base import RecordingError


class FlatArray:
    """Numbers in a file, the last axis fastest; sliced like an array.

    (A mapping of the file would count as the job's memory, and end the job with a bus error where the file is cut off.)

    Parameters
    ----------
    path
        The file.
    shape, dtype
        Of the array; `dtype` as it is stored, with its byte order.
    inner
        The number of last axes that are always read together: those of an image.
    offset
        Bytes before the array.
    told_by
        Where shape and type were found, for messages.

    Raises
    ------
    RecordingError
        The file has another size.
    """

    def __init__(
        self,
        path: Path,
        shape: Sequence[int],
        dtype: np.dtype | str,
        *,
        inner: int,
        offset: int = 0,
        told_by: Path | str = "",
    ) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self._inner, self._offset = inner, offset
        wanted, found = offset + prod(self.shape) * self.dtype.itemsize, path.stat().st_size
        if found != wanted:
            raise RecordingError(
                f"{path} has {found:,} bytes, but {wanted:,} are expected for {' x '.join(map(str, self.shape))} "
                f"values of type {self.dtype.name}{f' after {offset} bytes' if offset else ''}, as {told_by} tells; "
                "copy it again, or correct what tells its shape"
            )
        self._file = open(path, "rb")  # noqa: SIM115 (closed by `close`)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        outer, inner = index[: -self._inner], index[-self._inner :]
        lengths, shape = self.shape[: -self._inner], self.shape[-self._inner :]
        numbers = [range(length)[i] if isinstance(i, slice) else [i] for i, length in zip(outer, lengths, strict=True)]
        size = prod(shape) * self.dtype.itemsize
        images = []
        for where in product(*numbers):
            start = self._offset + int(np.ravel_multi_index(where, lengths)) * size
            data = os.pread(self._file.fileno(), size, start)
            if len(data) < size:
                raise ValueError(f"{len(data)} of its {size} bytes are there")
            images.append(self._values(np.frombuffer(data, self.dtype).reshape(shape)[inner]))
        sliced = [len(part) for part, i in zip(numbers, outer, strict=True) if isinstance(i, slice)]
        return np.stack(images).reshape(*sliced, *images[0].shape)

    def _values(self, stored: np.ndarray) -> np.ndarray:
        """Return the values of numbers as they are stored."""
        return stored
