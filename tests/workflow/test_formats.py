"""Recordings of several files, channels and planes go through the whole workflow."""

import csv
import json

import h5py
import numpy as np
import tifffile
import zarr

from lib.simulate import simulate_session

from .conftest import snakemake, write_config


def test_channels_that_take_turns_in_several_files(tmp_path):
    simulate_session(tmp_path, names=["x", "y"], frames=12, shape=(40, 48), between_rigid=1.0)
    for name in "xy":
        movie = tifffile.imread(tmp_path / f"{name}.tif")
        turns = np.stack([movie, movie // 2], axis=1).reshape(-1, 40, 48)
        for i, part in enumerate(np.split(turns, [7])):  # cut in the middle of a frame
            tifffile.imwrite(tmp_path / f"run_{name}_{i + 1:05}.tif", part, photometric="minisblack")
    write_config(
        tmp_path,
        recordings="run_*.tif",
        channels=["green", "red"],
        flow_options={"quality_setting": "fast", "weight": [1, 0.5], "reference_frames": "0:4"},
    )
    run = snakemake(tmp_path)
    assert run.returncode == 0, run.output
    folder = tmp_path / "compensated_outputs" / "run_y"
    with h5py.File(folder / "compensated.hdf5") as movie:
        green, red = movie["ch1"][:].astype(float), movie["ch2"][:].astype(float)
    assert green.shape == (12, 40, 48)
    assert np.abs(green / 2 - red).mean() < 1  # both were warped by one flow
    status = json.loads((folder / "status.json").read_text("utf-8"))
    assert status["channels"] == ["green", "red"] and status["source"]["files"] == 2
    assert snakemake(tmp_path, "-n").nothing_to_do

    last = tmp_path / "run_y_00002.tif"
    tifffile.imwrite(last, tifffile.imread(last) + 1, photometric="minisblack")
    again = snakemake(tmp_path, "-n")
    assert ("compensate_recording", "run_y") in again.jobs and ("compensate_recording", "run_x") not in again.jobs


def test_every_plane_is_a_recording(tmp_path):
    simulate_session(tmp_path, names=["x"], frames=8, shape=(40, 48))
    movie = tifffile.imread(tmp_path / "x.tif")
    volume = np.stack([movie, movie[:, ::-1]], axis=1)
    tifffile.imwrite(tmp_path / "v.ome.tif", volume, photometric="minisblack", metadata={"axes": "TZYX"})
    write_config(tmp_path, pattern="v.ome.tif", planes="split", flow_options={"quality_setting": "fast"})
    run = snakemake(tmp_path, "stage1")
    assert run.returncode == 0, run.output
    upright, flipped = (
        np.load(tmp_path / "compensated_outputs" / f"v.ome_plane{plane}" / "temporal_average.npy") for plane in (1, 2)
    )
    assert np.corrcoef(upright.ravel(), flipped[::-1].ravel())[0, 1] > 0.95
    assert np.corrcoef(upright.ravel(), flipped.ravel())[0, 1] < 0.8


def test_formats_of_several_files_are_watched(tmp_path):
    """A Zarr folder and a raw file with its JSON: the same movie gives the same result, and every file counts."""
    simulate_session(tmp_path, names=["x"], frames=8, shape=(40, 48))
    movie = tifffile.imread(tmp_path / "x.tif")
    zarr.create_array(tmp_path / "a b.zarr", data=movie, chunks=(4, 40, 48))
    movie.tofile(tmp_path / "raw.bin")
    sidecar = tmp_path / "raw.json"
    sidecar.write_text(json.dumps({"shape": movie.shape, "dtype": movie.dtype.name, "frame_rate": 20}))
    write_config(tmp_path, pattern=["*.zarr", "*.bin", "x.tif"], flow_options={"quality_setting": "fast"})
    run = snakemake(tmp_path, "stage1")
    assert run.returncode == 0, run.output
    averages = [np.load(tmp_path / "compensated_outputs" / n / "temporal_average.npy") for n in ("a b", "raw", "x")]
    np.testing.assert_array_equal(averages[0], averages[2])
    np.testing.assert_array_equal(averages[1], averages[2])
    with h5py.File(tmp_path / "compensated_outputs" / "raw" / "compensated.hdf5") as compensated:
        assert compensated.attrs["frame_rate"] == 20
    assert snakemake(tmp_path, "-n", "stage1").nothing_to_do

    zarr.open(tmp_path / "a b.zarr")[7] = 5
    sidecar.write_text(sidecar.read_text().replace("20", "25"))
    again = {name for rule, name in snakemake(tmp_path, "-n", "stage1").jobs if rule == "compensate_recording"}
    assert again == {"a b", "raw"}


def test_every_second_row_is_moved_back(tmp_path):
    """As the setting says; the aligned movie, sampled from the raw frames, is corrected like the compensated one."""
    simulate_session(tmp_path, names=["x", "y"], frames=12, shape=(64, 72), photons=100, between_rigid=0.0, rigid=0.5)
    movie = tifffile.imread(tmp_path / "y.tif")
    movie[:, 1::2] = np.roll(movie[:, 1::2], 3, axis=2)
    tifffile.imwrite(tmp_path / "y.tif", movie, photometric="minisblack")
    write_config(tmp_path, bidiphase="auto", flow_options={"quality_setting": "fast", "alpha": 10})
    run = snakemake(tmp_path, "final_results/session_summary.csv", "final_results/aligned_y.tif")
    assert run.returncode == 0, run.output
    outputs = tmp_path / "compensated_outputs"
    assert [json.loads((outputs / name / "status.json").read_text("utf-8"))["bidiphase"] for name in "xy"] == [0, 3]
    with open(tmp_path / "final_results" / "session_summary.csv", encoding="utf-8") as table:
        assert [row["bidiphase_px"] for row in csv.DictReader(table)] == ["0", "3"]
    aligned = tifffile.imread(tmp_path / "final_results" / "aligned_y.tif").mean(axis=0)
    compensated = np.load(outputs / "y" / "temporal_average.npy")

    def comb(image):  # how much rows differ from the rows around, at the edge of structures
        rows = image[1:-1, 8:-8] - (image[:-2, 8:-8] + image[2:, 8:-8]) / 2
        return np.abs(rows).mean()

    assert max(comb(aligned), comb(compensated)) < 0.7 * comb(movie.mean(axis=0))
    assert "bidiphase" in snakemake(tmp_path, "-n", config=("bidiphase=2",)).output
