"""Streams: what is put on one happens when somebody waits for it."""

import threading


class Stream:
    synchronizations = 0

    def __init__(self, null=False, non_blocking=False):
        self._waiting = []
        self._lock = threading.Lock()

    def __enter__(self):
        _stack().append(self)
        return self

    def __exit__(self, *exception):
        _stack().pop()

    def put(self, operation):
        if self is Stream.null:
            operation()
        else:
            with self._lock:
                self._waiting.append(operation)

    def synchronize(self):
        Stream.synchronizations += 1
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for operation in waiting:
            operation()


Stream.null = Stream()
_local = threading.local()


def _stack():
    if not hasattr(_local, "stack"):
        _local.stack = [Stream.null]
    return _local.stack


def current(stream=None):
    return _stack()[-1] if stream is None else stream
