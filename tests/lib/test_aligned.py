"""Movies in the common frame: sampled once from the raw frames, or from the compensated ones."""

import numpy as np
import pytest
import scipy.ndimage as ndi
import tifffile

from lib.aligned import align_movie, raw_fill
from lib.flow import FlowParams, compact_shape, pack_flow, valid_mask, warp_frame
from lib.recording import open_recording
from lib.simulate import compose, invert, make_scene, simulate_between, simulate_recording

SHAPE, FRAMES = (96, 112), 12
COMPACT = compact_shape(SHAPE, FlowParams(quality="quality"))
INNER = np.s_[16:-16, 16:-16]


class Collect:
    """A sink that keeps what it is given."""

    def __init__(self):
        self.frames = []

    def append(self, frames):
        self.frames += list(frames)


class Flows:
    """Displacements of all frames, as a recording of w_compact.h5 gives them."""

    def __init__(self, flow):
        self.flow = np.stack([pack_flow(w, COMPACT) for w in flow])
        self.frame_shape = self.flow.shape[1:]

    def read(self, start, stop):
        return self.flow[start:stop]


@pytest.fixture(scope="module")
def simulated():
    return simulate_recording(make_scene(SHAPE, 3), frames=FRAMES, seed=5, photons=200.0, jitter=0.0, rigid=6.0)


@pytest.fixture(scope="module")
def between():
    return simulate_between(SHAPE, seed=7, rigid=4.3)


def align(path, between, **how):
    sink = Collect()
    with open_recording(path) as movie:
        align_movie(movie, between, sink, **how)
    return np.array(sink.frames)


@pytest.fixture(scope="module")
def raw(simulated, tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "raw.tif"
    tifffile.imwrite(path, simulated.movie, photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def compensated(simulated, raw):
    path = raw.with_name("compensated.tif")
    frames = [warp_frame(f, w, fill=simulated.clean) for f, w in zip(simulated.movie, simulated.flow, strict=True)]
    tifffile.imwrite(path, np.array(frames), photometric="minisblack")
    return path


def test_sampling_once_is_more_exact(simulated, between, tmp_path):
    """Frames without noise, of an image that is known between its pixels too."""
    rng = np.random.default_rng(0)
    waves = rng.uniform(-1.2, 1.2, (30, 2)), rng.uniform(0, 2 * np.pi, 30)

    def image(w):
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + np.moveaxis(w[..., ::-1], -1, 0)
        return sum(np.sin(kx * x + ky * y + phase) for (kx, ky), phase in zip(*waves, strict=True)).astype(np.float32)

    raw = np.stack([image(invert(w)) for w in simulated.flow])
    compensated = [warp_frame(f, w, fill=0) for f, w in zip(raw, simulated.flow, strict=True)]
    tifffile.imwrite(tmp_path / "raw.tif", raw, photometric="minisblack")
    tifffile.imwrite(tmp_path / "compensated.tif", np.array(compensated), photometric="minisblack")
    fill = np.zeros(SHAPE, np.float32)
    once = align(tmp_path / "raw.tif", between, fill=fill, within=Flows(simulated.flow))
    twice = align(tmp_path / "compensated.tif", between, fill=fill)
    errors = [(frames - image(between))[:, *INNER].std() for frames in (once, twice)]
    assert errors[0] < 0.8 * errors[1] and errors[0] < 0.1 * raw.std()


def test_without_motion_between_it_is_the_compensated_movie(simulated, raw, compensated):
    still = np.zeros((*SHAPE, 2), np.float32)
    fill = raw_fill(simulated.clean, np.zeros(SHAPE), still)
    aligned = align(raw, still, fill=fill, within=Flows(simulated.flow)).astype(float)
    difference = np.abs(aligned - tifffile.imread(compensated))
    assert np.median(difference) <= 2 and difference.mean() < 0.01 * aligned.mean()


def test_pixels_without_data(simulated, between, raw):
    """From the recording's reference where its frame has none, from the center beyond its frame."""
    reference, center = np.full(SHAPE, 7.0), np.full(SHAPE, 9.0)
    fill = raw_fill(reference, center, between)
    flows = Flows(simulated.flow)
    aligned = align(raw, between, fill=fill, within=flows)
    beyond = ~valid_mask(between)
    assert beyond.any() and (aligned[:, beyond] == 9).all()
    for t, frame in enumerate(aligned):
        invalid = ~valid_mask(compose(between, simulated.flow[t])) & ~beyond
        sure = ndi.binary_erosion(invalid)  # the kept flow differs by a few hundredths of a pixel
        assert (frame[sure] == 7).all()
        assert (frame[ndi.binary_erosion(~invalid & ~beyond)] > 50).all()


def test_threads_and_chunks_change_nothing(simulated, between, raw):
    fill = simulated.clean.astype(np.uint16)
    first, again = (
        align(raw, between, fill=fill, within=Flows(simulated.flow), **how) for how in ({}, {"threads": 3, "chunk": 5})
    )
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("dtype, interpolation", [("float32", "cubic"), ("uint8", "linear"), ("uint16", "nearest")])
def test_another_type_and_interpolation(simulated, between, raw, dtype, interpolation):
    fill = raw_fill(simulated.clean, simulated.clean, between)
    aligned = align(raw, between, fill=fill, within=Flows(simulated.flow), dtype=dtype, interpolation=interpolation)
    assert aligned.dtype == dtype
    if interpolation == "nearest":
        inside = valid_mask(compose(between, simulated.flow[3]))
        assert np.isin(aligned[3][ndi.binary_erosion(inside, iterations=2)], simulated.movie[3]).all()


def test_two_channels(simulated, between, raw):
    second = (simulated.movie // 3 + 50).astype(np.uint16)
    path = raw.with_name("two.tif")
    tifffile.imwrite(path, np.stack([simulated.movie, second], 1), imagej=True, metadata={"axes": "TCYX"})
    fill = simulated.clean.astype(np.uint16)
    both = align(path, between, fill=np.stack([fill, fill], -1), within=Flows(simulated.flow))
    np.testing.assert_array_equal(both[..., 0], align(raw, between, fill=fill, within=Flows(simulated.flow)))


@pytest.mark.parametrize("channels", [1, 2])
def test_on_a_gpu_it_is_the_same_but_for_the_last_bits(simulated, between, tmp_path, channels):
    movie = np.stack([simulated.movie, simulated.movie[::-1]][:channels], 1)
    tifffile.imwrite(tmp_path / "raw.tif", movie, imagej=True, metadata={"axes": "TCYX"})
    fill = np.stack([simulated.clean.astype(np.uint16)] * channels, -1).reshape(*SHAPE, *[channels] * (channels > 1))
    for within in (None, Flows(simulated.flow)):
        numba, gpu, pieces = (
            align(tmp_path / "raw.tif", between, fill=fill, within=within, **how).astype(int)
            for how in ({}, {"backend": "cupy"}, {"backend": "cupy", "chunk": 5})
        )
        assert gpu.shape == numba.shape and (np.abs(gpu - numba) > 1).mean() < 1e-3
        np.testing.assert_array_equal(gpu, pieces)
