"""How every Numba kernel of this package is compiled and kept, and the numerics that they share.

Kernels of an estimation are compiled by a process of their own (`warm_up`), from which all others load them: in which
order a process compiled them would show in the last bits of its results.

Compiled kernels are kept in a folder per user, `~/.cache/flowsession`, or under NUMBA_CACHE_DIR if that is set. Its
name holds a hash of this package's source, because Numba itself looks only at the file of a kernel and not at what the
kernel calls, and one of the processor: with nodes of several kinds, two that save a kernel into one folder at the same
time could leave one's machine code under the name of the other's.
"""

import fcntl
import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.extending import intrinsic

log = logging.getLogger(__name__)


def _sources() -> list[Path]:
    return sorted(Path(__file__).parent.glob("*.py"))


def _cache_folder() -> Path:
    """The folder of this source's compiled kernels."""
    base = os.environ.get("NUMBA_CACHE_DIR") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "flowsession"
    )
    source = hashlib.sha256()
    for path in _sources():
        source.update(path.read_bytes())
    processor = hashlib.sha256(f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}".encode())
    return Path(base, f"{source.hexdigest()[:16]}-{processor.hexdigest()[:8]}")


CACHE = _cache_folder()
numba.config.CACHE_DIR = str(CACHE)
_ready: set[tuple[bool, bool]] = set()  # the kinds of estimation that this process knows to be in the cache
_for_parent = False


@contextmanager
def compiling() -> Iterator[None]:
    """Hold the cache's lock: jobs that start together compile a kernel once, the others wait and load it."""
    if _for_parent:
        yield
        return
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        lock = open(CACHE / "lock", "w")
    except OSError as error:
        raise OSError(
            f"compiled kernels cannot be kept in {CACHE}: {error.strerror}; set NUMBA_CACHE_DIR to a folder that jobs "
            "can write to"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:  # some network file systems know no locks; compiling twice is merely slower
            log.warning("%s: no file lock (%s); jobs that start together each compile the kernels", CACHE, error)
        yield


def compile_for_parent() -> None:
    """Compile in this process, without the lock: the process that waits for it holds it."""
    global _for_parent
    _for_parent = True


def compiled_elsewhere(*, constancy_assumption: str, a_smooth: float) -> None:
    """Have the kernels of such an estimation compiled by another process, if they are not in the cache yet.

    Raises
    ------
    OSError
        The cache cannot be written to.
    RuntimeError
        They could not be compiled.
    """
    kind = constancy_assumption == "gc", a_smooth == 1
    if _for_parent or kind in _ready:
        return
    with compiling():
        mark = _mark(kind)
        if not mark.exists():
            log.info("Compiling the kernels, once for this version and kind of processor: some 20 seconds")
            terms = json.dumps({"constancy_assumption": constancy_assumption, "a_smooth": float(a_smooth)})
            here = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
            done = subprocess.run(
                [sys.executable, "-P", "-m", "lib.flow.warm_up", terms],
                env=os.environ | {"PYTHONPATH": here},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(
                    f"the kernels could not be compiled into {CACHE} (exit status {done.returncode}):\n{done.stderr}"
                )
            mark.touch()
    _ready.add(kind)


def _mark(kind: tuple[bool, bool]) -> Path:
    """The file that says that this kind is compiled by this Numba from these files, at whose times its cache looks."""
    files = [(path.name, path.stat().st_mtime_ns) for path in _sources()]
    what = repr((kind, numba.__version__, sys.version_info[:2], str(Path(__file__).parent.absolute()), files))
    return CACHE / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.compiled"


class NoAliasCompiler(CompilerBase):
    """Numba's usual pipeline with its `noalias` flag on: no two array arguments overlap.

    With it LLVM vectorises inner loops over many arrays without run-time overlap checks. A kernel must never be handed
    two arrays that share memory when it writes to one of them.
    """

    def define_pipelines(self):
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


# Values are finite by contract (readers refuse NaN and Inf), so the compiler may assume so. Results do not depend on
# threads or batches: one frame is always computed by one thread, by the same machine code.
_OPTIONS = {"fastmath": True, "error_model": "numpy", "pipeline_class": NoAliasCompiler}
kernel = njit(nogil=True, cache=True, _nrt=False, **_OPTIONS)
inlined = njit(forceinline=True, _nrt=False, **_OPTIONS)
# A kernel that is called from one step only is compiled as a part of it, and by itself when a test calls it by itself.
merged = njit(nogil=True, cache=True, inline="always", _nrt=False, **_OPTIONS)
# Numba lets a function return a part of an array only if it counts references; a frame has a few hundred such calls.
step = njit(nogil=True, cache=True, **_OPTIONS)
view = njit(forceinline=True, **_OPTIONS)


@intrinsic
def float_bits(typingctx, x):
    return types.int32(types.float32), lambda c, b, s, a: b.bitcast(a[0], ir.IntType(32))


@intrinsic
def bits_float(typingctx, n):
    return types.float32(types.int32), lambda c, b, s, a: b.bitcast(a[0], ir.FloatType())


_F = np.float32
# log2(1 + f) / f on [sqrt(1/2) - 1, sqrt(2) - 1] and 2^r on [-1/2, 1/2]: Chebyshev fits, lowest power first.
LOG2 = tuple(_F(c) for c in np.polynomial.chebyshev.Chebyshev.interpolate(
    lambda f: np.log1p(f) / f / np.log(2), 8, domain=[np.sqrt(0.5) - 1, np.sqrt(2) - 1]
).convert(kind=np.polynomial.Polynomial).coef)  # fmt: skip
EXP2 = tuple(_F(c) for c in np.polynomial.chebyshev.Chebyshev.interpolate(
    np.exp2, 5, domain=[-0.5, 0.5]
).convert(kind=np.polynomial.Polynomial).coef)  # fmt: skip


@inlined
def power(x, p):
    """x**p for float32 x > 0 (normal numbers), to about 1e-6 relative.

    The exponent is split off and the rest goes through polynomials, so that LLVM can vectorise it; a call of the
    library's pow would not.
    """
    bits = float_bits(x)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    f = bits_float(np.int32(bits - (exponent << np.int32(23)))) - _F(1)
    series = LOG2[8]
    for k in (7, 6, 5, 4, 3, 2, 1, 0):
        series = series * f + LOG2[k]
    y = p * (_F(exponent) + f * series)
    n = np.int32(np.floor(y + _F(0.5)))
    r = y - _F(n)
    series = EXP2[5]
    for k in (4, 3, 2, 1, 0):
        series = series * r + EXP2[k]
    return series * bits_float(np.int32((n + np.int32(127)) << np.int32(23)))
