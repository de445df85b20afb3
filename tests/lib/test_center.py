"""The center, and recordings that do not belong."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as move

from lib import center
from lib.center import better_center, choose, compare, explain_outliers, reduced
from lib.simulate import MARGIN, make_scene


def look(seed, shift=(0, 0), photons=1.0, frames=100, blur=0.7, shape=(128, 160), noise=0):
    """The average of a recording of scene `seed`, in grey values, seen `shift` (y, x) pixels away."""
    canvas = gaussian_filter(move(make_scene(shape, seed).canvas, shift, order=1), blur)
    clean = canvas[MARGIN:-MARGIN, MARGIN:-MARGIN]
    rng = np.random.default_rng([seed, noise])
    return 100 + 20 * photons * clean + rng.normal(size=shape) * np.sqrt((400 * photons + 100) / frames)


def compared(averages, known=None):
    return compare(list(averages), np.stack([reduced(average) for average in averages.values()]), known)


def test_center_is_the_middle_a_name_or_the_medoid():
    blurred = {name: look(1, (k, -k), blur=2.5, noise=k) for k, name in enumerate("abde")}
    scores = compared(dict(sorted((blurred | {"c": look(1, blur=1.2)}).items())))
    assert scores.belongs.all()
    assert choose("auto", list(scores.names), scores)[0] in "abde"  # the most usual, not the sharpest
    assert choose("middle", ["d", "a", "c", "b"])[0] == "b"  # ceil(4 / 2) = 2
    assert choose("c", list("abcde")) == ("c", "named in the configuration")
    with pytest.raises(ValueError, match="'x'.*a, b, c"):
        choose("x", list("cab"))


def test_scores_take_the_shift_out_between_pixels_too():
    """30 px apart, of different brightness."""
    averages = {"a": look(1), "b": look(1, (18, -24), photons=3), "c": look(1, (3.4, 2.7), photons=0.3)}
    table = compared(averages).table()
    assert table["a"]["correlation"]["b"] == table["b"]["correlation"]["a"] > 0.9
    assert table["a"]["correlation"]["c"] > 0.9
    assert table["a"]["mean_correlation"] == pytest.approx(np.mean(list(table["a"]["correlation"].values())), abs=1e-6)
    assert all(row["belongs"] and row["unrelated"] < 0.4 for row in table.values())


@pytest.mark.parametrize("shape", [(64, 72), (128, 160), (300, 420)])
@pytest.mark.parametrize("photons", [30, 1, 0.3])
def test_another_field_of_view_does_not_belong(shape, photons):
    kinds = {"shape": shape, "photons": photons, "frames": 50}
    averages = {name: look(1, (2 * k, -3 * k), **kinds, noise=k) for k, name in enumerate("abc")}
    assert compared(averages).belongs.all()
    scores = compared(averages | {"d": look(2, **kinds)})
    assert scores.belongs.tolist() == [True, True, True, False]
    text = explain_outliers(scores, ["a.tif", "b.tif", "c.tif", "wrong ü.tif"])
    assert "1 of 4 recordings does not match" in text and "wrong ü.tif: its average correlates by 0." in text
    assert explain_outliers(compared(averages)) is None


def test_groups_that_match_through_others_and_pairs_of_strangers():
    two = {"c": look(2), "d": look(2, (1, 1), noise=1)}
    assert compared({"a": look(1), "b": look(1, noise=1), "e": look(1, noise=2)} | two).belongs.tolist() == [
        1,
        1,
        1,
        0,
        0,
    ]
    equal = {"a": look(1), "b": look(1, noise=1)} | two
    assert compared(equal).belongs.tolist() == [True, True, False, False]
    assert compared(equal, "c").belongs.tolist() == [False, False, True, True]
    mix = {"a": look(1), "ab": look(1) + look(2), "b": look(2)}
    assert compared(mix).belongs.all()


def test_one_two_and_flat_recordings():
    only = compared({"only": look(1)})
    assert only.belongs.all() and only.table()["only"]["mean_correlation"] == 1
    assert only.table()["only"]["unrelated"] is None and choose("auto", ["only"], only)[0] == "only"
    assert compared({"a": look(1), "b": look(1, noise=1)}).belongs.all()
    scores = compared({"a": look(1), "b": look(2)}, "b")
    assert scores.belongs.tolist() == [False, True] and "a: its average" in explain_outliers(scores)
    flat = compared({"a": look(1), "b": look(1, noise=1), "flat": np.full((128, 160), 3.0)})
    assert flat.belongs.tolist() == [True, True, False]
    assert flat.table()["flat"]["mean_correlation"] == 0 and np.isfinite(flat.mean_correlation).all()
    empty_channel = {name: np.stack([look(1, noise=k), np.zeros((128, 160))], -1) for k, name in enumerate("ab")}
    assert compared(empty_channel).belongs.all()
    assert compared(dict.fromkeys("ab", np.zeros((64, 64)))).belongs.tolist() == [True, False]


def test_a_better_center_is_named_where_the_difference_is_clear():
    good = {name: look(1, noise=k) for k, name in enumerate("abcd")}
    assert better_center(compared(good), "b") is None
    scores = compared(good | {"b": look(1, blur=4)})
    assert better_center(scores, "b") in "acd" and better_center(scores, "a") is None
    scores = compared(good | {"b": look(2)})
    assert better_center(scores, "b") in "acd"
    assert better_center(compared({"a": look(1), "b": look(1, blur=4)}), "b") is None  # of two none is better


def test_many_recordings_are_compared_with_some(monkeypatch):
    monkeypatch.setattr(center, "PANEL", 4)
    averages = {f"r{k}": look(2 if k == 5 else 1, (k, 0), noise=k, shape=(64, 72)) for k in range(9)}
    scores = compared(averages, "r1")
    assert scores.panel.tolist() == [0, 1, 3, 5, 8]
    assert np.flatnonzero(~scores.belongs).tolist() == [5]
    assert set(scores.table()["r4"]["correlation"]) == {"r0", "r1", "r3", "r5", "r8"}
    assert scores.correlation[3, 4] == scores.correlation[8, 2] and np.isfinite(scores.mean_correlation).all()
