"""Where there is no GPU, CuPy is replaced by a stand-in that computes on the host, see tests/gpu."""

import sys
from pathlib import Path

STAND_IN = Path(__file__).parent / "gpu"


def _find_gpu() -> str | None:
    """The name of the GPU that the tests use, or None."""
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except Exception:  # no CuPy, no driver, no device: whatever it is, there is no GPU to test on
        for name in [name for name in sys.modules if name.partition(".")[0] in ("cupy", "cupyx", "cupy_backends")]:
            del sys.modules[name]
        return None


GPU = _find_gpu()
if GPU is None:
    sys.path.insert(0, str(STAND_IN))


def pytest_report_header():
    return f"GPU: {GPU or 'none; the CUDA kernels are compiled for the host'}"
