"""Sessions begun here and continued by pyflowreg, and the other way round."""

import shutil
import sys

import numpy as np
import pytest
import yaml

from lib.simulate import simulate_session

from .conftest import NAMES, REPOSITORY, call, snakemake

TOML = """\
root = "{folder}"
pattern = "*.tif"
output_root = "compensated_outputs"
final_results = "final_results"
n_workers = 2

[flow_options]
quality_setting = "fast"
save_valid_idx = true
reference_frames = [0, 1, 2, 3, 4, 5]
"""


def masks(folder):
    with np.load(folder / "final_results" / "final_valid_idx.npz") as results:
        return {key: results[key] for key in ("final_valid", "aligned_valid_masks", "per_seq_valid_masks")}


def test_its_stage_3_finds_the_same_masks(session, pyflowreg):
    ours = masks(session)
    shutil.rmtree(session / "final_results")
    (session / "session.toml").write_text(TOML.format(folder=session))
    call(pyflowreg, "run", "--config", "session.toml", "--stage", "3", cwd=session)
    theirs = masks(session)
    for key, mask in ours.items():
        np.testing.assert_array_equal(theirs[key], mask, key)
    assert 0.2 < ours["final_valid"].mean() < 1
    for name in NAMES:
        assert (session / "final_results" / f"aligned_{name}.tif").exists()


@pytest.fixture(scope="module")
def theirs(pyflowreg, tmp_path_factory):
    """A session that pyflowreg has finished."""
    folder = tmp_path_factory.mktemp("theirs")
    simulate_session(folder, names=["x", "y"], frames=24, shape=(64, 80), between_rigid=2.0)
    (folder / "session.toml").write_text(TOML.format(folder=folder))
    call(pyflowreg, "run", "--config", "session.toml", cwd=folder)
    return folder


def test_its_stage_1_is_continued(theirs):
    before = masks(theirs)
    shutil.move(theirs / "final_results", theirs / "their_results")
    call(sys.executable, REPOSITORY / "scripts" / "import_session.py", "session.toml", cwd=theirs)
    settings = yaml.safe_load((theirs / "session.yaml").read_text("utf-8"))
    (theirs / "session.yaml").write_text(yaml.safe_dump(settings | {"stage1": "external"}), "utf-8")
    snakemake(theirs)
    after = masks(theirs)
    np.testing.assert_array_equal(after["per_seq_valid_masks"], before["per_seq_valid_masks"])
    # stage 2 is ours: displacements differ by fractions of a pixel, and masks at their edges
    assert (after["final_valid"] != before["final_valid"]).mean() < 0.03
