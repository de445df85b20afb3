"""The NWB file holds the session, and the tools of NWB find nothing wrong with it."""

import dataclasses
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
import tifffile
from nwbinspector import Importance, inspect_nwbfile
from pynwb import read_nwb, validate

from lib.export import SessionMovie
from lib.nwb import NwbRecording, write_nwb

H, W = 20, 26
FRAMES = (40, 50)  # nwbinspector takes movies that are shorter than wide for transposed ones
NAMES = ("day 1", "b:ü")


@pytest.fixture(params=[1, 2])
def channels(request):
    return request.param


@pytest.fixture
def written(channels, tmp_path):
    """The path of an NWB file, the movie in the common frame, its recordings and the mask."""
    rng = np.random.default_rng(1)
    recordings, paths = [], []
    for name, n in zip(NAMES, FRAMES, strict=True):
        frames = rng.integers(0, 4000, (n, H, W, channels), dtype=np.uint16)
        paths.append(tmp_path / f"{name}.hdf5")
        with h5py.File(paths[-1], "w") as file:
            for c in range(channels):
                file[f"ch{c + 1}"] = frames[..., c]
        flow = tmp_path / f"{name}.w.h5"
        with h5py.File(flow, "w") as file:
            file["u"], file["v"] = rng.random((2, n, H, W), dtype=np.float32)
        tifffile.imwrite(tmp_path / f"{name}.tif", frames[..., 0], photometric="minisblack")
        shift = rng.normal(size=(n, 2))
        field = rng.normal(size=(H, W, 2)).astype(np.float32)
        recordings.append(NwbRecording(name, str(tmp_path / f"{name}.tif"), n, shift, field, str(flow)))
    mask = np.zeros((H, W), bool)
    mask[2:9, 3:20] = True
    average = rng.random((H, W, channels)).squeeze()
    about = {
        "frame_rate": 15.0,
        "raw_frame_rate": 30.0,
        "session_start_time": datetime(2026, 5, 17, 9, 30, tzinfo=UTC),
        "session_description": "A test",
        "experimenter": "Curie, Marie",
        "subject_id": "mouse7",
        "species": "Mus musculus",
        "sex": "F",
        "age": "P90D",
        "lab": None,
    }
    path = tmp_path / "results" / "session.nwb"
    with SessionMovie(paths) as movie:
        write_nwb(movie, path, recordings=recordings, mask=mask, average=average, about=about)
        aligned = [np.concatenate(list(movie.recording_blocks(i))) for i in range(2)]
    return path, aligned, recordings, mask


def test_content(written, channels):
    path, aligned, recordings, mask = written
    nwb = read_nwb(path)
    module = nwb.processing["ophys"]
    for i, (recording, label) in enumerate(zip(recordings, ("day 1", "b_ü"), strict=True)):
        for c in range(channels):
            stack = module["MotionCorrection"][label if channels == 1 else f"{label}_ch{c + 1}"]
            np.testing.assert_array_equal(stack.corrected.data[:].transpose(0, 2, 1), aligned[i][..., c])
            np.testing.assert_array_equal(stack.xy_translation.data[:], recording.translation)
            assert stack.corrected.rate == 15 and stack.corrected.starting_time == (0 if i == 0 else 40 / 15)
            assert stack.original is nwb.acquisition[label] and stack.original.rate == 30
            assert (
                path.parent / stack.original.external_file[0]
            ).resolve() == path.parent.parent / f"{recording.name}.tif"
        with h5py.File(recording.flow) as flow:
            for axis, key in enumerate("uv"):
                kept = module[f"{label}_flow"].data[..., axis]
                np.testing.assert_array_equal(kept.transpose(0, 2, 1), flow[key][:])
                np.testing.assert_array_equal(
                    module["displacement"][f"{label}_{key}"].data[:].T, recording.field[..., axis]
                )
    np.testing.assert_array_equal(module["session"]["session_mask"].data[:].T > 0, mask)
    assert nwb.subject.subject_id == "mouse7" and nwb.experimenter == ("Curie, Marie",) and nwb.lab is None


def test_nwb_finds_nothing_wrong(written):
    path = written[0]
    assert validate(path=path) == []
    found = list(inspect_nwbfile(nwbfile_path=path, importance_threshold=Importance.BEST_PRACTICE_VIOLATION))
    assert not found, found


def test_a_failure_leaves_no_file(written, monkeypatch):
    path, aligned, recordings, mask = written
    path.unlink()
    bad = [dataclasses.replace(recording, flow=str(path.parent / "no.h5")) for recording in recordings]
    movies = [path.parent.parent / f"{name}.hdf5" for name in NAMES]
    about = {
        "frame_rate": 1.0,
        "raw_frame_rate": 1.0,
        "session_start_time": datetime.now(UTC),
        "session_description": "x",
    }
    average = np.zeros(aligned[0].shape[1:]).squeeze()
    with SessionMovie(movies) as movie, pytest.raises(OSError):
        write_nwb(movie, path, recordings=bad, mask=mask, average=average, about=about)
    assert list(path.parent.iterdir()) == []
