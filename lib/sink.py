"""Write a movie frame block by frame block into one file that appears when it is complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lib.layout import FrameFile, create_hdf5, create_tiff
from lib.store import atomic_path


class MovieSink:
    """Takes the frames of a movie in order; made by `open_movie_sink`."""

    def __init__(self, path: Path, output_format: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.frames = 0
        self._shape = shape
        self._dtype = dtype
        channels = shape[3] if len(shape) == 4 else 1
        self._channels = [f"ch{c + 1}" for c in range(channels)] if output_format == "HDF5" else None
        if self._channels:
            regions = create_hdf5(path, dict.fromkeys(self._channels, shape[:3]), dtype)
        else:
            planes = shape if channels == 1 else (shape[0], channels, *shape[1:3])
            regions = {"movie": create_tiff(path, planes, dtype)}
        self._file = FrameFile(path, regions)

    def append(self, frames: np.ndarray) -> None:
        """Write the next frames, (n, H, W) or (n, H, W, C) of the sink's type; ValueError if they do not fit."""
        if frames.shape[1:] != self._shape[1:]:
            raise ValueError(f"expected frames of {self._shape[1:]}, got {frames.shape[1:]}")
        if self._channels is None:
            planes = np.moveaxis(frames, -1, 1) if frames.ndim == 4 else frames
            self._file.write("movie", self.frames, planes)
        else:
            channels = np.moveaxis(frames, -1, 0) if frames.ndim == 4 else [frames]
            for name, channel in zip(self._channels, channels, strict=True):
                self._file.write(name, self.frames, channel)
        self.frames += len(frames)

    def close(self) -> None:
        self._file.close()


@contextmanager
def open_movie_sink(
    path: str | Path, output_format: str, shape: tuple[int, ...], dtype: np.dtype | str
) -> Iterator[MovieSink]:
    """Open a movie for writing; the file appears when all frames came and the block ends without an exception.

    Parameters
    ----------
    path
        The file to write.
    output_format
        "TIFF" (pages, channels within frames; BigTIFF from 4 GB on) or "HDF5" (datasets ch1, ch2, ...).
    shape
        (T, H, W) or (T, H, W, C) with C > 1.
    dtype
        Type of the pixels.

    Raises
    ------
    ValueError
        Unknown format, frames that do not fit, or fewer than T frames.
    OSError
        The file cannot be written; a full disk is found before the first frame.
    """
    if output_format not in ("TIFF", "HDF5"):
        raise ValueError(f"output format must be TIFF or HDF5, not {output_format!r}")
    with atomic_path(path) as temporary:
        sink = MovieSink(temporary, output_format, tuple(shape), np.dtype(dtype))
        try:
            yield sink
        finally:
            sink.close()
        if sink.frames != shape[0]:
            raise ValueError(f"{path}: expected {shape[0]} frames, got {sink.frames}")
