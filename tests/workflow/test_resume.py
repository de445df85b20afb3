"""What is redone after a change: the thing itself and what depends on it, nothing else.

Snakemake compares inputs up to 1 MB by content. The sessions here are that small, so where a redone file comes out as
it was, what depends on it stays.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import tifffile

from lib.simulate import simulate_session

from .conftest import command, of, snakemake, write_config

SUMMARY = {("intersect_masks", ""), ("summarize_session", "")}


def redo(session, *arguments, config=()):
    """Run, check that nothing is left to do then, and return what was done."""
    run = snakemake(session, *arguments, config=config)
    assert run.returncode == 0, run.output
    after = snakemake(session, "-n", config=config)
    assert after.nothing_to_do, after.output
    return run


def test_nothing_to_do_after_a_full_run(finished):
    run = snakemake(finished, "-n")
    assert run.nothing_to_do and not run.jobs, run.output


@pytest.mark.parametrize(
    "deleted, first, names",
    [
        ("compensated_outputs/a_1/reference_frame.npy", "compensate_recording", ["a_1"]),
        ("compensated_outputs/a_1/temporal_average.npy", "average_recording", ["a_1"]),
        ("compensated_outputs/b ü 2/w_to_reference.npz", "align_average", ["b ü 2"]),
        ("final_results/c_3_valid_idx_aligned.png", "align_recording", ["c_3"]),
        ("final_results/aligned_c_3.tif", "align_recording", ["c_3"]),
        ("final_results/final_valid_idx.mat", "intersect_masks", [""]),
    ],
)
def test_deleted_output(session, deleted, first, names):
    (session / deleted).unlink()
    run = redo(session)
    assert (session / deleted).exists()
    chain = ["compensate_recording", "average_recording", "align_average", "align_recording"]
    after = chain[chain.index(first) + 1 :] if first in chain else []
    must = of(first, names=names)
    may = of(*after, names=names) | SUMMARY | ({("select_center", "")} if "align_average" in after else set())
    assert must <= run.jobs <= must | may, run.output


def test_changed_parameter_of_a_later_stage(session):
    run = redo(session, config=["alpha_between=100"])
    assert run.jobs == of("align_average", "align_recording") | SUMMARY


def test_changed_parameter_of_the_first_stage(session):
    write_config(session, flow_options={"quality_setting": "fast", "alpha": 20})
    plan = snakemake(session, "-n")
    assert of("compensate_recording") <= plan.jobs and "Params have changed" in plan.output
    assert of("compensate_recording", "average_recording", "align_average") <= redo(session).jobs


def test_settings_that_change_no_result_redo_nothing(session):
    write_config(session, n_workers=1, align_chunk_size=3, flow_options={"quality_setting": "fast", "buffer_size": 5})
    assert snakemake(session, "-n").nothing_to_do


def test_changed_source(session):
    movie = tifffile.imread(session / "c_3.tif")
    tifffile.imwrite(session / "c_3.tif", movie[::-1], photometric="minisblack")
    run = redo(session)
    own = of("compensate_recording", "average_recording", "align_average", "align_recording", names=["c_3"])
    assert run.jobs == own | SUMMARY | {("select_center", "")}, run.output


def test_aligned_from_the_compensated_movies(session):
    """It needs no displacements of the frames, so it does not ask for them, and keeps what is there."""
    once = tifffile.imread(session / "final_results/aligned_c_3.tif").astype(float)
    run = redo(session, config=["align_from=compensated"])
    assert run.jobs == of("align_recording") | SUMMARY, run.output
    twice = tifffile.imread(session / "final_results/aligned_c_3.tif").astype(float)
    assert 0 < np.abs(once - twice).mean() < 0.1 * once.mean()


def test_compact_flow_that_is_not_kept(fresh):
    """It goes when the movies are aligned, and nothing misses it until a movie is."""
    write_config(fresh, flow_options={"quality_setting": "fast", "save_w_compact": False})
    redo(fresh)
    assert not (fresh / "compensated_outputs/c_3/w_compact.h5").exists()
    (fresh / "final_results/aligned_c_3.tif").unlink()
    assert of("compensate_recording", "align_recording", names=["c_3"]) <= redo(fresh).jobs


def test_new_center(session):
    run = redo(session, config=["center=c_3.tif"])
    assert run.jobs == of("align_average", "align_recording") | SUMMARY | {("select_center", "")}
    with np.load(session / "compensated_outputs/c_3/w_to_reference.npz") as w:
        assert not w["u"].any() and not w["v"].any()


def test_added_recording(session):
    shutil.copy(session / "c_3.tif", session / "d_4.tif")  # the middle of four is the second, as of three
    run = redo(session)
    own = of("compensate_recording", "average_recording", "align_average", "align_recording", names=["d_4"])
    assert run.jobs == own | SUMMARY | {("select_center", "")}, run.output


@pytest.mark.parametrize(
    "path, damage, rule",
    [
        ("compensated_outputs/a_1/compensated.hdf5", "truncated", "compensate_recording"),
        ("compensated_outputs/a_1/w_to_reference.npz", "overwritten", "align_average"),
        ("final_results/center.json", "truncated", "select_center"),
    ],
)
def test_damaged_output(session, path, damage, rule):
    sound = (session / path).read_bytes()
    broken = sound[: len(sound) // 2] if damage == "truncated" else b"\0" * len(sound)
    (session / path).write_bytes(broken)
    plan = snakemake(session, "-n")
    assert f"Damaged: {path}" in plan.output and rule in dict(plan.jobs), plan.output
    assert (session / path).read_bytes() == broken  # a dry run repairs nothing
    assert rule in dict(redo(session).jobs)
    assert (session / path).stat().st_size == len(sound)


def test_damaged_again_is_redone_again(session):
    path = session / "compensated_outputs/a_1/w_to_reference.npz"
    for _ in range(2):
        os.truncate(path, 100)
        assert ("align_average", "a_1") in redo(session).jobs


def test_killed_compensation_goes_on(tmp_path):
    simulate_session(tmp_path, names=["long"], frames=150, shape=(96, 96))
    write_config(tmp_path, flow_options={"quality_setting": "quality", "buffer_size": 4, "reference_frames": "0:10"})
    folder = tmp_path / "compensated_outputs" / "long"
    journal = folder / ".partial" / "journal.jsonl"
    target = "compensated_outputs/long/compensated.hdf5"

    process = subprocess.Popen(
        command("--configfile", "session.yaml", "--cores", "2", target),
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
        assert process.poll() is None and time.monotonic() < deadline, "not killed in time"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # Snakemake and its job
    process.wait()
    done = len(journal.read_bytes().splitlines()) - 1
    calibration = (folder / ".partial" / "calibration.json").read_bytes()
    assert json.loads(calibration)["automatic"]
    assert done >= 5 and not (folder / "compensated.hdf5").exists()

    assert snakemake(tmp_path, "--unlock").returncode == 0
    run = snakemake(tmp_path, target)
    assert run.returncode == 0, run.output
    log = (tmp_path / "logs/compensate_recording/long.log").read_text("utf-8")
    assert f"{4 * done} of 150 frames are done" in log

    def digests():
        return {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("compensated.hdf5", "idx.hdf", "reference_frame.npy", "calibration.json", "statistics.npz")
        }

    resumed = digests()
    assert (folder / "calibration.json").read_bytes() == calibration
    assert snakemake(tmp_path, "--forceall", target, config=["n_workers=1"]).returncode == 0
    assert digests() == resumed
    assert json.loads((folder / "status.json").read_text("utf-8"))["stage1"] == "done"
