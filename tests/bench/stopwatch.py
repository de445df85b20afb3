"""Times functions from outside, by putting wrappers in their place."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import wraps
from typing import Any, Self
from unittest.mock import patch

Part = tuple[str, Any, str]  # name of the part, module or class, name of the function in it


class Stopwatch:
    """Adds up, per part, the time spent in its functions and not in functions of other parts called from there.

    Parameters
    ----------
    parts
        What to time; an AttributeError tells that the code has no such function any more.
    clock
        `time.perf_counter`, or `time.thread_time`, which does not count what other processes took.
    """

    def __init__(self, parts: Iterable[Part], clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._parts, self._clock = tuple(parts), clock
        self._local, self._mutex = threading.local(), threading.Lock()

    def __enter__(self) -> Self:
        self._patches = ExitStack()
        for part, owner, name in self._parts:
            timed = self._timed(part, getattr(owner, name))
            self._patches.enter_context(patch.object(owner, name, timed))
        return self

    def __exit__(self, *exception: object) -> None:
        self._patches.close()

    def _timed(self, part: str, function: Callable) -> Callable:
        @wraps(function)
        def call(*args, **kwargs):
            inner, self._local.inner = getattr(self._local, "inner", 0.0), 0.0
            start = self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                whole = self._clock() - start
                with self._mutex:
                    self.seconds[part] += whole - self._local.inner
                self._local.inner = inner + whole

        return call
