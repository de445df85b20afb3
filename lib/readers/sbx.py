"""Read movies that Scanbox (Neurolabware) recorded: a .sbx file and a .mat file of the same name beside it.

As Scanbox's own `sbxread` documents it (https://scanbox.org/2014/08/04/reading-raw-data-with-sbxread): frame after
frame of 16-bit numbers, row by row, the channels of a pixel together, stored as 65535 minus the value.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from lib.readers.arrays import ArrayReader
from lib.readers.base import Header, RecordingError
from lib.readers.flat import FlatArray

ROWS_AND_COLUMNS = (512, 796)  # where the first versions do not tell
CHANNELS = {1: 2, 2: 1, 3: 1}  # `info.channels`: both, the first, the second


class SbxReader(ArrayReader):
    """A .sbx file. With the optotune, planes are imaged in turn."""

    def _open(self, dataset: tuple[str, ...]) -> Header:
        beside = self.path.with_suffix(".mat")
        info = _info(self.path, beside)
        rows, columns = (int(size) for size in info.get("sz", ROWS_AND_COLUMNS))
        channels = self._channels(info, beside)
        size, frame = self.path.stat().st_size, rows * columns * channels * 2
        if size % frame or not size:
            raise RecordingError(
                f"{self.path} is cut off or does not belong to {beside.name}: it has {size:,} bytes, expected a "
                f"multiple of {frame:,} for frames of {rows} x {columns} in {channels} channels; copy both files again"
            )
        self._file = _Inverted(self.path, (size // frame, rows, columns, channels), "<u2", inner=3, told_by=beside)
        self._arrays, self._axes = [self._file], "TYXC"
        planes = _planes(info)
        return Header(
            "sbx",
            dtype="uint16",
            frame_rate=_frame_rate(info, rows, planes),
            pixel_size=_pixel_size(info),
            companions=(str(beside),),
            **self._sizes() | {"planes": planes},
        )

    def _channels(self, info: dict[str, Any], beside: Path) -> int:
        told = info["chan"].get("nchan") if isinstance(info.get("chan"), dict) else CHANNELS.get(info.get("channels"))
        if not told:
            raise RecordingError(
                f"{beside}: `info` tells neither `chan.nchan` nor `channels` from 1 to 3 (it is "
                f"{info.get('channels')!r}); copy the file again"
            )
        return int(told)


class _Inverted(FlatArray):
    def _values(self, stored: np.ndarray) -> np.ndarray:
        return ~stored  # 65535 - stored


def _info(path: Path, beside: Path) -> dict[str, Any]:
    if not beside.is_file():
        raise RecordingError(f"{path}: expected {beside.name} beside it, which Scanbox writes too; copy it there")
    try:
        return dict(loadmat(beside, simplify_cells=True)["info"])
    except Exception as error:  # SciPy raises anything for what is no MATLAB file
        raise RecordingError(
            f"{beside} cannot be read as the `info` of {path.name}: {type(error).__name__}: {error}; copy it again"
        ) from error


def _planes(info: dict[str, Any]) -> int:
    """Return how many steps of the optotune make a volume."""
    steps = np.size(info.get("otwave", ()))
    return steps if steps and info.get("volscan", 1) else 1


def _frame_rate(info: dict[str, Any], rows: int, planes: int) -> float | None:
    lines = info.get("resfreq", 0) * (2 if info.get("scanmode", 1) == 0 else 1)  # bidirectional: two in a period
    return float(lines) / rows / planes if lines > 0 else None


def _pixel_size(info: dict[str, Any]) -> tuple[float, float] | None:
    """Return the calibration of the magnification in use, micrometres per pixel."""
    config, table = info.get("config"), info.get("calibration")
    entries = table if isinstance(table, list | np.ndarray) else [table]
    number = int(config.get("magnification", 1)) if isinstance(config, dict) else 1
    chosen = entries[number - 1] if 1 <= number <= len(entries) else None
    told, keys = (chosen, "yx") if isinstance(chosen, dict) else (info, ("dycal", "dxcal"))
    size = [told.get(key) for key in keys]
    if not all(isinstance(value, int | float) and value > 0 for value in size):
        return None
    return (float(size[0]), float(size[1]))
