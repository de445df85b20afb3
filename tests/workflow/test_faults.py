"""What goes wrong around a run: the disk, another run, a file that is taken away. Disks are made in namespaces."""

import os
import shlex
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from .conftest import Run, command, write_config

TARGET = "compensated_outputs/a_1/compensated.hdf5"


def with_disk(folder: Path, script: str) -> str:
    """Run a shell script where `compensated_outputs` can be mounted; `run TARGET` in it calls Snakemake."""
    call = shlex.join(command("--configfile", "session.yaml", "--cores", "2"))
    prelude = f'run() {{ {call} "$@"; echo "exit status $?"; }}\nmkdir compensated_outputs\n'
    probe = ["unshare", "--map-root-user", "--mount", "--", "mount", "-t", "tmpfs", "none", "/mnt"]
    if os.geteuid() == 0:
        probe.remove("--map-root-user")
    can = subprocess.run(probe, capture_output=True, text=True)
    assert can.returncode == 0, f"needs mount namespaces: root, or user namespaces for everybody: {can.stderr}"
    done = subprocess.run(
        [*probe[:-6], "bash", "-c", prelude + script],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    return done.stdout


def test_full_disk(fresh):
    """It is noticed before anything is computed, nothing is left half-written, and with more room the run goes on."""
    output = with_disk(
        fresh,
        f"""
        mount -t tmpfs -o size=200k none compensated_outputs
        run {TARGET}
        echo first run is over
        find compensated_outputs -type f -size +0
        mount -o remount,size=100m compensated_outputs
        run {TARGET}
        find compensated_outputs -type f
        """,
    )
    first, rest = output.split("first run is over")
    assert "exit status 1" in first and "No space left on device" in first, first
    assert "bytes are free there. Make room" in first and "Traceback" not in first
    left = rest.split("\n", 1)[1].split("SNAKEMAKE")[0]
    assert "compensated.hdf5" not in left and "idx.hdf" not in left, left
    assert "exit status 0" in rest and TARGET in rest.split("exit status 0")[1]


def test_read_only_results(fresh):
    output = with_disk(fresh, f"mount -t tmpfs -o ro none compensated_outputs\nrun {TARGET}")
    assert "exit status 1" in output and "Traceback" not in output
    assert "Read-only file system" in output and "compensated_outputs" in output


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    call = command("--configfile", f"{folder}/session.yaml", "--cores", "1", *arguments)
    return subprocess.Popen(
        ["env", "--default-signal=INT", *call],  # a shell has what it starts in the background ignore it
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def stopped(run):
    """Hold a run, and what it has started, for a while."""
    first = psutil.Process(run.pid)
    first.suspend()  # it starts nothing more
    held = [first, *first.children(recursive=True)]
    for process in held[1:]:
        with suppress(psutil.NoSuchProcess):  # it had just ended
            process.suspend()
    try:
        yield
    finally:
        for process in held:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def test_second_run(fresh, tmp_path):
    """It is refused, also where it is started in another folder, and the first one is not disturbed."""
    write_config(fresh, root=str(fresh), flow_options={"quality_setting": "fast"})
    first = start(fresh, str(fresh / TARGET))
    deadline = time.monotonic() + 200
    while not (fresh / "compensated_outputs/.lock").exists():
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with stopped(first):  # so that it has not ended before the second one looks
        second = subprocess.run(
            command("--configfile", f"{fresh}/session.yaml", "--cores", "1", str(fresh / TARGET)),
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert second.returncode != 0
    said = second.stdout + second.stderr
    assert "another run" in said and str(fresh / "compensated_outputs") in said and str(first.pid) in said, said
    assert "Traceback" not in said
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 0, output


def test_interrupted_while_waiting_for_files(fresh):
    """On a scheduler that tells no exit status a failed job looks like one whose files are late: Ctrl-C is heard."""
    scheduler = "--cluster-generic-submit-cmd", "echo 1 #", "--cluster-generic-status-cmd", "echo success #"
    run = start(fresh, "stage1", "--executor", "cluster-generic", *scheduler, "--jobs", "1", "--latency-wait", "100")
    output = []
    for line in run.stdout:
        output.append(line)
        if "Waiting at most 100 seconds for missing files" in line:
            break
    time.sleep(1)
    run.send_signal(signal.SIGINT)
    begun = time.monotonic()
    output.append(run.communicate(timeout=200)[0])
    assert time.monotonic() - begun < 60
    assert run.returncode != 0 and "Terminating processes on user request" in output[-1], "".join(output)


def test_source_that_vanishes(fresh):
    """After the run has begun: Snakemake names the file and ends; what is done stays, and the next run goes on."""
    run = start(fresh, "--keep-going", "stage1")
    deadline = time.monotonic() + 200
    while not list(fresh.glob("compensated_outputs/*/.partial")):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    at_work = next(fresh.glob("compensated_outputs/*/.partial")).parent.name
    gone = next(path for path in sorted(fresh.glob("*.tif")) if path.stem != at_work)
    away = gone.rename(fresh / "taken")
    output, _ = run.communicate(timeout=400)
    assert run.returncode != 0
    assert f"{gone.name} (missing locally" in output and "Traceback" not in output, output
    assert (fresh / f"final_results/{at_work}_valid_idx.png").exists()
    assert not (fresh / f"compensated_outputs/{gone.stem}/compensated.hdf5").exists()
    away.rename(gone)
    again = start(fresh, "stage1")
    output, _ = again.communicate(timeout=400)
    assert again.returncode == 0, output
    assert ("compensate_recording", at_work) not in Run(0, output).jobs
