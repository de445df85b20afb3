"""Find the displacement from a recording's average to the center's."""

from pathlib import Path

import numpy as np

from lib import status
from lib.logs import job_log
from lib.store import write_mat, write_npz


def align_average(*, average: np.ndarray, center: np.ndarray, options: dict, backend="numba") -> np.ndarray:
    """Return the backward displacement (H, W, 2), float32 pixels, that brings `average` onto `center`.

    Parameters
    ----------
    average, center : (H, W[, C]) array
        Averages of the recording and of the center.
    options : dict
        The keys of the configuration that concern alignment between recordings.
    backend : {"numba", "cupy"} or Backend
        What computes.
    """
    from lib.alignment import between_flow  # the center's job starts faster without it

    return between_flow(
        average,
        center,
        sigma_smooth=options["sigma_smooth"],
        cc_upsample=options["cc_upsample"],
        alpha=options["alpha_between"],
        iterations=options["iterations_between"],
        constancy_assumption=options["stage2_constancy_assumption"],
        backend=backend,
    )


def main(snakemake):
    with job_log(snakemake.log[0]):
        folder = Path(snakemake.output.to_reference).parent
        status.begin(folder, snakemake.rule)
        average = np.load(snakemake.input.average)
        if snakemake.input.average == snakemake.input.center:
            w = np.zeros((*average.shape[:2], 2), np.float32)
        else:
            from lib.flow import chosen_backend

            center = np.load(snakemake.input.center)
            with chosen_backend(**snakemake.params.backend) as backend:
                w = align_average(average=average, center=center, options=snakemake.params.options, backend=backend)
        field = {"u": w[..., 0], "v": w[..., 1]}
        write_npz(snakemake.output.to_reference, field)
        write_mat(snakemake.output.matlab, field)
        status.record(folder, snakemake.rule, snakemake.output, stage2="done")


if __name__ == "__main__":
    main(snakemake)
