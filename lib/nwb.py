"""A session as one NWB file: `MotionCorrection` with a `CorrectedImageStack` per recording and channel.

NWB stores images as (x, y) and movies as (frames, x, y): the transposed of what this project calls (H, W).
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.base import Images
from pynwb.file import Subject
from pynwb.image import GrayscaleImage, ImageSeries
from pynwb.ophys import CorrectedImageStack, MotionCorrection

from lib.export import SessionMovie
from lib.layout import new_hdf5
from lib.store import atomic_path

MODULE, CONTAINER = "ophys", "MotionCorrection"
COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


@dataclass(frozen=True)
class NwbRecording:
    """What the NWB file says of a recording beside its corrected movie.

    `source` is the raw file, which the NWB file points to, and `frames` how many it has; `translation` (T, 2) is the
    mean x and y shift, pixels, that takes each corrected frame to the common frame; `field` (H, W, 2) is the backward
    displacement of the whole recording into the common frame; `flow` is the path of `w.h5`, None
    if the displacement of every frame was not kept.
    """

    name: str
    source: str
    frames: int
    translation: np.ndarray
    field: np.ndarray
    flow: str | None

    @property
    def label(self) -> str:
        """The name as NWB allows it."""
        return self.name.replace(":", "_").replace("/", "_")


def write_nwb(
    movie: SessionMovie,
    path: str | Path,
    *,
    recordings: Sequence["NwbRecording"],
    mask: np.ndarray,
    average: np.ndarray,
    about: Mapping[str, Any],
    progress=None,
) -> None:
    """Write the session in the common frame, streaming one recording after another.

    Parameters
    ----------
    movie
    path
        The file to write.
    recordings
        In the order of the movie.
    mask
        (H, W) bool, the session's.
    average
        (H, W[, C]) of the center.
    about
        `frame_rate` (Hz, of the compensated frames), `raw_frame_rate`, `session_start_time` (datetime with time zone),
        `session_description` and, as far as known, `experimenter`, `institution`, `lab`, `subject_id`, `species`,
        `sex`, `age`.
    progress : Progress, optional
    """
    path = Path(path)
    nwbfile = _session(about, recordings)
    module = nwbfile.create_processing_module(MODULE, "Motion correction of all recordings into one common frame")
    stacks, start = MotionCorrection(name=CONTAINER), 0.0
    module.add(stacks)
    fields = []
    for i, recording in enumerate(recordings):
        frames, label = movie.movies[i].frames, recording.label
        original = ImageSeries(
            name=label,
            description=f"Raw recording {recording.name}",
            format="external",
            external_file=[os.path.relpath(recording.source, path.parent)],
            starting_frame=[0],
            num_samples=recording.frames,
            dimension=[movie.width, movie.height],
            rate=about["raw_frame_rate"],
            starting_time=start,
            unit="n.a.",
        )
        nwbfile.add_acquisition(original)
        timing = {"rate": about["frame_rate"], "starting_time": start}
        for channel in range(movie.channels):
            stacks.add_corrected_image_stack(
                _stack(movie, _stack_name(movie, label, channel), original, recording.translation, timing)
            )
        if recording.flow:
            shape = (frames, movie.width, movie.height, 2)
            series = TimeSeries(
                name=f"{label}_flow",
                description="Backward displacement within the recording, [x, y] for every pixel of every frame: "
                "corrected(x, y) = frame(x + u, y + v)",
                data=H5DataIO(shape=shape, dtype=np.float32, chunks=(1, *shape[1:]), **COMPRESSION),
                unit="pixels",
                **timing,
            )
            module.add(series)
        for key, component in zip("uv", np.moveaxis(recording.field, -1, 0), strict=True):
            axis = {"u": "x", "v": "y"}[key]
            text = f"Backward displacement of {recording.name} into the common frame along {axis}, pixels"
            fields.append(GrayscaleImage(name=f"{label}_{key}", data=component.T, description=text))
        start += frames / about["frame_rate"]
    module.add(Images(name="displacement", images=fields, description="Dense displacement between recordings"))
    pictures = [
        GrayscaleImage(
            name="session_mask",
            data=(mask.T * np.uint8(255)),
            description="255 where a pixel is valid in every frame of every recording",
        )
    ]
    for channel, image in enumerate(np.moveaxis(average.reshape(*mask.shape, -1), -1, 0), start=1):
        text = f"Mean of the center recording, channel {channel}"
        pictures.append(GrayscaleImage(name=f"average_ch{channel}", data=image.T.astype(np.float32), description=text))
    module.add(Images(name="session", images=pictures, description="The session mask and the common frame"))

    with atomic_path(path) as temporary, new_hdf5(temporary) as file:
        with NWBHDF5IO(file=file, mode="w") as io:
            io.write(nwbfile)
            _fill(file, movie, recordings, progress)


def _session(about: Mapping[str, Any], recordings: Sequence[NwbRecording]) -> NWBFile:
    subject = {key: about[key] for key in ("subject_id", "species", "sex", "age") if about.get(key)}
    known = {key: about[key] for key in ("experimenter", "institution", "lab") if about.get(key)}
    # the same session has the same identifier, however often it is exported
    start = about["session_start_time"]
    key = " ".join([start.isoformat(), *(recording.name for recording in recordings)])
    return NWBFile(
        session_description=about["session_description"],
        identifier=str(uuid.uuid5(uuid.NAMESPACE_OID, key)),
        session_start_time=start,
        subject=Subject(**subject) if subject else None,
        **known,
    )


def _stack_name(movie: SessionMovie, label: str, channel: int) -> str:
    return label if movie.channels == 1 else f"{label}_ch{channel + 1}"


def _stack(movie: SessionMovie, name: str, original: ImageSeries, translation: np.ndarray, timing: dict):
    shape = (len(translation), movie.width, movie.height)
    corrected = ImageSeries(
        name="corrected",
        description="Frames in the common frame; where a recording has no data, the center's average",
        data=H5DataIO(shape=shape, dtype=movie.dtype, chunks=(1, *shape[1:]), **COMPRESSION),
        unit="n.a.",
        **timing,
    )
    shift = TimeSeries(
        name="xy_translation",
        description="Rigid part of the correction: the mean shift, [x, y], that takes a frame to the common frame",
        data=translation.astype(np.float64),
        unit="pixels",
        **timing,
    )
    return CorrectedImageStack(name=name, corrected=corrected, original=original, xy_translation=shift)


def _fill(file: h5py.File, movie: SessionMovie, recordings: Sequence[NwbRecording], progress) -> None:
    """Write the movies, one frame after another, into the datasets that are there already."""
    module = file["processing"][MODULE]
    for i, recording in enumerate(recordings):
        names = [_stack_name(movie, recording.label, channel) for channel in range(movie.channels)]
        stacks = [module[CONTAINER][name]["corrected"]["data"] for name in names]
        start = 0
        for block in movie.recording_blocks(i):
            for channel, data in enumerate(stacks):
                for t, frame in enumerate(block[..., channel], start=start):
                    data[t] = frame.T
            start += len(block)
            if progress is not None:
                progress.update(len(block))
        if recording.flow:
            data = module[f"{recording.label}_flow"]["data"]
            with h5py.File(recording.flow, "r") as source:
                for t in range(len(data)):
                    data[t] = np.stack([source["u"][t].T, source["v"][t].T], axis=-1)
