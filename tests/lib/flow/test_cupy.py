"""The GPU backend, held to the oracle and to the Numba backend: on a GPU where there is one, else on the stand-in."""

import gc
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cupy
import numpy as np
import pytest

from lib.flow import Backend, FlowEstimator, FlowParams, as_type, calibrate
from lib.flow.backend_cupy import BLOCK_CELLS, CupyBackend
from lib.flow.device import TYPES, DeviceError, source
from lib.flow.device_memory import bytes_needed
from lib.flow.estimator import coarse_to_fine, level_shapes, make_plan
from lib.simulate import make_scene, simulate_recording
from tests import oracle
from tests.conftest import GPU
from tests.lib.flow.test_oracle import assert_close, images, one_level

REPOSITORY = Path(__file__).parents[3]
POOL = cupy.get_default_memory_pool()
FAST = FlowParams(quality="fast")
stand_in_only = pytest.mark.skipif(GPU is not None, reason="counts what the stand-in for CuPy is asked for")


@pytest.fixture
def limit():
    """Leave this much device memory, and no more."""
    gc.collect()

    def leave(nbytes):
        POOL.free_all_blocks()
        POOL.set_limit(size=POOL.used_bytes() + nbytes)

    yield leave
    POOL.set_limit(size=0)


@pytest.fixture(scope="module")
def recording():
    return simulate_recording(make_scene((61, 75), 4), frames=7, seed=2, rigid=2.0)


def on_host(slot, name, *shape):
    """The beginning of an array of a slot."""
    return slot[name][: int(np.prod(shape))].get(stream=slot.stream).reshape(shape)


def uncoloured(planes, shape):
    """An image (h, w) from its red and black cells (2, h, m), see relax.cu."""
    h, w = shape
    image = np.empty(shape, np.float32)
    y, x = np.mgrid[0:h, 0:w]
    image[y, x] = planes[(x + y) & 1, y, x // 2]
    return image


@pytest.mark.parametrize("shape", [(48, 64), (37, 53), (30, 41), (75, 90)])
@pytest.mark.parametrize(
    "more, channels",
    [
        ({"iterations": 1, "update_lag": 1}, 1),
        ({"iterations": 1, "update_lag": 1, "a_smooth": 0.6}, 1),
        ({"iterations": 12, "update_lag": 5, "alpha": (3.0, 20.0)}, 1),
        ({"iterations": 7, "update_lag": 3, "a_smooth": 0.5}, 1),
        ({"iterations": 9, "update_lag": 9, "weight": (0.3, 0.7)}, 2),
    ],
)
def test_sweeps(shape, more, channels):
    params = one_level(**more)
    reference, frame = images(shape, channels)
    backend = CupyBackend(make_plan(reference, params), reference)
    (h, w), n = shape, 2
    cells = h * ((w + 1) // 2)
    for slot, _ in backend.slots.batches(1):
        backend.load(slot, slot.upload("frames", frame[None]))
        backend.shift(slot, 0, backend.translate(slot))
        backend.constrain(slot, 0)
        start = on_host(slot, "start", 2, h, w).transpose(1, 2, 0).astype(float)
        tensors = []
        for j11, j12, j22, j13, j23, j33 in on_host(slot, "tensor", channels, 6, h, w).astype(float):
            tensors.append(np.array([[j11, j12, j13], [j12, j22, j23], [j13, j23, j33]]))
        backend.solve(slot, 0)
        solved = on_host(slot, "solved", 2, 2, h, cells // h)
        backend.smooth(slot, 0)
        smoothed = on_host(slot, "flow", 2, h, w).transpose(1, 2, 0)
    found = np.stack([uncoloured(solved[c], shape) for c in range(n)], -1)
    expected = oracle.solve(tensors, params.channel_weight(channels), start, params.alpha_xy, 1.0, 1.0, params.a_data,
                            params.a_smooth, params.iterations, params.update_lag, backend.plan.omega)  # fmt: skip
    assert_close(found, expected)
    increment = (found - start).astype(np.float32)
    assert_close(smoothed, start + np.stack([oracle.median(increment[..., c]) for c in (0, 1)], -1), 1e-6)


@pytest.mark.parametrize("shape", [(48, 64), (37, 53)])
@pytest.mark.parametrize("constancy", ["gc", "gray", "cs"])
def test_pyramid_warp_and_tensor(shape, constancy):
    params = FlowParams(quality="quality", levels=2, constancy_assumption=constancy)
    reference, frame = images(shape)
    plan = make_plan(reference, params)
    backend = CupyBackend(plan, reference)
    offset, scale = plan.normalisation[0]
    fixed, moving = (
        oracle.pyramid((image[..., 0].astype(float) - offset) * scale, [lv.shape for lv in plan.levels], (1.0, 1.0))
        for image in (reference, frame)
    )
    level = plan.levels[1]
    for slot, _ in backend.slots.batches(1):
        backend.load(slot, slot.upload("frames", frame[None]))
        for k, image in enumerate(moving):
            assert_close(on_host(slot, f"image{k}", *image.shape), image)
        backend.shift(slot, 1, backend.translate(slot))
        backend.constrain(slot, 1)
        start = on_host(slot, "start", 2, *level.shape).transpose(1, 2, 0).astype(float)
        J = on_host(slot, "tensor", 6, *level.shape)
    warped = oracle.warp(moving[1], fixed[1], start, level.hx, level.hy)
    expected = oracle.tensor(constancy, fixed[1], warped, level.hx, level.hy)
    for entry, (i, j) in enumerate([(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]):
        # normalised constraints amplify single precision where the gradient is as small as the normalisation
        assert_close(J[entry], expected[i, j], 5e-3 if constancy == "gc" else 1e-4)


@pytest.mark.parametrize("quality", ["fast", "balanced", "quality"])
@pytest.mark.parametrize(
    "shape, channels, more",
    [
        ((72, 96), 1, {}),
        ((61, 83), 1, {"alpha": (4.0, 30.0), "constancy_assumption": "gray"}),
        ((64, 64), 2, {"alpha": 8.0, "weight": (1.0, 3.0), "channel_normalization": "separate"}),
        ((53, 67), 1, {"a_smooth": 0.7, "iterations": 30, "update_lag": 10}),
        ((50, 60), 1, {"constancy_assumption": "cs", "alpha": 0.5}),
        ((131, 147), 2, {"sigma": ((1.0, 2.0, 0.0), (0.5, 0.5, 0.0)), "iterations": 50, "update_lag": 5}),
        ((11, 200), 1, {}),
    ],
)
def test_the_same_flow_as_numba(quality, shape, channels, more):
    params = FlowParams(quality=quality, **more)
    reference, frame = images(shape, channels)
    numba, gpu = (FlowEstimator(reference, params, backend=name) for name in ("numba", "cupy"))
    difference = np.abs(gpu(frame) - numba(frame))
    assert difference.max() < 0.02
    assert difference.mean() < 0.001
    np.testing.assert_allclose(gpu.translation(frame), numba.translation(frame), atol=1e-3)


def test_intensities_count_not_their_type(recording):
    reference, frames = recording.clean / 64, recording.movie // 64  # below 128
    for method in ("cubic", "linear", "nearest"):
        params = FlowParams(quality="fast", interpolation_method=method)
        estimator = FlowEstimator(reference, params, backend="cupy")
        first = estimator.register_frames(frames.astype("u1"))
        for dtype in TYPES[1:]:
            found = estimator.register_frames(frames.astype(dtype))
            np.testing.assert_array_equal(found.w, first.w)
            assert found.registered.dtype == dtype
            tolerance = 0.501 if dtype.kind == "f" and method != "nearest" else 0  # integers are rounded
            assert np.abs(found.registered.astype(float) - first.registered)[first.valid].max() <= tolerance


@pytest.mark.parametrize(
    "method, dtype", [("cubic", "u2"), ("cubic", "f4"), ("linear", "i4"), ("linear", "f4"), ("nearest", "u2")]
)
def test_frames_are_registered_as_by_numba(recording, method, dtype):
    params = FlowParams(quality="fast", alpha=10.0, interpolation_method=method)
    frames = np.stack([recording.movie // 64, recording.movie[::-1] // 80], -1).astype(dtype)
    reference = frames[:3].mean(0)
    done = [
        FlowEstimator(reference, params, backend=name).register_frames(frames, compact=True)
        for name in ("numba", "cupy")
    ]
    for numba, gpu in zip(*done, strict=True):
        assert gpu.dtype == numba.dtype and gpu.shape == numba.shape
    numba, gpu = done
    assert (numba.valid != gpu.valid).mean() < 1e-3
    both = numba.valid & gpu.valid
    exact = frames.dtype.kind == "f" and method != "nearest"
    error = np.abs(numba.registered.astype(float) - gpu.registered.astype(float))[both]
    assert error.max() <= (0.05 if exact else 1 if method != "nearest" else 40)
    assert (error > (0.01 if exact else 0)).mean() < 0.01
    fill = np.broadcast_to(as_type(reference, frames.dtype), frames.shape)
    np.testing.assert_array_equal(gpu.registered[~gpu.valid], fill[~gpu.valid])
    np.testing.assert_allclose(gpu.statistics, numba.statistics, rtol=1e-3, atol=1e-3)
    assert np.abs(gpu.compact.astype(float) - numba.compact).max() < 0.02


def test_absurd_numbers_give_finite_flow(recording):
    spot = recording.movie[0].astype(np.float64)
    spot[20, 20], spot[30, 31] = 1e30, -1e30
    estimator = FlowEstimator(recording.clean, FlowParams(quality="quality", iterations=4), backend="cupy")
    assert np.isfinite(estimator.flows(np.stack([spot, np.full_like(spot, -1e30)]))).all()


def test_the_same_smoothness_is_found_as_by_numba(recording):
    found = [calibrate(recording.clean, recording.movie, FAST, backend=name) for name in ("numba", "cupy")]
    assert found[0].params.alpha == found[1].params.alpha
    assert found[0].predicted_epe == pytest.approx(found[1].predicted_epe, rel=1e-3)


@pytest.mark.parametrize("more", [{}, {"a_smooth": 0.7}])
def test_another_smoothness_is_as_a_new_estimator(recording, more):
    params = FlowParams(quality="balanced", alpha=3.0, **more)
    estimator = FlowEstimator(recording.clean, params, backend="cupy")
    before = estimator.flows(recording.movie)
    other = estimator.with_alpha((40.0, 7.0))
    new = FlowEstimator(recording.clean, other.params, backend="cupy")
    np.testing.assert_array_equal(other.flows(recording.movie), new.flows(recording.movie))
    np.testing.assert_array_equal(estimator.flows(recording.movie), before)


def test_batches_change_nothing(recording):
    estimator = FlowEstimator(recording.clean, FlowParams(quality="balanced"), backend="cupy")
    alone = [estimator.register_frames(frame[None], compact=True) for frame in recording.movie]
    for size in (2, 5, 7):
        estimator._backend.slots.frames_at_once = size
        together = estimator.register_frames(recording.movie, compact=True)
        for name in together._fields:
            parts = [getattr(part, name) for part in alone]
            np.testing.assert_array_equal(getattr(together, name), np.concatenate(parts))


def test_one_launch_or_many_sweeps_the_same(recording, monkeypatch):
    for more in ({}, {"a_smooth": 0.6}):
        found = []
        for cells in (0, 10**6):
            monkeypatch.setattr("lib.flow.backend_cupy.BLOCK_CELLS", cells)
            found.append(FlowEstimator(recording.clean, FlowParams(**more), backend="cupy")(recording.movie[1]))
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("shape", [(64, 64), (61, 47), (10, 10), (11, 200)])
def test_extreme_frames_give_finite_flow(shape):
    reference = np.random.default_rng(1).integers(0, 3000, shape).astype(np.uint16)
    spot = np.zeros(shape, np.uint16)
    spot[shape[0] // 2, shape[1] // 2] = 65535
    frames = np.stack([np.zeros(shape, np.uint16), np.full(shape, 65535, np.uint16), spot, reference])
    for against in (reference, np.zeros(shape, np.uint16), spot):
        for more in ({}, {"constancy_assumption": "gray", "a_smooth": 0.5}, {"constancy_assumption": "cs"}):
            estimator = FlowEstimator(against, FlowParams(quality="quality", iterations=4, **more), backend="cupy")
            done = estimator.register_frames(frames)
            assert np.isfinite(done.w).all() and np.isfinite(done.statistics).all()


@pytest.mark.parametrize("quality, channels, more", [("fast", 1, {}), ("quality", 2, {"a_smooth": 0.8})])
def test_memory_is_what_was_predicted(recording, quality, channels, more):
    movie = np.stack([recording.movie] * channels, -1)
    gc.collect()
    before = POOL.used_bytes()
    estimator = FlowEstimator(movie[0], FlowParams(quality=quality, **more), backend="cupy")
    slots = estimator._backend.slots
    constants = POOL.used_bytes() - before - bytes_needed(slots.layout, 1)
    estimator.register_frames(movie, compact=True)
    images = 2 * -(-movie[0].nbytes // 512) * 512  # the reference as it was given, and the fill
    assert POOL.used_bytes() - before == constants + bytes_needed(slots.layout, len(movie)) + images
    assert bytes_needed(slots.layout, 64) > 60 * bytes_needed(slots.layout, 1)


def test_the_batch_follows_the_free_memory(recording, limit):
    whole = FlowEstimator(recording.clean, FAST, backend="cupy")._backend
    assert whole.slots.frames_at_once == -(-(2**24) // recording.clean.size)  # all that is useful
    tiny = FlowEstimator(recording.clean[:10, :10], FAST, backend="cupy")._backend
    assert tiny.slots.frames_at_once == 4096  # what a launch can count
    limit(60 * bytes_needed(whole.slots.layout, 1))
    assert 20 <= FlowEstimator(recording.clean, FAST, backend="cupy")._backend.slots.frames_at_once <= 27


def test_out_of_memory_halves_the_batch(recording, limit, caplog):
    estimator = FlowEstimator(recording.clean, FAST, backend="cupy")
    expected = estimator.register_frames(recording.movie)
    estimator = FlowEstimator(recording.clean, FAST, backend="cupy")
    limit(3 * bytes_needed(estimator._backend.slots.layout, 1))  # another process has taken the rest
    found = estimator.register_frames(recording.movie)
    np.testing.assert_array_equal(found.w, expected.w)
    assert "no memory for 7 frames at once; going on with 3" in caplog.text
    assert estimator.parts(7)[0].stop < 7


def test_two_threads_share_memory_for_one(recording, limit):
    estimator = FlowEstimator(recording.clean, FAST, backend="cupy")
    expected = [estimator(frame) for frame in recording.movie]
    limit(2**14)  # one frame's memory is in use already, and no room for a second
    with ThreadPoolExecutor(2) as pool:
        np.testing.assert_array_equal(list(pool.map(estimator, recording.movie)), expected)


def test_a_frame_that_does_not_fit_is_an_error_with_its_size(recording, limit):
    limit(300_000)
    with pytest.raises(DeviceError, match=r"61 x 75 x 1 needs 0\.\d MB.*0\.3 MB are free.*'numba'"):
        FlowEstimator(recording.clean, FlowParams(quality="quality"), backend="cupy")


@stand_in_only
@pytest.mark.parametrize("quality", ["fast", "balanced", "quality"])
def test_a_batch_takes_few_launches_and_one_wait(quality):
    from cupy.cuda import Stream
    from cupy.cuda._kernels import Kernel

    reference = np.random.default_rng(0).integers(0, 3000, (512, 512)).astype(np.uint16)
    plan = make_plan(reference[..., None].astype(np.float32), FlowParams(quality=quality))
    backend = CupyBackend(plan, reference[..., None].astype(np.float32))
    counts = []
    for frames in (1, 3):
        launches, waits = len(Kernel.launches), Stream.synchronizations
        for slot, _ in backend.slots.batches(1):  # as `register` does it, but nothing is computed
            slot.count = frames
            coarse_to_fine(backend, slot, slot.upload("frames", reference[None, ..., None])._replace(count=frames))
            slot.stream._waiting.clear()
        counts.append(len(Kernel.launches) - launches)
        assert Stream.synchronizations == waits
    assert counts[0] == counts[1] < 750


def test_the_count_is_what_a_hand_count_gives():
    """Of the bytes and operations that `python -m tests.bench gpu` tells."""
    command = [sys.executable, "-m", "tests.bench.gpu_count", "128"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    launches, operations, asked, read, written = json.loads(done.stdout)["quality"]["half_sweep"]
    shapes = [shape for _, shape in level_shapes((128, 128), FlowParams(quality="quality"))]
    updates = sum(h * w for h, w in shapes if h * ((w + 1) // 2) > BLOCK_CELLS) * 24  # 16 sweeps and 8
    assert launches % 48 == 0 and written == 8 * updates  # u and v
    assert 36 * updates * 0.95 < read <= 36 * updates  # the system's five numbers, u and v of both colours
    assert asked == pytest.approx(76 * updates, rel=0.05)  # and those of four neighbours, one by one
    assert operations == pytest.approx(28 * updates, rel=0.05)


@stand_in_only
def test_a_batch_waits_once(recording):
    from cupy.cuda import Stream

    estimator = FlowEstimator(recording.clean, FAST, backend="cupy")
    estimator.register_frames(recording.movie, compact=True)
    waits = Stream.synchronizations
    estimator.register_frames(recording.movie, compact=True)
    assert Stream.synchronizations == waits + 1


def test_wrong_input_is_named(recording):
    with pytest.raises(ValueError, match="opencl"):
        Backend("opencl")
    estimator = FlowEstimator(recording.clean, FAST, backend="cupy")
    with pytest.raises(TypeError, match="float16.*uint8, int8"):
        estimator(recording.movie[0].astype(np.float16))


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler (nvcc) on this machine")
def test_kernels_compile_for_all_devices_without_spills(tmp_path):
    (tmp_path / "kernels.cu").write_text(source(), "utf-8")
    targets = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in (75, 80, 90, 120)]
    command = ["nvcc", "-std=c++17", "-fatbin", *targets, "-Xptxas=-v", "-Werror=all-warnings", "-o", tmp_path / "out"]
    done = subprocess.run([*command, tmp_path / "kernels.cu"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kernels = re.findall(r"Compiling entry function '(\w+)' for 'sm_(\d+)'", done.stderr)
    assert {architecture for _, architecture in kernels} == {"75", "80", "90", "120"}
    assert len(kernels) == 4 * source().count("__global__")
    assert set(re.findall(r"(\d+) bytes spill", done.stderr)) == {"0"}
    assert max(map(int, re.findall(r"Used (\d+) registers", done.stderr))) <= 128
