"""Open a movie of any supported format and read it in blocks of frames.

    with open_recording("baseline_001.tif") as recording:
        block = recording.read(0, 64)  # (64, H, W) or (64, H, W, C)

A format is one subclass of `Recording` and its suffixes in `READERS`. Frames are counted from 0.
"""

from collections.abc import Sequence
from pathlib import Path

from lib.reader import Header, Recording, RecordingError
from lib.reader_hdf5 import Hdf5Recording
from lib.reader_tiff import TiffRecording

__all__ = ["READERS", "Header", "Recording", "RecordingError", "open_recording", "read_header"]

READERS: dict[str, type[Recording]] = {
    ".tif": TiffRecording,
    ".tiff": TiffRecording,
    ".btf": TiffRecording,
    ".tf8": TiffRecording,
    ".h5": Hdf5Recording,
    ".hdf5": Hdf5Recording,
    ".hdf": Hdf5Recording,
}


def open_recording(path: str | Path, *, dataset: str | Sequence[str] | None = None, bin_size: int = 1) -> Recording:
    """Open a movie.

    Parameters
    ----------
    path
        A file whose suffix is in `READERS`.
    dataset
        HDF5 only: the name of the (T, H, W) dataset, or one name per channel. None finds it: ch1, ch2, ... or
        the only 3-D dataset.
    bin_size
        Average this many consecutive frames into one.

    Raises
    ------
    RecordingError
        The file is missing, empty, of another format, cut off, ambiguous, not a movie of grey frames, or has
        an unsupported type.
    """
    path = Path(path)
    if bin_size < 1:
        raise ValueError(f"bin_size must be at least 1, not {bin_size}")
    if path.suffix.lower() not in READERS:
        raise RecordingError(f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(READERS)}")
    names = (dataset,) if isinstance(dataset, str) else tuple(dataset or ())
    reader = READERS[path.suffix.lower()]
    try:
        if path.stat().st_size == 0:
            raise RecordingError(f"{path} is empty (0 bytes); copy it again")
        return reader(path, names, bin_size)
    except RecordingError:
        raise
    except Exception as error:  # the libraries raise anything for what is not their format
        raise RecordingError(
            f"{path} cannot be opened as {reader.__name__.removesuffix('Recording').upper()}: "
            f"{type(error).__name__}: {error}; check that it is there, readable and complete"
        ) from error


def read_header(path: str | Path, *, dataset: str | Sequence[str] | None = None) -> Header:
    """Return what the headers of a movie tell, without reading a frame; see `open_recording`."""
    with open_recording(path, dataset=dataset) as recording:
        return recording.header
