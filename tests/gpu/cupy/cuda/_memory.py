"""Memory of the device, counted as CuPy's pool counts it, and pinned memory of the host."""

import threading
import weakref

import numpy as np

UNIT = 512  # bytes: the pool gives out multiples of it
GUARD = 256  # bytes on both sides of an array that nobody may write to


class OutOfMemoryError(MemoryError):
    pass


class Pool:
    def __init__(self):
        self.limit, self.used, self.most, self.lock = 0, 0, 0, threading.Lock()

    def take(self, nbytes):
        with self.lock:
            if self.limit and self.used + nbytes > self.limit:
                raise OutOfMemoryError(f"Out of memory allocating {nbytes:,} bytes")
            self.used += nbytes
            self.most = max(self.most, self.used)

    def give(self, nbytes):
        with self.lock:
            self.used -= nbytes

    def set_limit(self, size=None, fraction=None):
        self.limit = size

    def get_limit(self):
        return self.limit

    def used_bytes(self):
        return self.used

    def total_bytes(self):
        return self.used

    def free_all_blocks(self, stream=None):
        pass


POOL = Pool()


class Block:
    """An allocation. It holds NaN, whatever the type, until it is written to."""

    def __init__(self, nbytes):
        rounded = -(-max(nbytes, 1) // UNIT) * UNIT
        POOL.take(rounded)
        weakref.finalize(self, POOL.give, rounded)
        self._all = np.full(nbytes + 2 * GUARD, 0xFF, np.uint8)
        self.bytes = self._all[GUARD : GUARD + nbytes]

    @property
    def intact(self):
        return (self._all[:GUARD] == 0xFF).all() and (self._all[GUARD + len(self.bytes) :] == 0xFF).all()


def alloc_pinned_memory(nbytes):
    return bytearray(nbytes)
