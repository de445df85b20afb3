"""A full run leaves every file of the data contract."""

import csv
import json

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import loadmat

from lib.simulate import simulate_session

from .conftest import FRAMES, NAMES, SHAPE, snakemake, write_config


def read_mask(path):
    mask = np.asarray(Image.open(path))
    assert set(np.unique(mask)) <= {0, 255}
    return mask > 0


@pytest.mark.parametrize("name", NAMES)
def test_files_of_a_recording(finished, name):
    folder, final = finished / "compensated_outputs" / name, finished / "final_results"
    with h5py.File(folder / "compensated.hdf5") as movie, h5py.File(folder / "idx.hdf") as valid:
        assert list(movie) == ["ch1"]
        assert movie["ch1"].shape == valid["ch1"].shape == (FRAMES, *SHAPE)
        assert (movie["ch1"].dtype, valid["ch1"].dtype) == (np.uint16, np.uint8)
        mean, mask = movie["ch1"][:].mean(axis=0, dtype=np.float64), (valid["ch1"][:] > 0).all(axis=0)
    average = np.load(folder / "temporal_average.npy")
    assert average.dtype == np.float64
    np.testing.assert_allclose(average, mean)
    assert np.load(folder / "reference_frame.npy").shape == SHAPE
    np.testing.assert_array_equal(read_mask(final / f"{name}_valid_idx.png"), mask)
    assert read_mask(final / f"{name}_valid_idx_aligned.png").shape == SHAPE
    with h5py.File(folder / "w_compact.h5") as flow:
        assert {key: (d.shape[0], d.dtype) for key, d in flow.items()} == dict.fromkeys("uv", (FRAMES, np.float16))
    aligned = tifffile.imread(final / f"aligned_{name}.tif")
    assert (aligned.shape, aligned.dtype) == ((FRAMES, *SHAPE), np.uint16)
    with np.load(folder / "statistics.npz") as statistics:
        assert {"mean_disp", "max_disp", "mean_div", "mean_translation"} <= set(statistics)
        assert all(values.shape == (FRAMES,) for values in statistics.values())
    with np.load(folder / "w_to_reference.npz") as w:
        assert {key: (w[key].shape, w[key].dtype) for key in w} == dict.fromkeys("uv", (SHAPE, np.float32))
        moved = np.hypot(w["u"], w["v"]).mean()
        twin = loadmat(folder / "w_to_reference.mat")
        for key in "uv":
            np.testing.assert_array_equal(twin[key], w[key])
    assert moved == 0 if name == NAMES[1] else moved > 0.5  # NAMES[1] is the center
    status = json.loads((folder / "status.json").read_text("utf-8"))
    assert (status["stage1"], status["stage2"], status["frames"]) == ("done", "done", FRAMES)
    made_of = {"setting": "auto", "frames": FRAMES, "left_out": [], "frames_resemble_each_other": True}
    assert status["reference"] == made_of
    calibration = json.loads((folder / "calibration.json").read_text("utf-8"))
    assert calibration["automatic"] and len(calibration["curve"]) > 5 and calibration["note"] is None
    assert {key: calibration[key] for key in ("alpha", "predicted_epe")} == {
        key: status[key] for key in ("alpha", "predicted_epe")
    }
    assert 0 < calibration["predicted_epe"] == min(point["epe"] for point in calibration["curve"]) < 2
    assert status["source"]["bytes"] == (finished / f"{name}.tif").stat().st_size
    assert status["files"]["compensate_recording"]["idx.hdf"]["bytes"] == (folder / "idx.hdf").stat().st_size
    assert not (folder / ".partial").exists()


def test_files_of_the_session(finished):
    final = finished / "final_results"
    center = json.loads((final / "center.json").read_text("utf-8"))
    assert center["center"] == NAMES[1] and set(center["scores"]) == set(NAMES) and center["how"]
    assert json.loads((final / "status.json").read_text("utf-8"))["stage3"] == "done"

    aligned = np.stack([read_mask(final / f"{name}_valid_idx_aligned.png") for name in NAMES])
    averages = [np.load(finished / "compensated_outputs" / n / "temporal_average.npy") for n in NAMES]
    with np.load(final / "final_valid_idx.npz") as arrays:
        npz = dict(arrays)
    np.testing.assert_array_equal(npz["final_valid"], aligned.all(axis=0))
    np.testing.assert_array_equal(npz["final_valid"], read_mask(final / "final_valid_idx.png"))
    np.testing.assert_array_equal(npz["aligned_valid_masks"], aligned)
    np.testing.assert_array_equal(npz["temporal_averages"], averages)
    np.testing.assert_array_equal(npz["reference_average"], averages[1])
    assert npz["per_seq_valid_masks"].shape == (3, *SHAPE)
    assert npz["displacement_fields_u"].shape == npz["displacement_fields_v"].shape == (3, *SHAPE)
    assert npz["middle_idx"] == 1
    assert [path.rsplit("/", 2)[-2] for path in npz["compensated_h5_paths"]] == NAMES
    assert [path.rsplit("/", 1)[-1] for path in npz["aligned_video_paths"]] == [f"aligned_{n}.tif" for n in NAMES]

    mat = loadmat(final / "final_valid_idx.mat", squeeze_me=True)
    assert set(npz) <= set(mat) and mat["middle_idx"] == 2
    np.testing.assert_array_equal(mat["final_valid"], npz["final_valid"])
    assert list(mat["compensated_h5_paths"]) == list(npz["compensated_h5_paths"])

    with open(final / "session_summary.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["recording"] for row in rows] == NAMES
    assert all(float(row["mean_displacement_px"]) > 0 for row in rows)
    assert np.asarray(Image.open(final / "summary.png")).std() > 10  # something is drawn


def test_every_job_has_a_log_and_a_benchmark(finished):
    for kind, suffix in (("logs", "log"), ("benchmarks", "tsv")):
        per_recording = {
            rule: {path.stem for path in (finished / kind / rule).iterdir()}
            for rule in ("compensate_recording", "average_recording", "align_average", "align_recording")
        }
        assert all(names == set(NAMES) for names in per_recording.values())
        for rule in ("select_center", "intersect_masks", "summarize_session"):
            assert (finished / kind / f"{rule}.{suffix}").exists()
    assert f"{FRAMES}/{FRAMES} frames" in (finished / "logs/compensate_recording/b ü 2.log").read_text("utf-8")


def test_two_channels_and_the_other_options(tmp_path):
    simulate_session(tmp_path, names=["x", "y"], frames=12, shape=(40, 48), between_rigid=1.0)
    for name in "xy":
        movie = tifffile.imread(tmp_path / f"{name}.tif")
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["green"], file["red"] = movie, movie // 2
            file.attrs.update({"frame_rate": 30.0, "pixel_size": (0.5, 0.8)})
    write_config(
        tmp_path,
        pattern="*.h5",
        dataset=["green", "red"],
        output_root="corrected",
        final_results="session results",
        align_output_format="HDF5",
        center="x.h5",
        flow_options={
            "quality_setting": "fast",
            "bin_size": 2,
            "weight": [1, 0.5],
            "sigma": [[1, 1, 0.1], [2, 2, 0.1]],
            "reference_frames": [0, 1, 2, 3],
            "output_typename": "float32",
            "compression": "gzip",
            "save_w": True,
            "save_valid_idx": False,
            "save_meta_info": False,
        },
    )
    run = snakemake(tmp_path)
    assert run.returncode == 0, run.output
    folder = tmp_path / "corrected" / "y"
    with h5py.File(folder / "compensated.hdf5") as movie, h5py.File(folder / "w.h5") as w:
        assert {key: (d.shape, d.dtype, d.compression) for key, d in movie.items()} == dict.fromkeys(
            ("ch1", "ch2"), ((6, 40, 48), np.float32, "gzip")
        )
        assert movie.attrs["frame_rate"] == 15 and list(movie.attrs["pixel_size"]) == [0.5, 0.8]
        assert {key: (d.shape, d.dtype) for key, d in w.items()} == dict.fromkeys("uv", ((6, 40, 48), np.float32))
    status = json.loads((folder / "status.json").read_text("utf-8"))
    assert (status["frame_rate"], status["pixel_size"]) == (15, [0.5, 0.8])
    assert not (folder / "idx.hdf").exists() and not (folder / "statistics.npz").exists()
    assert np.load(folder / "temporal_average.npy").shape == (40, 48, 2)
    with h5py.File(tmp_path / "session results" / "aligned_y.h5") as aligned:
        assert {key: d.shape for key, d in aligned.items()} == dict.fromkeys(("ch1", "ch2"), (6, 40, 48))
    assert json.loads((tmp_path / "session results/center.json").read_text())["center"] == "x"
    assert snakemake(tmp_path, "-n").nothing_to_do
