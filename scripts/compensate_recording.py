"""Register the frames of one recording to its reference."""

import json
import time
from pathlib import Path

from lib import status
from lib.compensation import compensate
from lib.flow import Backend, as_backend, chosen_backend
from lib.logs import job_log
from lib.outliers import outlier_frames
from lib.preparation import CALIBRATION, REFERENCE
from lib.progress import Progress
from lib.stage1 import open_stage1, preparation


def compensate_recording(
    *,
    source: str,
    folder: str,
    options: dict,
    kernel: str,
    reference_image: str | None = None,
    reading: dict | None = None,
    save_flow: bool = False,
    save_compact_flow: bool = False,
    batch: int | None = None,
    threads: int = 1,
    scratch: str | None = None,
    backend: str | Backend = "numba",
    seconds_before: float = 0.0,
) -> dict:
    """Write the compensated movie, masks, reference, calibration and statistics of `source` into `folder`.

    What a killed call with the same arguments, or shards, left in the folder is continued.

    Parameters
    ----------
    source, folder : path
        The recording, and where results go.
    options : dict
        What the frames depend on: `flow_options` of the configuration without the keys that say what to keep.
    kernel : str
        The version of the method.
    reference_image : path, optional
        The reference; by default it is built from the frames `options["reference_frames"]`.
    reading : dict, optional
        How to read it: `dataset`, `channels`, `plane`, `bidiphase`, see `lib.recording.open_recording`.
    save_flow, save_compact_flow : bool
        Write w.h5; write w_compact.h5.
    batch, threads : int
        Frames at once, and threads. Results do not depend on them.
    scratch : path, optional
        Where files are while they are made, see `lib.scratch`; by default beside the results.
    backend : {"numba", "cupy"} or Backend
        What computes. Another one gives other last bits, so that it does not continue what this one began.
    seconds_before : float
        What other jobs spent on it.

    Returns
    -------
    dict
        The facts for status.json.
    """
    started = time.perf_counter()
    backend, compression = as_backend(backend), options["compression"]
    with open_stage1(
        source=source,
        folder=folder,
        options=options,
        kernel=kernel,
        reading=reading,
        save_flow=save_flow,
        save_compact_flow=save_compact_flow,
        scratch=scratch,
        backend=backend,
    ) as (recording, store, fingerprint):
        prepared = preparation(recording, store, options, image=reference_image, threads=threads, backend=backend)
        reference, params = prepared.reference, prepared.params(options)
        with Progress(recording.frames, recording.name) as progress:
            how = {"threads": threads, "batch": batch, "backend": backend}
            compensate(recording, reference, params, store, progress=progress, **how)
        store.finish(
            also=(REFERENCE, CALIBRATION),
            compression=None if compression == "none" else compression,
            derive=lambda columns: {"outlier": outlier_frames(columns, recording.frame_shape)},
        )
        seconds = time.perf_counter() - started + seconds_before
        return fingerprint | {
            "stage1": "done",
            "frames": recording.frames,
            "shape": list(recording.frame_shape),
            "dtype": store.dtype.name,
            "channels": list(recording.channel_names),
            **prepared.facts,
            **recording.scales,
            "bidiphase": recording.bidiphase,
            "seconds": round(seconds, 3),
            "frames_per_second": round(recording.frames / seconds, 1),
        }


def main(snakemake):
    with job_log(snakemake.log[0]), chosen_backend(**snakemake.params.backend) as backend:
        folder = Path(snakemake.output.compensated).parent
        status.begin(folder, snakemake.rule)
        facts = compensate_recording(
            source=snakemake.input.recording,
            folder=folder,
            options=snakemake.params.options,
            kernel=snakemake.params.kernel,
            reference_image=snakemake.input.get("reference"),
            reading=snakemake.params.reading,
            save_flow=bool(snakemake.output.get("flow")),
            save_compact_flow=bool(snakemake.output.get("compact_flow")),
            batch=snakemake.params.batch,
            threads=snakemake.threads,
            scratch=None if snakemake.input.get("shards") else snakemake.params.scratch,
            backend=backend,
            # shards, if it has been split: their frames are there already, and only have to be put together
            seconds_before=sum(
                json.loads(Path(path).read_text("utf-8"))["seconds"] for path in snakemake.input.get("shards") or ()
            ),
        )
        written = [path for path in snakemake.output if path != snakemake.output.status]
        status.record(folder, snakemake.rule, written, **facts)


if __name__ == "__main__":
    main(snakemake)
