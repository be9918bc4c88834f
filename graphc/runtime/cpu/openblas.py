"""Finds the addresses of foreign routines: LAPACK, BLAS, and graphc's own matrix products.

LAPACK and BLAS come from the `scipy-openblas32` wheel, kept apart from NumPy's own OpenBLAS and set
to one thread: graphc cuts work into chunks itself.  Matrix products are graphc's own
(`codegen/cpu/gemm_library.py`), unless `Method.BLAS` asks for OpenBLAS's.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

from graphc.codegen.cache import Cache
from graphc.codegen.cpu import gemm_library
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.config import Method, blas_core, environment

SKYLAKEX_FEATURES = ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl")


@functools.cache
def library() -> Any:
    """The loaded library.

    The process may hold other copies of OpenBLAS, which OPENBLAS_CORETYPE may be meant for.  This
    copy follows the CPU that graphc's own kernels are compiled for, or GRAPHC_BLAS_CORE
    (docs/decisions.md).
    """
    flags = host_cpu().flags()
    native = "SkylakeX" if all(flags.get(f) for f in SKYLAKEX_FEATURES) else None
    core = blas_core() or native
    with environment({"OPENBLAS_CORETYPE": core} if core else {}):
        import scipy_openblas32  # loads the library

        folder = Path(scipy_openblas32.get_lib_dir())
        loaded = ctypes.CDLL(str(folder / scipy_openblas32.get_library(fullname=True)))
        loaded.scipy_openblas_set_num_threads(1)
    return loaded


def routine_address(name: str, method: Method | None, cache: Cache) -> int:
    """The address of a routine: graphc's own (`gc_...`), of LAPACKE or CBLAS in this library, or
    `malloc` and `free` of the C library."""
    if not name.startswith("gc_"):
        return outside_address(name)
    part, dtype = name.split("_")[1:]
    if part == "gemm" and method is Method.BLAS:
        return outside_address({"f32": "cblas_sgemm", "f64": "cblas_dgemm"}[dtype])
    return gemm_library.library(dtype, cache)[name]


@functools.cache
def outside_address(name: str) -> int:
    """The address of a routine that is not graphc's own."""
    foreign = ctypes.CDLL(None) if name in ("malloc", "free") else library()
    function = getattr(foreign, name if name in ("malloc", "free") else f"scipy_{name}")
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
