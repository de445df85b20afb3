"""A pyflowreg session becomes a session.yaml: every key is carried over or named."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lib.config import load
from scripts.import_session import SCHEMA, import_session

SCRIPT = Path(__file__).parents[2] / "scripts" / "import_session.py"

# Every key of pyflowreg 0.1.0a9's SessionConfig, and the one that its user guide has beside them.
TOML = """
root = "/data/mouse7"
pattern = "*.tiff"
center = "day2.tiff"
output_root = "out"
final_results = "final"
resume = true
scheduler = "array"
flow_backend = "flowreg"
n_workers = -1
stage1_quality_setting = "fast"
cc_upsample = 8
sigma_smooth = 4.0
alpha_between = 20.0
iterations_between = 50
align_chunk_size = 32
align_output_format = "HDF5"
stage2_constancy_assumption = "gray"

[backend_params]
device = "cuda:1"
streams = 4

[flow_options]
alpha = [3.0, 4.0]
weight = [0.7, 0.3]
n_references = 1
verbose = true
"""
CARRIED = {
    "root": "/data/mouse7",
    "pattern": "*.tiff",
    "center": "day2.tiff",
    "output_root": "out",
    "final_results": "final",
    "flow_backend": "auto",
    "n_workers": "auto",
    "cc_upsample": 8,
    "sigma_smooth": 4.0,
    "alpha_between": 20.0,
    "iterations_between": 50,
    "align_chunk_size": 32,
    "align_output_format": "HDF5",
    "backend_params": {"device": "cuda:1"},
    "stage2_constancy_assumption": "gray",
    "flow_options": {"alpha": [3.0, 4.0], "weight": [0.7, 0.3], "quality_setting": "fast"},
}


def call(*arguments, cwd):
    return subprocess.run([sys.executable, SCRIPT, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)


def test_every_key_of_a_toml_file(tmp_path):
    (tmp_path / "session.toml").write_text(TOML)
    run = call("session.toml", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    text = (tmp_path / "session.yaml").read_text("utf-8")
    written = yaml.safe_load(text)
    assert written == CARRIED
    load(written, SCHEMA)
    for said in (
        "n_workers: -1 (all cores) is now auto",
        "scheduler: 'array' is now how snakemake is called",
        "resume: True is now how snakemake is called: what is done is never done again",
        "stage1_quality_setting: 'fast' is flow_options.quality_setting",
        "backend_params: streams belong to pyflowreg's backends",
        "verbose (logs are always written)",
        "Snakefile --configfile",
        "profiles/slurm   # or sge, pbs",
    ):
        assert said in run.stdout and said in text, said


def test_yaml_with_an_options_file(tmp_path):
    (tmp_path / "options.json").write_text('Compensation options 2026-11-22\n\n{"alpha": 9, "quality_setting": "fast"}')
    settings = {"root": ".", "flow_options": "options.json", "stage1_quality_setting": "quality", "resume": False}
    (tmp_path / "peer.yml").write_text(yaml.safe_dump(settings))
    run = call("peer.yml", "-o", "mine.yaml", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    written = yaml.safe_load((tmp_path / "mine.yaml").read_text("utf-8"))
    assert written == {"root": ".", "flow_options": {"alpha": 9, "quality_setting": "fast"}}
    assert "'quality' gives way to the 'fast' of flow_options" in run.stdout
    assert "add --forceall" in run.stdout and "mine.yaml --cores all" in run.stdout


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "session.toml").write_text('root = "."')
    (tmp_path / "session.yaml").write_text("mine")
    run = call("session.toml", cwd=tmp_path)
    assert run.returncode != 0 and "--force" in run.stderr and (tmp_path / "session.yaml").read_text() == "mine"
    assert call("session.toml", "--force", cwd=tmp_path).returncode == 0
    assert yaml.safe_load((tmp_path / "session.yaml").read_text("utf-8"))["root"] == "."


@pytest.mark.parametrize(
    "text, said",
    [
        ('root = "."\nbogus = 1', "bogus: neither pyflowreg's session nor session.yaml has such a key"),
        ('root = "."\nscheduler = "pbs"', "scheduler: found 'pbs', known are local, array, dask"),
        ('root = "."\nflow_options = "gone.json"', "flow_options: there is no file gone.json"),
        ('root = "."\n[flow_options]\nn_references = 2', "flow_options.n_references: 2 is not supported"),
        ('root = "."\nalign_output_format = "MAT"', "align_output_format: found 'MAT', allowed is one of"),
        ("root = ", "cannot be imported"),
    ],
)
def test_what_cannot_be_imported_is_named_and_nothing_written(tmp_path, text, said):
    (tmp_path / "session.toml").write_text(text)
    run = call("session.toml", cwd=tmp_path)
    assert run.returncode != 0 and said in run.stderr and "Traceback" not in run.stderr, run.stderr
    assert not (tmp_path / "session.yaml").exists()


def test_schedulers_become_commands():
    assert import_session({"scheduler": "local"}).command.endswith("--cores all")
    assert "--profile" in import_session({"scheduler": "dask"}).command


def test_other_methods_are_named():
    done = import_session({"flow_backend": "diso"})
    assert done.settings["flow_backend"] == "auto" and "'diso' is another method" in done.notes[0]


def test_what_pyflowreg_does_untold_is_told_here():
    """Its sessions run with quality and alpha 1.5 where the file says nothing."""
    done = import_session({"root": "."})
    assert done.settings["flow_options"] == {"quality_setting": "quality", "alpha": 1.5}
    assert any("quality_setting: 'quality' is pyflowreg's default" in note for note in done.notes)
    assert import_session({"flow_options": {"min_level": 3}}).settings["flow_options"] == {"min_level": 3, "alpha": 1.5}
