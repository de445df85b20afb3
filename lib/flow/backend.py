"""What computes the flow: the CPU (Numba) or a GPU (CuPy), as the settings and the machine decide."""

from dataclasses import dataclass

BACKENDS = ("numba", "cupy")


@dataclass(frozen=True)
class Backend:
    """What computes, and with "cupy" on which GPU."""

    name: str = "numba"
    device: int = 0

    def __post_init__(self):
        if self.name not in BACKENDS:
            raise ValueError(f"backend is {self.name!r}; expected one of {', '.join(BACKENDS)}")

    def open(self, plan, reference):
        """The steps of an estimation on the levels of `plan`, against a reference (H, W, C) float32."""
        if self.name == "numba":
            from .backend_numba import NumbaBackend

            return NumbaBackend(plan, reference)
        from .device import device_count

        device_count()
        from .backend_cupy import CupyBackend

        return CupyBackend(plan, reference, self.device)


def as_backend(backend: str | Backend) -> Backend:
    """A backend from its name."""
    return backend if isinstance(backend, Backend) else Backend(backend)
