"""A stand-in for the few calls of CuPy that flowsession makes, on the host: for tests where there is no GPU.

Kernels are compiled by the C++ compiler, from the same source. It is strict where a GPU would be silent:

- what is put on a stream happens only once somebody waits for the stream, so that results which are read too early, and
  buffers which are filled again too early, are wrong;
- new arrays hold NaN, and writing beyond an array is an error;
- kernels take arrays and NumPy scalars of exactly the types that they declare, and nothing is converted.
"""

import numpy as np

from . import cuda
from .cuda import _memory, _stream
from .cuda._kernels import RawModule

__all__ = ["RawModule", "asarray", "cuda", "empty", "get_default_memory_pool", "ndarray"]
__version__ = "stand-in"


class ndarray:  # noqa: N801 - as in CuPy
    """Memory of the device, which the host cannot look into."""

    def __init__(self, shape, dtype, block=None, host=None):
        self.shape = tuple(np.atleast_1d(shape).tolist())
        self.dtype = np.dtype(dtype)
        self.nbytes = int(np.prod(self.shape)) * self.dtype.itemsize
        self._block = _memory.Block(self.nbytes) if block is None else block
        self._host = self._block.bytes[: self.nbytes].view(self.dtype).reshape(self.shape) if host is None else host

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")  # what CuPy says

    def __getitem__(self, index):
        part = self._host[index]
        if not part.flags.c_contiguous:  # a kernel is handed a pointer, and would not know of strides
            raise ValueError(f"[{index}] of {self.shape} is not contiguous, and no kernel takes such a part")
        return ndarray(part.shape, part.dtype, self._block, part)

    def set(self, array, stream=None):
        array = np.asarray(array)
        if array.shape != self.shape or array.dtype != self.dtype or not array.flags.c_contiguous:
            raise ValueError(f"set {array.dtype}{array.shape} to {self.dtype}{self.shape}")
        _stream.current(stream).put(lambda: np.copyto(self._host, array))

    def get(self, stream=None, order="C", out=None, blocking=True):
        out = np.empty(self.shape, self.dtype) if out is None else out
        if out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError(f"get {self.dtype}{self.shape} into {out.dtype}{out.shape}")
        stream = _stream.current(stream)
        stream.put(lambda: np.copyto(out, self._host))
        if blocking:
            stream.synchronize()
        return out


def empty(shape, dtype=float):
    return ndarray(shape, dtype)


def asarray(array):
    made = ndarray(np.shape(array), np.asarray(array).dtype)
    made.set(np.ascontiguousarray(array).reshape(made.shape))
    _stream.current().synchronize()
    return made


def get_default_memory_pool():
    return _memory.POOL
