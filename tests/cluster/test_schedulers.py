"""A session through every scheduler's profile, as it is shipped, with all that can happen to jobs there."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
import tifffile
import yaml

from lib.scratch import scratch_folder

from .conftest import FRAMES, NAMES, digests
from .run import ClusterRun
from .scheduler import CPUS, Submission, wait_for

THREADS = 4  # of a job with `n_workers: auto`
ENOUGH_MB = 900


def tight(scheduler) -> tuple[str, ...]:
    """Too little memory, and too little time, for the first attempt at one recording each."""

    def of_both_jobs(resource: str, recording: str, little: int, usual: int) -> list[str]:
        value = f"{little} if wildcards.recording == '{recording}' and attempt == 1 else {usual} * attempt"
        return [f"{rule}:{resource}={value}" for rule in ("compensate_recording", "average_recording")]

    # the time of a submission is the sum of its jobs', and a minute the least that schedulers know
    minute = of_both_jobs("runtime", "b_time", 1, 5)
    minute[1] = minute[1].replace("1 if", "0 if")
    return "--set-resources", *of_both_jobs("mem_mb", "a_memory", scheduler.too_little_mb, ENOUGH_MB), *minute


def test_everything_goes_wrong_once(scheduler, fresh, local):
    """Jobs killed for memory, for time and by hand are sent again with more, go on, and the result is the same."""
    before = len(scheduler.submissions())
    run = ClusterRun(fresh, scheduler, *tight(scheduler))
    with ThreadPoolExecutor() as pool:  # whichever the scheduler starts first
        _, job = pool.map(run.freeze, ["b_time", "c_cancel"])
    scheduler.cancel(job[scheduler.id_variable])
    assert run.wait() == 0, run.output
    assert digests(fresh) == local

    for name in ("b_time", "c_cancel"):
        log = (fresh / f"logs/compensate_recording/{name}.log").read_text("utf-8")
        done = re.search(rf"(\d+) of {FRAMES} frames are done, going on from there", log)
        assert done and 0 < int(done[1]) < FRAMES, log

    submissions = scheduler.submissions()[before:]
    stage1 = [s for s in submissions if s.threads == THREADS][: len(NAMES) + 3]
    # four recordings and three retries; their alignment; the center; the session
    assert len(submissions) == len(NAMES) + 3 + len(NAMES) + 1 + 1, told(submissions)
    asked = [scheduler.too_little_mb] + [ENOUGH_MB] * 3 + [2 * ENOUGH_MB] * 3
    assert sorted(s.memory_mb for s in stage1) == pytest.approx(asked, abs=THREADS)
    assert sorted(s.minutes for s in stage1) == sorted([1] + [10] * 3 + [20] * 3)
    assert at_once(stage1) == CPUS // THREADS

    again = ClusterRun(fresh, scheduler, "-n")
    assert again.wait() == 0 and "Nothing to be done" in again.output


def test_interrupted_and_sent_again(scheduler, fresh):
    """Ctrl-C takes the jobs out of the queue, the next run sends what is missing; a bad recording stops no other.

    All with files in the making on a disk of the node.
    """
    node_disk = fresh / "node"
    node_disk.mkdir()
    with open(fresh / "session.yaml", "a", encoding="utf-8") as settings:
        settings.write(f"scratch: {node_disk}\n")
    for path in fresh.glob("*.tif"):
        movie = tifffile.imread(path).astype(np.float32)
        if path.stem == "d_plain":
            movie[100, 5, 5] = np.nan
        tifffile.imwrite(path, movie, photometric="minisblack")
    before = len(scheduler.submissions())
    run = ClusterRun(fresh, scheduler, "stage1")
    run.freeze("b_time", scratch_folder(str(node_disk), fresh / "compensated_outputs/b_time"))
    wait_for(lambda: (fresh / "final_results/a_memory_valid_idx.png").exists(), "a_memory is done", 200)
    wait_for(lambda: "(Rule: average_recording)" in run.output, "Snakemake knows", 60)
    time.sleep(2)  # and has made its records
    run.interrupt()
    assert run.wait() != 0
    wait_for(lambda: not scheduler.active(), "the queue is empty", 60)
    finished = set(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", run.output))
    assert finished == {"compensate_recording", "average_recording"}

    between = len(scheduler.submissions())
    assert between - before >= 2
    run = ClusterRun(fresh, scheduler, "stage1", "--set-resources", "compensate_recording:gpu=1")
    assert run.wait() != 0
    assert "wildcards: recording=a_memory" not in run.output
    log = (fresh / "logs/compensate_recording/b_time.log").read_text("utf-8")
    assert f"of {FRAMES} frames are done, going on from there" in log
    for name in ("a_memory", "b_time", "c_cancel"):
        assert (fresh / f"final_results/{name}_valid_idx.png").exists(), run.output

    kept = [path.name.partition("-")[0] for path in node_disk.glob("flowsession-*/*")]
    assert kept == ["d_plain"]  # which may go on from there one day

    last_words = run.output[run.output.index("1 of 4 recordings failed") :]
    assert "d_plain: compensate_recording failed" in last_words and "frame 100" in last_words
    said = [path for name in ("slurm", "sge", "pbs") for path in (fresh / "logs" / name).rglob("*") if path.is_file()]
    assert any("frame 100" in path.read_text("utf-8") for path in said), said
    submissions = scheduler.submissions()[between:]
    asked = {(s.threads, s.gpus) for s in submissions}  # an average that was left alone needs neither
    assert (THREADS, 1) in asked and asked <= {(THREADS, 1), (1, 0)}, told(submissions)
    tried = [s for s in submissions if s.failed]
    assert len(tried) == 3
    assert [s.memory_mb / tried[0].memory_mb for s in tried] == pytest.approx([1, 1.5, 2], rel=0.02), told(tried)
    assert tried[0].minutes < tried[1].minutes < tried[2].minutes


@pytest.mark.only("slurm")
def test_thirty_recordings(scheduler, recordings, tmp_path):
    """Several recordings to a submission, as the profile says for tiny ones; and then there is nothing to do."""
    names = [f"tiny_{number:02}" for number in range(30)]
    movie = tifffile.imread(recordings / "d_plain.tif")
    for number, name in enumerate(names):
        tifffile.imwrite(tmp_path / f"{name}.tif", movie[number : number + 12, :64, :64], photometric="minisblack")
    options = {"quality_setting": "fast", "alpha": 10, "reference_frames": [0]}
    settings = {"root": ".", "n_workers": 1, "align_output_format": "none", "flow_options": options}
    (tmp_path / "session.yaml").write_text(yaml.safe_dump(settings))
    before = len(scheduler.submissions())
    run = ClusterRun(tmp_path, scheduler, "--group-components", "recording=4", "alignment=4")
    assert run.wait(1200) == 0, run.output
    assert len(scheduler.submissions()) - before == 8 + 8 + 1 + 1  # recordings, alignments, the center, the session
    with np.load(tmp_path / "final_results/final_valid_idx.npz") as results:
        assert len(results["per_seq_valid_masks"]) == len(names)
    again = ClusterRun(tmp_path, scheduler)
    assert again.wait() == 0 and "Nothing to be done" in again.output
    assert len(scheduler.submissions()) - before == 18


@pytest.mark.only("slurm")
def test_shards(scheduler, fresh, local):
    """A recording whose frames several jobs compensate is the same, to the bit, as one that a single job does."""
    with open(fresh / "session.yaml", "a", encoding="utf-8") as settings:
        settings.write("shards: 2\n")
    before = len(scheduler.submissions())
    movie = "compensated_outputs/d_plain/compensated.hdf5"
    run = ClusterRun(fresh, scheduler, movie)
    assert run.wait() == 0, run.output
    wait_for(lambda: not scheduler.active(), "the queue is empty")
    found = {name: digest for name, digest in digests(fresh).items() if "/d_plain/" in name}
    assert movie in found and found == {name: local[name] for name in found}
    ran = [s for s in scheduler.submissions()[before:] if s.began]
    prepared, *shards, gathered = sorted(ran, key=lambda s: s.began)
    assert len(shards) == 2 and prepared.ended <= min(s.began for s in shards)
    assert max(s.ended for s in shards) <= gathered.began


def told(submissions: list[Submission]) -> str:
    """A line for each, without what the scheduler says at length."""
    return "\n".join(str(replace(submission, text="")) for submission in submissions)


def at_once(submissions: list[Submission]) -> int:
    """How many of them ran at the same time; an end and a begin within the same second count as one after the other."""
    events = [(s.began, 1) for s in submissions if s.began] + [(s.ended, -1) for s in submissions if s.began]
    return max(accumulate(step for _, step in sorted(events)))
