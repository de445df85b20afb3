"""Time and error of one frame's flow, ours beside other engines, one thread each."""

from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median

from .data import STILL_FRAMES, make_frames
from .peers import Worker, interpreter
from .report import BENCH, table

FRAMES = 6

OURS, PYFLOWREG, OPENCV, SUITE2P = "ours", "pyflowreg", "opencv", "suite2p"
# What is compared with what: (our arguments, the peer, its arguments)
PAIRS = [
    *(({"quality": q, "alpha": 1.5}, PYFLOWREG, {"quality": q, "alpha": 1.5}) for q in ("fast", "balanced", "quality")),
    ({"quality": "fast", "alpha": 25}, OPENCV, {"preset": "ultrafast"}),
    ({"quality": "balanced", "alpha": 25}, OPENCV, {"preset": "fast"}),
    ({"quality": "quality", "alpha": 25}, OPENCV, {"preset": "medium"}),
    *(({"quality": q, "alpha": 25}, SUITE2P, {}) for q in ("balanced", "quality")),
    ({"quality": "fast", "alpha": "auto"}, OPENCV, {"preset": "ultrafast"}),
    ({"quality": "balanced", "alpha": "auto"}, OPENCV, {"preset": "fast"}),
    ({"quality": "quality", "alpha": "auto"}, OPENCV, {"preset": "medium"}),
    *(({"quality": q, "alpha": "auto"}, SUITE2P, {}) for q in ("fast", "balanced", "quality")),
    *(({"quality": q, "alpha": 25, "warp": True}, SUITE2P, {"warp": True}) for q in ("balanced", "quality")),
]
COLUMNS = ("reference", "ours", "ms", "error", "peer", "ms", "error", "time peer : ours", "error ours : peer")
NOTE = (
    "Milliseconds per frame of 512 x 512 (median over frames and rounds) and mean endpoint error in pixels, "
    f"{FRAMES} frames. Engines take turns; ratios of time are the median over rounds. Reference: the noise-free image "
    f"(clean), or the mean of {STILL_FRAMES} noisy frames without motion (noisy). Scaling and smoothing of the frame "
    "count, warping only where it says so. Alpha auto: what calibration finds on other frames of the recording."
)


def run(*, rounds: int, without: set[str], pythons: dict[str, Path]) -> list[str]:
    """Return the table."""
    data = BENCH / "frames"
    make_frames(data, FRAMES)
    pairs = [(reference, *pair) for reference in ("clean", "noisy") for pair in PAIRS if pair[1] not in without]
    results: dict[tuple, list[dict]] = {}
    with ExitStack() as stack:
        engines = {OURS} | {peer for _, _, peer, _ in pairs}
        workers = {e: stack.enter_context(Worker(e, interpreter(e, pythons), data)) for e in sorted(engines)}
        for _ in range(rounds):
            for reference, mine, peer, theirs in pairs:
                for key in (_key(OURS, reference, mine), _key(peer, reference, theirs)):
                    results.setdefault(key, []).append(workers[key[0]].run(**dict(key[1:])))
    return [table("Kernel", COLUMNS, [_row(results, *pair) for pair in pairs], NOTE)]


def _key(engine: str, reference: str, arguments: dict) -> tuple:
    return engine, ("reference", reference), *arguments.items()


def _row(results, reference, mine, peer, theirs):
    ours, other = results[_key(OURS, reference, mine)], results[_key(peer, reference, theirs)]
    faster = median(median(b["ms"]) / median(a["ms"]) for a, b in zip(ours, other, strict=False))
    (my_ms, my_error), (peer_ms, peer_error) = _summary(ours), _summary(other)
    names = _name(OURS, **mine), _name(peer, **theirs)
    return (reference, names[0], my_ms, my_error, names[1], peer_ms, peer_error, faster, my_error / peer_error)


def _summary(rounds: list[dict]) -> tuple[float, float]:
    return median(ms for r in rounds for ms in r["ms"]), mean(rounds[0]["error"])


def _name(engine: str, *, quality: str = "", preset: str = "", alpha: float | str = 0, warp: bool = False) -> str:
    engine = {OPENCV: "DIS", SUITE2P: "suite2p non-rigid"}.get(engine, engine)
    name = " ".join(filter(None, (engine, quality or preset, f"alpha {alpha}" if alpha else "")))
    return name + (", warped" if warp else "")
