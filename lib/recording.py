"""Open a recording of any supported format and read it in blocks of frames.

    with open_recording("baseline_001.tif") as recording:
        block = recording.read(0, 64)  # (64, H, W) or (64, H, W, C)

Formats are in `lib.readers`. Here their files are put together to one movie: files that continue one another, files
per channel, channels and planes that take turns, frames that are averaged. Frames are counted from 0.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from lib import bidiphase as scan
from lib.header import Header, select
from lib.joined import Joined
from lib.readers import READERS, RecordingError
from lib.sources import LIST, FileList, Source

__all__ = ["READERS", "Header", "Recording", "RecordingError", "default_batch", "open_recording", "read_header"]

BATCH_BYTES = 2**23  # of raw frames, by default
LARGEST = 1e30  # of a pixel: interpolation makes somewhat larger numbers, which float32 must hold


@dataclass(frozen=True)
class _Part:
    """Channels of the block that come from the same files: images `first`, `first + step`, ... of them."""

    files: Joined
    block: slice
    channels: tuple[int, ...]
    first: int
    step: int


class Recording:
    """A movie opened for reading. Reading is safe from several threads.

    Attributes
    ----------
    name : str
        Of the recording: the stem of its file, if it has one file.
    path : Path
        Its first file.
    header : Header
        What the files say.
    bin_size : int
        With more than 1, a frame is the float32 mean of this many frames of the files; the last one is the
        mean of what is left.
    frames, height, width, channels : int
    dtype : numpy.dtype
        What `read` returns, in native byte order. Half precision becomes float32, which holds the same numbers: neither
        compilers nor the programs that read the results know it.
    frame_shape : tuple
        (H, W), or (H, W, C) with more than one channel.
    frame_rate : float or None
        Of the frames that `read` returns, Hz.
    pixel_size : (float, float) or None
        [y, x], micrometres.
    channel_names : tuple of str
    bidiphase : int
        By how many pixels every second row was displaced in the files; `read` has moved it back.
    """

    def __init__(
        self,
        source: Source,
        *,
        counts: Sequence[Sequence[int]] | None = None,
        dataset: tuple[str, ...] = (),
        axes: str | None = None,
        channels: int | Sequence[str | None] | None = None,
        plane: int | None = None,
        bin_size: int = 1,
        bidiphase: int | str = 0,
    ) -> None:
        self.name = source.name
        self.bin_size = bin_size
        self._files: list[Joined] = []
        try:
            self._files += _open_files(source, dataset, counts, axes)
            self.path = self._files[0].path
            self.header = _common_header(self._files)
            self._lay_out(channels, plane)
        except BaseException:
            self.close()
            raise
        header = self.header
        self._lock = threading.Lock()
        self._source_dtype = np.dtype(np.float32 if header.dtype == "float16" else header.dtype)
        self.frames = -(-self._source_frames // bin_size)
        self.height, self.width, self.channels = header.height, header.width, len(self.channel_names)
        self.dtype = self._source_dtype if bin_size == 1 else np.dtype(np.float32)
        self.frame_rate = None if self._rate is None else self._rate / bin_size
        self.pixel_size = header.pixel_size
        channel_axis = (self.channels,) if self.channels > 1 else ()
        self.frame_shape = (self.height, self.width, *channel_axis)
        try:
            self.bidiphase = self._bidiphase(bidiphase)
        except BaseException:
            self.close()
            raise

    def _lay_out(self, channels: int | Sequence[str | None] | None, plane: int | None) -> None:
        """Find out which images of which files make a frame."""
        try:
            chosen = select(self.header, channels, plane)
        except ValueError as error:
            raise RecordingError(f"{self.path} {error}") from None
        self._source_frames, self._rate, self.channel_names = chosen.frames, chosen.frame_rate, chosen.names
        if len(self._files) == 1 and chosen.turns == 1:
            self._parts = [_Part(self._files[0], slice(None), chosen.channels, chosen.first, chosen.step)]
        elif chosen.turns == 1:  # a file for each channel
            self._parts = [
                _Part(self._files[channel], slice(i, i + 1), (0,), chosen.first, chosen.step)
                for i, channel in enumerate(chosen.channels)
            ]
        else:
            self._parts = [
                _Part(self._files[0], slice(i, i + 1), (0,), chosen.first + channel, chosen.step)
                for i, channel in enumerate(chosen.channels)
            ]

    def _bidiphase(self, wanted: int | str) -> int:
        """Return the offset of every second row, estimated from frames of the whole recording if it is "auto"."""
        if wanted == "auto":
            self.bidiphase = 0  # as the frames are in the files
            count = min(self._source_frames, scan.SAMPLE)
            sample = np.empty((count, self.height, self.width, self.channels), self._source_dtype)
            for i, t in enumerate(np.linspace(0, self._source_frames - 1, count).round().astype(int)):
                self._fill_from_files(sample[i : i + 1], int(t))
            return scan.estimate_offset(sample)
        if abs(wanted) >= self.width:
            raise RecordingError(
                f"{self.path} has frames that are {self.width} pixels wide, but `bidiphase` is {wanted}; give a number "
                "of pixels by which every second row is displaced, 'auto' or 'off'"
            )
        return wanted

    @property
    def scales(self) -> dict[str, Any]:
        """`frame_rate` and `pixel_size` by name, for what is written about the movie."""
        return {"frame_rate": self.frame_rate, "pixel_size": self.pixel_size}

    def close(self) -> None:
        """Close the files; reading ends."""
        for files in self._files:
            files.close()

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
            A frame is cut off, cannot be decoded, or holds NaN, Inf or numbers beyond 1e30; the message has its number.
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
            self._fill_from_files(block, start)
            return
        for i, first in enumerate(range(start * self.bin_size, self._source_frames, self.bin_size)[: len(block)]):
            last = min(first + self.bin_size, self._source_frames)
            source = np.empty((last - first, *self.frame_shape), self._source_dtype)
            self._fill_from_files(source, first)
            block[i] = source.mean(axis=0, dtype=np.float64)

    def _fill_from_files(self, block: np.ndarray, start: int) -> None:
        full = block.reshape(len(block), self.height, self.width, self.channels)
        with self._lock:
            for part in self._parts:
                images = range(part.first + start * part.step, part.first + (start + len(block)) * part.step, part.step)
                part.files.read_into(full[..., part.block], images, part.channels)
        scan.shift_rows(full, self.bidiphase)
        if block.dtype.kind != "f":
            return
        for i, frame in enumerate(block):
            if not (usable := np.abs(frame) <= LARGEST).all():  # NaN is not
                raise RecordingError(
                    f"{self.path}: frame {start + i} (counted from 0) holds {(~usable).sum()} pixels "
                    f"that are NaN, infinite or beyond {LARGEST:g}; every pixel must be a number that can be computed "
                    "with: repair it or cut it out"
                )


def default_batch(recording) -> int:
    """Frames per batch, so that a batch of raw frames stays near 8 MiB."""
    frame = int(np.prod(recording.frame_shape)) * recording.dtype.itemsize
    return int(np.clip(BATCH_BYTES // frame, 1, 256))


def open_recording(
    path: str | Path,
    *,
    dataset: str | Sequence[str] | None = None,
    axes: str | None = None,
    channels: int | Sequence[str | None] | None = None,
    plane: int | None = None,
    bin_size: int = 1,
    bidiphase: int | str = 0,
) -> Recording:
    """Open a movie.

    Parameters
    ----------
    path
        A file whose suffix is in `READERS`, or the list of a recording that has several (`lib.sources`).
    dataset
        The name of the movie's dataset inside the file, or one name per channel. None finds it: ch1, ch2, ... or
        the only movie.
    axes
        The order of an HDF5 dataset's axes, such as "TYX", where the file does not tell it. None: as the recording's
        list says, else (T, H, W).
    channels
        How many channels there are, or a list with a name for each, None for those not to be read; see
        `lib.header.select`.
    plane
        The plane to read, counted from 1; needed where there are several.
    bin_size
        Average this many consecutive frames into one.
    bidiphase
        Move rows 1, 3, 5, ... of every frame to the left by this many pixels; "auto" estimates how many
        (`lib.bidiphase`).

    Raises
    ------
    RecordingError
        A file is missing, empty, of another format, cut off, ambiguous, not a movie of grey frames, or has
        an unsupported type; files do not fit together; there are several planes and none is chosen.
    """
    path = Path(path)
    if bin_size < 1:
        raise ValueError(f"bin_size must be at least 1, not {bin_size}")
    names = (dataset,) if isinstance(dataset, str) else tuple(dataset or ())
    source, counts = Source.of_file(path), None
    if path.suffix == LIST:
        try:
            listed = FileList.read(path)
        except (OSError, ValueError, KeyError) as error:
            raise RecordingError(
                f"{path} cannot be read as the list of a recording's files: {type(error).__name__}: {error}; delete "
                "it, the next run of snakemake makes it again"
            ) from error
        source, counts, opening = listed.source, listed.frames, listed.opening
        axes, names = axes or opening.get("axes"), names or tuple(opening.get("dataset", ()))
    return Recording(
        source,
        counts=counts,
        dataset=names,
        axes=axes,
        channels=channels,
        plane=plane,
        bin_size=bin_size,
        bidiphase=bidiphase,
    )


def read_header(source: str | Path | Source, **how: Any) -> Header:
    """Return what the headers of a recording's files tell, without reading an image; `how` as for `read_headers`."""
    header, _ = read_headers(source if isinstance(source, Source) else Source.of_file(source), **how)
    return header


def read_headers(
    source: Source, *, dataset: str | Sequence[str] | None = None, axes: str | None = None
) -> tuple[Header, list[list[int]]]:
    """Return the common header of a recording's files, and how many images each of them has; see `open_recording`."""
    names = (dataset,) if isinstance(dataset, str) else tuple(dataset or ())
    channels = _open_files(source, names, axes=axes)
    try:
        return _common_header(channels), [list(joined.counts) for joined in channels]
    finally:
        for joined in channels:
            joined.close()


def _open_files(
    source: Source,
    dataset: tuple[str, ...],
    counts: Sequence[Sequence[int]] | None = None,
    axes: str | None = None,
) -> list[Joined]:
    """Open the files of each file channel; all, or none stays open."""
    opened: list[Joined] = []
    alone = len(source.files) > 1
    try:
        for i, files in enumerate(source.channels):
            opened.append(Joined(files, dataset, None if counts is None else counts[i], alone=alone, axes=axes))
    except BaseException:
        for joined in opened:
            joined.close()
        raise
    return opened


def _common_header(channels: list[Joined]) -> Header:
    """Return the header of channels that lie in files of their own, or of the only files."""
    first = channels[0].header
    for other in channels[1:]:
        for key in ("channels", "frames", "height", "width", "dtype", "planes"):
            found, wanted = getattr(other.header, key), 1 if key == "channels" else getattr(first, key)
            if found != wanted:
                raise RecordingError(
                    f"{other.path}: {key} is {found}, but {wanted} in {channels[0].path}; the channels of a recording "
                    "must be alike: correct `channel_pattern` or copy the file again"
                )
    if len(channels) == 1:
        return first
    return replace(first, channels=len(channels), channel_names=())
