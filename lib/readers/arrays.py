"""Read movies that lie in arrays with known axes, as HDF5, MATLAB and Zarr files have them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.readers.base import Reader, RecordingError, damaged

PIECE = 32  # frames asked for at once: enough to use chunks of several frames, yet little memory


class ArrayReader(Reader):
    """Images out of arrays that can be sliced: one array that holds all channels, or one per channel.

    `_open` sets the attributes.

    Attributes
    ----------
    _arrays : list
        The arrays, all alike.
    _axes : str
        What their axes are: "T", "Y" and "X", and "C" or "Z" if there are such, in the order of the array. Images of
        several planes are counted plane after plane.
    """

    _arrays: list[Any]
    _axes: str

    def _sizes(self) -> dict[str, int]:
        """Return frames (of all planes), height, width, channels and planes for the header."""
        told = {"C": len(self._arrays), "Z": 1} | dict(zip(self._axes, map(int, self._arrays[0].shape), strict=True))
        return {
            "frames": told["T"] * told["Z"],
            "height": told["Y"],
            "width": told["X"],
            "channels": told["C"],
            "planes": told["Z"],
        }

    def read_into(self, block: np.ndarray, frames: range, channels: Sequence[int]) -> None:
        for i in range(0, len(block), PIECE):
            part = frames[i : i + PIECE]
            for c, channel in enumerate(channels):
                try:
                    block[i : i + PIECE, ..., c] = self._images(part, channel)
                except Exception as error:  # every codec has exceptions of its own
                    raise damaged(self.path, self._first_unreadable(part, channel), error) from error

    def _images(self, frames: range, channel: int) -> np.ndarray:
        """Return images (n, H, W) of one channel."""
        array = self._arrays[0 if "C" in self._axes else channel]
        planes = dict(zip(self._axes, array.shape, strict=True)).get("Z", 1)
        if frames.step % planes:  # images of different planes
            return np.concatenate([self._images(range(i, i + 1, planes), channel) for i in frames])
        first, step = frames.start // planes, frames.step // planes
        wanted = {
            "T": slice(first, first + (len(frames) - 1) * step + 1, step),
            "Z": frames.start % planes,
            "C": channel,
            "Y": slice(None),
            "X": slice(None),
        }
        left = [axis for axis in self._axes if axis in "TYX"]
        return np.transpose(array[tuple(wanted[axis] for axis in self._axes)], [left.index(axis) for axis in "TYX"])

    def _first_unreadable(self, frames: range, channel: int) -> int:
        for i, frame in enumerate(frames[:-1]):
            try:
                self._images(frames[i : i + 1], channel)
            except Exception:  # as above
                return frame
        return frames[-1]


def find_movie(
    path: Path, arrays: Mapping[str, Any], dataset: tuple[str, ...], axes: Mapping[int, str], noun: str = "dataset"
) -> tuple[str, ...]:
    """Return the names of the arrays that are the movie, one per channel or one with all.

    The named ones, or ch1, ch2, ..., or the only one of a movie's dimensions.

    Parameters
    ----------
    path
        The file, for messages.
    arrays
        Everything in the file that has a shape and a dtype, by name.
    dataset
        The names that were given, if any.
    axes
        The axes of a movie, by their number.
    noun
        What users of the format call an array.

    Raises
    ------
    RecordingError
        There are none, several candidates, or arrays that do not go together.
    """
    found = ", ".join(f"{name} {tuple(array.shape)} {array.dtype}" for name, array in arrays.items())
    holds = f"it holds {found or f'no {noun}'}"
    expected = " or ".join(f"{rank}-D" for rank in axes)
    layouts = " or ".join(f"({', '.join(_AXES[axis] for axis in order)})" for order in axes.values())
    numbered = []
    while f"ch{len(numbered) + 1}" in arrays:
        numbered.append(f"ch{len(numbered) + 1}")
    movies = [name for name, array in arrays.items() if len(array.shape) in axes]
    if not dataset and not numbered and len(movies) != 1:
        raise RecordingError(
            f"{path}: expected one {expected} {noun} {layouts} or ch1, ch2, ...; {holds}: name the movie with "
            "`dataset` in the configuration"
        )
    names = dataset or tuple(numbered) or tuple(movies)
    if not all(name in arrays and len(arrays[name].shape) in axes for name in names):
        raise RecordingError(
            f"{path}: expected {expected} {noun}s {', '.join(names)} {layouts}; {holds}: correct `dataset` in the "
            "configuration"
        )
    shape, dtype = arrays[names[0]].shape, arrays[names[0]].dtype
    if any((arrays[name].shape, arrays[name].dtype) != (shape, dtype) for name in names):
        raise RecordingError(f"{path}: the {noun}s {', '.join(names)} must agree in shape and type; {holds}")
    if len(names) > 1 and "C" in axes[len(shape)]:
        raise RecordingError(
            f"{path}: each of the {noun}s {', '.join(names)} has several channels; {holds}: give one of them as "
            "`dataset` in the configuration"
        )
    return names


_AXES = {"T": "frames", "C": "channels", "Z": "planes", "Y": "height", "X": "width"}
