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
from tests.movies import write_ome_set

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

    def spy(source, **kwargs):
        read.append(source.name)
        return original(source, **kwargs)

    import lib.recording

    original = lib.recording.read_headers
    monkeypatch.setattr("lib.recording.read_headers", spy)
    assert opened(tmp_path) == first and read == []
    make(tmp_path / "b.tif", (4, 16, 20))
    make(tmp_path / "d.tif")
    again = opened(tmp_path)
    assert read == ["b", "d"] and again.by_name["b"].frames == 4
    os.remove(tmp_path / "d.tif")
    assert opened(tmp_path).names == ["a", "b", "c"] and len(read) == 2


def test_headers_that_older_readers_left_are_read_again(tmp_path, monkeypatch):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 16, 20), np.uint8), imagej=True, metadata={"axes": "TYX", "fps": 30.0}
    )
    monkeypatch.setattr("lib.headers.HEADERS", 0)
    opened(tmp_path)
    memory = tmp_path / "compensated_outputs" / ".headers.json"
    memory.write_text(memory.read_text().replace("30.0", "29.0"))
    assert opened(tmp_path).by_name["a"].frame_rate == 29.0  # what is remembered counts
    monkeypatch.setattr("lib.headers.HEADERS", 1)
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


def make_volume(path: Path, planes: int = 2) -> Path:
    tifffile.imwrite(path, np.zeros((3, planes, 16, 20), np.uint16), imagej=True, metadata={"axes": "TZYX"})
    return path


def test_planes_become_recordings(tmp_path):
    make_volume(tmp_path / "a.tif"), make_volume(tmp_path / "b.tif")
    assert "a.tif holds 2 planes; set `planes` to 'split'" in problems(tmp_path)
    session = opened(tmp_path, planes="split")
    assert session.names == ["a_plane1", "a_plane2", "b_plane1", "b_plane2"]
    second = session.by_name["b_plane2"]
    assert (second.frames, second.plane, second.path) == (3, 2, str(tmp_path / "b.tif"))
    assert session.reading(second) == {"dataset": None, "axes": None, "channels": None, "plane": 2}
    assert opened(tmp_path, planes="split", center="b_plane1").known_center == "b_plane1"
    one = opened(tmp_path, planes=2)
    assert one.names == ["a", "b"] and one.by_name["a"].plane == 2
    assert "a.tif holds 2 planes, but `planes` is 3" in problems(tmp_path, planes=3)
    assert "center: 'b' is not among the recordings" in problems(tmp_path, planes="split", center="b")


def test_one_plane_needs_no_choice(tmp_path):
    make(tmp_path / "a.tif")
    for planes in ("split", 1, None):
        assert opened(tmp_path, planes=planes).names == ["a"]
    assert "a.tif holds 1 planes, but `planes` is 2" in problems(tmp_path, planes=2)


def test_channels_are_picked_and_named(tmp_path):
    make(tmp_path / "a.tif", (6, 16, 20))
    session = opened(tmp_path, channels=["green", None], flow_options={"weight": [1]})
    recording = session.by_name["a"]
    assert (recording.frames, recording.channels, recording.channel_names) == (3, 1, ("green",))
    assert "flow_options.weight: found [1] for 1 channels, but the recordings have 2" in problems(
        tmp_path, channels=2, flow_options={"weight": [1]}
    )
    assert "a.tif holds 6 images, the last frame of 4 channels is not complete" in problems(tmp_path, channels=4)


def test_a_recording_of_several_files_is_known_by_their_list(tmp_path):
    for name in ("a_1", "a_2", "b_1"):
        make(tmp_path / f"{name}.tif")
    session = opened(tmp_path, recordings="*.tif")
    a, b = session.recordings
    assert (a.name, a.frames, b.name, b.path) == ("a", 6, "b", str(tmp_path / "b_1.tif"))
    listed = Path(a.path)
    text = listed.read_text()
    assert listed == tmp_path / "compensated_outputs" / ".sources" / "a.json" and "a_2.tif" in text
    before = listed.stat().st_mtime_ns
    assert opened(tmp_path, recordings="*.tif") == session and listed.stat().st_mtime_ns == before
    os.utime(tmp_path / "a_2.tif", (1, 1))  # any file may change
    opened(tmp_path, recordings="*.tif")
    assert listed.read_text() != text
    listed.write_text("half a li")
    again = opened(tmp_path, recordings="*.tif")
    assert again.by_name["a"].path == str(listed) and "a_2.tif" in listed.read_text()


def test_a_set_of_files_is_one_recording(tmp_path):
    paths = write_ome_set(tmp_path)
    text = problems(tmp_path)
    assert "set_0.ome.tif: its set of files contains" in text and "narrow 'pattern' to the first file" in text
    session = opened(tmp_path, pattern="*_0.ome.tif")
    listed = Path(session.recordings[0].path)
    assert session.recordings[0].frames == 12 and all(path.name in listed.read_text() for path in paths)


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
