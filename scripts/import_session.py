"""Write the settings of a pyflowreg session (TOML or YAML) as a session.yaml.

    python scripts/import_session.py session.toml               writes session.yaml beside it
    python scripts/import_session.py session.toml -o my.yaml    writes my.yaml

Every key is carried over or named with what takes its place.
"""

import argparse
import shlex
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # it is called by hand, where Snakemake does not set the path

from lib.config import load  # noqa: E402
from lib.saved_options import Translation, parse_options, translate_options  # noqa: E402

SCHEMA = PROJECT / "config" / "session.schema.json"

SAME = (
    "root",
    "pattern",
    "output_root",
    "final_results",
    "cc_upsample",
    "sigma_smooth",
    "alpha_between",
    "iterations_between",
    "stage2_constancy_assumption",
    "align_chunk_size",
    "align_output_format",
)
START = f"snakemake -s {shlex.quote(str(PROJECT / 'Snakefile'))} --configfile {{file}} "
CLUSTER = f"{START}--profile {shlex.quote(str(PROJECT / 'profiles/slurm'))}   # or sge, pbs"
SCHEDULERS = {"local": START + "--cores all", "array": CLUSTER, "dask": CLUSTER}
# What pyflowreg does where it is not told, and this workflow does not: (value, what to say of it).
DEFAULTS = {
    "quality_setting": ("quality", "the default here is balanced, several times faster"),
    "alpha": (1.5, "take it out, and what has the smallest error is found for each recording"),
}
# Their backends of the same method; auto takes a GPU where there is one.
BACKENDS = {"flowreg": "auto", "flowreg_cuda": "auto", "flowreg_torch": "auto"}


@dataclass
class Imported:
    """`settings` for session.yaml, `notes` on what was replaced, `command` to run, and `problems` to solve first."""

    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    command: str = SCHEDULERS["local"]


def import_session(session: dict[str, Any], folder: Path = Path()) -> Imported:
    """Translate a pyflowreg session configuration.

    Parameters
    ----------
    session : dict
        What its TOML or YAML file holds.
    folder : path
        Where that file is: `flow_options` may be a path relative to it.
    """
    done = Imported()
    for key, value in session.items():
        if value is None:
            continue  # not set
        if key in SAME:
            done.settings[key] = value
        elif key == "center":
            done.settings["center"] = str(value)
        elif key == "n_workers":
            _workers(value, done)
        elif key == "scheduler":
            _scheduler(value, done)
        elif key == "resume":
            _resume(value, done)
        elif key == "flow_backend":
            _backend(value, done)
        elif key == "backend_params":
            _backend_params(value, done)
        elif key not in ("flow_options", "stage1_quality_setting"):
            done.problems.append(f"{key}: neither pyflowreg's session nor session.yaml has such a key; take it out.")
    _flow_options(session, folder, done)
    return done


def _workers(value: Any, done: Imported) -> None:
    done.settings["n_workers"] = "auto" if value == -1 else value
    if value == -1:
        done.notes.append("n_workers: -1 (all cores) is now auto, which shares the cores between the recordings.")


def _scheduler(value: Any, done: Imported) -> None:
    if value not in SCHEDULERS:
        done.problems.append(f"scheduler: found {value!r}, known are {', '.join(SCHEDULERS)}.")
        return
    done.command = SCHEDULERS[value]
    done.notes.append(f"scheduler: {value!r} is now how snakemake is called; see the last line.")


def _resume(value: Any, done: Imported) -> None:
    how = "what is done is never done again" if value else "add --forceall to do everything again"
    done.notes.append(f"resume: {value!r} is now how snakemake is called: {how}.")


def _backend(value: Any, done: Imported) -> None:
    if value in BACKENDS:
        done.settings["flow_backend"] = BACKENDS[value]
        if value != BACKENDS[value]:
            done.notes.append(f"flow_backend: {value!r} is now {BACKENDS[value]!r}.")
    else:
        done.settings["flow_backend"] = "auto"
        done.notes.append(f"flow_backend: {value!r} is another method, which is not here; auto is that of flowreg.")


def _backend_params(value: dict[str, Any], done: Imported) -> None:
    if "device" in value:
        done.settings["backend_params"] = {"device": value["device"]}
    others = [key for key in value if key != "device"]
    if others:
        done.notes.append(f"backend_params: {', '.join(others)} belong to pyflowreg's backends and are left out.")


def _flow_options(session: dict[str, Any], folder: Path, done: Imported) -> None:
    options, quality = session.get("flow_options"), session.get("stage1_quality_setting")
    if isinstance(options, (str, Path)):
        saved = _read_options(Path(options), folder, done)
        where = f"flow_options: read from {options}; "
    else:
        saved, where = translate_options(options or {}), "flow_options: "
    if quality is not None:
        found = saved.options.setdefault("quality_setting", quality)
        told = "is flow_options.quality_setting"
        if found != quality:
            told = f"gives way to the {found!r} of flow_options"
        done.notes.append(f"stage1_quality_setting: {quality!r} {told}.")
    done.notes += [f"{where}without effect or different here: {note}." for note in saved.notes]
    done.problems += [f"flow_options.{problem}" for problem in saved.problems]
    for key, (value, hint) in DEFAULTS.items():
        if key not in saved.options and not (key == "quality_setting" and "min_level" in saved.options):
            saved.options[key] = value
            done.notes.append(f"flow_options.{key}: {value!r} is pyflowreg's default; {hint}.")
    done.settings["flow_options"] = saved.options


def _read_options(path: Path, folder: Path, done: Imported) -> Translation:
    for place in (path, folder / path):
        if place.is_file():
            try:
                return parse_options(place.read_text(encoding="utf-8"))
            except ValueError as error:
                done.problems.append(f"flow_options: {place} holds no JSON object ({error}).")
                return Translation()
    done.problems.append(f"flow_options: there is no file {path}, here or in {folder}; correct the path.")
    return Translation()


def as_yaml(done: Imported, source: str, file: str) -> str:
    """Return the text of session.yaml, with what was replaced as comments."""
    schema = f"# yaml-language-server: $schema={(SCHEMA).as_posix()}"
    lines = [schema, f"# Made from {source} by scripts/import_session.py. What is not here has its default.", "#"]
    lines += [f"# {note}" for note in done.notes]
    lines += [f"# Run: {done.command.format(file=file)}", ""]
    return "\n".join(lines) + yaml.safe_dump(done.settings, sort_keys=False, allow_unicode=True)


def read_session(path: Path) -> dict[str, Any]:
    """Read a TOML or YAML file; ValueError if it is neither, or holds no keys."""
    text = path.read_text(encoding="utf-8")
    content = tomllib.loads(text) if path.suffix.lower() == ".toml" else yaml.safe_load(text)
    if not isinstance(content, dict):
        raise ValueError("it holds no keys")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session", type=Path, help="pyflowreg's session.toml or session.yaml")
    parser.add_argument("-o", "--output", type=Path, help="file to write; by default session.yaml beside it")
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")
    args = parser.parse_args()
    output = args.output or args.session.with_name("session.yaml")
    if output.exists() and not args.force:
        sys.exit(f"{output} is there already: give another name with -o, or --force to replace it.")
    try:
        done = import_session(read_session(args.session), args.session.parent)
        if not done.problems:
            load(done.settings, SCHEMA)
    except (OSError, ValueError, yaml.YAMLError) as error:
        sys.exit(f"{args.session} cannot be imported: {error}")
    if done.problems:
        sys.exit("\n  ".join([f"{args.session} cannot be imported:", *done.problems]))
    output.write_text(as_yaml(done, args.session.name, output.name), encoding="utf-8")
    print("\n".join([f"Wrote {output}.", *done.notes, f"Run: {done.command.format(file=output)}"]))


if __name__ == "__main__":
    main()
