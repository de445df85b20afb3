"""Write results so that a file is either the old one, the new one or absent, never a half of one.

Every writer goes through `atomic_path`: a temporary name in the same folder, flush, fsync, rename. Movies
come in many calls and have their own files: `lib.partial` (resumable) and `lib.sink` (in one go).
"""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MAT5_BYTES = 2**31 - 1024  # of one variable in a MATLAB 5 file, with its name and shape


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into one that names the file and the space left beside it."""
    try:
        yield
    except OSError as error:
        free = shutil.disk_usage(path.parent).free
        reason = error.strerror or str(error)
        message = (
            f"could not write {path}: {reason}; {free:,} bytes are free there. Make room, or check quota and "
            "permissions, then run again"
        )
        # NumPy raises a bare OSError without number
        raise OSError(*([] if error.errno is None else [error.errno]), message) from error


def fsync(path: Path) -> None:
    """Wait until the file's content, or the folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path`, on an exception it is removed.

    Parameters
    ----------
    path
        The file to write. Missing folders are made. The temporary name is hidden and ends with the same
        suffix, so that libraries which look at suffixes write the right kind of file.

    Raises
    ------
    OSError
        Nothing could be written; the message names `path` and the free space.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.stem}.{socket.gethostname()}-{os.getpid()}{path.suffix}")
    try:
        with name_in_errors(path):
            yield temporary
            fsync(temporary)
            os.replace(temporary, path)
            fsync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes of this machine left of `path`: it can be as large as a movie."""
    marker = f".{path.stem}.{socket.gethostname()}-"
    for leftover in path.parent.glob(f"{escape(marker)}*{escape(path.suffix)}"):
        owner = leftover.name.removeprefix(marker).removesuffix(path.suffix)
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            leftover.unlink(missing_ok=True)


def write_json(path: str | Path, data: Any) -> None:
    """Write `data` as indented JSON; NaN and infinity raise ValueError, other programs cannot read them."""
    with atomic_path(path) as temporary:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write one array as .npy."""
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def write_npz(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write named arrays as an uncompressed .npz."""
    with atomic_path(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def write_mat(path: str | Path, arrays: Mapping[str, Any], *, limit: int = MAT5_BYTES) -> None:
    """Write named arrays as a .mat file: of MATLAB 5, which everything reads, or of MATLAB 7.3 (HDF5).

    The latter only if an array has more than `limit` bytes, which MATLAB 5 files cannot hold. MATLAB's `load` reads
    both.
    """
    values = dict(arrays)
    version = "5.0" if all(np.asarray(value).nbytes <= limit for value in values.values()) else "7.3"
    with atomic_path(path) as temporary:
        if version == "5.0":
            from scipy.io import savemat

            savemat(temporary, values, do_compression=True)
        else:
            import hdf5storage

            hdf5storage.savemat(str(temporary), values, format="7.3", store_python_metadata=False, oned_as="column")
        with open(temporary, "r+b") as file:  # both put the date into the header text; equal data, equal bytes
            file.write(f"MATLAB {version} MAT-file, written by flowsession".encode().ljust(116))


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write an (H, W) bool (as 0 and 255) or uint8 image, or (H, W, 3) uint8, as .png."""
    from PIL import Image

    pixels = image.astype(np.uint8) * 255 if image.dtype == bool else image
    if pixels.dtype != np.uint8:
        raise ValueError(f"{path}: a PNG takes bool or uint8 pixels, not {pixels.dtype}")
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def verify(path: str | Path, kind: str | None = None) -> str | None:
    """Open an output as its readers would.

    Parameters
    ----------
    path
        The file.
    kind
        "hdf5", "npy", "npz", "png", "tiff", "mat" or "json"; by default what the suffix says.

    Returns
    -------
    str or None
        None if the file is sound, otherwise what is wrong with it. Of movies the first and the last frame are
        decoded, everything else is read whole.
    """
    path = Path(path)
    check = _CHECKS[kind or _KINDS[path.suffix.lower()]]
    try:
        return check(path)
    except Exception as error:  # a damaged file may raise anything, and whatever it raises is the answer
        return f"{path} cannot be read: {type(error).__name__}: {error}"


def _check_hdf5(path: Path) -> str | None:
    with h5py.File(path, "r") as file:
        datasets = [item for item in file.values() if isinstance(item, h5py.Dataset)]
        if not datasets:
            return f"{path} has no dataset"
        for dataset in datasets:
            if dataset.size == 0:
                return f"{path}: dataset {dataset.name} is empty"
            if dataset.shape != datasets[0].shape:
                return f"{path}: {dataset.name} is {dataset.shape}, {datasets[0].name} is {datasets[0].shape}"
            dataset[0], dataset[-1]
    return None


def _check_npy(path: Path) -> None:
    np.load(path, allow_pickle=False)


def _check_npz(path: Path) -> str | None:
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            arrays[name]  # reading to the end checks the CRC
        return None if arrays.files else f"{path} has no array"


def _check_png(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.load()


def _check_tiff(path: Path) -> None:
    from lib.recording import open_recording

    with open_recording(path) as recording:
        recording.read_frames([0, recording.frames - 1])


def _check_mat(path: Path) -> None:
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: item[-1:] if isinstance(item, h5py.Dataset) and item.shape else None)
        return
    from scipy.io import loadmat

    loadmat(path)


def _check_json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


_CHECKS: dict[str, Callable[[Path], str | None]] = {
    "hdf5": _check_hdf5,
    "npy": _check_npy,
    "npz": _check_npz,
    "png": _check_png,
    "tiff": _check_tiff,
    "mat": _check_mat,
    "json": _check_json,
}
_KINDS = {
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".h5": "hdf5",
    ".npy": "npy",
    ".npz": "npz",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".mat": "mat",
    ".json": "json",
}
