"""Read movies from Zarr stores of version 2 and 3: an array, a group of them, or an OME-Zarr image (a folder)."""

from collections.abc import Mapping
from itertools import product
from math import ceil
from typing import Any

import zarr

from lib.readers.arrays import ArrayReader, find_movie
from lib.readers.base import Header, RecordingError

SECONDS = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0}
MICROMETRES = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6}


class ZarrReader(ArrayReader):
    """A folder that holds a Zarr array (T, H, W), arrays ch1, ch2, ..., or an OME-Zarr image at its full resolution.

    Arrays whose dimensions have names (t, c, z, y, x, as in OME-Zarr and xarray) may have them in any order;
    the user may tell the order of three that have none.
    """

    TAKES_AXES = True

    def _open(self, dataset: tuple[str, ...]) -> Header:
        if not self.path.is_dir():
            raise RecordingError(f"{self.path} is no Zarr store: expected a folder, with all the files in it")
        store = zarr.open(self.path, mode="r")
        image = {} if dataset or isinstance(store, zarr.Array) else _ome(store.attrs.asdict())
        if image:
            names, axes = (image["datasets"][0]["path"],), "".join(axis["name"] for axis in image["axes"]).upper()
            self._arrays = [store[names[0]]]
        else:
            arrays = {"": store} if isinstance(store, zarr.Array) else dict(_arrays(store))
            plain = self.axes or "TYX"
            axes = {3: plain} | {len(named): named for named in map(_named, arrays.values()) if named}
            names = find_movie(self.path, arrays, dataset, axes, noun="array")
            self._arrays = [arrays[name] for name in names]
            axes = _named(self._arrays[0]) or plain
        self._axes = self._usable(axes, self._arrays[0].shape)
        self._check_present()
        return Header(
            "ome-zarr" if image else "zarr",
            dtype=self._arrays[0].dtype.name,
            dataset=tuple(name for name in names if name),
            **self._sizes(),
            **_told(image),
        )

    def _usable(self, axes: str, shape: tuple[int, ...]) -> str:
        """Return the axes; without time, planes are taken for it."""
        sizes = dict(zip(axes, shape, strict=True))
        if sizes.get("T", 1) == 1 and sizes.get("Z", 1) > 1:
            axes = axes.translate({ord("T"): "Z", ord("Z"): "T"})
        if set(axes) - set("TCZYX") or len(set(axes)) < len(axes) or not set("TYX") <= set(axes):
            raise RecordingError(
                f"{self.path}: the dimensions of the array are {', '.join(axes.lower())}; expected t, y and x, and c "
                "or z where there are channels or planes: save the movie as (t, y, x)"
            )
        return axes

    def _check_present(self) -> None:
        """Find frames of which nothing is there; Zarr would show them as blank without a word."""
        time = self._axes.index("T")
        for array in self._arrays:
            sizes = array.shards or array.chunks
            pieces = [range(ceil(length / size)) for length, size in zip(array.shape, sizes, strict=True)]
            for i in pieces[time]:
                here = [[i] if axis == time else numbers for axis, numbers in enumerate(pieces)]
                files = (self.path / array.path / array.metadata.encode_chunk_key(index) for index in product(*here))
                if not any(file.exists() for file in files):
                    last = min((i + 1) * sizes[time], array.shape[time]) - 1
                    raise RecordingError(
                        f"{self.path}: nothing of frames {i * sizes[time]} to {last} is there, their chunks are "
                        "missing; copy it again, or if these frames are blank, save it again with write_empty_chunks"
                    )

    def close(self) -> None:
        """Nothing stays open."""


def _arrays(group: zarr.Group, prefix: str = "") -> list[tuple[str, zarr.Array]]:
    found = []
    for name, item in sorted(group.members()):
        if isinstance(item, zarr.Array):
            found.append((prefix + name, item))
        else:
            found += _arrays(item, f"{prefix}{name}/")
    return found


def _named(array: zarr.Array) -> str:
    """Return the axes that the dimensions' names tell (Zarr 3, or xarray in Zarr 2); empty if they tell none."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    letters = {"time": "T", "frame": "T", "frames": "T", "channel": "C", "height": "Y", "width": "X"}
    axes = "".join(letters.get(str(name).lower(), str(name)[:1].upper()) for name in names)
    return axes if set("YX") <= set(axes) and not set(axes) - set("TCZYX") else ""


def _ome(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first multiscale image of OME-Zarr 0.4 or 0.5, and its channels; empty if there is none."""
    told = attributes.get("ome", attributes)
    images = told.get("multiscales") or [{}]
    return images[0] | {"omero": told.get("omero", {})} if images[0] else {}


def _told(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return frame rate, pixel size and the names of channels as OME-Zarr tells them."""
    if not image:
        return {}
    scale = [1.0] * len(image["axes"])
    for step in image["datasets"][0].get("coordinateTransformations", []) + image.get("coordinateTransformations", []):
        if step["type"] == "scale":
            scale = [one * other for one, other in zip(scale, step["scale"], strict=True)]
    steps = {axis["name"]: (value, axis.get("unit")) for axis, value in zip(image["axes"], scale, strict=True)}
    seconds = SECONDS.get(steps.get("t", (0, None))[1], 0.0) * steps.get("t", (0, None))[0]
    size = tuple(MICROMETRES.get(steps[axis][1], 0.0) * steps[axis][0] for axis in "yx")
    names = tuple(channel.get("label", "") for channel in image["omero"].get("channels", []))
    return {
        "frame_rate": 1 / seconds if seconds > 0 else None,
        "pixel_size": size if all(value > 0 for value in size) else None,
        "channel_names": names if all(names) else (),
    }
