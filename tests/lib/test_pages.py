"""The report's pages and pictures."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lib.figures import arrows, mask_picture, overlay, recording_colors
from lib.pages import MOST_BYTES, PageError
from lib.pages.contents import recording_page, session_page
from lib.quality import mask_costs
from lib.summary import COLUMNS, Look, as_text, table_rows


def look(name, shape=(60, 90), **facts):
    image = np.random.default_rng(len(name)).random(shape)
    known = dict.fromkeys(COLUMNS) | {"frames": 4, "outlier_frames": 0, "outliers": [], "seconds": 1.0} | facts
    known |= {"shape": shape, "sampled_frames": 4, "related": True}
    pictures = dict.fromkeys(("average", "center", "aligned", "before", "after"), image)
    return Look(name, known, {}, {}, pictures, (np.ones(shape), np.zeros(shape)), None)


def center(names):
    scores = {
        name: {"mean_correlation": 0.9, "unrelated": 0.2, "correlation": {o: 0.9 for o in names if o != name}}
        for name in names
    }
    told = {"automatic": True, "how": "by <hand>", "warning": "b is better", "outliers": None, "not_belonging": []}
    return {"center": names[0], "scores": scores} | told


@pytest.mark.parametrize("shape", [(80, 96), (96, 80), (64, 64), (512, 128), (16, 300), (5, 7)])
@pytest.mark.parametrize("count", [9, 14])
def test_arrows_stay_inside(shape, count):
    picture = arrows(np.random.default_rng(0).random(shape), np.full(shape, 3.0), np.zeros(shape), 80, count)
    width, height = Image.open(BytesIO(picture)).size
    assert width / height == pytest.approx(shape[1] / shape[0], rel=0.1)


def test_what_agrees_is_white_and_what_does_not_is_magenta_or_green():
    moving, fixed = np.zeros((20, 20)), np.zeros((20, 20))
    moving[2:8, 2:8] = fixed[10:16, 10:16] = 1
    moving[2:8, 10:16] = fixed[2:8, 10:16] = 1
    picture = overlay(moving, fixed)
    colors = [picture[y, x].tolist() for y, x in ((4, 4), (12, 12), (4, 12), (18, 18))]
    assert colors == [[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_the_mask_shows_whose_fault_it_is():
    masks = [np.ones((10, 10), bool) for _ in range(2)]
    masks[0][:3], masks[1][:, :2] = False, False
    costs = mask_costs(masks)
    colors = recording_colors(costs.alone)
    assert len(set(colors)) == 2
    picture = mask_picture(np.random.default_rng(0).random((10, 10)), costs.count, costs.owner, colors)
    assert np.ptp(picture[5, 5]) == 0 and np.ptp(picture[0, 0]) < 0.05  # a valid one, and one of both
    assert np.ptp(picture[0, 5]) > 0.2 and np.ptp(picture[5, 0]) > 0.2
    many = recording_colors(np.linspace(0, 1, 30))
    assert len(set(many)) == 9 and many[29] != many[0]


def test_pages_escape_names_and_fit():
    names = ["a <b> & ü", "second"]
    looks = [look(name) for name in names]
    costs = mask_costs([np.ones((60, 90), bool)] * 2)
    rows = table_rows(looks, center(names), costs)
    page = recording_page(looks[1], rows[1], names[0])
    assert "a &lt;b&gt; &amp; ü" in page and "<b> &" not in page and "nan" not in page.lower().split("<body>")[1][:2000]
    whole = session_page(
        looks=looks,
        rows=rows,
        center=center(names),
        costs=costs,
        average=looks[0].pictures["average"],
        valid_fraction=1.0,
        choices=[("center", names[0], True)],
    )
    assert "b is better" in whole and "by &lt;hand&gt;" in whole and ">automatic<" in whole
    assert max(len(page), len(whole)) < MOST_BYTES
    assert as_text(rows[0])["predicted_error_px"] == "" and as_text(rows[0])["center"] == "true"


def test_a_thousand_recordings_make_one_page():
    names = [f"r{i:03d}" for i in range(1000)]
    bare = [look(name, shape=(20, 20)).without_pictures() for name in names]
    costs = mask_costs(np.ones((20, 20), bool) for _ in names)
    page = session_page(
        looks=bare,
        rows=table_rows(bare, center(names[:1]) | {"center": "r000"}, costs),
        center=center(names[:1]),
        costs=costs,
        average=np.random.default_rng(0).random((20, 20)),
        valid_fraction=1.0,
        choices=[],
    )
    assert page.count("<tr>") > 1000 and len(page) < MOST_BYTES


def test_a_page_that_is_too_large_is_an_error(monkeypatch):
    monkeypatch.setattr("lib.pages.MOST_BYTES", 1000)
    looks = [look("a"), look("b")]
    costs = mask_costs([np.ones((60, 90), bool)] * 2)
    with pytest.raises(PageError, match="browsers show 1,000 at most"):
        recording_page(looks[1], table_rows(looks, center(["a", "b"]), costs)[1], "a")
