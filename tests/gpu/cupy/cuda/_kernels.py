"""Kernels, compiled by the C++ compiler under host.h."""

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np

from . import _stream

FOLDER = Path(__file__).parents[2]
HEADER = "host.h"  # or count.h
COMPILER = [os.environ.get("CXX", "g++"), "-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wno-unknown-pragmas"]
KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\) \{')
SCALARS = {
    "int": (np.int32, ctypes.c_int),
    "long long": (np.int64, ctypes.c_longlong),
    "float": (np.float32, ctypes.c_float),
    "double": (np.float64, ctypes.c_double),
}
POINTERS = {"float": "f4", "double": "f8", "int": "i4", "unsigned char": "u1", "void": None}

_LAUNCH = """
extern "C" void launch_{name}(dim3 grid, dim3 block{parameters}) {{
    gridDim = grid;
    blockDim = block;
    for (unsigned bz = 0; bz < grid.z; bz++)
    for (unsigned by = 0; by < grid.y; by++)
    for (unsigned bx = 0; bx < grid.x; bx++)
    for (unsigned ty = 0; ty < block.y; ty++)
    for (unsigned tx = 0; tx < block.x; tx++) {{
        blockIdx = {{bx, by, bz}};
        threadIdx = {{tx, ty, 0}};
        {name}({arguments});
    }}
}}
"""


class Dim3(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint) for name in "xyz"]


class Kernel:
    """A kernel's name, its parameters as (type, whether it is a pointer, name), and how it is launched."""

    launches = []  # (name, grid, block) of all
    counts = []  # (name, operations, bytes asked for, read, written) of all, with count.h
    _one_at_a_time = threading.Lock()  # the thread's indices are global variables of the library

    def __init__(self, name, declared, body):
        self.name = name
        self.parameters = []
        for parameter in declared.split(","):
            kind, pointer, its_name = re.fullmatch(r"\s*(?:const )?([\w ]+?) (\*?)(\w+)\s*", parameter).groups()
            self.parameters.append((kind, bool(pointer), its_name))
        self.waits = "__syncthreads" in body
        self.function = None

    def source(self):
        declared = "".join(f", {kind} {'*' if pointer else ''}{name}" for kind, pointer, name in self.parameters)
        names = ", ".join(f"({kind} *){name}" if pointer else name for kind, pointer, name in self.parameters)
        if HEADER == "count.h":  # pointers are explicit: what comes from the device is counted
            names = ", ".join(
                f"Memory<{_counted(kind)}>({name})" if pointer and kind != "void" else name
                for kind, pointer, name in self.parameters
            )
        return _LAUNCH.format(name=self.name, parameters=declared, arguments=names)

    def load(self, library):
        self.function = library[f"launch_{self.name}"]
        types = [ctypes.c_void_p if pointer else SCALARS[kind][1] for kind, pointer, _ in self.parameters]
        self.function.argtypes = [Dim3, Dim3, *types]
        self.function.restype = None
        self.take_counts = library.take_counts if HEADER == "count.h" else None

    def __call__(self, grid, block, args):
        if len(args) != len(self.parameters):
            raise TypeError(f"{self.name} takes {len(self.parameters)} arguments, {len(args)} given")
        passed = [self._pass(*pair) for pair in zip(self.parameters, args, strict=True)]
        dimensions = [tuple(dim) + (1,) * (3 - len(dim)) for dim in (grid, block)]
        if np.prod(dimensions[1]) > 1024 or max(dimensions[0][1:]) > 65535:
            raise ValueError(f"{self.name}: a launch of grid {grid}, block {block} is too large")
        Kernel.launches.append((self.name, *dimensions))
        if self.waits:
            dimensions[1] = (1, 1, 1)
        blocks = {id(a._block): a._block for a in args if hasattr(a, "_block")}

        def run():
            with Kernel._one_at_a_time:
                self.function(Dim3(*dimensions[0]), Dim3(*dimensions[1]), *passed)
                if self.take_counts is not None:
                    found = (ctypes.c_double * 4)()
                    self.take_counts(found)
                    Kernel.counts.append((self.name, *found))
            if not all(block.intact for block in blocks.values()):
                raise MemoryError(f"{self.name} wrote beyond an array")

        _stream.current().put(run)

    def _pass(self, parameter, value):
        kind, pointer, name = parameter
        if pointer:
            wanted = POINTERS[kind]
            if not hasattr(value, "_block") or (wanted and value.dtype != wanted):
                raise TypeError(f"{self.name}: {name} is a {kind} *, given {getattr(value, 'dtype', type(value))}")
            return value._host.ctypes.data
        if type(value) is not SCALARS[kind][0]:
            raise TypeError(f"{self.name}: {name} is a {kind}, given {type(value)}")
        return value.item()


class RawModule:
    def __init__(self, code, options=()):
        found = list(KERNEL.finditer(code))
        ends = [match.start() for match in found[1:]] + [len(code)]
        self.kernels = {
            match[1]: Kernel(match[1], match[2], code[match.end() : end])
            for match, end in zip(found, ends, strict=True)
        }
        launchers = "".join(kernel.source() for kernel in self.kernels.values())
        code = _countable(code) if HEADER == "count.h" else code
        library = _compile(f'#include "{FOLDER / HEADER}"\n{code}\n{launchers}')
        for kernel in self.kernels.values():
            kernel.load(library)

    def get_function(self, name):
        return self.kernels[name]


def _counted(kind):
    return {"float": "Float", "double": "Double"}.get(kind, kind)


def _countable(code):
    """The source with the types of count.h."""
    code = re.sub(r"//.*", "", code)
    code = re.sub(
        r"^( *(?:const )?\w+ \*[^;(){}]*(?:\([^;]*?\)[^;(){}]*)*;)", _one_pointer_each, code, flags=re.MULTILINE
    )
    code = re.sub(r"\b(const )?(float|double|int|unsigned char|T) \*", r"Memory<\1\2> ", code)
    return re.sub(r"\bfloat\b", "Float", re.sub(r"\bdouble\b", "Double", code))


def _one_pointer_each(declaration):
    """`const float *a = x, *b = y;` without the second star, which belongs to the type from now on."""
    return re.sub(r", \*(\w+ =)", r", \1", declaration[0])


def _compile(source):
    """The library, kept in the folder for temporary files by what it is made of."""
    headers = [path.read_text("utf-8") for path in sorted(FOLDER.glob("*.h"))]
    made_of = "\n".join([source, *headers, *COMPILER])
    name = f"flowsession-host-{os.getuid()}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    library = Path(tempfile.gettempdir(), name)
    if not library.exists():
        with tempfile.TemporaryDirectory() as folder:
            code, built = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
            code.write_text(source, "utf-8")
            subprocess.run([*COMPILER, "-o", built, code], check=True)
            os.replace(built, library)
    return ctypes.CDLL(str(library))
