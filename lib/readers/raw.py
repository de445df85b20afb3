"""Read movies from raw binary files, whose shape and type a small JSON file beside them tells.

movie.raw, movie.json: {"shape": [9000, 512, 512], "dtype": "uint16"}
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from lib.readers.arrays import ArrayReader
from lib.readers.base import DTYPES, Header, RecordingError
from lib.readers.flat import FlatArray

KEYS = ("shape", "dtype", "axes", "order", "byteorder", "offset", "frame_rate", "pixel_size", "channel_names")
EXAMPLE = '{"shape": [9000, 512, 512], "dtype": "uint16", "axes": "TYX"}'


class RawReader(ArrayReader):
    """Binary numbers with a JSON file of the same name beside them.

    Its keys: `shape` and `dtype`; `axes`, a letter for each number of the shape (T, C, Z, Y, X; "TYX" if not given);
    `order`, "C" if the last axis is the fastest (the default), "F" if the first is, as MATLAB's fwrite leaves it;
    `byteorder`, "little" (the default) or "big"; `offset`, bytes to be left out at the beginning; `frame_rate` (Hz),
    `pixel_size` ([y, x], micrometres), `channel_names`.
    """

    def _open(self, dataset: tuple[str, ...]) -> Header:
        sidecar = self._sidecar()
        told = _read(sidecar)
        axes, shape = told.get("axes", "TYX"), told["shape"]
        if told.get("order", "C") == "F":
            axes, shape = axes[::-1], shape[::-1]
        inner = len(axes) - min(axes.index("Y"), axes.index("X"))
        if set(axes[-inner:]) & {"T", "Z"}:
            raise RecordingError(
                f"{sidecar}: the axes are {told.get('axes', 'TYX')} in order {told.get('order', 'C')}, so the values "
                "of a frame are not together in the file; save the movie frame after frame"
            )
        order = {"little": "<", "big": ">"}[told.get("byteorder", "little")]
        self._file = FlatArray(
            self.path,
            shape,
            np.dtype(told["dtype"]).newbyteorder(order),
            inner=inner,
            offset=told.get("offset", 0),
            told_by=sidecar,
        )
        self._arrays, self._axes = [self._file], axes
        rate, size = told.get("frame_rate"), told.get("pixel_size")
        return Header(
            "raw",
            dtype=told["dtype"],
            frame_rate=None if rate is None else float(rate),
            pixel_size=None if size is None else (float(size[0]), float(size[1])),
            channel_names=tuple(told.get("channel_names", ())),
            companions=(str(sidecar),),
            **self._sizes(),
        )

    def _sidecar(self) -> Path:
        places = [self.path.with_suffix(".json"), self.path.with_name(self.path.name + ".json")]
        for place in places:
            if place.exists():
                return place
        raise RecordingError(
            f"{self.path} tells neither shape nor type; expected a file {places[0].name} beside it, such as {EXAMPLE}"
        )


def _read(path: Path) -> dict[str, Any]:
    """Return what a sidecar tells.

    Raises
    ------
    RecordingError
        It is no JSON, or a key is missing, unknown or has no usable value.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} cannot be read as JSON: {error}; expected such as {EXAMPLE}") from error
    if not isinstance(told, dict) or not {"shape", "dtype"} <= set(told):
        raise RecordingError(f"{path} must tell 'shape' and 'dtype'; expected such as {EXAMPLE}")

    def numbers(value: Any, count: int) -> bool:
        values = value if isinstance(value, list) else [value]
        return len(values) == count and all(type(v) in (int, float) and v > 0 for v in values)

    shape, axes = told["shape"], told.get("axes", "TYX")
    checks = {
        "shape": (
            isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape),
            "a list of numbers above 0",
        ),
        "dtype": (told["dtype"] in DTYPES, f"one of {', '.join(DTYPES)}"),
        "axes": (
            isinstance(axes, str) and set("TYX") <= set(axes) <= set("TCZYX") and len(set(axes)) == len(axes),
            "letters out of T, C, Z, Y, X, each once; T, Y and X are needed",
        ),
        "order": (told.get("order", "C") in ("C", "F"), "C or F"),
        "byteorder": (told.get("byteorder", "little") in ("little", "big"), "little or big"),
        "offset": (type(told.get("offset", 0)) is int and told.get("offset", 0) >= 0, "a number of bytes"),
        "frame_rate": (numbers(told.get("frame_rate", 1), 1), "a number above 0, in Hz"),
        "pixel_size": (numbers(told.get("pixel_size", [1, 1]), 2), "[y, x], in micrometres"),
        "channel_names": (isinstance(told.get("channel_names", []), list), "a list of names"),
    }
    wrong = [f"{key} is {told.get(key)!r}, expected {wanted}" for key, (right, wanted) in checks.items() if not right]
    wrong += [f"{key!r} is no key, allowed are {', '.join(KEYS)}" for key in told if key not in KEYS]
    if not wrong and len(shape) != len(axes):
        wrong = [f"shape {shape} has {len(shape)} numbers, but axes is {axes!r}; give a letter for each"]
    if wrong:
        raise RecordingError(f"{path}: {'; '.join(wrong)}; correct the file")
    return told
