"""Flow on a real recording, ours beside other engines: with motion that is known, and without."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import convolve, gaussian_filter

from lib.compensation import read_smoothed
from lib.flow import SAFE_ALPHA, Calibration, FlowEstimator, FlowParams, calibrate, correlation, warp_frame
from lib.flow.calibration import SAFE_LEVEL
from lib.flow.known_motion import broken_up, residual, simulated
from lib.preparation import make_reference
from lib.recording import open_recording
from lib.simulate import invert, simulate_motion

from .data import default_params
from .kernel import OURS, PYFLOWREG, SUITE2P
from .peers import Worker, interpreter
from .report import BENCH, ROOT, table

SOURCE = ROOT / "demo" / "real"
KNOWN_FRAMES, FRAMES = 64, 200
SEED = 1  # of the known motion; the calibration's is 0, and its motion is made in another way
CUT = 16  # pixels at the border that no figure sees
BLUR = 3.0  # pixels
PRESETS = "fast", "balanced", "quality"
PEERS = {
    PYFLOWREG: [{"quality": preset, "alpha": 1.5} for preset in PRESETS],
    SUITE2P: [{"block": block} for block in (64, 32)],
}
INNER = (slice(CUT, -CUT),) * 2

KNOWN = "known", "known, signs"  # movies whose motion is known
KNOWN_COLUMNS = ("engine", "alpha x, y", "error, px", "predicted, px", "alpha x, y", "error, px", "predicted, px")
KNOWN_NOTE = (
    "{frames} frames made of the recording's reference, moved by known motion of the recording's own size (root mean "
    "square of shift {shift:.2f}, row jitter {rows:.2f}, deformation {deformation:.2f} px), and of what its frames "
    "show beside the reference; in the last three columns with random signs of small patches of it. What they show "
    "keeps motion that was not found and lacks noise that was followed, to the good of the method that registered "
    "them, ours; the signs undo that. Mean endpoint error, {cut} pixels of border left out. Ours: alpha auto on these "
    "frames, and the error that it predicts. Peers at their defaults; suite2p non-rigid, with its block size."
)
REAL_COLUMNS = ("engine", "alpha x, y", "gradient, %", "correlation", "PSNR, dB", "halves differ, px")
REAL_NOTE = (
    "{frames} frames of the recording. Gradient: norm of that of the average, uncorrected 100. Correlation: mean "
    "over frames, with the average of the other half of the frames. PSNR: mean over frames, to the reference, both "
    "blurred by {blur:.0f} pixels. Halves: mean difference of the flows estimated from the black and from the white "
    "squares of a checkerboard, the others filled by the mean of their neighbours; noise of neighbours correlates by "
    "{noise:.2f}. All flows warp the frames in the same way (cubic); {cut} pixels of border are left out. Flow that "
    "follows noise raises the first three, and it raises the last; no flow at all has none, so that the last alone "
    "says nothing either."
)


@dataclass(frozen=True)
class Recording:
    """What is known of the real recording: `reference` (H, W), some `frames` (T, H, W), and its calibration."""

    reference: np.ndarray
    frames: np.ndarray
    calibration: Calibration


def run(*, without: set[str], pythons: dict[str, Path], **_) -> list[str]:
    """Return both tables; nothing is timed."""
    data = BENCH / "real"
    data.mkdir(parents=True, exist_ok=True)
    recording = read(data)
    reference, motion = recording.reference, recording.calibration.motion
    rest = residuals(reference, recording.frames[:: FRAMES // KNOWN_FRAMES][:KNOWN_FRAMES])
    truth = known_motion(motion, reference.shape)
    signed = [broken_up(one, seed) for seed, one in enumerate(rest)]
    images = {"frames": recording.frames} | {
        name: np.stack([simulated(reference, one, invert(w)).frame for one, w in zip(parts, truth, strict=True)])
        for name, parts in zip(KNOWN, (rest, signed), strict=True)
    }
    images |= {f"half {colour}": checkerboard(recording.frames, colour) for colour in (0, 1)}
    images = {
        name: np.clip(np.rint(movie), 0, np.iinfo(np.int16).max).astype(np.uint16) for name, movie in images.items()
    }
    for name, array in (images | {"reference": reference}).items():
        np.save(data / f"{name}.npy", array)

    known_rows = [("no correction", *["", difference(truth, 0 * truth), ""] * len(KNOWN))]
    real_rows = [("no correction", "", *judge(recording, np.zeros((FRAMES, *truth.shape[1:]), np.float32)), 0.0)]
    for engine in (OURS, *(peer for peer in PEERS if peer not in without)):
        with Worker(engine, interpreter(engine, pythons), data) as worker:
            for setting in PEERS.get(engine, [{"quality": preset} for preset in PRESETS]):

                def settled(name, engine=engine, setting=setting) -> tuple[dict, float | str]:
                    """The setting for a movie, and the error that it predicts."""
                    if engine != OURS:
                        return setting, ""
                    found = calibrate(reference, images[name], default_params(setting["quality"]))
                    return setting | {"alpha": found.params.alpha_xy}, found.predicted_epe

                name, on_known = _name(engine, **setting), []
                for movie in KNOWN:
                    task, predicted = settled(movie)
                    on_known += [_alpha(task), difference(worker.flows(movie, reference="reference", **task), truth)]
                    on_known += [predicted]
                known_rows.append((name, *on_known))
                task, _ = settled("frames")
                flows, *halves = (
                    worker.flows(movie, reference="reference", **task) for movie in ("frames", "half 0", "half 1")
                )
                real_rows.append((name, _alpha(task), *judge(recording, flows), difference(*halves)))
    plain = real_rows[0][2]
    real_rows = [(name, alpha, 100 * gradient / plain, *more) for name, alpha, gradient, *more in real_rows]
    known_note = KNOWN_NOTE.format(frames=KNOWN_FRAMES, cut=CUT, **motion)
    real_note = REAL_NOTE.format(frames=FRAMES, cut=CUT, blur=BLUR, noise=neighbours(rest))
    return [
        table("Known motion, real tissue and noise", KNOWN_COLUMNS, known_rows, known_note),
        table("The recording itself", REAL_COLUMNS, real_rows, real_note),
    ]


def read(data: Path) -> Recording:
    """Join the recording that `make demo-real` cuts into parts; build its reference and calibrate as the workflow does.

    Grey values are halved: suite2p takes 15 bits of them.
    """
    parts = sorted(SOURCE.glob("part_*.tif"))
    if not parts:
        raise SystemExit(f"There is no recording in {SOURCE}: `make bench-real` fetches it first.")
    movie = np.concatenate([tifffile.imread(path) for path in parts]) // 2
    path, params = data / "recording.tif", default_params("balanced")
    tifffile.imwrite(path, movie, photometric="minisblack")
    with open_recording(path) as recording:
        reference, *_ = make_reference(recording, params, "auto")
        some = np.linspace(0, recording.frames - 1, FRAMES).round().astype(int)
        frames = np.concatenate([read_smoothed(recording, t, t + 1, params)[1] for t in some])
    reference = reference.astype(np.float32)
    return Recording(reference, frames, calibrate(reference, frames, params))


def residuals(reference: np.ndarray, frames: np.ndarray) -> list[np.ndarray]:
    """What frames (T, H, W) show beside the reference, each (H, W): noise and activity."""
    estimator = FlowEstimator(reference, FlowParams(alpha=SAFE_ALPHA, min_level=SAFE_LEVEL))
    return [residual(reference, frame, estimator(frame))[0] for frame in frames]


def known_motion(size: dict[str, float], shape: tuple[int, int]) -> np.ndarray:
    """Random motion (T, H, W, 2) whose shift, rows and deformation have the root mean squares of `size`, pixels."""
    kinds = {"shift": {"rigid": 1.0}, "rows": {"jitter": 1.0}, "deformation": {"nonrigid": 1.0}}
    rng, flow = np.random.default_rng(SEED), np.zeros((KNOWN_FRAMES, *shape, 2), np.float32)
    for kind, amplitude in kinds.items():
        part = simulate_motion(rng, KNOWN_FRAMES, shape, **{"rigid": 0, "nonrigid": 0, "jitter": 0} | amplitude)
        flow += part * np.float32(size[kind] / np.sqrt(np.square(part).sum(-1).mean()))
    return flow


def checkerboard(frames: np.ndarray, colour: int) -> np.ndarray:
    """Frames (T, H, W) of which only the squares of a colour, 0 or 1, are kept; the others are filled from those."""
    kept = np.indices(frames.shape[1:]).sum(0) % 2 == colour
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    number = np.maximum(convolve(kept.astype(np.float32), cross, mode="constant"), 1)
    return np.stack(
        [np.where(kept, f, convolve(f * kept, cross, np.float32, mode="constant") / number) for f in frames]
    )


def difference(flows: np.ndarray, others: np.ndarray) -> float:
    """Mean length of the difference of flows (T, H, W, 2), pixels."""
    return float(np.linalg.norm(flows - others, axis=-1)[:, *INNER].mean())


def judge(recording: Recording, flows: np.ndarray) -> tuple[float, float, float]:
    """Norm of the average's gradient, correlation of frames with the average of the other half, and PSNR."""
    reference = recording.reference
    moved = zip(recording.frames.astype(np.float32), flows, strict=True)
    moved = np.stack([warp_frame(frame, w, fill=reference) for frame, w in moved])
    inner = np.ascontiguousarray(moved[:, *INNER])
    halves, everywhere = (inner[::2].mean(0), inner[1::2].mean(0)), np.ones(inner.shape[1:], bool)
    alike = np.mean([correlation(frame, halves[1 - t % 2], everywhere) for t, frame in enumerate(inner)])
    blurred = gaussian_filter(reference, BLUR)[INNER]
    wrong = [np.square(gaussian_filter(frame, BLUR)[INNER] - blurred).mean() for frame in moved]
    psnr = 10 * np.log10(np.ptp(blurred) ** 2 / np.array(wrong))
    return float(np.linalg.norm(np.gradient(inner.mean(0)))), float(alike), float(psnr.mean())


def neighbours(rest: list[np.ndarray]) -> float:
    """Correlation of what neighbouring pixels show beside the reference."""
    rest = np.stack(rest) - np.mean(rest, axis=0)
    pairs = [(rest[:, 1:] * rest[:, :-1]).mean(), (rest[:, :, 1:] * rest[:, :, :-1]).mean()]
    return float(np.mean(pairs) / rest.var())


def _name(engine: str, *, quality: str = "", block: int = 0, **_) -> str:
    return {OURS: f"flowsession {quality}", PYFLOWREG: f"pyflowreg {quality}"}.get(
        engine, f"suite2p, {block} x {block}"
    )


def _alpha(task: dict) -> str:
    alpha = task.get("alpha", "")
    return ", ".join(f"{a:.3g}" for a in alpha) if isinstance(alpha, tuple) else str(alpha)
