"""The conda environments and the virtual environment hold the same versions."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
ENVS = REPOSITORY / "envs"


def pins(lines) -> dict[str, str]:
    return dict(line.strip().lower().split("==") for line in lines if "==" in line)


@pytest.mark.parametrize("name", ["cpu.yaml", "gpu.yaml"])
def test_versions_agree(name):
    ours = pins((ENVS / "requirements.txt").read_text("utf-8").splitlines())
    environment = yaml.safe_load((ENVS / name).read_text("utf-8"))
    listed = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    wanted = pins(listed)
    assert len(wanted) > 10
    assert {package: ours[package] for package in wanted if not package.startswith("cupy")} == {
        package: version for package, version in wanted.items() if not package.startswith("cupy")
    }


@pytest.mark.parametrize(
    "seen, given, wanted",
    [
        ("580.95.05, 8.9", (), "cupy-cuda13x[ctk]=="),
        ("590.10, 12.0", (), "cupy-cuda13x[ctk]=="),
        ("570.86.10, 9.0", (), "cupy-cuda12x[ctk]=="),
        ("580.65.06, 7.0", (), "cupy-cuda12x[ctk]=="),  # CUDA 13 knows no Volta
        ("", ("CUDA=12",), "cupy-cuda12x[ctk]=="),  # a login node
        ("470.82.01, 8.6", (), "found driver 470.82.01"),
        ("", (), "nvidia-smi shows no GPU"),
    ],
)
def test_the_driver_decides_which_cupy_is_installed(tmp_path, seen, given, wanted):
    (tmp_path / "nvidia-smi").write_text(f'#!/bin/sh\n[ -n "{seen}" ] && echo "{seen}"\n', "utf-8")
    (tmp_path / "python").write_text('#!/bin/sh\necho "$@"\n', "utf-8")
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    (tmp_path / "Makefile").write_text((REPOSITORY / "Makefile").read_text("utf-8"), "utf-8")
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "requirements.txt").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".up-to-date").touch()
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["make", "setup-gpu", f"BIN={tmp_path}", *given],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert wanted in done.stdout + done.stderr
    assert (done.returncode == 0) == ("cupy-cuda" in wanted)
