"""A blank and a far shifted frame: listed, and left out of mask and average if asked for."""

import csv
import json

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from lib.simulate import simulate_session

from .conftest import of, snakemake, write_config

SHAPE = (80, 96)
BAD = [4, 13]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A finished session whose first recording has two bad frames."""
    folder = tmp_path_factory.mktemp("bad frames")
    simulate_session(folder, names=["a", "b"], frames=20, shape=SHAPE, between_rigid=2.0)
    movie = tifffile.imread(folder / "a.tif")
    movie[BAD[0]] = np.random.default_rng(0).normal(100, 10, SHAPE).clip(0)
    movie[BAD[1]] = np.roll(movie[BAD[1]], 22, axis=1)
    tifffile.imwrite(folder / "a.tif", movie, photometric="minisblack")
    write_config(folder, flow_options={"quality_setting": "fast", "alpha": 10})
    run = snakemake(folder)
    assert run.returncode == 0, run.output
    return folder


def results(folder):
    own = folder / "compensated_outputs" / "a"
    with h5py.File(own / "compensated.hdf5") as movie, h5py.File(own / "idx.hdf") as valid:
        mask = np.asarray(Image.open(folder / "final_results/a_valid_idx.png")) > 0
        return movie["ch1"][:], valid["ch1"][:] > 0, mask, np.load(own / "temporal_average.npy")


def test_bad_frames_are_told_and_left_out_on_demand(session):
    status = json.loads((session / "compensated_outputs/a/status.json").read_text("utf-8"))
    assert status["reference"]["left_out"] == BAD and status["reference"]["frames"] == 18
    assert status["outliers"]["frames"] == BAD and not status["outliers"]["excluded"]
    with np.load(session / "compensated_outputs/a/statistics.npz") as statistics:
        assert np.flatnonzero(statistics["outlier"]).tolist() == BAD
    movie, valid, mask, average = results(session)
    np.testing.assert_array_equal(mask, valid.all(0))
    np.testing.assert_allclose(average, movie.mean(0))
    np.testing.assert_allclose(np.load(session / "compensated_outputs/a/valid_fraction.npy"), valid.mean(0), rtol=1e-6)
    usual = np.delete(valid, BAD, axis=0).all(0)
    assert status["outliers"]["valid_pixels"] == mask.sum() < usual.sum()
    assert status["outliers"]["valid_pixels_without_them"] == usual.sum()
    with open(session / "final_results/session_summary.csv", newline="", encoding="utf-8") as file:
        rows = {row["recording"]: row for row in csv.DictReader(file)}
    assert (rows["a"]["outlier_frames"], rows["b"]["outlier_frames"]) == ("2", "0")
    assert float(rows["a"]["valid_fraction_without_outliers"]) == pytest.approx(usual.mean(), abs=1e-4)

    run = snakemake(session, config=["mask_exclude_outliers=True"])
    assert run.returncode == 0, run.output
    assert of("average_recording", names="ab") <= run.jobs and "compensate_recording" not in dict(run.jobs)
    movie, valid, mask, average = results(session)
    np.testing.assert_array_equal(mask, usual)
    np.testing.assert_allclose(average, np.delete(movie, BAD, axis=0).mean(0))
    assert snakemake(session, "-n", config=["mask_exclude_outliers=True"]).nothing_to_do
