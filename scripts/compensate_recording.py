"""Register the frames of one recording to its reference."""

import logging
import platform
import time
from pathlib import Path

import numpy as np

from lib import status
from lib.compensation import compensate
from lib.flow import STATISTICS, FlowParams, compact_shape
from lib.logs import job_log
from lib.outliers import outlier_frames
from lib.partial import CompensationStore
from lib.progress import Progress
from lib.recording import RecordingError, open_recording
from lib.reference import build_reference, reference_indices
from lib.sources import fingerprint as fingerprint_of

logger = logging.getLogger(__name__)


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
) -> dict:
    """Write the compensated movie, masks, reference and statistics of `source` into `folder`.

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
        How to read it: `dataset`, `channels`, `plane`, see `lib.recording.open_recording`.
    save_flow, save_compact_flow : bool
        Write w.h5; write w_compact.h5.
    batch, threads : int
        Frames at once, and threads. Results do not depend on them.

    Returns
    -------
    dict
        The facts for status.json.
    """
    started = time.perf_counter()
    reading = reading or {}
    fingerprint = {
        "source": fingerprint_of(source) | {key: value for key, value in reading.items() if value is not None},
        "parameters": options,
        "versions": {"kernel": kernel, "python": platform.python_version(), "numpy": np.__version__},
    }
    params = flow_params(options)
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
            compact_shape=compact_shape(recording.frame_shape[:2], params) if save_compact_flow else None,
            attributes={key: value for key, value in recording.scales.items() if value is not None},
        ) as store,
    ):
        reference = store.load_reference()
        if reference is None:
            reference, made_of = make_reference(
                recording, params, options["reference_frames"], reference_image, threads=threads
            )
            store.save_facts(reference=made_of)
            store.save_reference(reference)
        facts = store.load_facts()
        with Progress(recording.frames, recording.name) as progress:
            compensate(recording, reference, params, store, threads=threads, batch=batch, progress=progress)
        store.finish(
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
            **facts,
            **recording.scales,
            "seconds": round(seconds, 3),
            "frames_per_second": round(recording.frames / seconds, 1),
        }


def flow_params(options: dict) -> FlowParams:
    """Return the parameters of the flow among `flow_options`."""
    names = set(FlowParams.__dataclass_fields__)
    return FlowParams(
        quality=options["quality_setting"],
        **{key: value for key, value in options.items() if key in names},
    )


def make_reference(recording, params, setting, image=None, *, threads=1) -> tuple[np.ndarray, dict]:
    """Return the reference of an open recording, by the setting `reference_frames`, and what it was made of."""
    if image:
        return read_reference(image, recording.frame_shape), {"setting": setting}
    reference = build_reference(
        recording,
        params,
        indices=reference_indices(setting, recording.frames),
        leave_out=setting == "auto",
        threads=threads,
    )
    used, left_out = len(reference.frames), list(reference.left_out)
    logger.info("Reference: %d frames, %d left out: %s", used, len(left_out), left_out)
    if not reference.related:
        logger.warning(
            "%s: the frames do not resemble each other; the reference is their plain average. Look at the recording: "
            "it may be blank, or too noisy to be corrected.",
            recording.name,
        )
    return reference.image, {
        "setting": setting,
        "frames": used,
        "left_out": left_out,
        "frames_resemble_each_other": reference.related,
    }


def read_reference(path: str, frame_shape: tuple[int, ...]) -> np.ndarray:
    """Read an image, or average a stack of them, to register to.

    Raises
    ------
    RecordingError
        It has not the shape of the recording's frames.
    """
    if Path(path).suffix == ".npy":
        image = np.load(path, allow_pickle=False).astype(np.float64)
    else:
        with open_recording(path) as stack:
            image = stack.read(0, stack.frames).mean(axis=0, dtype=np.float64)
    if image.shape != frame_shape:
        raise RecordingError(
            f"{path}: the reference image has shape {image.shape}, but frames have {frame_shape}; "
            "give an image of the same size in flow_options.reference_frames."
        )
    return image


def main(snakemake):
    with job_log(snakemake.log[0]):
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
        )
        written = [path for path in snakemake.output if path != snakemake.output.status]
        status.record(folder, snakemake.rule, written, **facts)


if __name__ == "__main__":
    main(snakemake)
