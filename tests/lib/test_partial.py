"""A compensation's outputs survive whatever ends the job: an exception, SIGKILL. The full disk: test_partial_space."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from lib import partial
from tests.stores import (
    COMPACT,
    COMPACT_SHAPE,
    FLOW,
    FRAMES,
    MOVIE,
    REFERENCE,
    SHAPE,
    STATISTICS,
    VALID,
    check_outputs,
    complete,
    finish,
    open_store,
    write,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("save_w", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_outputs(tmp_path, channels, save_w, compression):
    folder = tmp_path / "Maus größer 1"
    with open_store(folder, channels, save_w=save_w, compact_shape=COMPACT_SHAPE if save_w else None) as store:
        complete(store)
        sizes = finish(store, compression=compression)
    check_outputs(folder, channels, save_w, compact=save_w)
    assert sizes == {path.name: path.stat().st_size for path in folder.iterdir()}
    with h5py.File(folder / "compensated.hdf5") as file:
        assert file["ch1"].compression == compression
        assert file["ch1"].chunks == (None if compression is None else (1, *SHAPE))


def test_batches_cover_what_is_missing(tmp_path):
    with open_store(tmp_path) as store:
        assert store.missing(8) == [(0, 8), (8, 16), (16, 20)]
        assert store.finished == []
        write(store, 10, 13)
        write(store, 4, 6)
        write(store, 13, 15)
        assert store.finished == [(4, 6), (10, 15)]
        assert store.missing(3) == [(0, 3), (3, 4), (6, 9), (9, 10), (15, 18), (18, 20)]


def test_going_on_gives_the_same_bytes(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    keep = {"save_w": True, "compact_shape": COMPACT_SHAPE}
    with open_store(tmp_path / "straight", **keep) as store:
        complete(store)
        finish(store)
    with open_store(tmp_path / "broken", **keep) as store:
        write(store, 8, 16)
        np.save(store.scratch / "reference_frame.npy", REFERENCE)
    with open_store(tmp_path / "broken", **keep) as store:
        assert store.finished == [(8, 16)]
        np.testing.assert_array_equal(np.load(store.scratch / "reference_frame.npy"), REFERENCE)
        complete(store, batch=3)
        finish(store)
    assert "8 of 20 frames are done, going on from there" in caplog.text
    for path in (tmp_path / "straight").iterdir():
        assert path.read_bytes() == (tmp_path / "broken" / path.name).read_bytes(), path.name


def test_threads_write_at_once(tmp_path):
    with open_store(tmp_path, 2, save_w=True) as store:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda batch: write(store, *batch), store.missing(1)))
        finish(store)
    check_outputs(tmp_path, 2, save_w=True)


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": {"size": 11}},
        {"frames": 21},
        {"dtype": np.float32},
        {"statistics": ("mean_disp", "mean_div")},
        {"save_w": True},
        {"compact_shape": COMPACT_SHAPE},
        {"frame_shape": (15, 12)},
    ],
)
def test_another_job_starts_afresh(tmp_path, caplog, change):
    with open_store(tmp_path) as store:
        write(store, 0, 8)
        np.save(store.scratch / "reference_frame.npy", REFERENCE)
    with open_store(tmp_path, **change) as store:
        assert store.finished == []
        assert not (store.scratch / "reference_frame.npy").exists()
    assert ".partial is of other data or parameters" in caplog.text


@pytest.mark.parametrize("name", ["compensated.hdf5", "idx.hdf", "statistics.bin"])
@pytest.mark.parametrize("damage", ["cut off", "removed"])
def test_damaged_partial_files_are_not_trusted(tmp_path, name, damage):
    with open_store(tmp_path) as store:
        complete(store)
    path = tmp_path / ".partial" / name
    if damage == "removed":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size - 1)
    with open_store(tmp_path) as store:
        assert store.finished == []
        complete(store)
        finish(store)
    check_outputs(tmp_path)


@pytest.mark.parametrize("torn", [b'{"sta', b'{"start": 8, "stop": 16}', b"\0" * 30, b'{"start": 8\n'])
def test_torn_journal_line_counts_as_not_written(tmp_path, torn):
    with open_store(tmp_path) as store:
        write(store, 0, 8)
    journal = tmp_path / ".partial" / "journal.jsonl"
    with open(journal, "ab") as file:
        file.write(torn)
    with open_store(tmp_path) as store:
        assert store.finished == [(0, 8)]
        write(store, 16, 20)
    with open_store(tmp_path) as store:
        assert store.finished == [(0, 8), (16, 20)]


@pytest.mark.parametrize("content", [b"", b"{", b"{}\n", b'[1]\n{"start": 0, "stop": 20}\n'])
def test_unusable_journal_starts_afresh(tmp_path, content):
    with open_store(tmp_path) as store:
        write(store, 0, 8)
    (tmp_path / ".partial" / "journal.jsonl").write_bytes(content)
    with open_store(tmp_path) as store:
        assert store.finished == []


WRITER = """
import sys, time
sys.path.insert(0, "tests/lib")
from pathlib import Path
from test_partial import open_store, write
store = open_store(Path(sys.argv[1]), 2, save_w=True)
for number, (start, stop) in enumerate(store.missing(2)):
    write(store, start, stop)
    print(stop, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("batches", [1, 4, 10])
def test_sigkill_loses_no_finished_batch(tmp_path, batches):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for _ in range(batches):
        assert writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".partial"]
    with open_store(tmp_path, 2, save_w=True) as store:
        (start, stop), *others = store.finished
        assert (start, others) == (0, [])
        assert stop >= 2 * batches
        complete(store)
        finish(store)
    check_outputs(tmp_path, 2, save_w=True)


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("placed", [0, 1, 3])
def test_kill_while_placing_the_outputs(tmp_path, monkeypatch, placed, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(PermissionError("no links here")))
    place, count = partial._place, iter(range(10))

    def stop_after(source, target):
        if next(count) == placed:
            raise KeyboardInterrupt
        place(source, target)

    monkeypatch.setattr(partial, "_place", stop_after)
    with open_store(tmp_path) as store:
        complete(store)
        with pytest.raises(KeyboardInterrupt):
            finish(store)
    monkeypatch.setattr(partial, "_place", place)
    with open_store(tmp_path) as store:
        # without hard links the files that were moved away are missing, and the job starts again
        assert store.missing(FRAMES) == ([] if links or placed == 0 else [(0, FRAMES)])
        complete(store)
        finish(store)
    check_outputs(tmp_path)


def test_finish_wants_everything(tmp_path):
    with open_store(tmp_path) as store:
        write(store, 0, 17)
        with pytest.raises(RuntimeError, match=r"frames \[\(17, 20\)\] have not been written"):
            store.finish()
        write(store, 17, 20)
        with pytest.raises(RuntimeError, match="reference_frame.npy have not been saved"):
            store.finish(also=["reference_frame.npy"])
        finish(store)
    check_outputs(tmp_path)


def test_outputs_are_not_older_than_the_job_that_finished_them(tmp_path):
    with open_store(tmp_path) as store:
        complete(store)
    for path in (tmp_path / ".partial").iterdir():
        os.utime(path, (1, 1))
    with open_store(tmp_path) as store:
        finish(store)
    assert min(path.stat().st_mtime for path in tmp_path.iterdir()) > 1e9


def test_a_batch_may_come_in_parts_and_be_written_in_pieces(tmp_path, monkeypatch):
    with open_store(tmp_path / "whole", 2, save_w=True, compact_shape=COMPACT_SHAPE) as store:
        write(store, 0, FRAMES)
        finish(store)
    everything = MOVIE, VALID, STATISTICS, FLOW, COMPACT
    parts = [[frames[:1], frames[1:3], frames[3:]] for frames in everything]
    to_disk = os.pwritev

    def at_most_7777_bytes(descriptor, buffers, position):
        return to_disk(descriptor, [memoryview(b"".join(buffers))[:7777]], position)

    monkeypatch.setattr("lib.layout.MOST_PARTS", 2)
    monkeypatch.setattr(os, "pwritev", at_most_7777_bytes)
    with open_store(tmp_path / "parts", 2, save_w=True, compact_shape=COMPACT_SHAPE) as store:
        store.write(0, *parts)
        finish(store)
    for name in ("compensated.hdf5", "idx.hdf", "w.h5", "w_compact.h5"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_wrong_arrays_are_refused_and_not_recorded(tmp_path):
    movie, valid, statistics = MOVIE[:4, ..., 0], VALID[:4], STATISTICS[:4]
    with open_store(tmp_path) as store:
        wrong = [
            ("ch1 takes frames of (12, 15) uint16", (0, movie.astype(np.float32), valid, statistics)),
            ("ch1 takes frames of (12, 15) uint16", (0, movie[:, :-1], valid, statistics)),
            ("valid must be bool", (0, movie, valid.astype(np.uint8), statistics)),
            ("idx.hdf: ch1 takes frames of", (0, movie, valid[:, 1:], statistics)),
            ("statistics takes frames of (2,) float64", (0, movie, valid, statistics[:, :1])),
            ("different lengths", (0, movie, valid[:3], statistics)),
            ("ch1 has 20 frames, got [18, 22)", (18, movie, valid, statistics)),
            ("ch1 has 20 frames, got [-1, 3)", (-1, movie, valid, statistics)),
            ("w must be given with save_w", (0, movie, valid, statistics, FLOW[:4])),
        ]
        for said, arrays in wrong:
            with pytest.raises(ValueError, match=re.escape(said)):
                store.write(*arrays)
        assert store.finished == []
    with open_store(tmp_path, save_w=True) as store, pytest.raises(ValueError, match="save_w"):
        store.write(0, movie, valid, statistics)


def test_two_jobs_do_not_share_a_recording(tmp_path):
    with open_store(tmp_path), pytest.raises(RuntimeError, match="another process is compensating into"):
        open_store(tmp_path)
    open_store(tmp_path).close()


PEAK = """
import resource, sys
import numpy as np
from pathlib import Path
from lib.partial import CompensationStore
frames, batch, shape = 256, 8, (256, 256)
store = CompensationStore(Path(sys.argv[1]), frames=frames, frame_shape=shape, dtype="uint16", fingerprint={},
                          statistics=("a",), save_w=True)
movie, valid = np.ones((batch, *shape), np.uint16), np.ones((batch, *shape), bool)
w, statistics = np.ones((batch, *shape, 2), np.float32), np.ones((batch, 1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for start, stop in store.missing(batch):
    store.write(start, movie, valid, statistics, w)
store.finish(compression=sys.argv[2] or None)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("compression", ["", "lzf"])
def test_memory_does_not_grow_with_the_movie(tmp_path, compression):
    command = [sys.executable, "-c", PEAK, tmp_path, compression]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(run.stdout) < 25.0  # MB; the outputs have 184


def test_journal_is_for_people_too(tmp_path):
    with open_store(tmp_path) as store:
        write(store, 0, 8)
    header, batch = map(json.loads, (tmp_path / ".partial" / "journal.jsonl").read_text().splitlines())
    assert header["job"]["fingerprint"] == {"size": 10, "alpha": [1.5, 1.5]}
    assert batch == {"start": 0, "stop": 8}


SHARDS = [(0, 7), (7, 12), (12, FRAMES)]


def test_shards_write_one_recording_side_by_side(tmp_path):
    with open_store(tmp_path / "whole", channels=2, save_w=True) as store:
        complete(store)
        finish(store)
    folder, settings = tmp_path / "shards", {"channels": 2, "save_w": True}
    open_store(folder, **settings).close()  # makes room
    stores = [open_store(folder, **settings, span=span) for span in SHARDS]
    assert [store.missing(4) for store in stores[:2]] == [[(0, 4), (4, 7)], [(7, 11), (11, 12)]]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda store: complete(store, batch=2), stores))
    assert [store.finished for store in stores] == [[span] for span in SHARDS]
    for store in stores:
        store.close()
    with open_store(folder, **settings) as store:
        assert store.missing(FRAMES) == []
        finish(store)
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_a_killed_shard_goes_on_and_other_shards_may_take_over(tmp_path):
    code = "import os, signal\nfrom pathlib import Path\nfrom tests.stores import *\n"
    code += f"store = open_store(Path({str(tmp_path)!r}), span=(5, 15))\nwrite(store, 5, 9)\nwrite(store, 11, 12)\n"
    code += "os.kill(os.getpid(), signal.SIGKILL)"
    open_store(tmp_path).close()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    with open(tmp_path / ".partial" / "journal_5-15.jsonl", "ab") as journal:
        journal.write(b'{"start": 12, ')  # as if the kill had cut off a line
    with open_store(tmp_path, span=(5, 15)) as store:
        assert store.missing(20) == [(9, 11), (12, 15)]
        write(store, 9, 11)
    with open_store(tmp_path, span=(10, 20)) as store:  # another number of shards
        assert store.missing(20) == [(12, 20)]
        complete(store)
    with open_store(tmp_path) as store:
        assert store.missing(20) == [(0, 5)]
        complete(store)
        finish(store)
    check_outputs(tmp_path)


def test_shards_keep_out_of_each_others_way(tmp_path):
    with pytest.raises(RuntimeError, match="was not made for frames"):
        open_store(tmp_path, span=(0, 5))
    with open_store(tmp_path), pytest.raises(RuntimeError, match="another process"):
        open_store(tmp_path, span=(0, 5))
    with open_store(tmp_path, span=(0, 5)) as store:
        with pytest.raises(RuntimeError, match="another process"):
            open_store(tmp_path, span=(0, 5))
        with pytest.raises(RuntimeError, match="another process"):
            open_store(tmp_path)
        with pytest.raises(RuntimeError, match="was not made for"):
            open_store(tmp_path, span=(5, 9), fingerprint={"size": 11})
        with pytest.raises(RuntimeError, match="only a store of all frames"):
            store.finish()
