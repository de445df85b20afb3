"""What a real SLURM of one node takes for long recordings and for many: not a test, it prints.

    tests/cluster/isolated .venv/bin/python -m tests.cluster.measure long
    tests/cluster/isolated .venv/bin/python -m tests.cluster.measure many 10 100 1000 --group 5

after tests/cluster/install.
"""

import argparse
import csv
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import yaml

from lib.simulate import make_scene, simulate_recording

from .run import ClusterRun
from .scheduler import CPUS, Scheduler
from .slurm import Slurm

LONG = {"frames": 20_000, "side": 384, "quality": "quality"}
TINY = {"frames": 3, "side": 48, "quality": "fast", "alpha": 10, "reference_frames": [0]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.measure", description=__doc__)
    parser.add_argument("what", choices=["long", "many"])
    parser.add_argument("recordings", type=int, nargs="*", default=[10, 30, 100], help="how many (%(default)s)")
    parser.add_argument("--frames", type=int, default=LONG["frames"], help="of the long recording (%(default)s)")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where sessions are made (%(default)s)")
    parser.add_argument("--group", type=int, default=1, help="tiny recordings per submission (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="in the queue at once (%(default)s)")
    args = parser.parse_args()
    with (
        # a submission asks for the processors of all its recordings
        Slurm(Path(os.environ["FLOWSESSION_CLUSTER"]), cpus=max(CPUS, args.jobs * args.group)) as slurm,
        tempfile.TemporaryDirectory(dir=args.folder, prefix="flowsession-") as folder,
    ):
        print(slurm.version(), flush=True)
        if args.what == "long":
            long(slurm, Path(folder), args.frames)
        else:
            print(
                "| recordings | submissions | jobs | s | CPU s | CPU s per job | again, s | main process, MB |",
                flush=True,
            )
            for count in args.recordings:
                many(slurm, Path(folder, str(count)), count, args.jobs, args.group)


def make_session(folder: Path, count: int, settings: dict, *, frames: int, side: int, quality: str, **options) -> None:
    """A session of `count` recordings, of some simulated frames over and over."""
    folder.mkdir()
    movie = simulate_recording(make_scene((side, side), seed=1), frames=40, seed=2).movie
    with tifffile.TiffWriter(folder / "recording_0000.tif", bigtiff=True) as file:
        blocks = (movie[np.arange(t, min(t + 40, frames)) % 40] for t in range(0, frames, 40))
        for block in blocks:
            file.write(block, contiguous=True, photometric="minisblack")
    for number in range(1, count):
        shutil.copy(folder / "recording_0000.tif", folder / f"recording_{number:04}.tif")
    settings |= {"root": ".", "n_workers": 1, "flow_options": {"quality_setting": quality, **options}}
    (folder / "session.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def long(slurm: Scheduler, folder: Path, frames: int) -> None:
    """Seconds of a session of one long recording, one thread per job, with one worker and with two."""
    seconds = {}
    for workers in (1, 2):
        session = folder / "session"
        make_session(session, 1, {"align_output_format": "none"}, **LONG | {"frames": frames})
        before, start = len(slurm.submissions()), time.time()
        seconds[workers] = timed(slurm, session, "--jobs", str(workers))
        print(f"{workers} workers: {seconds[workers]:.0f} s; submissions ran from second to second:", flush=True)
        for job in slurm.submissions()[before:]:
            print(f"  {job.began - start:.0f} to {job.ended - start:.0f}", flush=True)
        for path in sorted((session / "benchmarks").rglob("*.tsv")):
            print(f"  {path.relative_to(session / 'benchmarks')}: {rows(path)[0]['s']} s", flush=True)
        shutil.rmtree(session)
    print(f"{frames} frames of {LONG['side']} x {LONG['side']}: {seconds[2] / seconds[1]:.2f} times", flush=True)


def many(slurm: Scheduler, folder: Path, count: int, jobs: int, group: int) -> None:
    """Run a session of tiny recordings, run it again, and print a row of the table."""
    make_session(folder, count, {}, **TINY)
    before, cpu = len(slurm.submissions()), cpu_seconds()
    seconds = timed(
        slurm, folder, "--jobs", str(jobs), "--group-components", f"recording={group}", f"alignment={group}"
    )
    cpu = cpu_seconds() - cpu
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    scripts = [float(row["s"]) for path in (folder / "benchmarks").rglob("*.tsv") for row in rows(path)]
    again = timed(slurm, folder, nothing_to_do=True)
    submissions = len(slurm.submissions()) - before
    cells = submissions, len(scripts), seconds, cpu, cpu / len(scripts), again, peak
    print("| {} | {} | {} | {:.0f} | {:.0f} | {:.2f} | {:.1f} | {:.0f} |".format(count, *cells), flush=True)
    shutil.rmtree(folder)


def cpu_seconds() -> float:
    """Processor time of all that runs inside `isolated`, the scheduler and its jobs included."""
    return int(Path("/sys/fs/cgroup/cpuacct/cpuacct.usage").read_text()) / 1e9


def timed(slurm: Scheduler, session: Path, *arguments: str, nothing_to_do: bool = False) -> float:
    """Seconds of a run that must succeed."""
    start = time.perf_counter()
    run = ClusterRun(session, slurm, *arguments)
    if run.wait(24 * 3600) or nothing_to_do != ("Nothing to be done" in run.output):
        raise SystemExit(run.output)
    return time.perf_counter() - start


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


if __name__ == "__main__":
    main()
