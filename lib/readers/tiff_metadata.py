"""Frame rate, pixel size, channels and planes, from what the makers of TIFF files write about them."""

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from lib.readers.base import RecordingError

MICROMETRES = {"m": 1e6, "cm": 1e4, "mm": 1e3, "nm": 1e-3, "inch": 25_400.0}
MICROMETRES |= dict.fromkeys(("um", "µm", "\u03bcm", "\\u00B5m", "micron", "microns", "micrometer"), 1.0)
SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "min": 60.0}


def scales(file: tifffile.TiffFile) -> dict:
    """Return `frame_rate` (Hz) and `pixel_size` ([y, x], micrometres), None where the file does not tell."""
    if file.is_scanimage:
        rate, size = _scanimage(file)
    elif file.is_ome:
        rate, size = _ome(file.ome_metadata)
    elif file.is_imagej:
        rate, size = _imagej(file)
    else:
        rate, size = None, None
    return {"frame_rate": _usable(rate), "pixel_size": size if size and all(map(_usable, size)) else None}


def _usable(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _imagej(file: tifffile.TiffFile) -> tuple[float | None, tuple[float, float] | None]:
    told = file.imagej_metadata
    rate = told.get("fps") or (1 / told["finterval"] if told.get("finterval") else None)
    unit, size = MICROMETRES.get(str(told.get("unit"))), None
    tags = file.pages.first.tags
    if unit and "XResolution" in tags and "YResolution" in tags:
        pixels = [tags[name].value for name in ("YResolution", "XResolution")]  # per unit, a fraction
        if all(0 not in fraction for fraction in pixels):
            size = tuple(unit * below / above for above, below in pixels)
    return rate, size


def _ome(xml: str) -> tuple[float | None, tuple[float, float] | None]:
    pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    if pixels is None:
        return None, None
    step = float(pixels.get("TimeIncrement", 0)) * SECONDS.get(pixels.get("TimeIncrementUnit", "s"), 0)
    sizes = [
        float(pixels.get(f"PhysicalSize{axis}", 0)) * MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), 0)
        for axis in "YX"
    ]
    return (1 / step if step else None), tuple(sizes)


def channel_names(file: tifffile.TiffFile, channels: int) -> tuple[str, ...]:
    """Return what OME or ScanImage call the channels; none unless there is a name for each."""
    names: list[str] = []
    if file.is_scanimage:
        told = _settings(file)
        saved = np.atleast_1d(told.get("SI.hChannels.channelSave", []))
        called = told.get("SI.hChannels.channelName", [])
        names = [str(called[number - 1]) for number in saved if isinstance(called, list) and number <= len(called)]
    elif file.is_ome:
        found = ElementTree.fromstring(file.ome_metadata).find(".//{*}Pixels")
        names = [] if found is None else [part.get("Name", "") for part in found.findall("{*}Channel")]
    return tuple(names) if len(names) == channels and all(names) else ()


def scanimage_layout(file: tifffile.TiffFile, path: Path) -> tuple[int, int, int]:
    """Return channels, planes and flyback images of a ScanImage file.

    Pages run through the channels, then the planes, then time. Images taken while the objective flies back to the
    first plane are in the file too.

    Raises
    ------
    RecordingError
        A stack whose planes are not imaged in turn.
    """
    told = _settings(file)
    channels = np.size(told.get("SI.hChannels.channelSave", 1))
    planes = told.get("SI.hStackManager.actualNumSlices", told.get("SI.hStackManager.numSlices", 1))
    off = told.get("SI.hStackManager.enable") is False and not told.get("SI.hFastZ.enable")
    if planes == 1 or off:
        return channels, 1, 0
    fast = told.get("SI.hFastZ.enable") or (
        told.get("SI.hStackManager.enable") and told.get("SI.hStackManager.stackMode") == "fast"
    )
    each = told.get("SI.hStackManager.framesPerSlice", 1)
    if not fast or each != 1:
        raise RecordingError(
            f"{path} is a stack of {planes} slices with {each} frames one after another in each; expected planes "
            "imaged in turn (fast z): save each slice as a recording of its own"
        )
    volume = told.get("SI.hStackManager.numFramesPerVolumeWithFlyback", planes)
    return channels, planes, max(volume - planes, 0)


def _settings(file: tifffile.TiffFile) -> dict:
    return (file.scanimage_metadata or {}).get("FrameData", {})


def _scanimage(file: tifffile.TiffFile) -> tuple[float | None, tuple[float, float] | None]:
    """Read what ScanImage 5 and later write; earlier ones have no size in micrometres."""
    told = _settings(file)
    several = told.get("SI.hFastZ.enable") or told.get("SI.hStackManager.enable")
    rate = told.get("SI.hRoiManager.scanVolumeRate" if several else "SI.hRoiManager.scanFrameRate")
    if rate is not None:
        rate /= told.get("SI.hScan2D.logAverageFactor", 1)  # frames averaged before they are saved
    # corners of the field of view in micrometres, [[x, y], ...]; empty where the objective is not calibrated
    corners = np.asarray(told.get("SI.hRoiManager.imagingFovUm", []))
    if corners.ndim != 2 or corners.shape[1] != 2 or corners.dtype.kind not in "if":
        return rate, None
    width, height = np.ptp(corners, axis=0).tolist()
    rows, columns = file.pages.first.shape[:2]
    return rate, (height / rows, width / columns)
