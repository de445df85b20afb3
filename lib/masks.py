"""Masks of valid pixels: per recording, in the common frame, and of the whole session."""

import numpy as np
from PIL import Image


def read_mask(path) -> np.ndarray:
    """The mask (H, W) bool in an image file: True where it is not black."""
    with Image.open(path) as image:
        return np.asarray(image) > 0


def count_valid(masks, outlier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In how many frames of a recording each pixel is valid.

    Parameters
    ----------
    masks : Recording
        Open, (T, H, W), non-zero where a frame's pixel is valid.
    outlier : ndarray (T,) bool
        Frames that the second count leaves out.

    Returns
    -------
    of_all, of_usual : ndarray (H, W) uint32
    """
    of_usual, of_outliers = (np.zeros(masks.frame_shape, np.uint32) for _ in range(2))
    step = max(2**24 // of_usual.size, 1)
    for start in range(0, masks.frames, step):
        block = masks.read(start, min(start + step, masks.frames)) > 0
        for valid, left_out in zip(block, outlier[start : start + len(block)], strict=True):
            count = of_outliers if left_out else of_usual
            count += valid
    return of_usual + of_outliers, of_usual


def valid_pixels(masks, outlier: np.ndarray, exclude_outliers: bool) -> tuple[np.ndarray, np.ndarray, dict]:
    """Return the mask of a recording, in which part of the frames pixels are valid, and what outliers cost.

    Parameters
    ----------
    masks, outlier
        See `count_valid`.
    exclude_outliers : bool
        Leave them out of the mask.

    Returns
    -------
    mask : (H, W) bool
        Pixels that are valid in all frames.
    fraction : (H, W) float32
        Of all frames, outliers included.
    facts : dict
        The outliers, and how many pixels are valid with and without them.
    """
    of_all, of_usual = count_valid(masks, outlier)
    always, usually = of_all == len(outlier), of_usual == (~outlier).sum()
    facts = {
        "frames": np.flatnonzero(outlier).tolist(),
        "excluded": exclude_outliers,
        "valid_pixels": int(always.sum()),
        "valid_pixels_without_them": int(usually.sum()),
    }
    return usually if exclude_outliers else always, (of_all / len(outlier)).astype(np.float32), facts


def warp_mask(mask: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A mask (H, W) in the common frame: mask(x + u, y + v) at the nearest pixel, False where that is outside.

    Positions are outside by the same rule as for frames: beyond [0, W - 1] x [0, H - 1].
    """
    h, w_pixels = mask.shape
    y, x = np.mgrid[0:h, 0:w_pixels]
    px, py = x + w[..., 0], y + w[..., 1]
    inside = (px >= 0) & (px <= w_pixels - 1) & (py >= 0) & (py <= h - 1)
    ix = np.clip(np.floor(px + 0.5), 0, w_pixels - 1).astype(np.intp)
    iy = np.clip(np.floor(py + 0.5), 0, h - 1).astype(np.intp)
    return inside & mask[iy, ix].astype(bool)


def intersect(masks) -> np.ndarray:
    """Pixels that are set in all of several masks of one shape, (H, W) bool."""
    return np.logical_and.reduce([np.asarray(mask, bool) for mask in masks])
