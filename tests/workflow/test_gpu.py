"""A whole session on a GPU, or on the stand-in where there is none."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import GPU, STAND_IN
from tests.workflow.conftest import NAMES, snakemake

USE_GPU = {"compensate_recording", "align_average", "align_recording"}
stand_in_only = pytest.mark.skipif(GPU is not None, reason="needs a machine without CuPy")


@pytest.fixture
def with_cupy(monkeypatch):
    if GPU is None:
        monkeypatch.setenv("PYTHONPATH", str(STAND_IN))


def log(folder, rule, name):
    return (folder / "logs" / rule / f"{name}.log").read_text("utf-8")


@pytest.fixture(scope="module")
def done(finished, recordings, tmp_path_factory):
    """A session that a GPU has finished; not to be changed."""
    folder = Path(shutil.copytree(recordings, tmp_path_factory.mktemp("gpu") / "session"))
    with pytest.MonkeyPatch.context() as patch:
        if GPU is None:
            patch.setenv("PYTHONPATH", str(STAND_IN))
        run = snakemake(folder, config=("flow_backend=cupy",))
    assert run.returncode == 0, run.output
    return folder, run


def test_the_result_is_that_of_the_cpu(done, finished):
    folder, _ = done
    for name in NAMES:
        for rule in USE_GPU - ({"align_average"} if name == NAMES[1] else set()):  # the center has nothing to align
            assert re.search(r"flow_backend: cupy computes on GPU cuda:0", log(folder, rule, name))
        status = json.loads((folder / "compensated_outputs" / name / "status.json").read_text("utf-8"))
        assert status["versions"]["backend"] == "cupy"
    ours, theirs = (np.load(root / "final_results" / "final_valid_idx.npz") for root in (folder, finished))
    assert (ours["final_valid"] != theirs["final_valid"]).mean() < 0.01
    for u in ("displacement_fields_u", "displacement_fields_v"):
        assert np.abs(ours[u] - theirs[u]).mean() < 0.02


def test_rules_that_use_it_ask_for_a_gpu(done):
    _, run = done
    asked = re.findall(
        r"^(?:local)?(?:rule|checkpoint) (\w+):\n(?:    .*\n)*?    resources: .*\bgpu=1\b", run.output, re.M
    )
    assert set(asked) == USE_GPU


def test_another_backend_is_no_reason_to_compute_again(done):
    folder, _ = done
    assert snakemake(folder, "-n", config=("flow_backend=numba",)).nothing_to_do


@stand_in_only
def test_auto_without_cupy_is_the_cpu(finished):
    run = snakemake(finished, "-n", "-F")
    assert run.returncode == 0 and "gpu=" not in run.output
    assert "computes on the CPU" in log(finished, "compensate_recording", NAMES[0])


@stand_in_only
def test_cupy_that_is_not_installed_stops_at_once(fresh):
    run = snakemake(fresh, config=("flow_backend=cupy",))
    assert run.returncode != 0 and "make setup-gpu" in run.output and not (fresh / "logs").exists()


@stand_in_only
def test_no_device_stops_before_computing(fresh, with_cupy, monkeypatch):
    monkeypatch.setenv("FLOWSESSION_STAND_IN_DEVICES", "0")
    target = f"compensated_outputs/{NAMES[0]}/status.json"
    run = snakemake(fresh, target, config=("flow_backend=cupy",))
    assert run.returncode != 0 and "nvidia-smi" in log(fresh, "compensate_recording", NAMES[0])
    assert not (fresh / "compensated_outputs" / NAMES[0]).exists()
