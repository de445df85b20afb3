"""Self-calibration on recordings whose motion is known: the choice, the prediction, and what it does with bad input."""

from dataclasses import replace

import numpy as np
import pytest

from lib.flow import SAFE_ALPHA, FlowEstimator, FlowParams, calibrate
from lib.flow.motion import Basis, random_motion, true_sizes
from lib.simulate import make_scene, simulate_recording

SHAPE = (128, 144)
FAST = FlowParams(quality="fast")


def simulated(photons=30.0, frames=16, shape=SHAPE, **motion):
    return simulate_recording(make_scene(shape, 4), frames=frames, seed=7, photons=photons, **motion)


@pytest.fixture(scope="module")
def small():
    return simulate_recording(make_scene((64, 80), 4), frames=16, seed=7)


def true_error(recording, params):
    """Mean endpoint error in pixels, 24 pixels at the border left out."""
    estimator = FlowEstimator(recording.clean, params)
    inner = np.s_[24:-24, 24:-24]
    errors = [estimator(frame)[inner] - w[inner] for frame, w in zip(recording.movie, recording.flow, strict=True)]
    return float(np.linalg.norm(errors, axis=-1).mean())


@pytest.mark.parametrize("quality", ["fast", "balanced"])
@pytest.mark.parametrize(
    "photons, motion, tolerance",
    [
        (5.0, {}, 0.15),
        # so small a frame does not show all of its motion: half of the jitter is finer than what can be found
        (30.0, {}, 0.2),
        (30.0, {"nonrigid": 0.5, "jitter": 0.1}, 0.2),
        (100.0, {"jitter": 0.2}, 0.15),
        (5.0, {"shape": (256, 240)}, 0.15),
        (30.0, {"shape": (256, 240)}, 0.15),
    ],
)
def test_chooses_and_predicts(quality, photons, motion, tolerance):
    recording = simulated(photons, **motion)
    params = FlowParams(quality=quality)
    found = calibrate(recording.clean, recording.movie, params)
    reached = true_error(recording, found.params)
    tried = {(p["alpha"], p["ratio"]): p["epe"] for p in found.curve}
    assert min(tried.values()) == found.predicted_epe
    assert found.predicted_epe == pytest.approx(reached, rel=tolerance)
    # what the true errors would have chosen, of those tried
    near = sorted(tried, key=tried.get)[:4]
    assert reached < 1.1 * min(true_error(recording, replace(params, alpha=(a * r**0.5, a / r**0.5))) for a, r in near)
    assert reached < 0.95 * true_error(recording, replace(params, alpha=1.5))


def test_noise_asks_for_more_smoothness():
    recordings = [simulated(photons, jitter=0.0) for photons in (0.5, 400.0)]
    noisy, clean = (calibrate(r.clean, r.movie, FAST) for r in recordings)
    assert np.prod(noisy.params.alpha_xy) > 4 * np.prod(clean.params.alpha_xy)
    assert noisy.predicted_epe > clean.predicted_epe


def test_the_motion_is_measured():
    recording = simulated(nonrigid=1.0)
    found = calibrate(recording.clean, recording.movie, FAST)
    w = recording.flow - recording.flow.mean((1, 2), keepdims=True)
    rows = w.mean(2, keepdims=True)
    true = {"rows": rows, "deformation": w - rows, "shift": recording.flow.mean((1, 2))}
    for name, part in true.items():
        assert found.motion[name] == pytest.approx(np.sqrt((part**2).sum(-1).mean()), rel=0.35), name


def test_same_input_same_bits_whatever_the_threads(small):
    one, four = (calibrate(small.clean, small.movie, FAST, seed=3, threads=threads) for threads in (1, 4))
    assert one == four
    assert one.curve != calibrate(small.clean, small.movie, FAST, seed=4).curve


def test_a_given_alpha_is_kept_and_its_error_told(small):
    params = FlowParams(quality="fast", alpha=(4.0, 1.0))
    found = calibrate(small.clean, small.movie, params, choose=False)
    assert found.params == params and [(p["alpha"], p["ratio"]) for p in found.curve] == [(2.0, 4.0)]
    best = calibrate(small.clean, small.movie, params)
    assert found.predicted_epe == found.curve[0]["epe"] > best.predicted_epe


def test_bad_frames_do_not_matter(small):
    movie = small.movie.copy()
    movie[2], movie[5], movie[9, ::2] = 0, 65535, 65535
    broken, whole = calibrate(small.clean, movie, FAST), calibrate(small.clean, small.movie, FAST)
    assert broken.predicted_epe == pytest.approx(whole.predicted_epe, rel=0.3)
    huge = small.movie.astype(np.float32)
    huge[4] = 3e38
    assert calibrate(small.clean, huge, FAST).predicted_epe == pytest.approx(whole.predicted_epe, rel=0.3)


@pytest.mark.parametrize(
    "reference, frames, why",
    [
        (lambda r: np.full((64, 80), 100.0), lambda r: np.full((5, 64, 80), 100.0), "constant"),
        (lambda r: r.clean, lambda r: np.full((5, 64, 80), 100.0), "resemble"),
        (lambda r: r.movie[0], lambda r: r.movie[:1], "the reference itself"),
        (lambda r: r.clean, lambda r: np.full((5, 64, 80), 3e38), "no frame can be registered"),
    ],
)
def test_where_nothing_can_be_learned_it_says_so(small, reference, frames, why):
    found = calibrate(reference(small), frames(small), FAST)
    assert why in found.note
    assert (found.params.alpha, found.predicted_epe, found.curve) == (SAFE_ALPHA, None, ())


@pytest.mark.parametrize("frames", [1, 3])
def test_few_frames(small, frames):
    found = calibrate(small.clean, small.movie[:frames], FAST)
    assert 0.05 < found.predicted_epe < 1.5 and found.note is None


def test_tiny_images(small):
    found = calibrate(small.clean[:10, :10], small.movie[:, :10, :10], FAST)
    assert np.isfinite(found.predicted_epe)


@pytest.mark.parametrize("normalization", ["joint", "separate"])
def test_an_empty_channel_changes_little(normalization):
    one = simulated()
    two = np.stack([one.movie, np.zeros_like(one.movie)], axis=-1)
    reference = np.stack([one.clean, np.zeros_like(one.clean)], axis=-1)
    found = calibrate(reference, two, replace(FAST, channel_normalization=normalization))
    assert found.predicted_epe == pytest.approx(calibrate(one.clean, one.movie, FAST).predicted_epe, rel=0.1)


def test_wrong_input_is_named(small):
    with pytest.raises(ValueError, match=r"frames have shape \(16, 63, 80\); expected \(T, 64, 80\)"):
        calibrate(small.clean, small.movie[:, :-1], FAST)
    with pytest.raises(ValueError, match=r"frames have shape \(0, 64, 80\)"):
        calibrate(small.clean, small.movie[:0], FAST)
    with pytest.raises(ValueError, match="frames hold NaN or Inf"):
        calibrate(small.clean, np.full((2, 64, 80), np.nan), FAST)


def test_modes_come_back():
    basis = Basis.of((30, 40))
    coefficients = np.random.default_rng(0).normal(size=(2, basis.band.size))
    np.testing.assert_allclose(basis.analyse(basis.synthesise(coefficients)), coefficients, atol=1e-6)
    assert np.mean(basis.synthesise(coefficients) ** 2) == pytest.approx((coefficients**2).mean() * basis.band.size)


def test_noise_is_taken_out_of_measured_motion_and_what_was_missed_is_added():
    rng, basis = np.random.default_rng(0), Basis.of((64, 64))
    count = basis.band.size
    size = np.where(basis.band < basis.band.max() // 2, 1.0, 0.0)
    true = random_motion(basis, size * rng.normal(size=(400, 2, count)), 400, rng)
    known = random_motion(basis, rng.normal(size=(400, 2, count)), 400, rng)
    found, measured = (0.5 * c + 0.3 * rng.normal(size=c.shape) for c in (known, true))
    rms = np.sqrt(((measured * true_sizes(basis, measured, known, found)) ** 2).mean(0))
    moving = (size > 0) & (basis.band > 0)
    np.testing.assert_allclose(rms[:, moving], 1, atol=0.3)
    assert rms[:, moving].mean() == pytest.approx(1, abs=0.05) and (rms[:, size == 0] < 0.3).all()


def test_random_motion_is_measured_motion_mirrored_or_turned_round():
    rng, basis = np.random.default_rng(0), Basis.of((30, 40))
    measured = rng.normal(size=(3, 2, basis.band.size))
    made = random_motion(basis, measured, 12, rng)
    assert len(np.unique(made.round(9), axis=0)) > 8
    for one in made:
        for c in (0, 1):
            field = basis.synthesise(one)[..., c]
            mirrored = [field, field[::-1], field[:, ::-1], field[::-1, ::-1]]
            theirs = [sign * basis.synthesise(m)[..., c] for m in measured for sign in (1, -1)]
            assert any(np.allclose(a, b, atol=1e-5) for a in mirrored for b in theirs)


def test_modes_are_pooled_that_a_smoothness_damps_alike():
    shape, alpha = (64, 96), (48.0, 3.0)
    basis = Basis.of(shape, alpha)
    ky, kx = np.nonzero(basis.kept)
    damping = alpha[0] * (kx / shape[1]) ** 2 + alpha[1] * (ky / shape[0]) ** 2
    for band in np.unique(basis.band):
        same = basis.band == band
        assert damping[same].max() <= 1.35**2 * damping[same].min()
        assert len({x == 0 for x in kx[same]}) == 1  # what moves rows alone stays apart
