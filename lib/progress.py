"""Tell how far a long loop is: a bar on a terminal, now and then a line in the log."""

import logging
import sys
import threading
import time
from typing import Self

from tqdm import tqdm

logger = logging.getLogger(__name__)

INTERVAL = 10.0  # seconds between lines in the log


class Progress:
    """Counts work; a context manager. `update` may be called from several threads.

    Parameters
    ----------
    total
        How much there is to do.
    label
        What is done, for instance the recording's name.
    unit
        What is counted, in the plural.
    """

    def __init__(self, total: int, label: str, unit: str = "frames") -> None:
        self.total = total
        self.label = label
        self.unit = unit
        self.done = 0
        self._before = 0
        self._mutex = threading.Lock()

    def __enter__(self) -> Self:
        self._start = self._last = time.monotonic()
        self._bar = tqdm(total=self.total, desc=self.label, unit=f" {self.unit}", disable=not sys.stderr.isatty())
        return self

    def resume(self, n: int) -> None:
        """Say at the start that `n` were done by an earlier run; they do not count in the rate."""
        self.done = self._before = self._bar.initial = self._bar.n = n
        self._bar.refresh()

    def update(self, n: int = 1) -> None:
        """Count `n` more."""
        with self._mutex:
            self.done += n
            self._bar.update(n)
            now = time.monotonic()
            if now - self._last >= INTERVAL and self.done < self.total:
                self._last = now
                rate = self._rate(now)
                left = f"{(self.total - self.done) / rate:.0f} s left" if rate else "unknown time left"
                logger.info("%s, %.3g %s/s, %s", self._state(), rate, self.unit, left)

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
        now = time.monotonic()
        how = "in" if self.done >= self.total else "when it stopped after"
        seconds = now - self._start
        logger.info("%s %s %.1f s, %.3g %s/s", self._state(), how, seconds, self._rate(now), self.unit)

    def _state(self) -> str:
        return f"{self.label}: {self.done}/{self.total} {self.unit}"

    def _rate(self, now: float) -> float:
        return (self.done - self._before) / max(now - self._start, 1e-9)
