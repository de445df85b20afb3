"""Compensation split over several jobs: the same results, whatever happens on the way."""

import hashlib
import os
import signal
import subprocess
import time

from lib.simulate import simulate_session

from .conftest import command, of, snakemake, write_config
from .test_snakemake import CLUSTER

TARGET = "compensated_outputs/b ü 2/temporal_average.npy"
RESULTS = ("compensated.hdf5", "idx.hdf", "w_compact.h5", "statistics.npz", "reference_frame.npy", "calibration.json")


def digests(folder, name="b ü 2"):
    """What the files of a recording contain."""
    return [hashlib.sha256((folder / "compensated_outputs" / name / file).read_bytes()).digest() for file in RESULTS]


def shards_run(run):
    """How many jobs of the recording's frames a run had."""
    return run.output.count("rule compensate_shard:")


def test_shards_change_no_result_and_finished_recordings_keep_theirs(finished, fresh):
    run = snakemake(fresh, TARGET, config=["shards=3"])
    assert run.returncode == 0 and shards_run(run) == 3, run.output
    assert digests(fresh) == digests(finished)
    assert not (fresh / "compensated_outputs/b ü 2/.partial").exists()

    # what is finished keeps its number, what is not takes the new one
    assert snakemake(fresh, "-n", TARGET, config=["shards=2"]).nothing_to_do
    assert snakemake(fresh, "-n", TARGET).nothing_to_do
    rest = snakemake(fresh, "-n", "stage1", config=["shards=2"])
    assert of("compensate_recording", "average_recording", names=["a_1", "c_3"]) <= rest.jobs
    assert ("compensate_recording", "b ü 2") not in rest.jobs and shards_run(rest) == 4
    write_config(fresh, flow_options={"quality_setting": "fast", "alpha": 20})
    assert shards_run(snakemake(fresh, "-n", TARGET, config=["shards=2"])) == 2

    again = snakemake(fresh, *CLUSTER, TARGET, config=["shards=2"])  # where every job parses the workflow
    assert again.returncode == 0, again.output
    assert snakemake(fresh, "-n", TARGET, config=["shards=2"]).nothing_to_do


def test_a_split_recording_that_was_damaged_is_redone(fresh, finished):
    assert snakemake(fresh, TARGET, config=["shards=2"]).returncode == 0
    os.truncate(fresh / "compensated_outputs/b ü 2/compensated.hdf5", 3000)
    run = snakemake(fresh, TARGET)
    assert run.returncode == 0 and ("compensate_recording", "b ü 2") in run.jobs, run.output
    assert digests(fresh) == digests(finished)
    assert snakemake(fresh, "-n", TARGET).nothing_to_do


def test_one_shard_needs_no_further_jobs(fresh):
    jobs = snakemake(fresh, "-n", "stage1", config=["shards=1"]).jobs
    assert jobs - {("stage1", "")} == of("compensate_recording", "average_recording")
    assert snakemake(fresh, "-n", "stage1").jobs == jobs  # nor do short recordings


def test_killed_shards_go_on(tmp_path):
    simulate_session(tmp_path, names=["long"], frames=120, shape=(96, 96))
    write_config(
        tmp_path,
        shards=2,
        n_workers=1,
        flow_options={"quality_setting": "quality", "buffer_size": 4, "reference_frames": "0:10", "alpha": 20},
    )
    partial, target = tmp_path / "compensated_outputs/long/.partial", "compensated_outputs/long/compensated.hdf5"
    process = subprocess.Popen(
        command("--configfile", "session.yaml", "--cores", "2", target),
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not any(path.read_bytes().count(b"\n") >= 3 for path in partial.glob("journal_*.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline, "not killed in time"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # Snakemake and its jobs
    process.wait()
    done = {path.name[8:-6]: path.read_bytes().count(b"\n") for path in partial.glob("journal_*.jsonl")}
    assert max(done.values()) >= 3

    assert snakemake(tmp_path, "--unlock").returncode == 0
    run = snakemake(tmp_path, "--rerun-incomplete", target)
    assert run.returncode == 0 and "rule prepare_recording" not in run.output, run.output
    for span, batches in done.items():
        log = (tmp_path / f"logs/compensate_shard/long/{span}.log").read_text("utf-8")
        assert f"{4 * batches} of 60 frames are done" in log
    resumed = digests(tmp_path, "long")
    assert snakemake(tmp_path, "--forceall", target, config=["shards=1"]).returncode == 0
    assert digests(tmp_path, "long") == resumed
