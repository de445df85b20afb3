"""The outputs of one compensation while it runs: killed at any moment, it goes on where it stopped.

All files lie in `.partial` beside their final place, or on a disk of the node, laid out at full size. A batch counts
as done once its frames are on disk and, after that, its line in the journal is. The journal's first line says which job
the files belong to; to any other job they are worthless and are removed.

Several processes, on several machines, may write shards of one recording at once, each its own span of frames and with
its own journal. Nothing is shared but the files, of which each writes its own bytes.
"""

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from lib.journal import Journal, lock, read_journal
from lib.layout import FrameFile, Region, create_hdf5, create_raw, new_hdf5
from lib.store import atomic_path, fsync, name_in_errors, write_npz

logger = logging.getLogger(__name__)

Frames = np.ndarray | Sequence[np.ndarray]
Derive = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]

JOURNAL, SHARD_JOURNAL, LOCK = "journal.jsonl", "journal_{}-{}.jsonl", "lock"
MOVIE, VALID, STATISTICS = "compensated.hdf5", "idx.hdf", "statistics.bin"
FLOW, COMPACT = "w.h5", "w_compact.h5"


class CompensationStore:
    """Resumable outputs of one recording. `write` may be called from several threads.

    Parameters
    ----------
    folder
        Where the outputs go; `folder/.partial` holds them until `finish`.
    frames, frame_shape, dtype
        Of the compensated movie: T, (H, W) or (H, W, C) with C > 1, the type of the pixels.
    fingerprint
        What the result depends on (source, parameters, kernel); must fit into JSON. What a job with another
        fingerprint left is discarded.
    statistics
        Names of the numbers kept for each frame.
    save_w
        Keep the displacements too.
    attributes
        Numbers about the movie, such as its frame rate, that its HDF5 file keeps.
    compact_shape
        Keep the displacements in little space, at this size (h, w).
    span
        Take care of the frames [start, stop) only, beside others who do the rest. A store without it must have been
        opened before, and puts everything together afterwards.
    partial
        Where the files are until `finish`, by default `folder/.partial`; it may be on another disk, but shards must
        all see it.

    Raises
    ------
    OSError
        The files cannot be made; the message says how many bytes are needed and how many are free.
    RuntimeError
        Another process is working on the same recording, or on the same span of it; or a span is asked for, and what
        is there was not made for this job.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        frames: int,
        frame_shape: tuple[int, ...],
        dtype: np.dtype | str,
        fingerprint: dict[str, Any],
        statistics: tuple[str, ...],
        save_w: bool = False,
        attributes: Mapping[str, Any] | None = None,
        compact_shape: tuple[int, int] | None = None,
        span: tuple[int, int] | None = None,
        partial: str | Path | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.frames = frames
        self.frame_shape = tuple(frame_shape)
        self.dtype = np.dtype(dtype)
        self.statistics = tuple(statistics)
        self.save_w = save_w
        self.attributes = dict(attributes or {})
        self.compact_shape = compact_shape
        self.span = span or (0, frames)
        self._shared = span is not None
        self._partial = Path(partial or self.folder / ".partial")
        self._done: list[tuple[int, int]] = []
        self._files: dict[str, FrameFile] = {}
        self._mutex = threading.Lock()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(exist_ok=True)
        self._journal: Journal | None = None
        self._lock = lock(self._partial / LOCK, shared=self._shared)
        job = {
            "fingerprint": fingerprint,
            "frames": frames,
            "frame_shape": self.frame_shape,
            "dtype": self.dtype.name,
            "statistics": self.statistics,
            "save_w": save_w,
            "attributes": self.attributes,
            "compact_shape": compact_shape,
        }
        try:
            self._open(json.loads(json.dumps(job)))  # as it will come back from the journal
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def scratch(self) -> Path:
        """A folder for what a resumed job need not find out again; emptied when another job takes over."""
        return self._partial

    @property
    def finished(self) -> list[tuple[int, int]]:
        """The stretches [start, stop) of the span that are on disk, sorted and merged."""
        merged: list[tuple[int, int]] = []
        with self._mutex:
            done = sorted(self._done)
        first, last = self.span
        for start, stop in ((max(start, first), min(stop, last)) for start, stop in done):
            if start >= stop:
                continue
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return merged

    def missing(self, batch: int) -> list[tuple[int, int]]:
        """The stretches [start, stop) of the span still to do, none longer than `batch` frames."""
        finished, (first, last) = self.finished, self.span
        starts = [first, *(stop for _, stop in finished)]
        stops = [*(start for start, _ in finished), last]
        return [
            (begin, min(begin + batch, stop))
            for start, stop in zip(starts, stops, strict=True)
            for begin in range(start, stop, batch)
        ]

    def write(
        self,
        start: int,
        registered: Frames,
        valid: Frames,
        statistics: Frames,
        w: Frames | None = None,
        compact: Frames | None = None,
    ) -> None:
        """Write a batch and wait until it is on disk.

        Each argument is one array, or several in a sequence, the frames of which follow each other.

        Parameters
        ----------
        start
            The batch's first frame.
        registered
            (n, H, W) or (n, H, W, C), of the store's dtype.
        valid
            (n, H, W) bool.
        statistics
            (n, number of statistics) float64.
        w
            (n, H, W, 2) float32; with `save_w` only, and then required.
        compact
            (n, h, w, 2) float16; with `compact_shape` only, and then required.

        Raises
        ------
        ValueError
            An array has another shape or type.
        OSError
            The disk is full or failed; what was written before stays usable.
        """
        if (w is not None) != self.save_w or (compact is None) != (self.compact_shape is None):
            raise ValueError("w must be given with save_w, compact with compact_shape, and only then")
        movie, masks, numbers, *flows = (_parts(frames) for frames in (registered, valid, statistics, w, compact))
        count = sum(map(len, movie))
        if {sum(map(len, parts)) for parts in (masks, numbers, *flows) if parts} != {count}:
            raise ValueError(f"the arrays of the batch at frame {start} have different lengths")
        if any(part.dtype != bool for part in masks):
            raise ValueError("valid must be bool")
        if len(self.frame_shape) == 2:
            self._write(MOVIE, "ch1", start, movie)
        else:
            for c in range(self.frame_shape[2]):
                self._write(MOVIE, f"ch{c + 1}", start, [part[..., c] for part in movie])
        self._write(VALID, "ch1", start, [np.multiply(part.view(np.uint8), np.uint8(255)) for part in masks])
        self._write(STATISTICS, "statistics", start, numbers)
        for name, parts in zip((FLOW, COMPACT), flows, strict=True):
            for c, component in enumerate("uv" if parts else ""):
                self._write(name, component, start, [part[..., c] for part in parts])
        for name, file in self._files.items():
            with name_in_errors(self._partial / name):
                file.sync()
        with self._mutex:
            self._journal.append({"start": start, "stop": start + count})
            self._done.append((start, start + count))

    def finish(
        self, *, also: Sequence[str] = (), compression: str | None = None, derive: Derive | None = None
    ) -> dict[str, int]:
        """Put the complete outputs into `folder` and remove `.partial`.

        Parameters
        ----------
        also
            Names of files in `scratch` that belong to the outputs.
        compression
            "gzip" or "lzf": compensated.hdf5 and idx.hdf in compressed chunks of one frame; None: as they are.
        derive
            Makes further columns of statistics.npz from those of all frames.

        Returns
        -------
        dict
            File name: size in bytes.

        Raises
        ------
        RuntimeError
            Frames, or files that `also` names, are missing.
        OSError
            No space for the compressed files; what was done stays usable.
        """
        if self._shared:
            raise RuntimeError(f"{self.folder}: only a store of all frames can put the outputs together")
        if left := self.missing(self.frames):
            raise RuntimeError(f"{self.folder}: frames {left} have not been written yet")
        if absent := [name for name in also if not (self.scratch / name).exists()]:
            raise RuntimeError(f"{self.folder}: {', '.join(absent)} have not been saved")
        values = np.fromfile(self._partial / STATISTICS).reshape(self.frames, len(self.statistics))
        columns = {name: values[:, i].copy() for i, name in enumerate(self.statistics)}
        write_npz(self._partial / "statistics.npz", columns | (derive(columns) if derive else {}))
        sources = {name: name for name in (MOVIE, VALID, "statistics.npz", *also)}
        sources |= {name: name for name in (FLOW, COMPACT) if name in self._files}
        if compression is not None:
            for name in (MOVIE, VALID):
                sources[name] = f"compressed-{name}"
                _compress(self._partial / name, self._partial / sources[name], compression)
        for name, source in sources.items():
            _place(self._partial / source, self.folder / name)
        fsync(self.folder)
        shutil.rmtree(self._partial)
        self.close()
        return {name: (self.folder / name).stat().st_size for name in sources}

    def close(self) -> None:
        """Close the files; what is on disk waits for the next store with this fingerprint."""
        for file in self._files.values():
            file.close()
        if self._journal is not None:
            self._journal.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _open(self, job: dict[str, Any]) -> None:
        """Go on with what is in `.partial` if it belongs to this job, otherwise start afresh."""
        path = self._partial / JOURNAL
        entries, length = read_journal(path)
        sizes = {name: item.stat().st_size for name in self._plan() if (item := self._partial / name).exists()}
        if entries and (entries[0].get("job"), entries[0].get("sizes")) == (job, sizes):
            done = entries[1:]
            for shard in self._partial.glob(SHARD_JOURNAL.format("*", "*")):
                done += read_journal(shard)[0]
            if self._shared:
                path = self._partial / SHARD_JOURNAL.format(*self.span)
                length = read_journal(path)[1]
            self._journal = Journal(path, length=length, alone=self._shared)
            self._done = [(entry["start"], entry["stop"]) for entry in done]
            for name, (shapes, dtype) in self._plan().items():
                offsets = entries[0]["offsets"][name]
                regions = {key: Region(offsets[key], shape, dtype) for key, shape in shapes.items()}
                with name_in_errors(self._partial / name):
                    self._files[name] = FrameFile(self._partial / name, regions, shared=self._shared)
            count, wanted = sum(stop - start for start, stop in self.finished), self.span[1] - self.span[0]
            logger.info("%s: %d of %d frames are done, going on from there", self.folder, count, wanted)
            return
        if self._shared:
            raise RuntimeError(
                f"{self._partial} was not made for frames {self.span} of this recording with these parameters and "
                "versions of the software; remove that folder and run again"
            )
        if entries:
            logger.warning("%s is of other data or parameters, or damaged: starting afresh", self._partial)
        self._clear()
        try:
            self._lay_out(job)
        except BaseException:
            self._clear()  # gives the space back
            raise

    def _plan(self) -> dict[str, tuple[dict[str, tuple[int, ...]], np.dtype]]:
        """File name: shapes of its datasets, and their type."""
        movie = (self.frames, *self.frame_shape[:2])
        channels = self.frame_shape[2] if len(self.frame_shape) == 3 else 1
        plan = {
            MOVIE: ({f"ch{c + 1}": movie for c in range(channels)}, self.dtype),
            VALID: ({"ch1": movie}, np.dtype(np.uint8)),
            STATISTICS: ({"statistics": (self.frames, len(self.statistics))}, np.dtype(np.float64)),
        }
        if self.save_w:
            plan[FLOW] = ({"u": movie, "v": movie}, np.dtype(np.float32))
        if self.compact_shape is not None:
            compact = (self.frames, *self.compact_shape)
            plan[COMPACT] = ({"u": compact, "v": compact}, np.dtype(np.float16))
        return plan

    def _lay_out(self, job: dict[str, Any]) -> None:
        """Make all files at full size and, when they are on disk, the journal that declares them usable."""
        offsets, sizes = {}, {}
        for name, (shapes, dtype) in self._plan().items():
            path = self._partial / name
            with name_in_errors(path):
                if name == STATISTICS:
                    regions = create_raw(path, shapes, dtype)
                else:
                    regions = create_hdf5(path, shapes, dtype, self.attributes if name in (MOVIE, COMPACT) else None)
                self._files[name] = FrameFile(path, regions)
                fsync(path)
            offsets[name] = {key: region.offset for key, region in regions.items()}
            sizes[name] = path.stat().st_size
        self._journal = Journal(self._partial / JOURNAL)
        self._journal.append({"job": job, "sizes": sizes, "offsets": offsets})
        fsync(self._partial)

    def _clear(self) -> None:
        """Empty `.partial`, the journal first: without it the other files mean nothing."""
        for path in sorted(self._partial.iterdir(), key=lambda path: path.name != JOURNAL):
            if path.name != LOCK:
                path.unlink()

    def _write(self, file: str, dataset: str, start: int, parts: Sequence[np.ndarray]) -> None:
        with name_in_errors(self._partial / file):
            self._files[file].write(dataset, start, *parts)


def _parts(frames: Frames | None) -> Sequence[np.ndarray]:
    if frames is None:
        return ()
    return (frames,) if isinstance(frames, np.ndarray) else frames


def _place(source: Path, target: Path) -> None:
    """Make `source` appear as `target`, and keep it: a job killed between two files can place them again."""
    os.utime(source)  # older than the job's inputs it would count as out of date
    temporary = target.with_name(f".{target.name}")
    temporary.unlink(missing_ok=True)
    if source.stat().st_dev != target.parent.stat().st_dev:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        return
    try:
        os.link(source, temporary)
    except OSError:  # file systems without hard links: a kill between two files then costs the recording
        temporary = source
    os.replace(temporary, target)
    temporary.unlink(missing_ok=True)  # a rename does nothing where both are the same file already


def _compress(source: Path, target: Path, compression: str) -> None:
    """Copy an HDF5 file with its datasets in compressed chunks of one frame."""
    with atomic_path(target) as temporary, h5py.File(source, "r") as old, new_hdf5(temporary) as new:
        new.attrs.update(old.attrs)
        for name, dataset in old.items():
            chunks = (1, *dataset.shape[1:])
            copy = new.create_dataset(
                name, dataset.shape, dataset.dtype, chunks=chunks, compression=compression, shuffle=True
            )
            for t in range(dataset.shape[0]):
                copy[t] = dataset[t]
