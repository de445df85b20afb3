"""How recordings are split over jobs, and that finished ones keep their number."""

from itertools import pairwise

import pytest

from lib.session import RecordingInfo
from lib.shards import plan_shards, remembered_shards, spans, wanted_shards


def recordings(**frames):
    facts = {"bytes": 0, "height": 512, "width": 512, "channels": 1, "dtype": "uint16"}
    return [RecordingInfo(name, f"{name}.tif", frames=count, **facts) for name, count in frames.items()]


@pytest.mark.parametrize(("frames", "shards"), [(10, 1), (10, 3), (7, 7), (3, 5), (20000, 9)])
def test_spans_cover_all_frames_evenly(frames, shards):
    found = spans(frames, shards)
    assert found[0][0] == 0 and found[-1][1] == frames and len(found) == min(frames, shards)
    assert all(stop == start for (_, stop), (start, _) in pairwise(found))
    lengths = {stop - start for start, stop in found}
    assert max(lengths) - min(lengths) <= 1 and min(lengths) > 0


def test_auto_splits_what_the_others_would_wait_for():
    plan = {"threads": 1, "quality": "balanced"}
    session = recordings(long=100_000, a=10_000, b=10_000)
    assert wanted_shards(session, "auto", jobs=4, **plan) == {"long": 3, "a": 1, "b": 1}
    assert wanted_shards(session, "auto", jobs=100, **plan)["long"] == 17  # one minute each
    assert wanted_shards(session, "auto", jobs=1, **plan)["long"] == 1
    alike = recordings(**{f"r{i}": 10_000 for i in range(30)})
    assert set(wanted_shards(alike, "auto", jobs=8, **plan).values()) == {1}  # there are enough of them
    assert wanted_shards(recordings(short=500), "auto", jobs=100, **plan) == {"short": 1}
    assert wanted_shards(recordings(short=3), 5, jobs=1, **plan) == {"short": 3}


def test_a_finished_recording_keeps_its_shards(tmp_path):
    def plan(*finished, **wanted):
        return plan_shards(wanted, str(tmp_path), lambda name: name in finished)

    assert plan(a=3, b=1) == {"a": 3} == remembered_shards(str(tmp_path))
    assert plan("a", a=5, b=5) == {"a": 3, "b": 5}  # b is yet to be compensated
    assert plan("a", "b", a=1, b=1) == {"a": 3, "b": 5}
    assert plan("a", a=1, b=1) == {"a": 3} == remembered_shards(str(tmp_path))
    plan_shards({"a": 9, "b": 9}, str(tmp_path), lambda name: False, remember=False)
    assert remembered_shards(str(tmp_path)) == {"a": 3}  # a dry run changes nothing
