"""Recordings that another tool has compensated: found, checked, and read in whatever order their axes are."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from lib.config import ConfigError, load
from lib.external import open_masks
from lib.recording import open_recording
from lib.session import SessionError, open_session

SCHEMA = Path(__file__).parents[2] / "config" / "session.schema.json"
T, H, W = 9, 14, 20


def view(shape=(H, W)) -> np.ndarray:
    """An image that is not like its transposed."""
    return 300 + 600 * np.random.default_rng(1).random(shape)


def frames(shape=(T, H, W), channels=1) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 20, (channels, *shape))
    return (view(shape[1:]) + noise).astype(np.uint16)


def write(folder: Path, movie=None, *, axes="TYX", name="compensated.HDF5", masks=True, average=True, **attributes):
    """A folder as another tool may leave it; `movie` is (C, T, H, W)."""
    movie = frames() if movie is None else movie
    order = ["TYX".index(axis) for axis in axes]
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / name, "w") as file:
        for c, channel in enumerate(movie, start=1):
            file[f"ch{c}"] = channel.transpose(order)
            file[f"ch{c}"].attrs.update(attributes)
    if masks:
        valid = np.full(movie.shape[1:], 255, np.uint8)
        valid[3, :2] = 0
        with h5py.File(folder / "idx.hdf", "w") as file:
            file["ch1"] = valid.transpose(order)
    if average:
        np.save(folder / "temporal_average.npy", np.moveaxis(movie.mean(axis=1), 0, -1))
    return folder


def opened(root, **config):
    return open_session(load({"root": str(root), "stage1": "external"} | config, SCHEMA))


def check(session, name, movie):
    """The movie and its masks are read in the right order, by everything that opens them."""
    recording = session.by_name[name]
    assert (recording.frames, recording.height, recording.width) == movie.shape[1:]
    expected = np.moveaxis(movie, 0, -1) if len(movie) > 1 else movie[0]
    with open_recording(session.path("compensated", name)) as found:
        np.testing.assert_array_equal(found.read(0, found.frames), expected)
        axes = found.header
    with open_recording(recording.path, **session.reading(recording)) as found:
        np.testing.assert_array_equal(found.read(0, found.frames), expected)
        assert found.header == axes
    from lib.sources import FileList

    listed = FileList.read(recording.path)
    with open_masks(listed.source.files[0], listed.opening["axes"]) as masks:
        valid = masks.read(0, masks.frames)
    assert not valid[3, :2].any() and valid.astype(bool).sum() == valid.size - 2 * movie.shape[3]


@pytest.mark.parametrize("axes", ["TYX", "TXY", "YXT"])
def test_the_average_tells_rows_from_columns(tmp_path, axes):
    write(tmp_path / "compensated_outputs" / "a", axes=axes)
    write(tmp_path / "compensated_outputs" / "b ü", axes="TYX", name="compensated.hdf5")
    (tmp_path / "compensated_outputs" / "notes").mkdir()
    session = opened(tmp_path, center="b ü.tif")
    assert session.names == ["a", "b ü"] and session.center == "b ü"
    assert session.compensated_movies[0].endswith("a/compensated.HDF5")
    for name in session.names:
        check(session, name, frames())
    check(opened(tmp_path), "a", frames())  # from memory


@pytest.mark.parametrize("axes", ["TYX", "TXY", "XYT"])
def test_square_frames_are_told_by_what_they_show(tmp_path, axes):
    square = frames((16, 16, 16))
    write(tmp_path / "compensated_outputs" / "a", square, axes=axes)
    if axes == "TYX":  # one recording is enough to test that channels are no obstacle
        square = frames((16, 16, 16), channels=2)
        write(tmp_path / "compensated_outputs" / "a", square, axes=axes)
    check(opened(tmp_path), "a", square)


def test_without_pictures_the_file_or_the_user_tells(tmp_path):
    folder = write(tmp_path / "compensated_outputs" / "a", axes="TXY", average=False)
    with pytest.raises(SessionError, match=r"a/compensated.HDF5: ch1 is \(9, 20, 14\), and nothing tells .* `axes`"):
        opened(tmp_path)
    check(opened(tmp_path, axes="TXY"), "a", frames())
    write(folder, axes="YXT", average=False, dimension_ordering=[0, 1, 2])  # as pyflowreg does
    with h5py.File(folder / "idx.hdf", "a") as file:
        file["ch1"].attrs["dimension_ordering"] = [0, 1, 2]
    check(opened(tmp_path), "a", frames())
    check(opened(tmp_path, axes="TXY"), "a", frames())


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(SessionError, match="stage1: 'external' takes every folder in .*outputs' .* is none"):
        opened(tmp_path)
    out = tmp_path / "compensated_outputs"
    write(write(out / "both"), name="compensated.hdf5")
    write(out / "no_masks", masks=False)
    write(out / "no_movie").joinpath("compensated.HDF5").unlink()
    write(out / "short")
    write(tmp_path / "other", frames((T - 1, H, W)))
    (tmp_path / "other" / "idx.hdf").replace(out / "short" / "idx.hdf")
    np.save(write(out / "average") / "temporal_average.npy", np.zeros((5, 6)))
    write(out / "cut").joinpath("idx.hdf").write_bytes(b"no HDF5")
    write(out / "good")
    with pytest.raises(SessionError) as caught:
        opened(tmp_path)
    for said in (
        "both: found both of compensated.hdf5 and compensated.HDF5",
        "no_movie: found neither of",
        "no_masks: there is no idx.hdf",
        "short/idx.hdf: the masks are (frames, height, width) = (8, 14, 20), but the frames in",
        "which has no two axes of the size of the pictures beside it, (5, 6)",
        "cut/idx.hdf",
    ):
        assert said in str(caught.value), (said, str(caught.value))
    assert "good" not in str(caught.value)


def test_channels_are_chosen_by_dataset(tmp_path):
    two = frames(channels=2)
    write(tmp_path / "compensated_outputs" / "a", two)
    check(opened(tmp_path), "a", two)
    check(opened(tmp_path, dataset="ch2"), "a", two[1:])
    with pytest.raises(ConfigError, match=r"channels: found \['x', None\], but stage1 is 'external'.*`dataset`"):
        opened(tmp_path, channels=["x", None])
