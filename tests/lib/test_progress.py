"""What a user sees of a long job: lines in the log, and a bar only on a terminal."""

import io
import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import progress
from lib.progress import Progress


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines_every_ten_seconds_and_at_the_end(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress(2000, "stimulus_001") as bar:
        for _ in range(20):
            clock.now += 4.0
            bar.update(100)
    assert caplog.messages == [
        "stimulus_001: 300/2000 frames, 25 frames/s, 68 s left",
        "stimulus_001: 600/2000 frames, 25 frames/s, 56 s left",
        "stimulus_001: 900/2000 frames, 25 frames/s, 44 s left",
        "stimulus_001: 1200/2000 frames, 25 frames/s, 32 s left",
        "stimulus_001: 1500/2000 frames, 25 frames/s, 20 s left",
        "stimulus_001: 1800/2000 frames, 25 frames/s, 8 s left",
        "stimulus_001: 2000/2000 frames in 80.0 s, 25 frames/s",
    ]


def test_an_exception_shows_where_it_stopped(clock, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyError), Progress(10, "averages", unit="images") as bar:
        clock.now += 2.0
        bar.update(3)
        raise KeyError
    assert caplog.messages == ["averages: 3/10 images when it stopped after 2.0 s, 1.5 images/s"]


def test_nothing_to_do(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress(0, "a"):
        pass
    assert caplog.messages == ["a: 0/0 frames in 0.0 s, 0 frames/s"]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_is_for_terminals(monkeypatch, terminal):
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stderr)
    with Progress(3, "stimulus_001") as bar:
        bar.update(3)
    assert ("stimulus_001: 100%" in stderr.getvalue()) == terminal
    assert ("3/3" in stderr.getvalue()) == terminal


def test_counts_from_several_threads(caplog):
    caplog.set_level(logging.INFO)
    with Progress(4000, "a") as bar, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: bar.update(), range(4000)))
    assert "4000/4000" in caplog.messages[-1]


def test_what_an_earlier_run_did_counts_as_done_but_not_as_fast(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress(100, "movie") as bar:
        bar.resume(90)
        clock.now += 10
        bar.update(10)
    assert caplog.messages == ["movie: 100/100 frames in 10.0 s, 1 frames/s"]
