"""Options that other tools saved: every field is honoured, named as without effect, or refused."""

import json
from pathlib import Path

import pytest

from lib.config import ConfigError, load
from lib.saved_options import NO_EFFECT, REFUSED, parse_options, translate_options

SCHEMA = Path(__file__).parents[2] / "config" / "session.schema.json"

# What pyflowreg 0.1.0a9 writes for its defaults, with frames 0 to 4 as reference.
PYFLOWREG = """Compensation options 2026-11-22

{
  "input_file": null, "output_path": "results", "output_format": "MAT", "output_file_name": null,
  "channel_idx": null, "alpha": [2.0, 3.0], "weight": [0.5, 0.5], "levels": 100, "min_level": -1,
  "quality_setting": "quality", "eta": 0.8, "update_lag": 5, "iterations": 50, "a_smooth": 1.0, "a_data": 0.45,
  "sigma": [[1.0, 1.0, 0.1], [1.0, 1.0, 0.1]], "bin_size": 1, "buffer_size": 400, "reference_frames": [0, 1, 2, 3, 4],
  "update_reference": false, "n_references": 1, "min_frames_per_reference": 20, "verbose": false,
  "save_meta_info": true, "save_w": false, "save_valid_mask": false, "save_valid_idx": false,
  "output_typename": "double", "channel_normalization": "joint", "interpolation_method": "cubic",
  "cc_initialization": false, "cc_hw": 256, "cc_up": 1, "update_initialization_w": true,
  "naming_convention": "default", "constancy_assumption": "gc", "flow_backend": "flowreg", "backend_params": {}
}
"""
HONOURED = {
    "alpha": [2.0, 3.0],
    "weight": None,
    "levels": 100,
    "min_level": -1,
    "quality_setting": "quality",
    "eta": 0.8,
    "update_lag": 5,
    "iterations": 50,
    "a_smooth": 1.0,
    "a_data": 0.45,
    "sigma": [1.0, 1.0, 0.1],
    "bin_size": 1,
    "buffer_size": 400,
    "reference_frames": [0, 1, 2, 3, 4],
    "save_meta_info": True,
    "save_w": False,
    "save_valid_idx": False,
    "output_typename": "source",
    "channel_normalization": "joint",
    "interpolation_method": "cubic",
    "constancy_assumption": "gc",
}


def test_every_field_of_a_saved_file_has_a_fate():
    saved = json.loads(PYFLOWREG[PYFLOWREG.index("{") :])
    found = parse_options(PYFLOWREG)
    assert found.options == HONOURED and not found.problems
    named = {note.split(" ")[0] for note in found.notes}
    assert named | set(found.options) | set(REFUSED) >= set(saved)
    assert named == set(NO_EFFECT) & set(saved) | {"output_typename"}


def test_the_workflow_takes_it_and_says_what_has_no_effect(tmp_path):
    (tmp_path / "options.json").write_text(PYFLOWREG)
    said = []
    settings = load({"root": str(tmp_path), "flow_options": "options.json"}, SCHEMA, warn=said.append)
    assert settings["flow_options"].items() >= HONOURED.items()
    assert len(said) == 1 and "options.json" in said[0] and "update_initialization_w (every frame" in said[0]


def test_frames_saved_by_matlab_count_from_one():
    """It writes its date in another form; a single channel's sigma is a plain list, unset fields are []."""
    saved = {"reference_frames": [1, 2, 7], "sigma": [2, 1, 0.1], "channel_idx": [], "save_w": 1, "weight": [1, 0.5]}
    found = parse_options("Compensation options 22-Nov-2026 11:39:04\n\n" + json.dumps(saved))
    assert found.options == {
        "reference_frames": [0, 1, 6],
        "sigma": [2, 1, 0.1],
        "save_w": True,
        "weight": [1, 0.5],
    }
    assert any("counted from 1" in note for note in found.notes)


@pytest.mark.parametrize(
    "field, value",
    [
        ("update_reference", True),
        ("n_references", 3),
        ("channel_idx", [1]),
        ("preproc_funct", "@(x) medfilt2(x)"),
        ("get_displacement_impl", "mine"),
        ("get_displacement_factory", "mine"),
    ],
)
def test_what_would_change_the_result_is_refused(tmp_path, field, value):
    (tmp_path / "options.json").write_text("Compensation options 2026-11-22\n\n" + json.dumps({field: value}))
    with pytest.raises(ConfigError, match=f"options.json' cannot be used:\n  {field}: .* is not supported"):
        load({"root": str(tmp_path), "flow_options": "options.json"}, SCHEMA)


def test_harmless_values_of_refused_fields_pass():
    assert not translate_options({key: value for key, (value, _) in REFUSED.items()}).problems


def test_the_custom_preset_is_its_finest_level():
    assert translate_options({"quality_setting": "custom", "min_level": 3}).options == {"min_level": 3}
    assert "needs min_level" in translate_options({"quality_setting": "custom"}).problems[0]


def test_type_names():
    """pyflowreg saves "double" and writes movies of the recording's type; MATLAB means it."""
    for saved, python, matlab in (
        ("double", "source", "float64"),
        ("single", "float32", "float32"),
        ("uint16", "uint16", "uint16"),
        (None, "source", "source"),
    ):
        assert translate_options({"output_typename": saved}).options == {"output_typename": python}
        assert translate_options({"output_typename": saved}, from_matlab=True).options == {"output_typename": matlab}


def test_masks_are_kept_under_either_name():
    assert translate_options({"save_valid_mask": True, "save_valid_idx": False}).options == {"save_valid_idx": True}


def test_an_unknown_field_is_named(tmp_path):
    (tmp_path / "options.json").write_text('{"alfa": 3}')
    with pytest.raises(ConfigError, match="flow_options.alfa: there is no such key; did you mean 'alpha'"):
        load({"root": str(tmp_path), "flow_options": "options.json"}, SCHEMA)
