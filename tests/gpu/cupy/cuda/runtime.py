"""The CUDA runtime."""

import os

from . import _memory

MEMORY = 8 * 2**30  # bytes of a device


class CUDARuntimeError(RuntimeError):
    pass


def getDeviceCount():
    count = int(os.environ.get("FLOWSESSION_STAND_IN_DEVICES", 1))
    if count == 0:
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return count


def getDeviceProperties(device):
    return {"name": b"the host, standing in for a GPU"}


def memGetInfo():
    return MEMORY - _memory.POOL.total_bytes(), MEMORY
