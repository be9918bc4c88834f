"""BLAS: where matrix products of f32 and f64 go.

OpenBLAS from the `scipy-openblas32` wheel, kept apart from NumPy's own and set to one thread: graphc cuts
products into chunks itself.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any


@functools.cache
def library() -> Any:
    """The loaded library."""
    import scipy_openblas32

    folder = Path(scipy_openblas32.get_lib_dir())
    name = scipy_openblas32.get_library(fullname=True)
    loaded = ctypes.CDLL(str(folder / name))
    loaded.scipy_openblas_set_num_threads(1)
    return loaded


@functools.cache
def gemm_address(dtype: str) -> int:
    """The address of `cblas_sgemm` or `cblas_dgemm`."""
    function = getattr(library(), {"f32": "scipy_cblas_sgemm", "f64": "scipy_cblas_dgemm"}[dtype])
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
