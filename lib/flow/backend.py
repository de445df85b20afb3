"""What computes: the CPU (Numba) or a GPU (CuPy), as the settings say and the machine has it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

log = logging.getLogger(__name__)

BACKENDS = ("numba", "cupy")


@dataclass(frozen=True)
class Backend:
    """What computes, and with "cupy" on which GPU."""

    name: str = "numba"
    device: int = 0

    def __post_init__(self):
        if self.name not in BACKENDS:
            raise ValueError(f"backend is {self.name!r}; expected one of {', '.join(BACKENDS)}")

    def estimation(self, plan, reference):
        """The steps of an estimation on the levels of `plan`, against a reference (H, W, C) float32."""
        if self.name == "numba":
            from .backend_numba import NumbaBackend

            return NumbaBackend(plan, reference)
        from .device import device_count

        device_count()  # says what is missing
        from .backend_cupy import CupyBackend

        return CupyBackend(plan, reference, self.device)

    def __str__(self):
        if self.name == "numba":
            return "the CPU"
        from .device import device_name

        return f"GPU cuda:{self.device}, {device_name(self.device)}"

    def warper(self, w, fill, interpolation: str, within: tuple[int, int] | None = None):
        """What warps the frames of a movie, see `movie.NumbaWarper`; `within` is the shape of their own flows."""
        if self.name == "numba":
            from .movie import NumbaWarper

            return NumbaWarper(w, fill, interpolation)
        from .device import device_count

        device_count()
        from .movie_cupy import CupyWarper

        return CupyWarper(w, fill, interpolation, within, self.device)


AT_ONCE = 2**18  # pixels that a thread of the CPU takes at once: Python, which threads share, takes 0.1 ms each time
SHARES = 16  # or less, so that so many threads find work


def at_once(shape: tuple[int, int]) -> int:
    """How many frames of `shape` (H, W) a thread of a CPU takes."""
    return max(AT_ONCE // (shape[0] * shape[1]), 1)


def cut(frames: int, shape: tuple[int, int]) -> list[slice]:
    """Frames of `shape` (H, W) in parts for the threads of a CPU."""
    return slices(frames, max(min(at_once(shape), frames // SHARES), 1))


def slices(frames: int, step: int) -> list[slice]:
    """Frames in parts of `step`, the last one perhaps shorter."""
    return [slice(start, min(start + step, frames)) for start in range(0, frames, step)]


def as_backend(backend: str | Backend) -> Backend:
    """A backend from its name."""
    return backend if isinstance(backend, Backend) else Backend(backend)


@contextmanager
def chosen_backend(wanted: str, device: str = "auto") -> Iterator[Backend]:
    """What a job computes with. A GPU is the job's alone until the end: others wait, or take another one.

    Parameters
    ----------
    wanted : {"auto", "numba", "cupy"}
        "auto" takes a GPU where there is one, and the log says what it took.
    device : str
        "auto" for the first GPU that no other job uses, or "cuda:" and its number.

    Raises
    ------
    DeviceError
        For "cupy" without CuPy, without that GPU, or where its kernels cannot be compiled; the message says what to
        install.
    """
    with ExitStack() as stack:
        backend = Backend("numba")
        if wanted != "numba":
            from .device import DeviceError, compile_kernels, one_device

            number = None if device == "auto" else int(device.removeprefix("cuda:"))
            try:
                backend = Backend("cupy", stack.enter_context(one_device(number)))
                compile_kernels(backend.device)
            except DeviceError as error:
                if wanted == "cupy":
                    raise
                log.info("flow_backend: auto finds no GPU to use. %s", error)
                stack.close()
                backend = Backend("numba")
        log.info("flow_backend: %s computes on %s", wanted, backend)
        yield backend
