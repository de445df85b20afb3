"""Compare the results of `make demo` with the motion that was simulated.

The reference of a recording is where its frames are on average, not where the simulator's undisturbed view is: it is
shifted by a displacement `d(x)` that no method can know, and that has to be taken out of the comparison. With the true
flow f of a frame, a perfect result is w(x) = d(x) + f(x + d(x)); so d is the mean of w - f(. + d) over the frames.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

from lib.simulate import compose, invert

BORDER = 16  # pixels left out at the border, where frames show what the reference does not have


@dataclass(frozen=True)
class Score:
    """Mean endpoint errors in pixels, and how far wrong pixels of the mask are from the true mask's edge."""

    within: float
    between: float
    mask_band: float
    mask_wrong: float


def reference_offset(w: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return the (H, W, 2) displacement of a recording's reference against the simulator's undisturbed view.

    Parameters
    ----------
    w, flow : (T, H, W, 2)
        Estimated and true displacement of every frame.
    """
    offset = np.zeros(flow.shape[1:])
    some = list(zip(w, flow, strict=True))[:: max(len(w) // 50, 1)]
    for _ in range(2):
        offset = np.mean([estimated - (compose(offset, true) - offset) for estimated, true in some], axis=0)
    return offset


def true_between(*, between, offset, center_between, center_offset) -> np.ndarray:
    """Return the (H, W, 2) displacement that takes a recording's average to the center's.

    From a pixel of the center's reference to its undisturbed view, to that of the base recording, on to that of this
    recording, and to its reference.
    """
    return compose(center_offset, compose(invert(center_between), compose(between, invert(offset))))


def endpoint_error(estimated: np.ndarray, true: np.ndarray) -> float:
    """Return the mean length of the difference, without the border."""
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER), slice(None))
    return float(np.linalg.norm(estimated[inner] - true[inner], axis=-1).mean())


def inside(w: np.ndarray) -> np.ndarray:
    """Return where x + w(x) lies within the image, (H, W) bool."""
    height, width = w.shape[:2]
    y, x = np.mgrid[:height, :width] + np.moveaxis(w[..., ::-1], -1, 0)
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def common_area(recordings: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return where every frame of every recording has data, (H, W) bool.

    Parameters
    ----------
    recordings : list of ((T, H, W, 2), (H, W, 2))
        True displacements of the frames, and between the recordings.
    """
    area = True
    for frames, between in recordings:
        area = area & inside(between)
        for w in frames:
            area = area & inside(compose(between, w))
    return area


def score(folder: Path) -> Score:
    """Score the finished demo session in `folder`."""
    results = folder / "compensated_outputs"
    center = json.loads((folder / "final_results/center.json").read_text("utf-8"))["center"]
    names = sorted(path.stem for path in (folder / "truth").glob("*.npz"))
    offsets, betweens, truths, within = {}, {}, {}, []
    for name in names:
        with np.load(folder / "truth" / f"{name}.npz") as truth:
            flow, betweens[name] = truth["flow"].astype(np.float32), truth["between"]
        with h5py.File(results / name / "w.h5") as file:
            w = np.stack([file["u"][:], file["v"][:]], axis=-1)
        offsets[name] = offset = reference_offset(w, flow)
        truths[name] = np.stack([compose(offset, f) for f in flow])
        within.append(endpoint_error(w, truths[name]))

    errors, recordings = [], []
    for name in names:
        true = true_between(
            between=betweens[name],
            offset=offsets[name],
            center_between=betweens[center],
            center_offset=offsets[center],
        )
        recordings.append((truths[name], true))
        if name != center:
            with np.load(results / name / "w_to_reference.npz") as field:
                errors.append(endpoint_error(np.stack([field["u"], field["v"]], axis=-1), true))

    area = common_area(recordings)
    with Image.open(folder / "final_results/final_valid_idx.png") as image:
        wrong = (np.asarray(image) > 0) != area
    to_edge = np.where(area, distance_transform_edt(area), distance_transform_edt(~area))
    return Score(
        within=float(np.mean(within)),
        between=float(np.mean(errors)),
        mask_band=float(to_edge[wrong].max(initial=0)),
        mask_wrong=float(wrong.mean()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    found = score(parser.parse_args().folder)
    print(
        f"Against the simulated motion (mean endpoint error, pixels):\n"
        f"  within recordings   {found.within:.3f}\n"
        f"  between recordings  {found.between:.3f}\n"
        f"  session mask        wrong in {found.mask_wrong:.2%} of the pixels, all within "
        f"{found.mask_band:.1f} pixels of the true edge"
    )


if __name__ == "__main__":
    main()
