"""Read movies from HDF5 files."""

from collections.abc import Sequence

import h5py
import numpy as np

from lib.readers.base import Header, Reader, RecordingError, damaged

PIECE = 32  # frames per call of HDF5: enough to use chunks of several frames, yet little memory


class Hdf5Reader(Reader):
    """HDF5 with 3-D datasets, one per channel: the named ones, or ch1, ch2, ..., or the only one.

    Their axes are (T, H, W), unless the file (`stored_axes`) or the user tells otherwise.
    """

    TAKES_AXES = True

    def _open(self, dataset: tuple[str, ...]) -> Header:
        self._file = h5py.File(self.path, "r")
        names = dataset or self._find()
        self._datasets = [self._file.get(name) for name in names]
        if not all(isinstance(item, h5py.Dataset) and item.ndim == 3 for item in self._datasets):
            raise RecordingError(
                f"{self.path}: expected 3-D datasets {', '.join(names)}; it holds {self._contents()}: "
                "correct `dataset` in the configuration"
            )
        first = self._datasets[0]
        if any((item.shape, item.dtype) != (first.shape, first.dtype) for item in self._datasets):
            raise RecordingError(
                f"{self.path}: the datasets {', '.join(names)} must agree in shape and type; it holds "
                f"{self._contents()}"
            )
        axes = stored_axes(first) or self.axes or "TYX"
        self._order = [axes.index(axis) for axis in "TYX"]
        shape = (first.shape[i] for i in self._order)
        return Header("hdf5", *shape, len(names), first.dtype.name, tuple(names), **_scales(self._file.attrs))

    def _find(self) -> tuple[str, ...]:
        """Return the names of the movie's datasets where none were given."""
        numbered = []
        while f"ch{len(numbered) + 1}" in self._file:
            numbered.append(f"ch{len(numbered) + 1}")
        if numbered:
            return tuple(numbered)
        movies = [name for name, item in self._all().items() if item.ndim == 3]
        if len(movies) != 1:
            raise RecordingError(
                f"{self.path}: expected one 3-D dataset (frames, height, width) or ch1, ch2, ...; it holds "
                f"{self._contents()}: name the movie with `dataset` in the configuration"
            )
        return tuple(movies)

    def _all(self) -> dict[str, h5py.Dataset]:
        found: dict[str, h5py.Dataset] = {}

        def collect(name: str, item: h5py.HLObject) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item

        self._file.visititems(collect)
        return found

    def _contents(self) -> str:
        found = [f"{name} {item.shape} {item.dtype}" for name, item in self._all().items()]
        return ", ".join(found) or "no dataset"

    def read_into(self, block: np.ndarray, frames: range, channels: Sequence[int]) -> None:
        for i in range(0, len(block), PIECE):
            part = frames[i : i + PIECE]
            for c, channel in enumerate(channels):
                try:
                    block[i : i + PIECE, ..., c] = self._read(channel, part)
                except OSError as error:
                    raise damaged(self.path, self._first_unreadable(channel, part), error) from error

    def _read(self, channel: int, frames: range) -> np.ndarray:
        """Return frames of a channel, (n, H, W)."""
        where = [slice(None)] * 3
        where[self._order[0]] = slice(frames.start, frames.stop, frames.step)
        return self._datasets[channel][tuple(where)].transpose(self._order)

    def _first_unreadable(self, channel: int, frames: range) -> int:
        for frame in frames[:-1]:
            try:
                self._read(channel, range(frame, frame + 1))
            except OSError:
                return frame
        return frames[-1]


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
