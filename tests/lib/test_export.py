"""Exports: what is written is the session in the common frame, and nothing of it depends on blocks."""

import h5py
import numpy as np
import pytest

from lib.aligned import aligned_blocks
from lib.export import (
    SessionMovie,
    int16_gain,
    largest_rectangle,
    open_session_movie,
    write_int16,
    write_mmap,
    write_traces,
)

H, W = 24, 30
FRAMES = (5, 7)


def write_movie(path, movie):
    with h5py.File(path, "w") as file:
        for c in range(movie.shape[3]):
            file[f"ch{c + 1}"] = movie[..., c]
    return path


@pytest.fixture
def parts(rng):
    """Two recordings of two channels, and where they lie in the common frame."""
    movies = [rng.integers(0, 4000, (n, H, W, 2), dtype=np.uint16) for n in FRAMES]
    fields = [np.zeros((H, W, 2), np.float32), np.full((H, W, 2), 1.5, np.float32)]
    return movies, fields


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def movie(parts, tmp_path):
    movies, fields = parts
    paths = [write_movie(tmp_path / f"{i}.hdf5", m) for i, m in enumerate(movies)]
    with SessionMovie(paths, fields, np.full((H, W, 2), 7.0), threads=2, frame_rate=30.0) as opened:
        yield opened


@pytest.fixture
def expected(movie):
    """All frames of the session in the common frame, (T, H, W, 2)."""
    return np.concatenate([block for i in range(2) for block in movie.recording_blocks(i)])


@pytest.fixture
def mask():
    mask = np.zeros((H, W), bool)
    mask[3:20, 4:22] = True
    mask[3, 4] = False
    return mask


def test_session_movie_is_the_recordings_in_order(movie, parts, expected):
    movies, fields = parts
    assert (movie.frames, movie.first_frames, movie.frame_rate) == (12, [0, 5], 30.0)
    np.testing.assert_array_equal(expected[:5], movies[0])  # not displaced
    blocks = aligned_blocks(movie.movies[1], fields[1], fill=np.full((H, W, 2), 7.0), chunk=2)
    np.testing.assert_array_equal(expected[5:], np.concatenate(list(blocks)))
    assert [start for start, _ in movie.blocks()] == [0, 5]


def test_session_movie_from_files(movie, parts, expected, tmp_path):
    """Compensated movies with their displacements, or movies that are aligned already."""
    fields = parts[1]
    np.save(tmp_path / "average.npy", np.full((H, W, 2), 7.0))
    for i, w in enumerate(fields):
        np.savez(tmp_path / f"{i}.npz", u=w[..., 0], v=w[..., 1])
    paths = [opened.path for opened in movie.movies]
    stops = [*movie.first_frames[1:], movie.frames]
    aligned = [
        write_movie(tmp_path / f"aligned_{i}.h5", expected[start:stop])
        for i, (start, stop) in enumerate(zip(movie.first_frames, stops, strict=True))
    ]
    warped = open_session_movie(paths, [tmp_path / "0.npz", tmp_path / "1.npz"], tmp_path / "average.npy", threads=1)
    for opened in (warped, open_session_movie(aligned)):
        with opened as again:
            np.testing.assert_array_equal(np.concatenate([block for _, block in again.blocks()]), expected)


def brute_force(mask):
    sizes = [
        (bottom - top) * (right - left)
        for top in range(len(mask))
        for bottom in range(top + 1, len(mask) + 1)
        for left in range(mask.shape[1])
        for right in range(left + 1, mask.shape[1] + 1)
        if mask[top:bottom, left:right].all()
    ]
    return max(sizes, default=0)


def test_largest_rectangle(rng):
    for density in (0.3, 0.6, 0.9, 1.0):
        for _ in range(10):
            mask = rng.random((6, 8)) < density
            inside = mask[largest_rectangle(mask)]
            assert inside.all() and inside.size == brute_force(mask)
    with pytest.raises(ValueError, match="no pixel is valid"):
        largest_rectangle(np.zeros((4, 4), bool))


def test_traces(movie, expected, mask, tmp_path):
    write_traces(movie, tmp_path / "traces.h5", mask, ["one", "zwei"])
    with h5py.File(tmp_path / "traces.h5") as file:
        for c in range(2):
            np.testing.assert_array_equal(file[f"ch{c + 1}"], expected[:, mask, c])
        image = np.zeros((H, W))
        image[file["rows"][:], file["columns"][:]] = file["ch2"][6]
        np.testing.assert_array_equal(image, np.where(mask, expected[6, ..., 1], 0))
        np.testing.assert_array_equal(file["mask"][:] > 0, mask)
        assert [name.decode() for name in file["recordings"]] == ["one", "zwei"]
        assert file["first_frames"][:].tolist() == [0, 5] and file.attrs["frame_rate"] == 30
        assert file["ch1"].dtype == np.uint16


def test_mmap_is_what_caiman_maps(movie, expected, mask, tmp_path):
    """CaImAn maps a file of order F as a (d1 * d2, T) float32 array in column-major order, pixels column by column."""
    paths = [tmp_path / f"ch{c}_d1_{H}_d2_{W}_d3_1_order_F_frames_12.mmap" for c in (1, 2)]
    write_mmap(movie, paths, mask)
    for c, path in enumerate(paths):
        mapped = np.memmap(path, np.float32, "r", shape=(H * W, 12), order="F")
        frames = mapped.T.reshape(12, H, W, order="F")
        np.testing.assert_array_equal(frames, np.where(mask, expected[..., c], 0))


def test_int16(movie, expected, mask, tmp_path):
    crop = largest_rectangle(mask)
    assert int16_gain(movie) == 1
    means = write_int16(movie, [tmp_path / "a.bin", tmp_path / "b.bin"], crop, 1.0)
    for c, name in enumerate("ab"):
        written = np.fromfile(tmp_path / f"{name}.bin", "<i2").reshape(12, *means.shape[:2])
        np.testing.assert_array_equal(written, expected[:, *crop, c])
        np.testing.assert_allclose(means[..., c], written.mean(axis=0))


@pytest.mark.parametrize(
    "dtype, peak, gain",
    [
        (np.uint8, 255, 1),
        (np.int16, -32768, 1),
        (np.uint16, 32767, 1),
        (np.uint16, 40000, 0.5),
        (np.uint16, 65535, 0.5),
        (np.int32, -100_000, 0.25),
        (np.float32, 5000.5, 1),
        (np.float32, 0.7, 32768),
    ],
)
def test_gain_keeps_grey_values_in_range(dtype, peak, gain, tmp_path):
    frames = np.zeros((3, H, W, 1), dtype)
    frames[1, 5, 5] = peak
    path = write_movie(tmp_path / "m.hdf5", frames)
    with SessionMovie([path], [np.zeros((H, W, 2), np.float32)], np.zeros((H, W))) as movie:
        assert int16_gain(movie) == gain
        write_int16(movie, [tmp_path / "data.bin"], (slice(0, H), slice(0, W)), gain)
    written = np.fromfile(tmp_path / "data.bin", "<i2").reshape(3, H, W)
    assert written[1, 5, 5] == min(np.rint(peak * gain), 32767)


def test_empty_mask_is_an_error_and_leaves_nothing(movie, tmp_path):
    before = set(tmp_path.iterdir())
    for write in (
        lambda mask: write_traces(movie, tmp_path / "traces.h5", mask, ["a", "b"]),
        lambda mask: write_mmap(movie, [tmp_path / "1.mmap", tmp_path / "2.mmap"], mask),
    ):
        with pytest.raises(ValueError, match="no pixel is valid in every frame"):
            write(np.zeros((H, W), bool))
    assert set(tmp_path.iterdir()) == before


def test_a_failure_leaves_no_file(movie, mask, tmp_path, monkeypatch):
    def broken():
        yield 0, next(movie.recording_blocks(0))
        raise OSError("the disk went away")

    before = set(tmp_path.iterdir())
    monkeypatch.setattr(movie, "blocks", broken)
    with pytest.raises(OSError, match="the disk went away"):
        write_traces(movie, tmp_path / "traces.h5", mask, ["a", "b"])
    assert set(tmp_path.iterdir()) == before
