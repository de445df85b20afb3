"""Register the frames of one recording to its reference."""

import platform
import time
from pathlib import Path

import numpy as np

from lib import status
from lib.compensation import compensate
from lib.flow import STATISTICS, Backend, as_backend, chosen_backend, compact_shape
from lib.logs import job_log
from lib.outliers import outlier_frames
from lib.partial import CompensationStore
from lib.preparation import CALIBRATION, REFERENCE, Preparation, flow_params, prepare
from lib.progress import Progress
from lib.recording import Recording, open_recording
from lib.sources import fingerprint as fingerprint_of


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
    backend: str | Backend = "numba",
) -> dict:
    """Write the compensated movie, masks, reference, calibration and statistics of `source` into `folder`.

    What a killed call with the same arguments left in the folder is continued.

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
    backend : {"numba", "cupy"} or Backend
        What computes. Another one gives other last bits, so that it does not continue what this one began.

    Returns
    -------
    dict
        The facts for status.json.
    """
    started = time.perf_counter()
    reading, backend = reading or {}, as_backend(backend)
    fingerprint = {
        "source": fingerprint_of(source) | {key: value for key, value in reading.items() if value is not None},
        "parameters": options,
        "versions": {
            "kernel": kernel,
            "backend": backend.name,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }
    typename, compression = options["output_typename"], options["compression"]
    with (
        open_recording(source, **reading, bin_size=options["bin_size"]) as recording,
        CompensationStore(
            folder,
            frames=recording.frames,
            frame_shape=recording.frame_shape,
            dtype=recording.dtype if typename == "source" else typename,
            fingerprint=fingerprint,
            statistics=STATISTICS,
            save_w=save_flow,
            compact_shape=compact_shape(recording.frame_shape[:2], flow_params(options)) if save_compact_flow else None,
            attributes=attributes(recording),
        ) as store,
    ):
        prepared = Preparation.read(store.scratch)
        if prepared is None:
            prepared = prepare(recording, options, image=reference_image, threads=threads, backend=backend)
            prepared.write(store.scratch)
        reference, params = prepared.reference, prepared.params(options)
        with Progress(recording.frames, recording.name) as progress:
            how = {"threads": threads, "batch": batch, "backend": backend}
            compensate(recording, reference, params, store, progress=progress, **how)
        store.finish(
            also=(REFERENCE, CALIBRATION),
            compression=None if compression == "none" else compression,
            derive=lambda columns: {"outlier": outlier_frames(columns, recording.frame_shape)},
        )
        seconds = time.perf_counter() - started
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


def attributes(recording: Recording) -> dict:
    """What the files of frames tell about the recording."""
    told = {key: value for key, value in recording.scales.items() if value is not None}
    return told | ({"bidiphase": recording.bidiphase} if recording.bidiphase else {})


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
            backend=backend,
        )
        written = [path for path in snakemake.output if path != snakemake.output.status]
        status.record(folder, snakemake.rule, written, **facts)


if __name__ == "__main__":
    main(snakemake)
