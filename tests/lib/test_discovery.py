"""Files that belong together are found to be one recording; what is missing or unclear is said."""

from pathlib import Path

import pytest

from lib.discovery import SessionError, find_sources


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(root: Path, pattern="*.tif", **how) -> dict[str, list[list[str]]]:
    """Return {recording: its files by channel}, relative to `root`; there must be no problem."""
    sources, problems = find_sources(str(root), pattern=pattern, **how)
    assert problems == []
    return {s.name: [[str(Path(path).relative_to(root)) for path in files] for files in s.channels] for s in sources}


def problems(root: Path, pattern="*.tif", **how) -> str:
    return "\n".join(find_sources(str(root), pattern=pattern, **how)[1])


def test_every_file_is_a_recording(tmp_path):
    touch(tmp_path, "b_001.tif", "b_002.tif", "a.tif", "c.txt", "sub/d.tif")
    assert found(tmp_path) == {"a": [["a.tif"]], "b_001": [["b_001.tif"]], "b_002": [["b_002.tif"]]}


def test_scanimage_numbering(tmp_path):
    """Acquisition and file: run_00001_00002.tif; only the file number is one to continue."""
    touch(tmp_path, *(f"run_{a:05}_{f:05}.tif" for a in (1, 2) for f in (1, 2, 3)))
    assert found(tmp_path, recordings="run_*.tif") == {
        "run_00001": [[f"run_00001_0000{f}.tif" for f in (1, 2, 3)]],
        "run_00002": [[f"run_00002_0000{f}.tif" for f in (1, 2, 3)]],
    }


def test_numbers_are_counted_and_not_spelled(tmp_path):
    touch(tmp_path, *(f"a_{i}.tif" for i in range(1, 13)), "a.tif", "b-1.tif", "b-2.tif", "alone.tif")
    files = found(tmp_path, recordings=["*.tif"])
    assert files["a"] == [["a.tif", *(f"a_{i}.tif" for i in range(1, 13))]]
    assert files["b"] == [["b-1.tif", "b-2.tif"]] and files["alone"] == [["alone.tif"]]


def test_bruker_folders(tmp_path):
    """A folder per recording, a file per frame and channel."""
    for run in ("TSeries-1", "TSeries-2"):
        touch(tmp_path / run, "notes.txt", "References/x.tif")
        touch(tmp_path / run, *(f"{run}_Cycle00001_Ch{c}_00000{i}.ome.tif" for c in (1, 2) for i in (1, 2, 3)))
    files = found(tmp_path, pattern="*.ome.tif", recordings="TSeries-*", channel_pattern="_Ch{channel}")
    assert list(files) == ["TSeries-1", "TSeries-2"]
    assert files["TSeries-2"] == [
        [f"TSeries-2/TSeries-2_Cycle00001_Ch{c}_00000{i}.ome.tif" for i in (1, 2, 3)] for c in (1, 2)
    ]


def test_bruker_files_without_folders(tmp_path):
    touch(tmp_path, *(f"T_Cycle00001_Ch{c}_00000{i}.ome.tif" for c in (1, 2) for i in (1, 2)))
    files = found(tmp_path, recordings="*.ome.tif", channel_pattern="_Ch{channel}")
    assert files == {"T_Cycle00001": [[f"T_Cycle00001_Ch{c}_00000{i}.ome.tif" for i in (1, 2)] for c in (1, 2)]}


def test_lists(tmp_path):
    touch(tmp_path, "z.tif", "a.tif", "more/1.tif", "more/2.tif", "more/10.tif", "more/x.txt")
    files = found(tmp_path, recordings={"day 2": ["z.tif", "a.tif"], "day 1": "more"})
    assert files["day 2"] == [["z.tif", "a.tif"]]  # the order that was given
    assert files["day 1"] == [["more/1.tif", "more/2.tif", "more/10.tif"]]
    assert found(tmp_path, recordings={"x": ["more/1*.tif", "a.tif"]}) == {
        "x": [["more/1.tif", "more/10.tif", "a.tif"]]
    }


def test_a_file_per_channel(tmp_path):
    touch(tmp_path, *(f"{name}_{channel}.tif" for name in "ab" for channel in ("red", "green")))
    files = found(tmp_path, channel_pattern="_{channel}")
    assert files == {name: [[f"{name}_green.tif"], [f"{name}_red.tif"]] for name in "ab"}


def test_zarr_folders_are_files(tmp_path):
    touch(tmp_path, "a.zarr/zarr.json", "a.zarr/c/0", "b.zarr/zarr.json")
    assert found(tmp_path, pattern="*.zarr") == {"a": [["a.zarr"]], "b": [["b.zarr"]]}


def test_results_are_no_recordings(tmp_path):
    touch(tmp_path, "a.tif", "out/x.tif")
    how = {"exclude": (str(tmp_path / "out"),)}
    assert found(tmp_path, pattern="**/*.tif", **how) == {"a": [["a.tif"]]}
    assert found(tmp_path, recordings="*", **how) == {"a": [["a.tif"]]}


def test_problems_are_named(tmp_path):
    touch(
        tmp_path, "a_1.tif", "a_2.tif", "a_4.tif", "b_1.tif", "empty/x.txt", "c_ch1_1.tif", "c_ch1_2.tif", "c_ch2_1.tif"
    )
    said = problems(tmp_path, recordings=["a*.tif"])
    assert "a: files 1 to 4 of 'a' continue one another, but number 3 is missing" in said
    said = problems(tmp_path, recordings="empty")
    assert "empty: no file in this folder matches '*.tif'; set 'pattern'" in said
    said = problems(tmp_path, recordings="c*.tif", channel_pattern="_ch{channel}")
    assert "c: found 2 of channel 1, 1 of channel 2; every channel needs as many files" in said
    said = problems(tmp_path, pattern=["a_1.tif"], channel_pattern="_ch{channel}")
    assert "a_1.tif: the name does not have the part '_ch{channel}'" in said
    said = problems(tmp_path, recordings={"x": ["a_1.tif", "nowhere.tif"], "y": "a_1.tif", "u/v": "b_1.tif"})
    assert "recordings.x: nothing in" in said and "matches 'nowhere.tif'" in said
    assert "a_1.tif: 2 recordings are made of this file" in said
    assert "b_1.tif: 'u/v' is no name for a folder" in said
    with pytest.raises(SessionError, match="recordings: no recording in .* matches 'q.'.*Set 'root'"):
        find_sources(str(tmp_path), pattern="*.tif", recordings="q*")


def test_channels_that_differ_between_recordings(tmp_path):
    touch(tmp_path, "a_ch1.tif", "a_ch2.tif", "b_ch1.tif", "b_ch3.tif", "c_ch1.tif", "c_ch2.tif")
    assert "b: its channels are 1, 3, but 1, 2 in most recordings" in problems(tmp_path, channel_pattern="_ch{channel}")
