"""Whole sessions of recordings that offer little to work with: results are finite, or a message says what is wrong."""

import csv
import json
import math

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from lib.simulate import make_scene, simulate_recording

from .conftest import snakemake, write_config

SHAPE = (48, 56)


def recording(frames=6, seed=0):
    return simulate_recording(make_scene(SHAPE, 1), frames=frames, seed=seed, rigid=2.0, nonrigid=0.5).movie


def constant(frames=6):
    return np.full((frames, *SHAPE), 7, np.uint16)


def with_empty_channel(seed):
    return np.stack([recording(seed=seed), np.zeros_like(recording())], axis=1)


SESSIONS = {
    "one recording of one frame": lambda: {"a": recording(1)},
    "a constant image": lambda: {"a": constant()},
    "an empty channel": lambda: {"a": with_empty_channel(0), "b": with_empty_channel(2)},
}


def write_session(folder, movies):
    for name, movie in movies.items():
        axes = "TYX" if movie.ndim == 3 else "TCYX"
        tifffile.imwrite(folder / f"{name}.tif", movie, imagej=True, metadata={"axes": axes})
    write_config(folder, center="auto", align_output_format="HDF5", mask_exclude_outliers=True)


def assert_finite(folder):
    """Every number that the session left is one."""
    seen = set()

    def number(text):
        try:
            return float(text)
        except ValueError:
            return 0.0

    for path in sorted(folder.rglob("*")):
        if ".snakemake" in path.parts:
            continue
        seen.add(path.suffix)
        if path.suffix == ".json":
            json.loads(path.read_text("utf-8"), parse_constant=lambda word, at=path: pytest.fail(f"{at}: {word}"))
        elif path.suffix == ".csv":
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
            assert all(math.isfinite(number(cell)) for row in rows for cell in row), (path, rows)
        elif path.suffix in {".npy", ".npz"}:
            arrays = np.load(path)
            for name, array in arrays.items() if path.suffix == ".npz" else [("", arrays)]:
                assert array.size and (array.dtype.kind not in "fc" or np.isfinite(array).all()), (path, name)
        elif path.suffix in {".h5", ".hdf5"}:
            with h5py.File(path) as file:
                assert all(np.isfinite(dataset[:]).all() for dataset in file.values()), path
        elif path.suffix == ".log":
            assert "Traceback" not in path.read_text("utf-8"), path
            assert "RuntimeWarning" not in path.read_text("utf-8"), path
    assert seen >= {".json", ".csv", ".npy", ".npz", ".h5", ".hdf5", ".log"}


def results(folder, name):
    with h5py.File(folder / "compensated_outputs" / name / "compensated.hdf5") as file:
        channels = [file[key][:] for key in sorted(file)]
    return np.stack(channels, -1), np.asarray(Image.open(folder / "final_results" / "final_valid_idx.png")) > 0


@pytest.mark.parametrize("kind", SESSIONS)
def test_a_session_of(tmp_path, kind):
    movies = SESSIONS[kind]()
    write_session(tmp_path, movies)
    run = snakemake(tmp_path)
    assert run.returncode == 0, run.output
    assert_finite(tmp_path)
    for name, movie in movies.items():
        corrected, mask = results(tmp_path, name)
        assert len(corrected) == len(movie) and mask.mean() > 0.5
        status = json.loads((tmp_path / "compensated_outputs" / name / "status.json").read_text("utf-8"))
        assert status["outliers"]["frames"] == []
        if kind == "a constant image":
            np.testing.assert_array_equal(corrected[..., 0], movie)
            assert mask.all() and status["predicted_epe"] is None
        if kind == "an empty channel":
            assert not corrected[..., 1].any() and status["predicted_epe"] > 0
    if kind == "a constant image":
        log = (tmp_path / "logs/compensate_recording/a.log").read_text("utf-8")
        assert "the frames do not resemble each other" in log and "the reference is constant" in log


def test_a_constant_recording_among_others_is_named(tmp_path):
    write_session(tmp_path, {"a": recording(seed=0), "b": constant(), "c": recording(seed=2)})
    run = snakemake(tmp_path)
    assert run.returncode != 0 and "1 of 3 recordings does not match the others" in run.output, run.output
    assert "b.tif: its average correlates by 0.00" in run.output
    run = snakemake(tmp_path, config=["allow_outlier_recordings=True"])
    assert run.returncode == 0, run.output
    (tmp_path / "logs/select_center.log").write_text("")
    assert_finite(tmp_path)
    with np.load(tmp_path / "compensated_outputs/b/w_to_reference.npz") as field:
        assert not field["u"].any() and not field["v"].any()
