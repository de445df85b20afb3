"""Read movies from NWB files (https://nwb-schema.readthedocs.io, TwoPhotonSeries).

Read with h5py: importing pynwb takes longer than reading headers. NWB stores images as (frames, x, y), with planes
as (frames, x, y, z), so they are transposed here.
"""

from collections import Counter

import h5py
import numpy as np

from lib.readers.arrays import ArrayReader, find_movie
from lib.readers.base import Header, RecordingError

AXES = {3: "TXY", 4: "TXYZ"}
SERIES = ("TwoPhotonSeries", "OnePhotonSeries", "ImageSeries")  # the first is what is looked for, any can be named
MICROMETRES = {"meters": 1e6, "m": 1e6, "millimeters": 1e3, "mm": 1e3, "micrometers": 1.0, "microns": 1.0, "um": 1.0}


class NwbReader(ArrayReader):
    """The only TwoPhotonSeries of an NWB file, or the named ones, one per channel."""

    def _open(self, dataset: tuple[str, ...]) -> Header:
        self._file = h5py.File(self.path, "r")
        series = self._series(dataset)
        outside = [name for name, group in series.items() if "external_file" in group]
        arrays = {name: group["data"] for name, group in series.items() if name not in outside and "data" in group}
        if outside and not set(dataset) & set(arrays) and (dataset or not arrays):
            files = ", ".join(text.decode() for text in series[outside[0]]["external_file"][:5])
            raise RecordingError(
                f"{self.path}: the images of {outside[0]} are not in this file but in {files}; take those files as "
                "recordings, see `pattern`"
            )
        names = find_movie(self.path, arrays, dataset, AXES, noun="TwoPhotonSeries")
        self._arrays = [arrays[name] for name in names]
        self._axes = AXES[self._arrays[0].ndim]
        first = series[names[0]]
        return Header(
            "nwb",
            dtype=self._arrays[0].dtype.name,
            dataset=names,
            channel_names=names if len(names) > 1 else (),
            frame_rate=_frame_rate(first),
            pixel_size=_pixel_size(first),
            **self._sizes(),
        )

    def _series(self, dataset: tuple[str, ...]) -> dict[str, h5py.Group]:
        """Return the series by their names, or by their paths where names are not unique."""
        kinds: dict[str, h5py.Group] = {}

        def collect(path: str, item: h5py.HLObject) -> None:
            if isinstance(item, h5py.Group) and item.attrs.get("neurodata_type") in SERIES:
                kinds[path] = item

        self._file.visititems(collect)
        counts = Counter(path.rsplit("/", 1)[-1] for path in kinds)
        found = {}
        for path, group in kinds.items():
            name = path.rsplit("/", 1)[-1]
            wanted = [given for given in dataset if given.strip("/") in (name, path)]
            if wanted or (not dataset and group.attrs["neurodata_type"] == SERIES[0]):
                found[wanted[0] if wanted else name if counts[name] == 1 else path] = group
        return found or {path: group for path, group in kinds.items()}


def _frame_rate(series: h5py.Group) -> float | None:
    """Return frames per second, from the rate or from the first and last time stamp."""
    if "starting_time" in series:
        rate = float(series["starting_time"].attrs.get("rate", 0))
    else:
        times = series.get("timestamps", ())
        rate = (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
    return rate if np.isfinite(rate) and rate > 0 else None


def _pixel_size(series: h5py.Group) -> tuple[float, float] | None:
    spacing = series.get("imaging_plane/grid_spacing")
    unit = None if spacing is None else MICROMETRES.get(spacing.attrs.get("unit", "meters"))
    if unit is None or np.size(spacing) < 2:
        return None
    x, y = (float(value) * unit for value in spacing[:2])
    return (y, x) if x > 0 and y > 0 else None
