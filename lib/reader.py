"""What readers of all formats share: the header, blocks of frames, binning, checks. See `lib.recording`."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

DTYPES = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
)


class RecordingError(ValueError):
    """A recording that cannot be used; the message names the file, what was found, what is expected."""


@dataclass(frozen=True)
class Header:
    """What a recording's headers tell, before any frame is read.

    `format` is "hdf5" or "tiff-" and tifffile's name of the flavour; `frames`, `height`, `width` and
    `channels` are those of the file; `dtype` is a NumPy name such as "uint16"; `dataset` holds the names of
    the HDF5 datasets, one per channel; `frame_rate` is in Hz and `pixel_size` in micrometres, [y, x], None
    where the file does not tell.
    """

    format: str
    frames: int
    height: int
    width: int
    channels: int
    dtype: str
    dataset: tuple[str, ...] = ()
    frame_rate: float | None = None
    pixel_size: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the header as a dictionary that JSON can hold."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the header that `as_dict` was made from."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})


class Recording(ABC):
    """A movie opened for reading. Reading is safe from several threads.

    Attributes
    ----------
    path : Path
        The file.
    header : Header
        What the file says.
    bin_size : int
        With more than 1, a frame is the float32 mean of this many frames of the file; the last one is the
        mean of what is left.
    frames, height, width, channels : int
    dtype : numpy.dtype
        What `read` returns, in native byte order.
    frame_shape : tuple
        (H, W), or (H, W, C) with more than one channel.
    frame_rate : float or None
        Of the frames that `read` returns, Hz.
    pixel_size : (float, float) or None
        [y, x], micrometres.
    """

    _file: Any = None  # what `_open` opens, closed by `close`

    def __init__(self, path: Path, dataset: tuple[str, ...], bin_size: int) -> None:
        self.path = path
        self.bin_size = bin_size
        try:
            self.header = self._open(dataset)
            self._check_header()
        except BaseException:
            self.close()
            raise
        self._lock = threading.Lock()
        self._source_dtype = np.dtype(self.header.dtype)
        self.frames = -(-self.header.frames // bin_size)
        self.height, self.width, self.channels = self.header.height, self.header.width, self.header.channels
        self.dtype = self._source_dtype if bin_size == 1 else np.dtype(np.float32)
        rate = self.header.frame_rate
        self.frame_rate = None if rate is None else rate / bin_size
        self.pixel_size = self.header.pixel_size
        channel_axis = (self.channels,) if self.channels > 1 else ()
        self.frame_shape = (self.height, self.width, *channel_axis)

    @abstractmethod
    def _open(self, dataset: tuple[str, ...]) -> Header:
        """Open the file as `_file` and read its headers only."""

    @abstractmethod
    def _read_into(self, block: np.ndarray, start: int) -> None:
        """Fill `block` (n, H, W, C) with the file's frames from `start` on; RecordingError if damaged."""

    def close(self) -> None:
        """Close the file; reading ends."""
        if self._file is not None:
            self._file.close()

    @property
    def scales(self) -> dict[str, Any]:
        """`frame_rate` and `pixel_size` by name, for what is written about the movie."""
        return {"frame_rate": self.frame_rate, "pixel_size": self.pixel_size}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read frames `start` up to but not including `stop`.

        Returns
        -------
        numpy.ndarray
            (stop - start, H, W) or (stop - start, H, W, C), C-contiguous.

        Raises
        ------
        RecordingError
            A frame is cut off, cannot be decoded, or holds NaN or Inf; the message has its number.
        IndexError
            The recording has no such frames.
        """
        if not 0 <= start <= stop <= self.frames:
            raise IndexError(f"{self.path} has {self.frames} frames, [{start}, {stop}) was asked for")
        block = np.empty((stop - start, *self.frame_shape), self.dtype)
        self._fill(block, start)
        return block

    def read_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Read the frames at `indices`, in that order; repeated ones are repeated. See `read`."""
        indices = np.asarray(indices, dtype=np.int64)
        outside = indices[(indices < 0) | (indices >= self.frames)]
        if outside.size:
            raise IndexError(f"{self.path} has {self.frames} frames, frame {outside[0]} was asked for")
        frames = np.empty((len(indices), *self.frame_shape), self.dtype)
        done = 0
        for run in np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1):  # consecutive ones at once
            if run.size:
                self._fill(frames[done : done + run.size], int(run[0]))
            done += run.size
        return frames

    def _fill(self, block: np.ndarray, start: int) -> None:
        """Fill `block` with frames from `start` on, without a second block beside it."""
        if self.bin_size == 1:
            self._fill_from_file(block, start)
            return
        for i, first in enumerate(range(start * self.bin_size, self.header.frames, self.bin_size)[: len(block)]):
            last = min(first + self.bin_size, self.header.frames)
            source = np.empty((last - first, *self.frame_shape), self._source_dtype)
            self._fill_from_file(source, first)
            block[i] = source.mean(axis=0, dtype=np.float64)

    def _fill_from_file(self, block: np.ndarray, start: int) -> None:
        with self._lock:
            self._read_into(block.reshape(len(block), self.height, self.width, self.channels), start)
        if block.dtype.kind != "f":
            return
        for i, frame in enumerate(block):
            if not (finite := np.isfinite(frame)).all():
                raise RecordingError(
                    f"{self.path}: frame {start + i} (counted from 0) holds {(~finite).sum()} pixels "
                    "that are NaN or infinite; every pixel must be finite: repair it or cut it out"
                )

    def _check_header(self) -> None:
        header = self.header
        if 0 in (header.frames, header.height, header.width):
            raise no_frames(self.path)
        if header.dtype not in DTYPES:
            raise RecordingError(
                f"{self.path} has pixels of type {header.dtype}; expected one of {', '.join(DTYPES)}: convert it"
            )


def no_frames(path: Path) -> RecordingError:
    return RecordingError(f"{path} has no frames; record it again or take it out of the session")


def damaged(path: Path, frame: int, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path}: frame {frame} (counted from 0) cannot be read, the file is cut off or damaged there; copy "
        f"it again ({type(error).__name__}: {error})"
    )
