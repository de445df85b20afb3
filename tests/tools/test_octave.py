"""GNU Octave, in place of MATLAB, opens our files; and what it writes in its own order of axes is read here."""

import json
import shutil

import h5py
import numpy as np
import pytest

from lib.config import load
from lib.recording import open_recording
from lib.session import open_session
from tests.readme import example

from .conftest import FRAMES, NAMES, REPOSITORY, SHAPE, call

LOOK = """
out.class = class(results.final_valid);
out.sizes = {size(video), size(results.final_valid), size(results.aligned_valid_masks), ...
             size(results.displacement_fields_u), size(results.temporal_averages), size(field.u), size(valid.ch1)};
out.middle = results.middle_idx;
out.center = results.compensated_h5_paths{results.middle_idx};
out.frame = double(frame);
out.values = double(values);
out.traces = double(traces(1:3, [1, end]));
out.v = double(field.v);
out.mask = double(squeeze(results.per_seq_valid_masks(1, :, :)));
out.lost = double(permute(valid.ch1, [2 1 3])(:, :, end) == 0);
disp(jsonencode(out, 'ConvertInfAndNaN', false));
"""


@pytest.fixture(scope="module")
def seen(finished, octave, tmp_path_factory):
    """What Octave finds in the files, opened with the README's lines."""
    script = tmp_path_factory.mktemp("octave") / "look.m"
    lines = example("**MATLAB and Octave**").replace("baseline_001", NAMES[0])
    more = f"field = load('compensated_outputs/{NAMES[0]}/w_to_reference.mat');"
    more += f"valid = load('compensated_outputs/{NAMES[0]}/idx.hdf');"
    script.write_text(lines + more + LOOK)
    return json.loads(call(octave, "--norc", script, cwd=finished).split("error:")[0])


def test_sizes_and_types(seen):
    video, final, masks, fields, averages, field, valid = seen["sizes"]
    assert video == [*SHAPE, FRAMES] and final == field == list(SHAPE)
    assert masks == fields == averages == [len(NAMES), *SHAPE]
    assert valid == [*SHAPE[::-1], FRAMES]  # as HDF5 files are shown there
    assert seen["class"] == "logical"


def test_middle_counts_from_one(seen):
    assert seen["middle"] == 2
    assert seen["center"].endswith(f"compensated_outputs/{NAMES[1]}/compensated.hdf5")


def test_orientation_and_logical_indexing(seen, finished):
    folder = finished / "compensated_outputs" / NAMES[0]
    with h5py.File(folder / "compensated.hdf5") as file:
        movie = file["ch1"][:]
    with np.load(finished / "final_results" / "final_valid_idx.npz") as results:
        final, masks = results["final_valid"], results["per_seq_valid_masks"]
    np.testing.assert_array_equal(seen["frame"], movie[0])
    np.testing.assert_array_equal(seen["values"], movie[0].T[final.T])  # column by column there
    pixels = movie.transpose(0, 2, 1)[:, final.T].T
    np.testing.assert_array_equal(seen["traces"], pixels[:3, [0, -1]])
    np.testing.assert_array_equal(np.array(seen["mask"]) > 0, masks[0])
    with np.load(folder / "w_to_reference.npz") as field:
        np.testing.assert_allclose(seen["v"], field["v"], rtol=1e-4, atol=1e-4)
    with h5py.File(folder / "idx.hdf") as file:
        np.testing.assert_array_equal(np.array(seen["lost"]) > 0, file["ch1"][-1] == 0)


def test_stage_1_in_its_order_of_axes(finished, octave, tmp_path):
    """Height x width x frames, saved by Octave itself as HDF5."""
    made, folder = finished / "compensated_outputs" / NAMES[0], tmp_path / "compensated_outputs" / "a"
    folder.mkdir(parents=True)
    script = tmp_path / "turn.m"
    script.write_text(
        "for files = {{'compensated.hdf5', 'compensated.HDF5'}, {'idx.hdf', 'idx.hdf'}}\n"
        f"  loaded = load(fullfile('{made}', files{{1}}{{1}}));\n"
        "  ch1 = permute(loaded.ch1, [2 1 3]);\n"
        f"  save('-hdf5', fullfile('{folder}', files{{1}}{{2}}), 'ch1');\n"
        "end\n"
    )
    call(octave, "--norc", script, cwd=tmp_path)
    shutil.copy(made / "temporal_average.npy", folder)
    schema = REPOSITORY / "config" / "session.schema.json"
    session = open_session(load({"root": str(tmp_path), "stage1": "external"}, schema))
    with open_recording(session.path("compensated", "a")) as ours, h5py.File(made / "compensated.hdf5") as file:
        np.testing.assert_array_equal(ours.read(0, ours.frames), file["ch1"])
