"""Register a span of the frames of a recording, beside other jobs that do the rest."""

import time
from pathlib import Path

from lib.compensation import compensate
from lib.flow import Backend, chosen_backend
from lib.logs import job_log
from lib.progress import Progress
from lib.stage1 import open_stage1, preparation
from lib.store import write_json


def compensate_shard(
    *,
    options: dict,
    batch: int | None = None,
    threads: int = 1,
    backend: str | Backend = "numba",
    **job,
) -> dict:
    """Put the frames of a span where `scripts.prepare_recording` made room for them; return the time it took.

    Parameters
    ----------
    options : dict
        As `scripts.compensate_recording.compensate_recording` takes them.
    batch, threads : int
        Frames at once, and threads.
    backend : {"numba", "cupy"} or Backend
        What computes.
    **job
        The other arguments of `lib.stage1.open_stage1`, with `span`.
    """
    started = time.perf_counter()
    with open_stage1(options=options, backend=backend, **job) as (recording, store, _):
        prepared = preparation(recording, store, options, threads=threads, backend=backend)
        first, stop = store.span
        with Progress(stop - first, f"{recording.name}, frames {first} to {stop - 1}") as progress:
            reference, params = prepared.reference, prepared.params(options)
            how = {"threads": threads, "batch": batch, "backend": backend}
            compensate(recording, reference, params, store, progress=progress, **how)
    return {"seconds": round(time.perf_counter() - started, 3)}


def main(snakemake):
    with job_log(snakemake.log[0]), chosen_backend(**snakemake.params.backend) as backend:
        output = Path(snakemake.output.frames)
        done = compensate_shard(
            source=snakemake.input.recording,
            folder=output.parents[1],
            span=(int(snakemake.wildcards.first), int(snakemake.wildcards.stop)),
            batch=snakemake.params.batch,
            threads=snakemake.threads,
            backend=backend,
            **{key: snakemake.params[key] for key in ("options", "kernel", "reading")},
            **snakemake.params.keep,
        )
        write_json(output, done)


if __name__ == "__main__":
    main(snakemake)
