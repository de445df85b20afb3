"""A recording of another field of view stops the run, unless it is allowed."""

import json
import shutil

import pytest

from lib.simulate import simulate_session

from .conftest import FRAMES, NAMES, SHAPE, of, snakemake

FOREIGN = "z foreign"


@pytest.fixture
def with_foreign(session, tmp_path):
    """The finished session and a recording of something else."""
    simulate_session(tmp_path / "other", names=[FOREIGN], frames=FRAMES, shape=SHAPE, seed=9)
    shutil.move(tmp_path / "other" / f"{FOREIGN}.tif", session)
    return session


def test_it_stops_the_run_until_it_is_allowed_or_gone(with_foreign):
    run = snakemake(with_foreign)
    assert run.returncode != 0
    assert "1 of 4 recordings does not match the others" in run.output, run.output
    assert f"{FOREIGN}.tif: its average correlates by 0." in run.output
    assert "allow_outlier_recordings: true" in run.output
    assert ("intersect_masks", "") not in run.jobs and ("summarize_session", "") not in run.jobs
    assert f"{FOREIGN}.tif" in (with_foreign / "logs/select_center.log").read_text("utf-8")

    allowed = ["allow_outlier_recordings=True"]
    run = snakemake(with_foreign, config=allowed)
    assert run.returncode == 0, run.output
    assert run.jobs <= of("align_average", "align_recording", names=[FOREIGN]) | of(
        "select_center", "intersect_masks", "summarize_session", names=[""]
    )
    center = json.loads((with_foreign / "final_results/center.json").read_text("utf-8"))
    assert center["not_belonging"] == [FOREIGN] and center["center"] == NAMES[1] and not center["automatic"]
    assert snakemake(with_foreign, "-n", config=allowed).nothing_to_do

    (with_foreign / f"{FOREIGN}.tif").unlink()
    run = snakemake(with_foreign, config=["center=auto"])
    assert run.returncode == 0, run.output
    center = json.loads((with_foreign / "final_results/center.json").read_text("utf-8"))
    assert center["not_belonging"] == [] and center["automatic"] and set(center["scores"]) == set(NAMES)
    assert "compensate_recording" not in dict(run.jobs)
