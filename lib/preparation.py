"""What a recording needs before its frames can be registered: its reference, and the smoothness of the flow."""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from lib.compensation import read_smoothed
from lib.flow import SAFE_ALPHA, Backend, FlowParams, calibrate
from lib.recording import RecordingError, open_recording
from lib.reference import build_reference, reference_indices
from lib.store import write_json, write_npy

logger = logging.getLogger(__name__)

CALIBRATION_FRAMES = 16  # spread over the recording
REFERENCE, CALIBRATION, MADE_OF = "reference_frame.npy", "calibration.json", "reference.json"


@dataclass(frozen=True)
class Preparation:
    """What is found out about a recording before its frames are registered.

    Attributes
    ----------
    reference : ndarray (H, W[, C]) float64
        In raw intensities.
    made_of : dict
        What the reference was made of, as in status.json.
    calibration : dict
        The content of calibration.json: `automatic`; `alpha` [x, y]; `predicted_epe`, pixels; `curve`, the settings
        tried; `motion`, its root mean square in pixels.
    """

    reference: np.ndarray
    made_of: dict
    calibration: dict

    def write(self, folder: Path) -> None:
        """Write reference_frame.npy, calibration.json and reference.json, what the reference was made of."""
        write_json(folder / MADE_OF, self.made_of)
        write_json(folder / CALIBRATION, self.calibration)
        write_npy(folder / REFERENCE, self.reference)  # the last one: it says that all are there

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read what `write` wrote; None if there is nothing, or not all of it."""
        if not (folder / REFERENCE).exists():
            return None
        made_of, calibration = (json.loads((folder / name).read_text("utf-8")) for name in (MADE_OF, CALIBRATION))
        return cls(np.load(folder / REFERENCE, allow_pickle=False), made_of, calibration)

    @property
    def facts(self) -> dict:
        """What status.json tells of it."""
        return {
            "reference": self.made_of,
            "alpha": self.calibration["alpha"],
            "predicted_epe": self.calibration["predicted_epe"],
        }

    def params(self, options: dict) -> FlowParams:
        """The parameters of the flow for these `flow_options`."""
        return replace(flow_params(options), alpha=self.calibration["alpha"])


def flow_params(options: dict) -> FlowParams:
    """Return the parameters of the flow among `flow_options`; a safe alpha where it is yet to be found."""
    names = set(FlowParams.__dataclass_fields__)
    values = {key: value for key, value in options.items() if key in names}
    if values["alpha"] == "auto":
        values["alpha"] = SAFE_ALPHA
    return FlowParams(quality=options["quality_setting"], **values)


def prepare(
    recording, options: dict, *, image: str | None = None, threads: int = 1, backend: str | Backend = "numba"
) -> Preparation:
    """Make the reference of an open recording, and calibrate on it.

    Parameters
    ----------
    recording : Recording
        Open for reading.
    options : dict
        `flow_options` of the configuration.
    image : path, optional
        The reference; by default it is built from the frames `options["reference_frames"]`.
    threads : int
        Frames worked on at once; the result does not depend on it.
    backend : {"numba", "cupy"} or Backend
        What computes the flow.
    """
    params, how = flow_params(options), {"threads": threads, "backend": backend}
    reference, made_of, usable = make_reference(recording, params, options["reference_frames"], image, **how)
    some = usable[np.unique(np.linspace(0, len(usable) - 1, CALIBRATION_FRAMES).round().astype(int))]
    frames = np.concatenate([read_smoothed(recording, t, t + 1, params)[1] for t in some])
    automatic = options["alpha"] == "auto"
    found = calibrate(reference, frames, params, choose=automatic, **how)
    if found.note:
        logger.warning("%s: %s", recording.name, found.note)
    logger.info("alpha %s, error to expect %s px, motion %s", found.params.alpha, found.predicted_epe, found.motion)
    return Preparation(
        reference,
        made_of,
        {
            "automatic": automatic,
            "alpha": list(found.params.alpha_xy),
            "predicted_epe": found.predicted_epe,
            "curve": list(found.curve),
            "motion": found.motion,
            "note": found.note,
        },
    )


def make_reference(
    recording, params, setting, image=None, *, threads=1, backend="numba"
) -> tuple[np.ndarray, dict, np.ndarray]:
    """Return the reference of an open recording, by the setting `reference_frames`, what it was made of, and frames of
    the whole recording that look like it."""
    everywhere = reference_indices("auto", recording.frames)
    if image:
        return read_reference(image, recording.frame_shape), {"setting": setting}, everywhere
    reference = build_reference(
        recording,
        params,
        indices=reference_indices(setting, recording.frames),
        leave_out=setting == "auto",
        threads=threads,
        backend=backend,
    )
    used, left_out = len(reference.frames), list(reference.left_out)
    logger.info("Reference: %d frames, %d left out: %s", used, len(left_out), left_out)
    if not reference.related:
        logger.warning(
            "%s: the frames do not resemble each other; the reference is their plain average. Look at the recording: "
            "it may be blank, or too noisy to be corrected.",
            recording.name,
        )
    made_of = {
        "setting": setting,
        "frames": used,
        "left_out": left_out,
        "frames_resemble_each_other": reference.related,
    }
    return reference.image, made_of, np.array(reference.frames) if setting == "auto" else everywhere


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
