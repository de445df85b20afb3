"""What is flagged as an outlier, and what is not."""

import numpy as np
import pytest

from lib.compensation import compensate
from lib.flow import STATISTICS, FlowParams
from lib.outliers import displaced, outlier_frames, unlike
from lib.partial import CompensationStore
from lib.recording import open_recording
from lib.reference import build_reference
from lib.simulate import make_scene, simulate_recording
from lib.sink import open_movie_sink

SHAPE = (128, 144)


def flagged(folder, movie, batch=8):
    """The outliers of a movie, by way of files: its reference, its compensation, its statistics."""
    path = folder / "movie.tif"
    with open_movie_sink(path, "TIFF", movie.shape, movie.dtype) as sink:
        sink.append(movie)
    params = FlowParams(quality="fast", alpha=10.0)
    with (
        open_recording(path) as recording,
        CompensationStore(
            folder, frames=len(movie), frame_shape=SHAPE, dtype=movie.dtype, fingerprint={}, statistics=STATISTICS
        ) as store,
    ):
        reference = build_reference(recording, params, indices=np.arange(len(movie)), leave_out=True).image
        compensate(recording, reference, params, store, batch=batch, threads=2)
        store.finish(derive=lambda columns: {"outlier": outlier_frames(columns, SHAPE)})
    with np.load(folder / "statistics.npz") as statistics:
        assert statistics["outlier"].dtype == bool
        return np.flatnonzero(statistics["outlier"]).tolist()


@pytest.mark.parametrize("photons", [5.0, 15.0, 100.0])
def test_clean_recordings_have_none(tmp_path, photons):
    recording = simulate_recording(make_scene(SHAPE, 4), frames=24, seed=6, photons=photons, rigid=6.0)
    assert flagged(tmp_path, recording.movie) == []


@pytest.mark.parametrize("photons", [5.0, 30.0])
def test_bad_frames_are_found(tmp_path, photons):
    rng = np.random.default_rng(0)
    movie = simulate_recording(make_scene(SHAPE, 4), frames=24, seed=6, photons=photons).movie
    movie[3] = rng.normal(100, 10, SHAPE).clip(0)  # blank
    movie[8] = 65535  # saturated
    movie[12, 64:] = rng.normal(100, 10, (64, SHAPE[1])).clip(0)  # blank from the middle on
    movie[17] = np.roll(movie[17], 25, axis=1)  # matches, but costs a fifth of the mask
    assert flagged(tmp_path, movie) == [3, 8, 12, 17]


def test_a_third_of_the_values_may_be_outliers():
    rng = np.random.default_rng(0)
    values = rng.normal(0.8, 0.01, 60)
    values[::3] = rng.uniform(-0.1, 0.4, 20)
    np.testing.assert_array_equal(np.flatnonzero(unlike(values)), np.arange(0, 60, 3))
    places = rng.normal(0, 1, (60, 2))
    places[::3] += 40
    np.testing.assert_array_equal(np.flatnonzero(displaced(places, (256, 256))), np.arange(0, 60, 3))


def test_what_wanders_is_not_displaced():
    t = np.linspace(0, 20, 500)
    assert not displaced(np.stack([30 * np.sin(t), 20 * np.cos(0.7 * t)], -1), (512, 512)).any()


def test_small_differences_are_no_outliers_however_rare():
    values, places = np.full(50, 0.9), np.zeros((50, 2))
    values[7], places[9, 0] = 0.75, 20
    assert not unlike(values).any() and not displaced(places, (512, 512)).any()


@pytest.mark.parametrize("values", [[0.5], [0.9, 0.0], [0.0, 0.0, 0.0], [-0.1, -0.1, -0.1]])
def test_too_few_or_equal_values_have_no_outliers(values):
    columns = {name: np.zeros(len(values)) for name in STATISTICS} | {"correlation": np.array(values)}
    assert not outlier_frames(columns, (64, 64)).any()
