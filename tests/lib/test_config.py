"""The schema is the one truth of keys and defaults, and problems are told in words."""

import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from lib.config import ConfigError, load
from lib.flow import FlowParams

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA = CONFIG / "session.schema.json"


def problems(**config) -> str:
    with pytest.raises(ConfigError) as caught:
        load(config, SCHEMA)
    return str(caught.value)


def test_config_file_shows_every_key_with_its_default():
    shown = yaml.safe_load((CONFIG / "session.yaml").read_text("utf-8"))
    assert shown == load({}, SCHEMA) == load(shown, SCHEMA)


def every_key() -> dict[str, dict]:
    """Return {key: its part of the schema}; keys inside a mapping as in `flow_options.alpha`."""
    parts = dict(json.loads(SCHEMA.read_text("utf-8"))["properties"])
    for mapping in [key for key, part in parts.items() if "properties" in part]:
        parts |= {f"{mapping}.{key}": part for key, part in parts[mapping]["properties"].items()}
    return parts


@pytest.mark.parametrize("key", every_key())
def test_editors_can_explain_complete_and_check_every_key(key):
    """Editors show title and description, offer default and examples, and mark what the schema does not allow."""
    part = every_key()[key]
    assert all(part.get(word) for word in ("title", "description", "allowed", "examples")), key
    for value in (part["default"], *part["examples"]):
        Draft202012Validator(part).validate(value)


def test_editors_find_the_schema():
    first = (CONFIG / "session.yaml").read_text("utf-8").splitlines()[0]
    assert (CONFIG / first.removeprefix("# yaml-language-server: $schema=")).resolve() == SCHEMA
    Draft202012Validator.check_schema(json.loads(SCHEMA.read_text("utf-8")))


def test_readme_lists_every_key_with_its_default():
    text = (CONFIG.parent / "README.md").read_text("utf-8")
    settings = text.split("\n## Settings\n")[1].split("\n## ")[0]
    shown = {}
    for keys, default, _ in re.findall(r"^\| (`[a-z].*?) \| (.*?) \| (.*) \|$", settings, re.MULTILINE):
        names, values = re.findall(r"`(\w+)`", keys), re.split(r", (?![^\[]*\])", default.replace("`", ""))
        assert len(names) == len(values), f"{keys}: {default}"
        shown |= dict(zip(names, values, strict=True))
    parts = {key: part for key, part in every_key().items() if not key.startswith("backend_params.")}
    assert set(shown) == {key.rpartition(".")[2] for key in parts}
    for key, part in parts.items():
        told = shown[key.rpartition(".")[2]]
        if part["default"] is None:  # what it stands for is told in words
            assert told, key
        elif "properties" in part:
            assert told in ("{}", *(inner["default"] for inner in part["properties"].values())), key
        else:
            assert (told if isinstance(part["default"], str) else yaml.safe_load(told)) == part["default"], key


def test_defaults_of_the_flow_are_those_of_the_method():
    options, params = load({}, SCHEMA)["flow_options"], FlowParams()
    assert options["quality_setting"] == params.quality
    assert options["alpha"] == "auto"  # the method itself takes numbers only
    for key in set(options) & set(FlowParams.__dataclass_fields__) - {"alpha"}:
        value = getattr(params, key)
        assert options[key] == (list(value) if isinstance(value, tuple) else value), key


def test_given_values_are_kept_and_the_rest_is_filled_in():
    given = {"flow_options": {"alpha": [1, 2]}, "center": "x.tif"}
    settings = load(given, SCHEMA)
    assert settings["flow_options"]["alpha"] == [1, 2] and settings["flow_options"]["eta"] == 0.8
    assert settings["center"] == "x.tif" and settings["pattern"] == "*.tif"
    assert given == {"flow_options": {"alpha": [1, 2]}, "center": "x.tif"}


@pytest.mark.parametrize(
    "config, said",
    [
        ({"centre": "x"}, "centre: there is no such key; did you mean 'center'?"),
        ({"foo": 1}, "foo: there is no such key; known keys are root, pattern,"),
        ({"flow_options": {"alfa": 1}}, "flow_options.alfa: there is no such key; did you mean 'alpha'?"),
        ({"n_workers": 0}, "n_workers: found 0, allowed is an integer of 1 or more, -1"),
        ({"n_workers": "4"}, "n_workers: found '4', allowed is an integer"),
        ({"align_output_format": None}, "align_output_format: found None, allowed is one of 'TIFF', 'HDF5', 'none'"),
        ({"backend_params": {"device": "gpu"}}, "backend_params.device: found 'gpu', allowed is 'cuda:'"),
        ({"output_root": "x", "final_results": "./x"}, "output_root and final_results are both 'x'"),
        ({"final_results": "."}, "must not be root itself"),
        (
            {"flow_options": {"alpha": [1, 0]}},
            "flow_options.alpha: found [1, 0], allowed is 'auto', a number above 0, or two",
        ),
        ({"flow_options": {"sigma": [[1, 1]]}}, "flow_options.sigma: found [[1, 1]], allowed is three numbers"),
        ({"flow_options": {"weight": [0, 0]}}, "flow_options.weight: found [0, 0], allowed is"),
        ({"bidiphase": True}, "bidiphase: found True, allowed is 'auto', 'off', or whole pixels from -100 to 100"),
        ({"bidiphase": 1.5}, "bidiphase: found 1.5, allowed is 'auto'"),
        ({"stage1": "external", "bidiphase": "auto"}, "bidiphase: frames that another tool has compensated"),
        ({"flow_options": {"save_w": "yes"}}, "flow_options.save_w: found 'yes', allowed is true or false"),
        ({"flow_options": {"reference_frames": "9:9"}}, "flow_options.reference_frames: '9:9' is empty"),
        ({"flow_options": {"buffer_size": 0}}, "flow_options.buffer_size: found 0, allowed is an integer of 1 or more"),
    ],
)
def test_problems_name_key_value_and_what_is_allowed(config, said):
    assert said in problems(**config)


def test_all_problems_are_told_at_once_and_each_once():
    text = problems(center=1, cc_upsample=0, flow_options={"alpha": [-1, -1], "eta": 2})
    assert len(text.splitlines()) == 1 + 4, text


def test_limits_are_those_of_the_method():
    """What the schema lets through, the method takes."""
    for key, values in {
        "eta": (0.3, 0.95),
        "a_data": (1,),
        "levels": (1,),
        "min_level": (-1, 0),
        "alpha": (1e-6,),
    }.items():
        for value in values:
            load({"flow_options": {key: value}}, SCHEMA)
            FlowParams(**{key: value})
    for key, value in {"eta": 0.29, "a_smooth": 0, "iterations": 0, "weight": [], "min_level": -2}.items():
        assert key in problems(flow_options={key: value})
        with pytest.raises(ValueError, match=key):
            FlowParams(**{key: value})


@pytest.mark.parametrize("text", ['{"alpha": 7}', '# saved by hand\n{"alpha": 7}'])
def test_options_from_a_file(tmp_path, text):
    (tmp_path / "options.json").write_text(text)
    settings = load({"root": str(tmp_path), "flow_options": "options.json"}, SCHEMA)
    assert settings["flow_options"]["alpha"] == 7 and settings["flow_options"]["levels"] == 100


@pytest.mark.parametrize(
    "text, said", [(None, "cannot be read"), ("alpha = 7", "holds no JSON object"), ('{"alpha": 7', "no JSON object")]
)
def test_options_file_that_cannot_be_used(tmp_path, text, said):
    if text:
        (tmp_path / "options.json").write_text(text)
    message = problems(root=str(tmp_path), flow_options="options.json")
    assert said in message and "options.json" in message


def test_options_file_is_checked_like_the_configuration(tmp_path):
    (tmp_path / "options.json").write_text('{"alpha": -7}')
    assert "flow_options.alpha: found -7" in problems(root=str(tmp_path), flow_options="options.json")
