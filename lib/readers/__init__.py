"""Readers of movie files, one module per format.

A format is one module with a subclass of `lib.readers.base.Reader`, and the suffixes of its files in `READERS`.
Modules are imported when a file of theirs is opened: nobody waits for the libraries of formats not in use.
"""

from importlib import import_module
from pathlib import Path

from lib.readers.base import Header, Reader, RecordingError

__all__ = ["READERS", "Header", "Reader", "RecordingError", "open_file"]

# Suffix, in lower case: module and class.
READERS = {
    ".tif": "lib.readers.tiff:TiffReader",
    ".tiff": "lib.readers.tiff:TiffReader",
    ".btf": "lib.readers.tiff:TiffReader",
    ".tf8": "lib.readers.tiff:TiffReader",
    ".h5": "lib.readers.hdf5:Hdf5Reader",
    ".hdf5": "lib.readers.hdf5:Hdf5Reader",
    ".hdf": "lib.readers.hdf5:Hdf5Reader",
    ".mat": "lib.readers.mat:MatReader",
    ".nwb": "lib.readers.nwb:NwbReader",
    ".zarr": "lib.readers.zarr:ZarrReader",
    ".sbx": "lib.readers.sbx:SbxReader",
    ".raw": "lib.readers.raw:RawReader",
    ".bin": "lib.readers.raw:RawReader",
}


def open_file(
    path: str | Path, dataset: tuple[str, ...] = (), *, alone: bool = False, axes: str | None = None
) -> Reader:
    """Open one file with the reader of its suffix.

    Parameters
    ----------
    path
        A file, or the folder that a format consists of.
    dataset
        Names of the movie's datasets inside the file, one per channel; none: the reader finds them.
    alone
        Read nothing from other files, even if this one refers to them.
    axes
        The order of the axes, such as "TYX", where the file does not tell it; None: as its format has it.

    Raises
    ------
    RecordingError
        The file is missing, empty, of another format, cut off, ambiguous, not a movie of grey frames, or has
        an unsupported type.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise RecordingError(f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(READERS)}")
    module, name = READERS[path.suffix.lower()].split(":")
    reader = getattr(import_module(module), name)
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise RecordingError(f"{path} is empty (0 bytes); copy it again")
        return reader(path, dataset, alone=alone, axes=axes)
    except RecordingError:
        raise
    except Exception as error:  # the libraries raise anything for what is not their format
        raise RecordingError(
            f"{path} cannot be opened as {name.removesuffix('Reader').upper()}: "
            f"{type(error).__name__}: {error}; check that it is there, readable and complete"
        ) from error
