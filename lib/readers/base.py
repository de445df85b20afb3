"""What the readers of all formats share: the header, reading a file's images, messages about damage."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from lib.header import Header

DTYPES = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
)


class RecordingError(ValueError):
    """A recording that cannot be used; the message names the file, what was found, what is expected."""


class Reader(ABC):
    """One file opened for reading; not to be used from two threads at once.

    Attributes
    ----------
    path : Path
    header : Header
    """

    TAKES_AXES = False  # whether a file may hold its axes in an order that it does not tell
    _file: Any = None  # what `_open` opens, closed by `close`

    def __init__(
        self, path: Path, dataset: tuple[str, ...] = (), *, alone: bool = False, axes: str | None = None
    ) -> None:
        self.path = path
        self.alone = alone  # read nothing from files that this one refers to
        self.axes = axes  # their order, such as "TYX", where the file does not tell it
        if axes and not self.TAKES_AXES:
            raise RecordingError(f"{path} tells the order of its axes itself; unset `axes`")
        try:
            self.header = self._open(dataset)
            self._check_header()
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _open(self, dataset: tuple[str, ...]) -> Header:
        """Open the file as `_file` and read its headers only."""

    @abstractmethod
    def read_into(self, block: np.ndarray, frames: range, channels: Sequence[int]) -> None:
        """Fill `block` (n, H, W, C) with n `frames` of C `channels`, both counted from 0.

        Raises
        ------
        RecordingError
            A frame is damaged; the message has its number.
        """

    def close(self) -> None:
        """Close the file; reading ends."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

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
