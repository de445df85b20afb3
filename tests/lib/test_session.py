"""Recordings are found, checked by their headers, and every path is known."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lib.center import choose
from lib.config import load
from lib.session import SessionError, open_session, parse_span

SCHEMA = Path(__file__).parents[2] / "config" / "session.schema.json"


def make(path: Path, shape=(3, 16, 20), dtype=np.uint16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros(shape, dtype), photometric="minisblack")
    return path


def opened(root, **config):
    return open_session(load({"root": str(root)} | config, SCHEMA))


def problems(root, **config) -> str:
    with pytest.raises(SessionError) as caught:
        opened(root, **config)
    return str(caught.value)


def test_recordings_are_sorted_by_name_and_know_their_headers(tmp_path):
    for name in ("b", "a ü", "B"):
        make(tmp_path / f"{name}.tif")
    session = opened(tmp_path)
    assert session.names == ["B", "a ü", "b"]
    recording = session.by_name["a ü"]
    assert recording.path == str(tmp_path / "a ü.tif")
    assert (recording.frames, recording.height, recording.width, recording.channels) == (3, 16, 20, 1)
    assert recording.dtype == "uint16" and recording.bytes == os.path.getsize(recording.path)


def test_paths(tmp_path, monkeypatch):
    make(tmp_path / "data" / "a.tif")
    monkeypatch.chdir(tmp_path)
    session = opened("./data/", final_results="/elsewhere/final")
    assert session.path("compensated", "a") == "data/compensated_outputs/a/compensated.hdf5"
    assert session.path("compensated") == "data/compensated_outputs/{recording}/compensated.hdf5"
    assert session.paths("aligned_mask") == ["/elsewhere/final/a_valid_idx_aligned.png"]
    assert session.path("center") == "/elsewhere/final/center.json"


def test_results_are_no_recordings(tmp_path):
    make(tmp_path / "a.tif")
    make(tmp_path / "deeper" / "b.tif")
    make(tmp_path / "final_results" / "aligned_a.tif")
    make(tmp_path / "compensated_outputs" / "a" / "x.tif")
    assert opened(tmp_path, pattern="**/*.tif").names == ["a", "b"]


def test_several_patterns(tmp_path):
    for name in ("a.tif", "b.tiff", "c.txt"):
        make(tmp_path / name)
    assert opened(tmp_path, pattern=["*.tif", "*.tiff"]).names == ["a", "b"]


@pytest.mark.parametrize("center, known", [("middle", "b"), ("auto", None), ("c", "c"), ("c.tif", "c")])
def test_center(tmp_path, center, known):
    for name in "abcd":
        make(tmp_path / f"{name}.tif")
    session = opened(tmp_path, center=center)
    assert session.known_center == known
    if known:  # what the method would choose
        assert choose(session.center, session.names, {})[0] == known


def test_headers_are_read_once(tmp_path, monkeypatch):
    for name in "abc":
        make(tmp_path / f"{name}.tif")
    first = opened(tmp_path)
    read = []

    def spy(path, **kwargs):
        read.append(Path(path).name)
        return original(path, **kwargs)

    import lib.recording

    original = lib.recording.read_header
    monkeypatch.setattr("lib.recording.read_header", spy)
    assert opened(tmp_path) == first and read == []
    make(tmp_path / "b.tif", (4, 16, 20))
    make(tmp_path / "d.tif")
    again = opened(tmp_path)
    assert read == ["b.tif", "d.tif"] and again.by_name["b"].frames == 4
    os.remove(tmp_path / "d.tif")
    assert opened(tmp_path).names == ["a", "b", "c"] and len(read) == 2


def test_headers_that_older_readers_left_are_read_again(tmp_path, monkeypatch):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 16, 20), np.uint8), imagej=True, metadata={"axes": "TYX", "fps": 30.0}
    )
    monkeypatch.setattr("lib.session.HEADERS", 0)
    opened(tmp_path)
    memory = tmp_path / "compensated_outputs" / ".headers.json"
    memory.write_text(memory.read_text().replace("30.0", "29.0"))
    assert opened(tmp_path).by_name["a"].frame_rate == 29.0  # what is remembered counts
    monkeypatch.setattr("lib.session.HEADERS", 1)
    assert opened(tmp_path).by_name["a"].frame_rate == 30.0


def test_damaged_memory_of_headers_is_made_again(tmp_path):
    make(tmp_path / "a.tif")
    opened(tmp_path)
    memory = tmp_path / "compensated_outputs" / ".headers.json"
    memory.write_text(memory.read_text()[:50])
    assert opened(tmp_path).names == ["a"]
    assert json.loads(memory.read_text())[0]["header"]["frames"] == 3


def test_every_offender_is_named(tmp_path):
    for name in "abc":
        make(tmp_path / f"{name}.tif")
    make(tmp_path / "small.tif", (3, 16, 18))
    make(tmp_path / "float.tif", dtype=np.float32)
    make(tmp_path / "two.tif", (3, 2, 16, 20))
    make(tmp_path / "final.tif")
    make(tmp_path / "x{y}.tif")
    make(tmp_path / "sub" / "a.tif")
    (tmp_path / "empty.tif").touch()
    text = problems(tmp_path, pattern=["*.tif", "sub/*.tif"], center="d", flow_options={"weight": [1, 1]})
    for said in (
        "small.tif: width is 18, but 20 in",
        "float.tif: dtype is float32, but uint16 in",
        "sub/a.tif: 2 recordings share the stem 'a'",
        "empty.tif is empty",
        "final.tif: 'final' is the name of the session's own mask",
        "x{y}.tif': names with {, }",
        "center: 'd' is not among the recordings; allowed are 'middle', 'auto' or one of a.tif",
        "flow_options.weight: found [1, 1] for 2 channels, but the recordings have 1",
    ):
        assert said in text, text


def test_frames_may_differ(tmp_path):
    make(tmp_path / "a.tif")
    make(tmp_path / "b.tif", (9, 16, 20))
    assert [recording.frames for recording in opened(tmp_path).recordings] == [3, 9]


def test_nothing_found(tmp_path):
    assert "matches '*.tif'" in problems(tmp_path)
    assert "does not exist" in problems(tmp_path / "nowhere")


def test_reference_image(tmp_path):
    make(tmp_path / "a.tif")
    assert opened(tmp_path).reference_image is None
    assert opened(tmp_path, flow_options={"reference_frames": "50:500"}).reference_image is None
    said = problems(tmp_path, flow_options={"reference_frames": "ref.npy"})
    assert "is neither 'auto', 'first:stop' nor a file" in said
    np.save(tmp_path / "ref.npy", np.zeros((16, 20)))
    session = opened(tmp_path, flow_options={"reference_frames": "ref.npy"})
    assert session.reference_image == str(tmp_path / "ref.npy")


@pytest.mark.parametrize(
    "given, span", [("50:500", (50, 500)), ("0:1", (0, 1)), ("a.tif", None), ("5:", None), ([1, 2], None)]
)
def test_parse_span(given, span):
    assert parse_span(given) == span


def test_facts_do_not_depend_on_where_and_when(tmp_path):
    one, other = make(tmp_path / "one" / "a.tif"), make(tmp_path / "other" / "a.tif")
    os.utime(other, (1, 1))
    facts = [opened(path.parent).by_name["a"].facts for path in (one, other)]
    assert facts[0] == facts[1] and facts[0]["frames"] == 3
