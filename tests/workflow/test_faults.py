"""What goes wrong with the disk under the results. Disks are made in namespaces."""

import os
import shlex
import subprocess
from pathlib import Path

from .conftest import command

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
