"""`snakemake inspect` tells what there is, also where it cannot be used, and computes nothing."""

import subprocess

import numpy as np
import tifffile

from .conftest import command, write_config


def inspect(folder, *arguments):
    return subprocess.run(
        command("inspect", "--configfile", "session.yaml", *arguments), cwd=folder, capture_output=True, text=True
    )


def test_recordings_are_listed_without_cores_or_results(fresh):
    run = inspect(fresh)
    assert run.returncode == 0, run.stderr
    head, *rows = run.stdout.splitlines()
    assert head.split()[:3] == ["recording", "files", "format"]
    assert [row.split("  ")[0] for row in rows] == ["a_1", "b ü 2", "c_3"]
    assert all("64 x 72" in row and row.endswith("all frames") for row in rows)
    assert not list((fresh / "compensated_outputs").glob("*/*")) and not (fresh / "final_results").exists()


def test_problems_come_with_all_recordings(fresh):
    (fresh / "broken.tif").write_text("frame,x,y")
    tifffile.imwrite(fresh / "small.tif", np.zeros((3, 32, 32), np.uint16), photometric="minisblack")
    tifffile.imwrite(
        *(fresh / "volume.tif", np.zeros((3, 2, 64, 72), np.uint16)), imagej=True, metadata={"axes": "TZYX"}
    )
    run = inspect(fresh)
    assert run.returncode != 0
    assert [row.split("  ")[0] for row in run.stdout.splitlines()[1:]] == [
        *("a_1", "b ü 2", "broken", "c_3", "small", "volume")
    ]
    assert [row.rsplit("  ", 1)[1] for row in run.stdout.splitlines() if row.startswith(("broken", "volume"))] == [
        *["nothing, see below"] * 2
    ]
    for problem in ("broken.tif cannot be opened", "small.tif: height is 32, but 64", "volume.tif holds 2 planes"):
        assert problem in run.stderr


def test_settings_are_told(fresh):
    write_config(fresh, bidiphase="auto", flow_options={"bin_size": 3})
    rows = inspect(fresh, "-n").stdout.splitlines()[1:4]
    assert all(row.endswith("  6 means of 3 frames, every second row moved: auto") for row in rows)
