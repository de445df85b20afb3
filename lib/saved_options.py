"""Flow options as pyflowreg and MATLAB Flow-Registration save them, in terms of `flow_options`.

Both write a JSON object with all their options after a header line ("Compensation options" and the date). Every field
is honoured, told to have no effect here, or refused because leaving it out would change the result. Standard library
only: the settings are read whenever the workflow is parsed.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

BOOLEANS = ("save_w", "save_meta_info", "save_valid_idx", "save_valid_mask", "update_reference", "cc_initialization")
WORDS = ("quality_setting", "channel_normalization", "interpolation_method", "constancy_assumption")
TYPENAMES = {"double": "float64", "single": "float32"}

# Fields that say where files are or how the work is done: (field, what does it here).
NO_EFFECT = {
    "input_file": "root and pattern name the recordings",
    "output_path": "output_root and final_results name the folders",
    "output_file_name": "files have fixed names",
    "output_format": "compensated movies are HDF5; align_output_format is that of the aligned ones",
    "naming_convention": "files have fixed names",
    "verbose": "logs are always written",
    "flow_backend": "flow_backend of the session chooses",
    "backend_params": "backend_params of the session counts",
    "cc_initialization": "every frame starts from a rigid shift",
    "cc_hw": "the size for the rigid shift is chosen by itself",
    "cc_up": "the rigid shift is always found to a fraction of a pixel",
    "update_initialization_w": "every frame starts from its own rigid shift, not from its neighbour",
    "min_frames_per_reference": "a recording has one reference",
    "save_valid_mask": "save_valid_idx keeps the masks",
}

# Fields that change the result: (the value that means what is done here anyway, what to do instead).
REFUSED = {
    "update_reference": (False, "a recording has one reference; set it to false"),
    "n_references": (1, "a recording has one reference; set it to 1, or cut the recording where the view changes"),
    "channel_idx": (None, "all channels are used; give flow_options.weight 0 to those that motion is not found on"),
    "preproc_funct": (None, "functions cannot be called from here; preprocess the recordings, or set sigma"),
    "get_displacement_impl": (None, "the method is fixed; take it out"),
    "get_displacement_factory": (None, "the method is fixed; take it out"),
}


@dataclass
class Translation:
    """`options` for `flow_options`; `notes`: fields without effect or read in another way, and why.

    `problems` are the fields that are refused, and what to do.
    """

    options: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def parse_options(text: str) -> Translation:
    """Translate the text of a saved options file.

    Raises
    ------
    ValueError
        It holds no JSON object.
    """
    start = text.index("{")
    # MATLAB writes 22-Nov-2026 where Python writes 2026-11-22, and counts frames from 1
    from_matlab = re.search(r"\b\d{1,2}-\w{3,4}\.?-\d{4}\b", text[:start]) is not None
    return translate_options(json.loads(text[start:]), from_matlab=from_matlab)


def translate_options(saved: dict[str, Any], from_matlab: bool = False) -> Translation:
    """Translate saved options; what neither tool knows is passed on, for the schema to judge.

    Parameters
    ----------
    saved : dict
        The fields.
    from_matlab : bool
        Frames are counted from 1, and movies of double are wanted where it says so.
    """
    done = Translation()
    for key, value in saved.items():
        empty = value is None or value == []  # MATLAB writes [] for what is not set
        if key in BOOLEANS and value in (0, 1):
            value = bool(value)
        if key in REFUSED:
            harmless, instead = REFUSED[key]
            if not empty and value != harmless:
                done.problems.append(f"{key}: {value!r} is not supported: {instead}.")
        elif key in NO_EFFECT:
            done.notes.append(f"{key} ({NO_EFFECT[key]})")
        elif not empty or key == "output_typename":
            done.options[key] = value.lower() if key in WORDS and isinstance(value, str) else value
    if saved.get("save_valid_mask"):
        done.options["save_valid_idx"] = True
    _preset(done)
    _simplify_channels(done.options)
    _typename(done, from_matlab)
    frames = done.options.get("reference_frames")
    if from_matlab and isinstance(frames, list) and all(isinstance(frame, int) for frame in frames):
        done.options["reference_frames"] = [frame - 1 for frame in frames]
        done.notes.append("reference_frames (saved by MATLAB and counted from 1; now from 0)")
    return done


def _typename(done: Translation, from_matlab: bool) -> None:
    if "output_typename" not in done.options:
        return
    name = done.options["output_typename"] or "source"
    if name == "double" and not from_matlab:
        # what pyflowreg saves by default, and what its sessions do with it
        done.options["output_typename"] = "source"
        done.notes.append("output_typename 'double' (movies keep the recording's type, as in pyflowreg's sessions)")
    else:
        done.options["output_typename"] = TYPENAMES.get(name, name)


def _preset(done: Translation) -> None:
    """The preset "custom" means: the finest level is that of min_level."""
    if done.options.get("quality_setting") != "custom":
        return
    del done.options["quality_setting"]
    if done.options.get("min_level", -1) < 0:
        done.problems.append("quality_setting: 'custom' needs min_level, the finest pyramid level, 0 or more.")


def _simplify_channels(options: dict[str, Any]) -> None:
    """Both tools save weights and sigmas of two channels, however many there are: drop what is the same for all."""
    weight = options.get("weight")
    if isinstance(weight, list) and all(isinstance(w, (int, float)) and w == weight[0] > 0 for w in weight):
        options["weight"] = None
    sigma = options.get("sigma")
    if isinstance(sigma, list) and isinstance(sigma[0], list) and all(row == sigma[0] for row in sigma):
        options["sigma"] = sigma[0]
