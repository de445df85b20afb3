"""Make the reference and the calibration of a recording whose frames several jobs will register."""

import time
from pathlib import Path

from lib.flow import Backend, chosen_backend
from lib.logs import job_log
from lib.stage1 import open_stage1, preparation
from lib.store import write_json


def prepare_recording(
    *,
    options: dict,
    reference_image: str | None = None,
    threads: int = 1,
    backend: str | Backend = "numba",
    **job,
) -> dict:
    """Lay out the outputs of a recording, make its reference and calibrate on it; return the time it took.

    Parameters
    ----------
    options : dict
        As `scripts.compensate_recording.compensate_recording` takes them.
    reference_image : path, optional
        The reference, if it is not to be built.
    threads : int
        Frames worked on at once.
    backend : {"numba", "cupy"} or Backend
        What computes.
    **job
        The other arguments of `lib.stage1.open_stage1`.
    """
    started = time.perf_counter()
    with open_stage1(options=options, backend=backend, **job) as (recording, store, _):
        preparation(recording, store, options, image=reference_image, threads=threads, backend=backend)
    return {"seconds": round(time.perf_counter() - started, 3)}


def main(snakemake):
    with job_log(snakemake.log[0]), chosen_backend(**snakemake.params.backend) as backend:
        output = Path(snakemake.output.prepared)
        done = prepare_recording(
            source=snakemake.input.recording,
            folder=output.parents[1],
            reference_image=snakemake.input.get("reference"),
            threads=snakemake.threads,
            backend=backend,
            **{key: snakemake.params[key] for key in ("options", "kernel", "reading")},
            **snakemake.params.keep,
        )
        write_json(output, done)


if __name__ == "__main__":
    main(snakemake)
