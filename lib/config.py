"""Read, complete and check the configuration; `config/session.schema.json` says what is allowed."""

import difflib
import json
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from jsonschema import Draft202012Validator

from lib.saved_options import parse_options
from lib.session import parse_span


class ConfigError(ValueError):
    """The configuration cannot be used; the message lists every problem found in it."""


def load(config: dict, schema_path: str | Path, warn: Callable[[str], None] | None = None) -> dict:
    """Complete a configuration with the defaults and check it.

    Parameters
    ----------
    config : dict
        What the user wrote. It is not changed.
    schema_path : path
        The JSON schema with the defaults.
    warn : function of a text, optional
        Is told what has no effect here, or another one, in an options file that another tool saved.

    Returns
    -------
    dict
        Every key of the schema, `flow_options` read from its file if it was a path.

    Raises
    ------
    ConfigError
        For unknown keys and wrong values; all of them in one message.
    """
    schema = json.loads(Path(schema_path).read_text(encoding="utf-8"))
    config = deepcopy(config)
    if isinstance(config.get("flow_options"), str):
        config["flow_options"] = _read_options(config["flow_options"], str(config.get("root", ".")), warn)
    problems = _problems(config, schema)
    if not problems:
        config = _with_defaults(config, schema)
        problems = _contradictions(config)
    if problems:
        raise ConfigError("\n  ".join(["The configuration cannot be used:", *problems]))
    return config


def _read_options(path: str, root: str, warn: Callable[[str], None] | None) -> dict:
    """Read saved flow options, ours or those of pyflowreg or MATLAB: a JSON object, maybe after a header line."""
    path = Path(root, path)
    where = f"flow_options: the options file '{path}'"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where} cannot be read: {error}. Give a mapping or the path of a JSON file.") from error
    try:
        saved = parse_options(text)
    except ValueError as error:
        raise ConfigError(f"{where} holds no JSON object ({error}). Save the options as {{...}}.") from error
    if saved.problems:
        raise ConfigError("\n  ".join([f"{where} cannot be used:", *saved.problems]))
    if saved.notes and warn is not None:
        warn(f"{where} was saved by another tool; without effect or different here: {'; '.join(saved.notes)}.")
    return saved.options


def _problems(config: dict, schema: dict) -> list[str]:
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path)))
    lines = [line for error in errors for line in _explain(error, config, schema)]
    return list(dict.fromkeys(lines))  # two wrong numbers in one list are one problem


def _explain(error, config: dict, schema: dict) -> list[str]:
    """Put one schema error in words: key, what was found, what is allowed."""
    # an error inside a list is told at the key that holds the list
    keys = [part for part in error.path if isinstance(part, str)]
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        return [_unknown(keys, key, known) for key in error.instance if key not in known]
    found = config
    for key in keys:
        found, schema = found[key], schema.get("properties", {}).get(key, schema)  # names that the user gives
    return [f"{'.'.join(keys)}: found {found!r}, allowed is {schema['allowed']}."]


def _unknown(path: list[str], key: str, known: dict) -> str:
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known keys are {', '.join(known)}."
    return f"{'.'.join([*path, str(key)])}: there is no such key; {hint}"


def _with_defaults(config: dict, schema: dict) -> dict:
    """Fill in missing keys, in the order of the schema, also inside mappings."""
    full = {key: config.get(key, deepcopy(part["default"])) for key, part in schema["properties"].items()}
    for key, part in schema["properties"].items():
        if "properties" in part:
            full[key] = _with_defaults(full[key], part)
    return full


def _contradictions(config: dict) -> list[str]:
    """What a schema cannot express: values that do not go together."""
    problems = []
    root, output_root, final_results = (
        os.path.normpath(os.path.join(config["root"], config.get(key, "")))
        for key in ("", "output_root", "final_results")
    )
    if output_root == final_results:
        problems.append(f"output_root and final_results are both '{output_root}'; give each its own folder.")
    if root in (output_root, final_results):
        problems.append(
            "output_root and final_results must not be root itself: results would be taken for recordings. "
            f"Found '{config['output_root']}' and '{config['final_results']}'."
        )
    if config["stage1"] == "external":
        problems += [
            f"{key}: found {config[key]!r}, but stage1 is 'external', where movies are used as they are; set `dataset` "
            "to those that are wanted, one per channel."
            for key in ("channels", "planes")
            if config[key] is not None
        ]
        if config["bidiphase"] not in ("off", False, 0):
            problems.append(
                "bidiphase: frames that another tool has compensated cannot be corrected any more; set 'off'."
            )
    frames = config["flow_options"]["reference_frames"]
    if (span := parse_span(frames)) and span[0] >= span[1]:
        problems.append(f"flow_options.reference_frames: '{frames}' is empty; 'first:stop' needs first < stop.")
    return problems
