"""The reference: what it is made of, what is left out, and that it shows the field of view, on real files."""

import numpy as np
import pytest
import tifffile

from lib.flow import FlowParams
from lib.recording import open_recording
from lib.reference import AUTO_FRAMES, build_reference, reference_indices
from lib.simulate import make_scene, simulate_recording

SHAPE = (96, 112)
FRAMES = 30
PARAMS = FlowParams(quality="fast", alpha=10.0)
BAD = np.arange(1, FRAMES, 3)  # a third


@pytest.fixture(scope="module")
def simulated():
    return simulate_recording(make_scene(SHAPE, 3), frames=FRAMES, seed=5, photons=15.0)


def build(path, movie, setting="auto", **how):
    """The reference of a movie, by way of a file."""
    tifffile.imwrite(path, movie, photometric="minisblack")
    with open_recording(path) as recording:
        indices = reference_indices(setting, recording.frames)
        return build_reference(recording, PARAMS, indices=indices, leave_out=setting == "auto", **how)


def spoil(movie, kinds):
    """A third of the frames blank (noise alone), saturated, or shifted so far that half of it is something else."""
    rng = np.random.default_rng(0)
    movie = movie.copy()
    for k, t in enumerate(BAD):
        kind = kinds[k % len(kinds)]
        if kind == "blank":
            movie[t] = rng.normal(100, 10, SHAPE).clip(0)
        elif kind == "saturated":
            movie[t] = 65535
        else:
            movie[t] = np.roll(movie[t], (45, 50), (0, 1))
    return movie


def place(image, clean, reach=12):
    """Where the middle of an image is found in the clean one: (x, y), and the correlation there."""
    inner = image[24:-24, 24:-24]
    h, w = inner.shape
    found = {
        (x, y): np.corrcoef(clean[24 + y : 24 + y + h, 24 + x : 24 + x + w].ravel(), inner.ravel())[0, 1]
        for y in range(-reach, reach + 1)
        for x in range(-reach, reach + 1)
    }
    best = max(found, key=found.get)
    return np.array(best), found[best]


def test_indices():
    np.testing.assert_array_equal(reference_indices("50:500", 1000), np.arange(50, 500))
    np.testing.assert_array_equal(reference_indices("50:500", 200), np.arange(50, 200))
    np.testing.assert_array_equal(reference_indices("50:500", 20), np.arange(20))
    np.testing.assert_array_equal(reference_indices([3, 1], 5), [3, 1])
    np.testing.assert_array_equal(reference_indices("auto", 5), np.arange(5))
    spread = reference_indices("auto", 10_000)
    assert len(set(spread)) == AUTO_FRAMES and (spread[0], spread[-1]) == (0, 9999)
    with pytest.raises(ValueError, match="reference_frames.*frame 5.*0 to 4"):
        reference_indices([1, 5], 5)


def test_clean_recording_is_used_whole_and_threads_change_nothing(simulated, tmp_path):
    reference = build(tmp_path / "a.tif", simulated.movie)
    assert reference.frames == tuple(range(FRAMES)) and reference.left_out == () and reference.related
    assert reference.image.dtype == np.float64 and reference.image.shape == SHAPE
    np.testing.assert_array_equal(build(tmp_path / "a.tif", simulated.movie, threads=3).image, reference.image)
    _, sharp = place(reference.image, simulated.clean)
    assert sharp > 0.95 > place(simulated.movie.mean(0), simulated.clean)[1]


@pytest.mark.parametrize("kinds", [("blank",), ("saturated",), ("shifted",), ("blank", "saturated", "shifted")])
def test_a_third_of_bad_frames_is_left_out(simulated, tmp_path, kinds):
    reference = build(tmp_path / "a.tif", spoil(simulated.movie, kinds))
    assert reference.left_out == tuple(BAD)
    assert set(reference.frames) == set(range(FRAMES)) - set(BAD)
    assert place(reference.image, simulated.clean)[1] > 0.94


def test_named_frames_are_all_used(simulated, tmp_path):
    reference = build(tmp_path / "a.tif", spoil(simulated.movie, ["blank"]), "0:9")
    assert reference.frames == tuple(range(9)) and reference.left_out == ()


def test_a_jump_at_the_start_does_not_move_the_reference(simulated, tmp_path):
    """Nor does it matter whether the frames before the jump are used: they show the same, 30 pixels away."""
    movie = simulated.movie.copy()
    movie[: FRAMES // 4] = np.roll(movie[: FRAMES // 4], 30, axis=2)
    where, sharp = place(build(tmp_path / "a.tif", movie).image, simulated.clean)
    expected, _ = place(build(tmp_path / "b.tif", simulated.movie).image, simulated.clean)
    assert np.abs(where - expected).max() <= 3 and sharp > 0.94


def test_shifts_of_30_pixels(tmp_path):
    wide = simulate_recording(make_scene((SHAPE[0], SHAPE[1] + 60), 3), frames=FRAMES, seed=5, photons=15.0)
    offsets = np.random.default_rng(1).integers(0, 61, FRAMES)
    movie = np.stack([frame[:, by : by + SHAPE[1]] for frame, by in zip(wide.movie, offsets, strict=True)])
    reference = build(tmp_path / "a.tif", movie)
    clean = wide.clean[:, int(np.median(offsets)) :][:, : SHAPE[1]]
    assert len(reference.frames) >= 0.8 * FRAMES
    assert place(reference.image, clean)[1] > 0.9


def test_noise_gives_the_plain_mean_and_says_so(tmp_path):
    noise = np.random.default_rng(0).poisson(20, (40, 64, 72)).astype(np.uint16)
    reference = build(tmp_path / "a.tif", noise)
    assert not reference.related and reference.frames == tuple(range(40))
    np.testing.assert_allclose(reference.image, noise.mean(0))


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_few_frames(simulated, tmp_path, frames):
    reference = build(tmp_path / "a.tif", simulated.movie[:frames])
    assert reference.frames == tuple(range(frames)) and reference.related
    if frames == 1:
        np.testing.assert_array_equal(reference.image, simulated.movie[0])
    else:
        assert place(reference.image, simulated.clean)[1] > 0.7


def test_one_of_three_frames_is_blank(simulated, tmp_path):
    movie = simulated.movie[:3].copy()
    movie[0] = np.random.default_rng(0).normal(100, 10, SHAPE).clip(0)
    assert build(tmp_path / "a.tif", movie).left_out == (0,)


def test_constant_movie(tmp_path):
    reference = build(tmp_path / "a.tif", np.full((5, 40, 48), 7, np.uint16))
    assert not reference.related and (reference.image == 7).all()


def test_an_empty_channel_does_not_matter(simulated, tmp_path):
    movie = spoil(simulated.movie, ["blank"])
    both = np.stack([movie, np.full_like(movie, 12)], axis=1)
    tifffile.imwrite(tmp_path / "two.tif", both, imagej=True, metadata={"axes": "TCYX"})
    with open_recording(tmp_path / "two.tif") as recording:
        reference = build_reference(recording, PARAMS, indices=np.arange(FRAMES), leave_out=True)
    assert reference.left_out == tuple(BAD)
    np.testing.assert_allclose(reference.image[..., 1], 12, rtol=1e-6)
    assert place(reference.image[..., 0], simulated.clean)[1] > 0.94
