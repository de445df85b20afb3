"""A small compensation to put into a store, whole or in pieces, and what its outputs must be."""

from pathlib import Path

import h5py
import numpy as np

from lib.partial import CompensationStore
from lib.store import verify

FRAMES, SHAPE = 20, (12, 15)
NAMES = ("mean_disp", "max_disp")
RNG = np.random.default_rng(0)
MOVIE = RNG.integers(0, 4000, (FRAMES, *SHAPE, 2)).astype(np.uint16)
VALID = RNG.random((FRAMES, *SHAPE)) > 0.2
STATISTICS = RNG.random((FRAMES, 2))
FLOW = RNG.random((FRAMES, *SHAPE, 2)).astype(np.float32)
COMPACT_SHAPE = (5, 7)
COMPACT = RNG.random((FRAMES, *COMPACT_SHAPE, 2)).astype(np.float16)
REFERENCE = RNG.random(SHAPE)


def open_store(folder: Path, channels: int = 1, fingerprint=None, **other) -> CompensationStore:
    settings = {
        "frames": FRAMES,
        "frame_shape": SHAPE if channels == 1 else (*SHAPE, channels),
        "dtype": np.uint16,
        "fingerprint": fingerprint or {"size": 10, "alpha": (1.5, 1.5)},
        "statistics": NAMES,
    }
    return CompensationStore(folder, **{**settings, **other})


def write(store: CompensationStore, start: int, stop: int) -> None:
    frames = MOVIE[start:stop] if len(store.frame_shape) == 3 else MOVIE[start:stop, ..., 0]
    w = FLOW[start:stop] if store.save_w else None
    compact = COMPACT[start:stop] if store.compact_shape else None
    store.write(start, frames, VALID[start:stop], STATISTICS[start:stop], w, compact)


def complete(store: CompensationStore, batch: int = 8) -> None:
    for start, stop in store.missing(batch):
        write(store, start, stop)


def finish(store: CompensationStore, **how) -> dict[str, int]:
    np.save(store.scratch / "reference_frame.npy", REFERENCE)
    return store.finish(also=["reference_frame.npy"], **how)


def check_outputs(folder: Path, channels: int = 1, save_w: bool = False, compact: bool = False) -> None:
    names = ["compensated.hdf5", "idx.hdf", "reference_frame.npy", "statistics.npz"]
    names += ["w.h5"] * save_w + ["w_compact.h5"] * compact
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert [verify(folder / name) for name in names] == [None] * len(names)
    with h5py.File(folder / "compensated.hdf5") as file:
        assert list(file) == [f"ch{c + 1}" for c in range(channels)]
        for c in range(channels):
            np.testing.assert_array_equal(file[f"ch{c + 1}"], MOVIE[..., c])
            assert file[f"ch{c + 1}"].dtype == np.uint16
    with h5py.File(folder / "idx.hdf") as file:
        np.testing.assert_array_equal(file["ch1"], VALID * np.uint8(255))
    if save_w:
        with h5py.File(folder / "w.h5") as file:
            np.testing.assert_array_equal(file["u"], FLOW[..., 0])
            np.testing.assert_array_equal(file["v"], FLOW[..., 1])
            assert file["u"].dtype == np.float32
    if compact:
        with h5py.File(folder / "w_compact.h5") as file:
            np.testing.assert_array_equal(np.stack([file["u"], file["v"]], axis=-1), COMPACT)
            assert file["u"].dtype == np.float16
    with np.load(folder / "statistics.npz") as statistics:
        assert statistics.files == list(NAMES)
        np.testing.assert_array_equal(statistics["max_disp"], STATISTICS[:, 1])
    np.testing.assert_array_equal(np.load(folder / "reference_frame.npy"), REFERENCE)
