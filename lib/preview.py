"""A short movie of a recording before and after correction, side by side, as a GIF: every program shows it."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from lib.store import atomic_path

SIDE = 256  # pixels of each half, at most
GAP = 4  # pixels between the halves
MOST_BYTES = 700_000  # so that a page of the report can hold it: browsers refuse pages of more than 2 MB
FRAME_MS = 100
SAMPLE = 4  # frames, to estimate the size of the movie
RANGE = (1, 99.8)  # percentiles of a frame's grey values
SMOOTH = 0.6  # pixels: noise of single pixels takes most of the space
TRIES = ((1, 24), (1, 16), (2, 16), (2, 10), (3, 10), (4, 8), (8, 8), (8, 4), (16, 4))  # every nth frame, grey values


def write_preview(path: str | Path, before: np.ndarray, after: np.ndarray) -> None:
    """Write two clips (n, h, w) of the same frames as one GIF of at most `MOST_BYTES`.

    Both have the same grey scale. Frames and grey values are left out until it fits.
    """
    bar = np.full((len(before), before.shape[1], GAP), np.nan, np.float32)
    frames = np.concatenate([_smooth(before), bar, _smooth(after)], axis=2)
    # of the frame in the middle, so that a few that are blank or saturated do not make the others black
    low, high = np.median(np.nanpercentile(frames[:, ::3, ::3], RANGE, axis=(1, 2)), axis=1)
    frames = np.nan_to_num(np.clip((frames - low) / max(high - low, 1e-9), 0, 1), nan=1.0)
    some = frames[:: max(len(frames) // SAMPLE, 1)]
    for every, levels in TRIES:
        if len(_encode(some, levels, FRAME_MS)) * len(frames[::every]) / len(some) > MOST_BYTES:
            continue  # it would be too large: an estimate costs less than the movie
        movie = _encode(frames[::every], levels, FRAME_MS * every)
        if len(movie) <= MOST_BYTES:
            break
    else:
        raise ValueError(f"no preview of {frames.shape[1:]} pixels fits into {MOST_BYTES:,} bytes")
    with atomic_path(path) as temporary:
        temporary.write_bytes(movie)


def _smooth(clip: np.ndarray) -> np.ndarray:
    return gaussian_filter(clip, (0, SMOOTH, SMOOTH))


def _encode(frames: np.ndarray, levels: int, milliseconds: int) -> bytes:
    palette = np.repeat(np.rint(np.linspace(0, 255, levels)).astype(np.uint8), 3).tobytes()
    images = []
    for frame in np.rint(frames * (levels - 1)).astype(np.uint8):
        image = Image.fromarray(frame)
        image.putpalette(palette)
        images.append(image)
    file = BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0, optimize=False)
    return file.getvalue()
