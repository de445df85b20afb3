"""The session for other tools: made on request only, from the real workflow, and equal to the aligned movies."""

import json
import shutil

import h5py
import numpy as np
import pytest
import tifffile

from .conftest import FRAMES, NAMES, SHAPE, snakemake

TARGETS = ["export_suite2p", "export_caiman", "export_traces"]
TOTAL = FRAMES * len(NAMES)


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """A finished session with all exports; not to be changed."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("exported") / "session")
    run = snakemake(folder, *TARGETS)
    assert run.returncode == 0, run.output
    assert run.jobs == {(target, "") for target in TARGETS}
    return folder


@pytest.fixture(scope="module")
def aligned(exported):
    final = exported / "final_results"
    return np.concatenate([tifffile.imread(final / f"aligned_{name}.tif") for name in NAMES])


@pytest.fixture(scope="module")
def mask(exported):
    with np.load(exported / "final_results" / "final_valid_idx.npz") as arrays:
        return arrays["final_valid"]


def test_at_rest_afterwards(exported):
    run = snakemake(exported, "-n", *TARGETS, "all")
    assert run.nothing_to_do, run.output
    for target in TARGETS:
        assert (exported / "logs" / f"{target}.log").exists() and (exported / "benchmarks" / f"{target}.tsv").exists()


def test_traces(exported, aligned, mask):
    with h5py.File(exported / "final_results" / "traces.h5") as file:
        np.testing.assert_array_equal(file["ch1"], aligned[:, mask])
        assert [name.decode() for name in file["recordings"]] == NAMES


def test_caiman(exported, aligned, mask):
    """The name alone tells the shape, as it does CaImAn."""
    (path,) = (exported / "final_results" / "caiman").iterdir()
    parts = path.stem.split("_")
    about = {key: parts[parts.index(key) + 1] for key in ("d1", "d2", "d3", "order", "frames")}
    assert about == {"d1": str(SHAPE[0]), "d2": str(SHAPE[1]), "d3": "1", "order": "F", "frames": str(TOTAL)}
    mapped = np.memmap(path, np.float32, "r", shape=(SHAPE[0] * SHAPE[1], TOTAL), order="F")
    np.testing.assert_array_equal(mapped.T.reshape(TOTAL, *SHAPE, order="F"), np.where(mask, aligned, 0))


def test_suite2p(exported, aligned, mask):
    folder = exported / "final_results" / "suite2p" / "plane0"
    ops, db, settings = (np.load(folder / f"{n}.npy", allow_pickle=True).item() for n in ("ops", "db", "settings"))
    shape = (TOTAL, ops["Ly"], ops["Lx"])
    movie = np.fromfile(folder / "data.bin", np.int16).reshape(shape)
    facts = json.loads((folder / "session.json").read_text("utf-8"))
    crop = slice(*facts["rows"]), slice(*facts["columns"])
    assert mask[crop].all() and facts["gain"] == 1
    assert facts["first_frames"] == {name: i * FRAMES for i, name in enumerate(NAMES)}
    np.testing.assert_array_equal(movie, aligned[:, *crop])
    np.testing.assert_allclose(ops["meanImg"], movie.mean(axis=0), rtol=1e-5)
    assert ops["do_registration"] == settings["run"]["do_registration"] == 0
    assert ops["reg_file"] == db["reg_file"] == str(folder / "data.bin")
    assert (ops["nframes"], db["nframes"], db["Ly"], db["Lx"]) == (TOTAL, *shape)


def test_a_new_center_makes_them_anew(exported):
    run = snakemake(exported, "-n", "export_traces", config=["center=a_1"])
    assert ("export_traces", "") in run.jobs, run.output
