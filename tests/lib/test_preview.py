"""The preview movie."""

import numpy as np
import pytest
from PIL import Image

from lib.preview import GAP, MOST_BYTES, write_preview


def read(path):
    with Image.open(path) as movie:
        frames = []
        for t in range(movie.n_frames):
            movie.seek(t)
            frames.append(np.asarray(movie.convert("L")))
        return np.stack(frames), movie.info


def test_before_and_after_side_by_side(tmp_path):
    y, x = np.mgrid[:40, :50]
    after = np.repeat(np.exp(-((x - 25) ** 2 + (y - 20) ** 2) / 40)[None], 6, axis=0)
    before = np.stack([np.roll(frame, 3 * t - 9, axis=1) for t, frame in enumerate(after)])
    write_preview(tmp_path / "a.gif", before, after)
    frames, info = read(tmp_path / "a.gif")
    assert frames.shape == (6, 40, 100 + GAP) and info["loop"] == 0 and info["duration"] == 100
    np.testing.assert_allclose(frames[:, :, :50] / 255, before, atol=0.15)
    np.testing.assert_allclose(frames[:, :, 50 + GAP :] / 255, after, atol=0.15)
    assert (frames[:, :, 50 : 50 + GAP] == 255).all()


def test_a_saturated_frame_leaves_the_others_visible(tmp_path):
    clip = np.random.default_rng(0).uniform(100, 200, (12, 30, 40)).astype(np.float32)
    clip[5], clip[7] = 65535, 0
    write_preview(tmp_path / "a.gif", clip, clip)
    frames, _ = read(tmp_path / "a.gif")
    assert frames[0].std() > 40 and (frames[5] == 255).all() and not frames[7, :, :40].any()


@pytest.mark.parametrize("shape", [(50, 256, 256), (50, 256, 60)])
def test_noise_fits_too(tmp_path, shape):
    clip = np.random.default_rng(0).poisson(5, shape).astype(np.float32)
    write_preview(tmp_path / "a.gif", clip, clip[::-1])
    assert (tmp_path / "a.gif").stat().st_size <= MOST_BYTES
    frames, info = read(tmp_path / "a.gif")
    assert len(frames) >= 5 and len(frames) * info["duration"] >= 4000
    once = (tmp_path / "a.gif").read_bytes()
    write_preview(tmp_path / "a.gif", clip, clip[::-1])
    assert (tmp_path / "a.gif").read_bytes() == once


def test_one_constant_frame(tmp_path):
    write_preview(tmp_path / "a.gif", np.full((1, 8, 9), 3, np.float32), np.full((1, 8, 9), 3, np.float32))
    assert read(tmp_path / "a.gif")[0].shape == (1, 8, 18 + GAP)
