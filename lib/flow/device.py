"""The GPU: whether there is one, how much memory it has, and the kernels compiled for it.

Here is the only import of CuPy. Without CuPy, or without a device, what asks for one says what to install.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

try:
    import cupy
except ImportError as error:
    cupy, _missing = None, error

log = logging.getLogger(__name__)

SOURCES = "layout pyramid spline warp tensor relax median rigid register measure compact".split()
TYPES = tuple(np.dtype(name) for name in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"))  # see layout.cu
KERNEL = "half_sweep"  # any of them
BLOCK = (32, 8)  # threads along x and y


class DeviceError(RuntimeError):
    """There is no GPU to compute on, or it has too little memory."""


def device_count() -> int:
    """How many GPUs this process may use.

    Raises
    ------
    DeviceError
        There is none; the message says what is missing.
    """
    if cupy is None:
        raise DeviceError(
            f"flow_backend: 'cupy' needs CuPy, which cannot be imported ({_missing}). Install the one for your driver "
            "with 'make setup-gpu' (see the README, section GPU), or set flow_backend to 'numba'."
        )
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(f"flow_backend: 'cupy' finds no GPU ({error}). {_ADVICE}") from error
    if count == 0:
        raise DeviceError(f"flow_backend: 'cupy' finds no GPU (CUDA counts no device). {_ADVICE}")
    return count


_ADVICE = (
    "Does nvidia-smi list one, is its driver new enough for this CuPy (CUDA 12 or 13), and does CUDA_VISIBLE_DEVICES "
    "not hide it? Else set flow_backend to 'numba'."
)


@contextmanager
def one_device(number: int | None = None) -> Iterator[int]:
    """Take a GPU for this process alone, by a lock file that all jobs of this user on this machine know.

    Parameters
    ----------
    number : int, optional
        Which one; by default the first that no other job uses. As long as there is none, wait.

    Yields
    ------
    int
        Its number.

    Raises
    ------
    DeviceError
        There is no GPU of that number.
    """
    count = device_count()
    if number is not None and number >= count:
        raise DeviceError(
            f"backend_params.device: there is no 'cuda:{number}', only {', '.join(f'cuda:{n}' for n in range(count))}."
        )
    with ExitStack() as stack:
        locks = {n: stack.enter_context(_lock_file(n)) for n in ([number] if number is not None else range(count))}
        waiting = False
        while (free := next((n for n, lock in locks.items() if _lock(lock)), None)) is None:
            if not waiting:
                log.info("Waiting for a GPU: other jobs use %s", ", ".join(f"cuda:{n}" for n in locks))
            waiting = True
            time.sleep(0.2)
        for n, lock in locks.items():
            if n != free:
                lock.close()
        yield free


def _lock_file(number: int):
    name = f"flowsession-{os.getuid()}-gpu-{device_address(number).replace(':', '-')}.lock"
    return open(Path(tempfile.gettempdir(), name), "w")


def _lock(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks: jobs may share a GPU, and then its memory
        log.warning("%s cannot be locked (%s): jobs may share a GPU", file.name, error)
    return True


def device_name(number: int) -> str:
    """What the manufacturer calls the GPU."""
    return cupy.cuda.runtime.getDeviceProperties(number)["name"].decode()


def device_address(number: int) -> str:
    """The GPU's place on the bus: the same for all processes, however each of them counts."""
    return cupy.cuda.Device(number).pci_bus_id


def free_memory() -> int:
    """Bytes that can still be allocated on the present device."""
    pool = cupy.get_default_memory_pool()
    free = cupy.cuda.runtime.memGetInfo()[0] + pool.total_bytes() - pool.used_bytes()
    limit = pool.get_limit()
    return min(free, limit - pool.used_bytes()) if limit else free


def type_code(dtype: np.dtype) -> int:
    """The number by which kernels know a type."""
    try:
        return TYPES.index(dtype)
    except ValueError:
        raise TypeError(f"frames are {dtype}; a GPU takes {', '.join(map(str, TYPES))}") from None


@lru_cache(1)
def source() -> str:
    """All kernels as one CUDA source."""
    return "\n".join(Path(__file__).with_name(f"{name}.cu").read_text("utf-8") for name in SOURCES)


@cache
def _module():
    return cupy.RawModule(code=source(), options=("--std=c++17",))


@cache
def _kernel(name):
    return _module().get_function(name)


def compile_kernels(number: int) -> None:
    """Compile the kernels for a GPU; CuPy keeps the result in ~/.cupy.

    Raises
    ------
    DeviceError
        They cannot be compiled: CuPy finds no compiler, or not the one for this driver.
    """
    try:
        with cupy.cuda.Device(number):
            _kernel(KERNEL)
    except Exception as error:  # of many kinds: a missing library, a driver too old, a GPU too old
        raise DeviceError(
            f"flow_backend: 'cupy' cannot compile its kernels for {device_name(number)} ({error}). 'make setup-gpu' "
            "installs CuPy and what it needs of CUDA, to suit the driver. Or set flow_backend to 'numba'."
        ) from error


def launch(name: str, shape: tuple[int, int], planes: int, *args, threads: int = 0) -> None:
    """Launch a kernel on the present stream: a thread for every pixel of `planes` planes of `shape` (h, w).

    With `threads`, a kernel that gives each plane to one block of so many threads.
    """
    h, w = shape
    if threads:
        grid, block = (planes,), (threads,)
    else:
        bx, by = BLOCK if h > 1 else (BLOCK[0] * BLOCK[1], 1)
        grid, block = (-(-w // bx), -(-h // by), planes), (bx, by)
    _kernel(name)(grid, block, tuple(map(_argument, args)))


def _argument(value):
    """As a kernel's `int` or `float`; arrays, and NumPy numbers for other types, stay."""
    if type(value) is int:
        return np.int32(value)
    return np.float32(value) if type(value) is float else value
