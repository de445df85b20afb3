"""Stage 1 of another tool is continued: its files stay as they are, and what follows is as if it were ours."""

import hashlib
import json

import h5py
import numpy as np
import pytest

from .conftest import FRAMES, NAMES, of, snakemake, write_config

ORDER = (0, 2, 1)  # what MATLAB writes as height x width x frames


@pytest.fixture
def elsewhere(finished, tmp_path):
    """Compensated movies of the finished session in MATLAB's order, as folders without any status of ours."""
    root = tmp_path / "elsewhere"
    for name in NAMES:
        folder, made = root / "other" / name, finished / "compensated_outputs" / name
        folder.mkdir(parents=True)
        for theirs, ours in (("compensated.HDF5", "compensated.hdf5"), ("idx.hdf", "idx.hdf")):
            with h5py.File(made / ours) as source, h5py.File(folder / theirs, "w") as file:
                file["ch1"] = source["ch1"][:].transpose(ORDER)
        (folder / "status.json").write_text('{"stage1": "done", "stage2": "done"}')
        np.save(folder / "temporal_average.npy", np.load(made / "temporal_average.npy")[..., None])
        if name != NAMES[0]:  # one average has to be computed
            np.save(folder / "reference_frame.npy", np.load(made / "reference_frame.npy"))
            (folder / "temporal_average.npy").unlink()
    write_config(root, stage1="external", output_root="other", align_output_format="none")
    return root


def content(folder):
    given = ("compensated.HDF5", "idx.hdf", "temporal_average.npy", "reference_frame.npy")
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.name in given}


def test_stages_2_and_3_run_on_it(finished, elsewhere):
    before = content(elsewhere)
    assert len(before) == 9
    run = snakemake(elsewhere, "all", "export_traces")
    assert run.returncode == 0, run.output
    assert {job for job in run.jobs if "recording" in job[0]} == of("adopt_recording", "align_recording")
    assert content(elsewhere) == before
    with (
        np.load(finished / "final_results" / "final_valid_idx.npz") as ours,
        np.load(elsewhere / "final_results" / "final_valid_idx.npz") as theirs,
    ):
        for key in set(ours.files) - {"compensated_h5_paths", "aligned_video_paths"}:
            np.testing.assert_array_equal(theirs[key], ours[key], key)
        assert theirs["compensated_h5_paths"][1] == str(elsewhere / "other" / NAMES[1] / "compensated.HDF5")
        mask = ours["final_valid"]
    with h5py.File(elsewhere / "final_results" / "traces.h5") as file:
        center = file["ch1"][FRAMES : 2 * FRAMES]
    with h5py.File(finished / "compensated_outputs" / NAMES[1] / "compensated.hdf5") as movie:
        np.testing.assert_array_equal(center, movie["ch1"][:][:, mask])
    status = json.loads((elsewhere / "other" / NAMES[0] / "status.json").read_text())
    assert status["stage1"] == status["stage2"] == "done" and status["external"]["axes"] == "TXY"
    assert snakemake(elsewhere, "-n", "all", "export_traces").nothing_to_do

    with h5py.File(elsewhere / "other" / NAMES[2] / "compensated.HDF5", "a") as file:
        file["ch1"][0] += 1
    again = snakemake(elsewhere, "-n").jobs
    assert ("adopt_recording", NAMES[2]) in again and ("adopt_recording", NAMES[0]) not in again


def test_nothing_to_take_over(fresh):
    run = snakemake(fresh, "-n", config=["stage1=external"])
    assert run.returncode != 0 and "stage1: 'external' takes every folder in 'compensated_outputs'" in run.output
