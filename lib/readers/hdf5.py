"""Read movies from HDF5 files."""

import h5py
import numpy as np

from lib.readers.arrays import ArrayReader, find_movie
from lib.readers.base import Header


class Hdf5Reader(ArrayReader):
    """HDF5 with 3-D datasets, one per channel: the named ones, or ch1, ch2, ..., or the only one.

    Their axes are (T, H, W), unless the file (`stored_axes`) or the user tells otherwise.
    """

    TAKES_AXES = True

    def _open(self, dataset: tuple[str, ...]) -> Header:
        self._file = h5py.File(self.path, "r")
        found = datasets(self._file, dataset)
        names = find_movie(self.path, found, dataset, {3: self.axes or "TYX"})
        self._arrays = [found[name] for name in names]
        self._axes = stored_axes(self._arrays[0]) or self.axes or "TYX"
        return Header(
            "hdf5", dtype=self._arrays[0].dtype.name, dataset=names, **self._sizes(), **_scales(self._file.attrs)
        )


def datasets(file: h5py.File, named: tuple[str, ...] = ()) -> dict[str, h5py.Dataset]:
    """Return all datasets of a file by their path; those behind links only if they are in the root or `named`."""
    found: dict[str, h5py.Dataset] = {}

    def collect(name: str, item: h5py.HLObject | None) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(collect)
    for name in (*file, *named):
        collect(name, file.get(name))
    return found


def stored_axes(dataset: h5py.Dataset) -> str | None:
    """Return the order of a movie's axes, such as "TYX", if the file tells it.

    pyflowreg writes `dimension_ordering`: which of the dataset's axes are height, width and time.
    """
    order = np.ravel(dataset.attrs.get("dimension_ordering", dataset.file.attrs.get("dimension_ordering", ()))).tolist()
    return "".join("YXT"[order.index(axis)] for axis in range(3)) if sorted(order) == [0, 1, 2] else None


def _scales(attributes: h5py.AttributeManager) -> dict:
    """Return `frame_rate` and `pixel_size` where they are written as in our own compensated.hdf5."""
    rate, size = attributes.get("frame_rate"), attributes.get("pixel_size")
    return {
        "frame_rate": None if rate is None else float(rate),
        "pixel_size": None if size is None else (float(size[0]), float(size[1])),
    }
