"""A session as other tools want it: all recordings one after another, in the common frame, frame by frame.

Every writer takes the frames as they come, so memory does not grow with the recordings, and lays its file out at full
size before the first frame (`lib.layout`).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from lib.aligned import aligned_blocks
from lib.flow import as_type
from lib.layout import FrameFile, Region, create_hdf5, create_raw
from lib.recording import Recording, default_batch, open_recording
from lib.store import atomic_path

logger = logging.getLogger(__name__)

INT16 = np.iinfo(np.int16)
FEW_LEVELS = 1024  # a movie of floats that stays below this is stretched before it is rounded


class SessionMovie:
    """The recordings of a session as one movie in the common frame; a context manager.

    Parameters
    ----------
    paths
        The movies, in order: aligned ones, or with `fields` the compensated ones.
    fields
        Per movie the (H, W, 2) float32 backward displacement into the common frame, pixels.
    fill
        (H, W[, C]), with `fields`: shown where a recording has no data.
    interpolation
        "cubic", "linear" or "nearest"; with `fields`.
    threads
        Frames warped at once.
    frame_rate, pixel_size
        Hz, and [y, x] in micrometres; None if unknown.

    Attributes
    ----------
    frames, height, width, channels : int
        `frames` is the sum over the recordings.
    dtype : numpy.dtype
    movies : list of Recording
    first_frames : list of int
        Where each recording begins.
    frame_rate, pixel_size
        As given.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        fields: Sequence[np.ndarray] | None = None,
        fill: np.ndarray | None = None,
        *,
        interpolation: str = "cubic",
        threads: int = 1,
        frame_rate: float | None = None,
        pixel_size: Sequence[float] | None = None,
    ) -> None:
        self._fields = fields
        self._how = {"fill": fill, "interpolation": interpolation, "threads": threads}
        self.frame_rate, self.pixel_size = frame_rate, pixel_size
        with ExitStack() as stack:
            self.movies = [stack.enter_context(open_recording(path)) for path in paths]
            self._files = stack.pop_all()
        first = self.movies[0]
        self.height, self.width, self.channels, self.dtype = first.height, first.width, first.channels, first.dtype
        stops = np.cumsum([movie.frames for movie in self.movies]).tolist()
        self.frames, self.first_frames = stops[-1], [0, *stops[:-1]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._files.close()

    def recording_blocks(self, index: int) -> Iterator[np.ndarray]:
        """Yield the frames of one recording in the common frame, in blocks (n, H, W, C)."""
        movie = self.movies[index]
        if self._fields is None:
            blocks = _blocks(movie)
        else:
            blocks = aligned_blocks(movie, self._fields[index], **self._how)
        for block in blocks:
            yield block.reshape(*block.shape[:3], self.channels)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first frame's number and the frames, (n, H, W, C), of the whole session in order."""
        start = 0
        for index in range(len(self.movies)):
            for block in self.recording_blocks(index):
                yield start, block
                start += len(block)

    def peak(self) -> float:
        """Return the largest magnitude in the movies, as they are in their files."""
        blocks = (block for movie in self.movies for block in _blocks(movie))
        return max(max(float(block.max()), -float(block.min())) for block in blocks)


def _blocks(movie: Recording) -> Iterator[np.ndarray]:
    step = default_batch(movie)
    for start in range(0, movie.frames, step):
        yield movie.read(start, min(start + step, movie.frames))


def read_field(path: str | Path) -> np.ndarray:
    """Read `w_to_reference.npz`: the (H, W, 2) displacement into the common frame."""
    with np.load(path) as field:
        return np.stack([field["u"], field["v"]], axis=-1)


def open_session_movie(
    movies: Sequence[str], fields: Sequence[str] | None = None, center: str | None = None, **how: Any
) -> SessionMovie:
    """Open a session's movie from files.

    Parameters
    ----------
    movies
        The movies in the common frame; or with `fields` the compensated ones.
    fields, center
        Per compensated movie its `w_to_reference.npz`, and the center's average.
    how
        See `SessionMovie`.
    """
    if not fields:
        return SessionMovie(movies, **how)
    return SessionMovie(movies, [read_field(path) for path in fields], np.load(center), **how)


@contextmanager
def frame_file(path: str | Path, create: Callable[[Path], dict[str, Region]]) -> Iterator[FrameFile]:
    """Open a file for frames that `create` lays out; it appears under its name when the block ends well."""
    with atomic_path(path) as temporary:
        file = FrameFile(temporary, create(temporary))
        try:
            yield file
        finally:
            file.close()


def largest_rectangle(mask: np.ndarray) -> tuple[slice, slice]:
    """Return rows and columns of the largest rectangle inside a mask (H, W) bool; of equal ones the first from the top.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    check_mask(mask)
    heights = np.zeros(mask.shape[1], int)
    best, found = 0, None
    for bottom, row in enumerate(mask, start=1):
        heights = np.where(row, heights + 1, 0)
        open_bars: list[tuple[int, int]] = []  # (first column, height), heights ascending
        for column, height in enumerate([*heights.tolist(), 0]):
            first = column
            while open_bars and open_bars[-1][1] >= height:
                first, tall = open_bars.pop()
                if (area := tall * (column - first)) > best:
                    best, found = area, (slice(bottom - tall, bottom), slice(first, column))
            open_bars.append((first, height))
    return found


def check_mask(mask: np.ndarray) -> None:
    """Raise ValueError if the session mask is empty."""
    if not mask.any():
        raise ValueError(
            "no pixel is valid in every frame of every recording, so there is nothing to export; summary.png and the "
            "masks of the recordings show why"
        )


def int16_gain(movie: SessionMovie) -> float:
    """Return the power of two that brings a movie into the range of int16: 1 where it fits as it is.

    16-bit movies that use their upper half are halved, as suite2p does on reading. Floats that stay below
    `FEW_LEVELS` are stretched, so that rounding does not cost what they hold.
    """
    if np.can_cast(movie.dtype, np.int16):
        return 1.0
    peak = movie.peak()
    fits = peak <= INT16.max and (movie.dtype.kind != "f" or peak >= FEW_LEVELS)
    return 1.0 if fits or peak == 0 else 2.0 ** np.floor(np.log2(2**15 / peak))


def write_int16(
    movie: SessionMovie, paths: Sequence[str | Path], crop: tuple[slice, slice], gain: float, progress=None
) -> np.ndarray:
    """Write the first channels as raw int16 files (T, h, w), one per path; return the mean images (h, w, channels).

    Parameters
    ----------
    movie, paths
        As many channels as there are paths are written.
    crop
        Rows and columns to keep.
    gain
        Multiplies grey values.
    progress : Progress, optional
    """
    shape = (movie.frames, *(part.stop - part.start for part in crop))
    total = np.zeros((*shape[1:], len(paths)))
    with ExitStack() as stack:
        layout = {"movie": shape}
        files = [stack.enter_context(frame_file(p, lambda t: create_raw(t, layout, np.dtype("<i2")))) for p in paths]
        for start, block in movie.blocks():
            for channel, file in enumerate(files):
                part = block[:, *crop, channel]
                scaled = part if gain == 1 else part.astype(np.float64) * gain
                frames = as_type(np.ascontiguousarray(scaled), np.dtype("<i2"))
                file.write("movie", start, frames)
                total[..., channel] += frames.sum(axis=0, dtype=np.float64)
            if progress is not None:
                progress.update(len(block))
    return total / movie.frames


def write_mmap(movie: SessionMovie, paths: Sequence[str | Path], mask: np.ndarray, progress=None) -> None:
    """Write each channel as CaImAn's memory map in order F: float32, frame after frame, each column by column.

    Parameters
    ----------
    movie, paths
        One path per channel.
    mask
        (H, W) bool; pixels outside are 0, as where CaImAn's own motion correction has no data (`border_to_0`).
    progress : Progress, optional
    """
    check_mask(mask)
    layout = {"movie": (movie.frames, movie.width, movie.height)}
    with ExitStack() as stack:
        files = [stack.enter_context(frame_file(p, lambda t: create_raw(t, layout, np.dtype("<f4")))) for p in paths]
        for start, block in movie.blocks():
            for channel, file in enumerate(files):
                frames = np.where(mask, block[..., channel], 0).astype("<f4")
                file.write("movie", start, frames.transpose(0, 2, 1))
            if progress is not None:
                progress.update(len(block))


def write_traces(movie: SessionMovie, path: str | Path, mask: np.ndarray, names: Sequence[str], progress=None) -> None:
    """Write the pixels inside the mask as a matrix (T, pixels) per channel, with what is needed to put them back.

    Parameters
    ----------
    movie
    path
        HDF5: `ch1`, `ch2`, ... (T, n); `mask` (H, W); `rows` and `columns` (n,), from 0, row by row as in
        `frame[mask]`; `recordings` (names) and `first_frames`.
    mask
        (H, W) bool.
    names
        Of the recordings.
    progress : Progress, optional
    """
    check_mask(mask)
    rows, columns = np.nonzero(mask)
    arrays = {
        "mask": mask.astype(np.uint8),
        "rows": rows.astype(np.int32),
        "columns": columns.astype(np.int32),
        "recordings": list(names),
        "first_frames": np.array(movie.first_frames, np.int64),
    }
    scales = {"frame_rate": movie.frame_rate, "pixel_size": movie.pixel_size}
    attributes = {key: value for key, value in scales.items() if value is not None}
    channels = {f"ch{c + 1}": (movie.frames, len(rows)) for c in range(movie.channels)}
    with frame_file(path, lambda t: create_hdf5(t, channels, movie.dtype, attributes, arrays)) as file:
        for start, block in movie.blocks():
            for channel, name in enumerate(channels):
                file.write(name, start, block[..., channel][:, mask])
            if progress is not None:
                progress.update(len(block))
