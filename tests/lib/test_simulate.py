"""The simulator's own claims: its truth is true, equal seeds give equal bytes, the photons are photons."""

import numpy as np
import pytest
import tifffile
from scipy.ndimage import map_coordinates

from lib import simulate
from lib.simulate import (
    compose,
    invert,
    make_scene,
    simulate_between,
    simulate_recording,
    simulate_session,
)

SHAPE = (72, 96)


@pytest.fixture(scope="module")
def scene():
    return make_scene(SHAPE, seed=3)


def warp(image: np.ndarray, w: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return map_coordinates(image.astype(float), [rows + w[..., 1], columns + w[..., 0]], order=3, mode="nearest")


def inside(w: np.ndarray, border: int = 3) -> np.ndarray:
    """Pixels whose source lies in the image, not too near its border."""
    height, width = w.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    x, y = columns + w[..., 0], rows + w[..., 1]
    return (x >= border) & (x <= width - 1 - border) & (y >= border) & (y <= height - 1 - border)


def residual_shift(image: np.ndarray, reference: np.ndarray, use: np.ndarray) -> np.ndarray:
    """Least-squares (u, v) between two nearly aligned images."""
    gy, gx = np.gradient(reference.astype(float))
    gradients = np.stack([gx[use], gy[use]], axis=1)
    return np.linalg.lstsq(gradients, (image - reference)[use], rcond=None)[0]


def test_frames_warped_by_the_known_flow_show_the_clean_image(scene, monkeypatch):
    monkeypatch.setattr(simulate, "TRANSIENT_RATE", 0.0)
    recording = simulate_recording(scene, frames=8, seed=1, photons=500.0)
    for frame, flow in zip(recording.movie, recording.flow, strict=True):
        use = inside(flow)
        assert use.sum() > 0.5 * use.size
        assert np.abs(residual_shift(warp(frame, flow), recording.clean, use)).max() < 0.02
        # 500 photons leave 4.5 % noise, and the unwarped frame differs by far more
        error = (warp(frame, flow) - recording.clean)[use].std() / recording.clean.mean()
        assert error < 0.06 < (frame - recording.clean)[use].std() / recording.clean.mean()


def test_between_takes_the_base_into_the_recording(scene):
    between = simulate_between(SHAPE, seed=5, rigid=4.0, nonrigid=1.5)
    base = simulate_recording(scene, frames=1, seed=1).clean
    there = simulate_recording(scene, frames=1, seed=2, between=between).clean
    use = inside(between)
    error = np.abs(warp(there, between) - base)[use]
    assert error.mean() < 0.003 * base.mean()
    assert np.abs(there - base)[use].mean() > 0.1 * base.mean()


def test_amplitudes_are_what_was_asked_for(scene):
    still = simulate_recording(scene, frames=5, seed=1, rigid=0.0, nonrigid=0.0, jitter=0.0)
    assert not still.flow.any()
    drift = simulate_recording(scene, frames=5, seed=1, rigid=3.0, nonrigid=0.0, jitter=0.0).flow
    assert np.linalg.norm(drift, axis=-1).max() == pytest.approx(3.0, rel=1e-5)
    assert np.ptp(drift, axis=(1, 2)).max() == 0.0
    jitter = simulate_recording(scene, frames=5, seed=1, rigid=0.0, nonrigid=0.0, jitter=0.4).flow
    assert np.ptp(jitter, axis=2).max() == 0.0
    assert jitter.std() == pytest.approx(0.4, rel=1e-3)
    smooth = simulate_recording(scene, frames=5, seed=1, rigid=0.0, nonrigid=1.5, jitter=0.0).flow
    assert np.linalg.norm(smooth, axis=-1).max() == pytest.approx(1.5, rel=1e-5)
    assert np.abs(np.diff(smooth, axis=1)).max() < 0.3


def test_noise_is_photon_noise(scene, monkeypatch):
    monkeypatch.setattr(simulate, "TRANSIENT_RATE", 0.0)
    recording = simulate_recording(scene, frames=60, seed=4, rigid=0.0, nonrigid=0.0, jitter=0.0)
    expected = simulate.GAIN * (recording.clean - simulate.OFFSET) + simulate.READ_NOISE**2
    assert recording.movie.var(axis=0).mean() == pytest.approx(expected.mean(), rel=0.03)
    assert recording.movie.mean() == pytest.approx(recording.clean.mean(), rel=0.01)
    brighter = simulate_recording(scene, frames=1, seed=4, brightness=2.0).clean - simulate.OFFSET
    np.testing.assert_allclose(brighter, 2.0 * (recording.clean - simulate.OFFSET), rtol=1e-4)


def test_cells_are_active(scene):
    still = {"rigid": 0.0, "nonrigid": 0.0, "jitter": 0.0}
    recording = simulate_recording(scene, frames=60, seed=4, **still)
    brightest = (recording.movie.mean(axis=0) - recording.clean).max()
    assert brightest > 0.3 * recording.clean.mean()


def test_invert_and_compose_undo_each_other():
    w = simulate_between(SHAPE, seed=9, rigid=3.0, nonrigid=2.0)
    # a displacement is only known inside the image, so what was led out of it does not count
    assert np.abs(compose(w, invert(w)))[inside(w)].max() < 0.01
    shift = np.full((*SHAPE, 2), (2.0, -1.0), np.float32)
    np.testing.assert_allclose(compose(shift, invert(shift)), 0.0, atol=1e-3)


def test_a_fold_is_refused():
    rows = np.arange(72, dtype=np.float32)[:, None, None]
    fold = np.broadcast_to(8.0 * np.sin(rows), (*SHAPE, 2)).astype(np.float32)
    with pytest.raises(ValueError, match="folds"):
        invert(fold)


def test_session_is_written_and_reproducible(tmp_path):
    settings = {"names": ("a", "b ü"), "frames": 6, "shape": (48, 64), "seed": 7, "rigid": 2.0}
    simulate_session(tmp_path / "one", **settings)
    simulate_session(tmp_path / "two", **settings)
    names = sorted(path.relative_to(tmp_path / "one").as_posix() for path in (tmp_path / "one").rglob("*.*"))
    assert names == ["a.tif", "b ü.tif", "truth/a.npz", "truth/b ü.npz"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    movie = tifffile.imread(tmp_path / "one" / "b ü.tif")
    assert (movie.shape, movie.dtype) == ((6, 48, 64), np.uint16)
    base, other = (np.load(tmp_path / "one/truth" / f"{name}.npz") for name in ("a", "b ü"))
    assert (other["flow"].shape, other["flow"].dtype) == ((6, 48, 64, 2), np.float16)
    assert not base["between"].any()
    assert 3.0 < np.linalg.norm(other["between"], axis=-1).mean() < 9.0
    assert np.abs(other["clean"] - base["clean"]).mean() > 10.0
