"""What the jobs of stage 1 have in common: the recording, the store of its outputs, and its preparation.

One job does it all (`scripts/compensate_recording.py`), or one prepares, several compensate a span of frames each, and
one puts the outputs together (`lib.shards`).
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from lib.flow import STATISTICS, Backend, as_backend, compact_shape
from lib.partial import CompensationStore
from lib.preparation import Preparation, flow_params, prepare
from lib.recording import Recording, open_recording
from lib.scratch import scratch_folder
from lib.sources import fingerprint as fingerprint_of


@contextmanager
def open_stage1(
    *,
    source: str,
    folder: str,
    options: dict,
    kernel: str,
    reading: dict | None = None,
    save_flow: bool = False,
    save_compact_flow: bool = False,
    span: tuple[int, int] | None = None,
    scratch: str | None = None,
    backend: str | Backend = "numba",
) -> Iterator[tuple[Recording, CompensationStore, dict]]:
    """Open a recording, and the store that goes on with what an earlier call with the same arguments left.

    Parameters
    ----------
    source, folder : path
        The recording, and where results go.
    options : dict
        What the frames depend on: `flow_options` of the configuration without the keys that say what to keep.
    kernel : str
        The version of the method.
    reading : dict, optional
        How to read it: `dataset`, `channels`, `plane`, see `lib.recording.open_recording`.
    save_flow, save_compact_flow : bool
        Write w.h5; write w_compact.h5.
    span : (int, int), optional
        Compensate the frames [start, stop) only, beside others, see `lib.partial.CompensationStore`.
    scratch : path, optional
        Where files are while they are made, see `lib.scratch`; by default beside the results. Not for spans: their
        files must be seen from all nodes.
    backend : {"numba", "cupy"} or Backend
        What computes. Another one gives other last bits, so that it does not continue what this one began.

    Yields
    ------
    Recording, CompensationStore, dict
        The last one tells what the result depends on.
    """
    reading = reading or {}
    fingerprint = {
        "source": fingerprint_of(source) | {key: value for key, value in reading.items() if value is not None},
        "parameters": options,
        "versions": {
            "kernel": kernel,
            "backend": as_backend(backend).name,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }
    typename = options["output_typename"]
    with open_recording(source, **reading, bin_size=options["bin_size"]) as recording:
        shape = compact_shape(recording.frame_shape[:2], flow_params(options)) if save_compact_flow else None
        with CompensationStore(
            folder,
            frames=recording.frames,
            frame_shape=recording.frame_shape,
            dtype=recording.dtype if typename == "source" else typename,
            fingerprint=fingerprint,
            statistics=STATISTICS,
            save_w=save_flow,
            compact_shape=shape,
            attributes=attributes(recording),
            span=span,
            partial=scratch_folder(scratch, folder) if scratch else None,
        ) as store:
            yield recording, store, fingerprint


def attributes(recording: Recording) -> dict:
    """What the files of frames tell about the recording."""
    told = {key: value for key, value in recording.scales.items() if value is not None}
    return told | ({"bidiphase": recording.bidiphase} if recording.bidiphase else {})


def preparation(
    recording: Recording,
    store: CompensationStore,
    options: dict,
    *,
    image: str | None = None,
    threads: int = 1,
    backend: str | Backend = "numba",
) -> Preparation:
    """Return the recording's preparation, made now (`lib.preparation.prepare`) if the store does not have it yet."""
    prepared = Preparation.read(store.scratch)
    if prepared is None:
        prepared = prepare(recording, options, image=image, threads=threads, backend=backend)
        prepared.write(store.scratch)
    return prepared
