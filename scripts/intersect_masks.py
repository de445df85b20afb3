"""Intersect the aligned masks and gather the arrays of the session."""

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib import status
from lib.export import read_field
from lib.logs import job_log
from lib.masks import intersect, read_mask
from lib.store import write_mat, write_npz, write_png


def session_arrays(
    *,
    center: int,
    masks: Collection[np.ndarray],
    aligned_masks: Collection[np.ndarray],
    displacements: Collection[np.ndarray],
    averages: Collection[np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the arrays of final_valid_idx.npz. Collections are gone through once, recording by recording.

    Parameters
    ----------
    center : int
        Index of the center recording, from 0.
    masks, aligned_masks : collection of (H, W) bool
        Per recording, before and after alignment.
    displacements : collection of (H, W, 2) float32
        Per recording u and v into the common frame.
    averages : collection of (H, W[, C]) float64
        Per recording.
    """
    aligned, fields, temporal_averages = _stack(aligned_masks), _stack(displacements), _stack(averages)
    return {
        "final_valid": intersect(aligned),
        "aligned_valid_masks": aligned,
        "per_seq_valid_masks": _stack(masks),
        "displacement_fields_u": fields[..., 0],
        "displacement_fields_v": fields[..., 1],
        "temporal_averages": temporal_averages,
        "reference_average": temporal_averages[center],
        "middle_idx": np.int64(center),
    }


def _stack(arrays: Collection[np.ndarray]) -> np.ndarray:
    """Do what np.stack does, without having all of them twice in memory."""
    for i, array in enumerate(arrays):
        if i == 0:
            stack = np.empty((len(arrays), *array.shape), array.dtype)
        stack[i] = array
    return stack


@dataclass(frozen=True)
class Files(Collection):
    """What a function reads from files, read when it is its turn."""

    read: Callable[[str], np.ndarray]
    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.read, self.paths)

    def __contains__(self, path) -> bool:
        return path in self.paths


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.status).parent
        status.begin(folder, snakemake.rule)
        names = list(snakemake.params.names)
        chosen = json.loads(Path(snakemake.input.center).read_text(encoding="utf-8"))
        arrays = session_arrays(
            center=names.index(chosen["center"]),
            masks=Files(read_mask, snakemake.input.masks),
            aligned_masks=Files(read_mask, snakemake.input.aligned_masks),
            displacements=Files(read_field, snakemake.input.to_reference),
            averages=Files(np.load, snakemake.input.averages),
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
