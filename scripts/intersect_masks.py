"""Intersect the aligned masks and gather the arrays of the session."""

import json
import os
from pathlib import Path

import numpy as np

from lib import status
from lib.logs import job_log
from lib.masks import intersect, read_mask
from lib.store import write_mat, write_npz, write_png


def session_arrays(
    *,
    center: int,
    masks: list[np.ndarray],
    aligned_masks: list[np.ndarray],
    displacements: list[tuple[np.ndarray, np.ndarray]],
    averages: list[np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the arrays of final_valid_idx.npz.

    Parameters
    ----------
    center : int
        Index of the center recording, from 0.
    masks, aligned_masks : list of (H, W) bool
        Per recording, before and after alignment.
    displacements : list of ((H, W), (H, W)) float32
        Per recording u and v into the common frame.
    averages : list of (H, W[, C]) float64
        Per recording.
    """
    return {
        "final_valid": intersect(aligned_masks),
        "aligned_valid_masks": np.stack(aligned_masks),
        "per_seq_valid_masks": np.stack(masks),
        "displacement_fields_u": np.stack([u for u, _ in displacements]),
        "displacement_fields_v": np.stack([v for _, v in displacements]),
        "temporal_averages": np.stack(averages),
        "reference_average": averages[center],
        "middle_idx": np.int64(center),
    }


def read_field(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return u and v of a displacement file."""
    with np.load(path) as field:
        return field["u"], field["v"]


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.status).parent
        status.begin(folder, snakemake.rule)
        names = list(snakemake.params.names)
        chosen = json.loads(Path(snakemake.input.center).read_text(encoding="utf-8"))
        arrays = session_arrays(
            center=names.index(chosen["center"]),
            masks=[read_mask(path) for path in snakemake.input.masks],
            aligned_masks=[read_mask(path) for path in snakemake.input.aligned_masks],
            displacements=[read_field(path) for path in snakemake.input.to_reference],
            averages=[np.load(path) for path in snakemake.input.averages],
        )
        # absolute, because these files are opened from MATLAB and notebooks that run anywhere
        paths = {
            "compensated_h5_paths": [os.path.abspath(path) for path in snakemake.params.movies],
            "aligned_video_paths": [os.path.abspath(path) for path in snakemake.params.aligned_movies],
        }
        write_png(snakemake.output.png, arrays["final_valid"])
        write_npz(snakemake.output.npz, arrays | {key: np.array(value, str) for key, value in paths.items()})
        cells = {key: np.array(value, object) for key, value in paths.items()}
        matlab = arrays | cells | {"middle_idx": arrays["middle_idx"] + 1}  # MATLAB counts from 1
        write_mat(snakemake.output.mat, matlab)
        written = [path for path in snakemake.output if path != snakemake.output.status]
        status.record(
            folder,
            snakemake.rule,
            written,
            stage3="done",
            recordings=names,
            center=chosen["center"],
            valid_fraction=float(arrays["final_valid"].mean()),
        )


if __name__ == "__main__":
    main(snakemake)
