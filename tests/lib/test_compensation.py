"""Compensation, reference and average on real files: the same whatever the threads, batches and interruptions."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.ndimage as ndi
import tifffile

from lib.average import average
from lib.compensation import compensate, read_smoothed, register
from lib.flow import (
    STATISTICS,
    FlowEstimator,
    FlowParams,
    compact_shape,
    pack_flow,
    statistics,
    valid_mask,
    warp_frame,
)
from lib.partial import CompensationStore
from lib.recording import open_recording
from lib.simulate import make_scene, simulate_recording

FRAMES = 23
PARAMS = FlowParams(quality="fast", alpha=10.0)


@pytest.fixture(scope="module")
def simulated():
    return simulate_recording(make_scene((64, 72), 3), frames=FRAMES, seed=5)


@pytest.fixture(scope="module")
def movie(simulated, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "movie.tif"
    tifffile.imwrite(path, simulated.movie)
    return path


def open_store(folder, recording, dtype="uint16"):
    return CompensationStore(
        folder,
        frames=recording.frames,
        frame_shape=recording.frame_shape,
        dtype=dtype,
        fingerprint={},
        statistics=STATISTICS,
        save_w=True,
        compact_shape=compact_shape(recording.frame_shape[:2], PARAMS),
    )


def run(movie, folder, *, params=PARAMS, dtype="uint16", reference=None, **how):
    """Compensate into `folder`; returns the files' bytes by name."""
    with open_recording(movie) as recording:
        reference = recording.read(0, 5).mean(0) if reference is None else reference
        with open_store(folder, recording, dtype) as store:
            compensate(recording, reference, params, store, **how)
            store.finish()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(path, *datasets):
    with open_recording(path, dataset=datasets) as stored:
        return stored.read(0, stored.frames)


def test_outputs_are_the_registered_frames(movie, simulated, tmp_path):
    run(movie, tmp_path, threads=2)
    reference = simulated.movie[:5].mean(0)
    estimator = FlowEstimator(reference, PARAMS)
    compensated, valid = read(tmp_path / "compensated.hdf5"), read(tmp_path / "idx.hdf")
    flow = read(tmp_path / "w.h5", "u", "v")
    compact = read(tmp_path / "w_compact.h5", "u", "v")
    numbers = np.load(tmp_path / "statistics.npz")
    assert compensated.dtype == np.uint16 and valid.dtype == np.uint8
    for t in range(FRAMES):
        frame, w, mask = estimator.register(simulated.movie[t])
        np.testing.assert_array_equal(compensated[t], frame)
        np.testing.assert_array_equal(valid[t], 255 * mask)
        np.testing.assert_array_equal(flow[t], w)
        np.testing.assert_array_equal(compact[t], pack_flow(w, compact.shape[1:3]))
        assert numbers["max_disp"][t] == pytest.approx(np.hypot(w[..., 0], w[..., 1]).max())
        assert numbers["mean_translation"][t] == pytest.approx(np.hypot(*w.mean((0, 1))), rel=1e-5)
    assert set(numbers) == set(STATISTICS)
    assert numbers["correlation"].mean() > np.mean(
        [np.corrcoef(f.ravel(), reference.ravel())[0, 1] for f in simulated.movie]
    )


def test_threads_and_batches_change_nothing(movie, tmp_path):
    first = run(movie, tmp_path / "a", threads=1, batch=FRAMES)
    for name, how in {"b": {"threads": 2, "batch": 1}, "c": {"threads": 3, "batch": 7}}.items():
        again = run(movie, tmp_path / name, **how)
        assert again.keys() == first.keys()
        assert all(again[file] == first[file] for file in first)


def test_smoothing_over_time_does_not_see_batches(movie, tmp_path, simulated):
    params = FlowParams(quality="fast", alpha=10.0, sigma=(1.0, 1.0, 1.5))
    first = run(movie, tmp_path / "a", params=params, batch=FRAMES)
    assert run(movie, tmp_path / "b", params=params, batch=4) == first
    assert run(movie, tmp_path / "c")["w.h5"] != first["w.h5"]
    with open_recording(movie) as recording:
        raw, smoothed = read_smoothed(recording, 6, 9, params)
    np.testing.assert_array_equal(raw, simulated.movie[6:9])
    expected = ndi.gaussian_filter1d(simulated.movie.astype(np.float32), 1.5, axis=0, mode="nearest")[6:9]
    np.testing.assert_allclose(smoothed, expected, rtol=1e-5)


class StopError(Exception):
    pass


class StopAfter:
    """A progress that interrupts the compensation, as Ctrl-C would."""

    def __init__(self, frames):
        self.left = frames

    def resume(self, n):
        assert n == 0

    def update(self, n):
        self.left -= n
        if self.left <= 0:
            raise StopError


def test_goes_on_where_it_stopped(movie, tmp_path):
    first = run(movie, tmp_path / "a", batch=4)
    with pytest.raises(StopError):
        run(movie, tmp_path / "b", batch=4, progress=StopAfter(8))
    with open_recording(movie) as recording, open_store(tmp_path / "b", recording) as store:
        assert 8 <= sum(stop - start for start, stop in store.finished) < FRAMES
    assert run(movie, tmp_path / "b", batch=5) == first


def test_a_frame_that_cannot_be_read_stops_with_its_number(tmp_path):
    frames = np.random.default_rng(0).random((9, 32, 32)).astype(np.float32)
    frames[6, 3, 4] = np.nan
    tifffile.imwrite(tmp_path / "bad.tif", frames)
    with pytest.raises(ValueError, match=r"bad\.tif.*6"):
        run(tmp_path / "bad.tif", tmp_path / "out", dtype="float32", batch=2)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_another_output_type(movie, simulated, tmp_path, dtype):
    run(movie, tmp_path, dtype=dtype)
    stored = read(tmp_path / "compensated.hdf5")
    assert stored.dtype == dtype
    estimator = FlowEstimator(simulated.movie[:5].mean(0), PARAMS)
    frame = np.clip(simulated.movie[3], 0, 255) if dtype == "uint8" else simulated.movie[3]
    expected = warp_frame(frame.astype(dtype), estimator(simulated.movie[3]), fill=estimator.reference)
    np.testing.assert_array_equal(stored[3], expected)


def test_two_channels_share_one_flow(simulated, tmp_path):
    second = (simulated.movie // 3 + 50).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "two.tif", np.stack([simulated.movie, second], 1), imagej=True, metadata={"axes": "TCYX"}
    )
    run(tmp_path / "two.tif", tmp_path / "out")
    both = read(tmp_path / "out" / "compensated.hdf5")
    assert both.shape == (FRAMES, 64, 72, 2)
    flow = read(tmp_path / "out" / "w.h5", "u", "v")
    reference = np.stack([simulated.movie, second], -1)[:5].mean(0)
    for c, channel in enumerate((simulated.movie, second)):
        expected = warp_frame(channel[9], flow[9].copy(), fill=reference[..., c])
        np.testing.assert_array_equal(both[9, ..., c], expected)


def numbers_of(w, valid, registered, reference):
    return dict(zip(STATISTICS, statistics(w[None], valid[None], registered[None], reference)[0], strict=True))


def test_statistics_by_hand():
    w = np.zeros((6, 8, 2), np.float32)
    w[..., 0], w[..., 1] = 3, -4
    image = np.random.default_rng(0).random((6, 8))
    numbers = numbers_of(w, valid_mask(w), 2 * image + 1, image)
    assert numbers["mean_disp"] == numbers["max_disp"] == numbers["mean_translation"] == 5
    assert (numbers["translation_x"], numbers["translation_y"], numbers["mean_div"]) == (3, -4, 0)
    assert numbers["nonrigid"] == 0
    assert numbers["valid_fraction"] == pytest.approx(5 * 2 / 48)
    assert numbers["correlation"] == pytest.approx(1)
    w[..., 0] = np.arange(8) * 0.5
    numbers = numbers_of(w, valid_mask(w), image, image)
    assert numbers["mean_div"] == pytest.approx(0.5) and numbers["nonrigid"] == pytest.approx(w[..., 0].std())
    assert np.isfinite(list(numbers_of(w, np.zeros((6, 8), bool), image, image).values())).all()


def test_average_is_the_mean_of_all_frames(movie, simulated):
    with open_recording(movie) as recording:
        np.testing.assert_allclose(average(recording), simulated.movie.mean(0, dtype=float), rtol=1e-12)
        without = average(recording, leave_out=np.arange(FRAMES) < 3)
    np.testing.assert_allclose(without, simulated.movie[3:].mean(0, dtype=float), rtol=1e-12)


def test_the_smoothed_frame_decides_the_flow_only(simulated):
    estimator = FlowEstimator(simulated.clean, PARAMS)
    raw, smoothed = simulated.movie[2], simulated.movie[2].astype(np.float32) * 0.5 + 100
    fill = simulated.clean.astype(np.uint16)
    found = register(estimator, raw[None], smoothed[None], fill, SimpleNamespace(save_w=True, compact_shape=None))
    np.testing.assert_array_equal(found.w[0], estimator(smoothed))
    np.testing.assert_array_equal(found.registered[0], warp_frame(raw, found.w[0], fill=fill))


def test_on_a_gpu_it_is_the_same_but_for_the_last_bits(movie, tmp_path):
    run(movie, tmp_path / "numba")
    first = run(movie, tmp_path / "cupy", backend="cupy", batch=FRAMES)
    assert run(movie, tmp_path / "batches", backend="cupy", batch=4, threads=3) == first
    flows = [read(tmp_path / name / "w.h5", "u", "v") for name in ("numba", "cupy")]
    assert np.abs(flows[0] - flows[1]).max() < 0.02
    movies = [read(tmp_path / name / "compensated.hdf5").astype(int) for name in ("numba", "cupy")]
    assert (np.abs(movies[0] - movies[1]) > 1).mean() < 1e-3
    numbers = [np.load(tmp_path / name / "statistics.npz") for name in ("numba", "cupy")]
    for name in STATISTICS:
        np.testing.assert_allclose(numbers[0][name], numbers[1][name], rtol=1e-3, atol=1e-3)


def test_on_a_gpu_it_goes_on_where_it_stopped(movie, tmp_path):
    first = run(movie, tmp_path / "a", batch=4, backend="cupy")
    with pytest.raises(StopError):
        run(movie, tmp_path / "b", batch=4, backend="cupy", progress=StopAfter(8))
    assert run(movie, tmp_path / "b", batch=5, backend="cupy") == first
