"""The session for other tools: made on request only, from the real workflow, and equal to the aligned movies."""

import json
import shutil

import h5py
import numpy as np
import pytest
import tifffile
from pynwb import read_nwb

from tests.readme import example

from .conftest import FRAMES, NAMES, SHAPE, snakemake, write_config

TARGETS = ["export_suite2p", "export_caiman", "export_nwb", "export_traces"]
TOTAL = FRAMES * len(NAMES)


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """A finished session with all exports; not to be changed."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("exported") / "session")
    begin = {"frame_rate": 30, "session_start_time": "2026-05-17T09:30:00+02:00"}
    write_config(folder, flow_options={"quality_setting": "fast"}, export=begin)
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


def run_example(after, folder, monkeypatch) -> dict:
    """Run the README's lines in the session's folder; return what they define."""
    monkeypatch.chdir(folder)
    defined = {}
    exec(example(after).replace("baseline_001", NAMES[0]), defined)
    return defined


def test_at_rest_afterwards(exported):
    run = snakemake(exported, "-n", *TARGETS, "all")
    assert run.nothing_to_do, run.output
    for target in TARGETS:
        assert (exported / "logs" / f"{target}.log").exists() and (exported / "benchmarks" / f"{target}.tsv").exists()


def test_the_readme_opens_traces_and_nwb(exported, aligned, mask, monkeypatch):
    mean = run_example("**Your own analysis**", exported, monkeypatch)["mean"]
    np.testing.assert_allclose(mean, np.where(mask, aligned.mean(axis=0), 0), rtol=1e-6)
    first = run_example("**NWB**", exported, monkeypatch)["first"]
    np.testing.assert_array_equal(first, aligned[0])


def test_traces(exported, aligned, mask):
    with h5py.File(exported / "final_results" / "traces.h5") as file:
        np.testing.assert_array_equal(file["ch1"], aligned[:, mask])
        assert [name.decode() for name in file["recordings"]] == NAMES
        assert file.attrs["frame_rate"] == 30


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
    assert ops["fs"] == settings["fs"] == 30
    assert ops["do_registration"] == settings["run"]["do_registration"] == 0
    assert ops["reg_file"] == db["reg_file"] == str(folder / "data.bin")
    assert (ops["nframes"], db["nframes"], db["Ly"], db["Lx"]) == (TOTAL, *shape)


def test_nwb(exported, aligned):
    nwb = read_nwb(exported / "final_results" / "session.nwb")
    stacks = [nwb.processing["ophys"]["MotionCorrection"][name] for name in NAMES]
    movies = [stack.corrected.data[:].transpose(0, 2, 1) for stack in stacks]
    np.testing.assert_array_equal(np.concatenate(movies), aligned)
    for name, stack in zip(NAMES, stacks, strict=True):
        assert (exported / "final_results" / stack.original.external_file[0]).resolve() == exported / f"{name}.tif"
        folder = exported / "compensated_outputs" / name
        with np.load(folder / "statistics.npz") as within, np.load(folder / "w_to_reference.npz") as between:
            shift = [
                -(within[f"translation_{axis}"] + between[key].mean()) for axis, key in zip("xy", "uv", strict=True)
            ]
        np.testing.assert_allclose(stack.xy_translation.data[:], np.stack(shift, axis=-1), atol=1e-6)


def test_without_aligned_movies(exported, tmp_path):
    """Then the compensated movies are warped on the way: a second interpolation, but the same view."""
    folder = shutil.copytree(exported, tmp_path / "session")
    run = snakemake(folder, "export_traces", config=["align_output_format=none"])
    assert run.returncode == 0 and ("export_traces", "") in run.jobs, run.output
    traces = [h5py.File(place / "final_results" / "traces.h5")["ch1"][:].mean(axis=0) for place in (exported, folder)]
    assert 0.99 < np.corrcoef(*traces)[0, 1] < 1


def test_nwb_says_at_once_what_it_needs(finished):
    run = snakemake(finished, "-n", "export_nwb")
    assert run.returncode != 0 and not run.jobs
    assert "give export.session_start_time and export.frame_rate in the settings" in run.output


def test_a_new_center_makes_them_anew(exported):
    run = snakemake(exported, "-n", "export_traces", config=["center=a_1"])
    assert ("export_traces", "") in run.jobs, run.output
