"""The functions of Python, math and NumPy that a hand-written kernel may call, and their names in
kernel source."""

from __future__ import annotations

import builtins
import functools
import math

import numpy as np

from graphc.codegen.mathlib import function_table as scalar_functions

SAME_IN_NUMPY = (
    "sign",
    "maximum",
    "minimum",
    "where",
    "floor_divide",
    "remainder",
    "left_shift",
    "right_shift",
    "absolute",
    "logical_not",
)
PYTHON_FUNCTIONS = {
    "absolute": (math.fabs, builtins.abs),
    "min": (builtins.min,),
    "max": (builtins.max,),
    "range": (builtins.range,),
    "f64": (builtins.float,),
    "cast_i64": (builtins.int,),
    "cast_bool": (builtins.bool,),
}


@functools.cache
def kernel_names() -> dict[int, str]:
    """The kernel language's name of each Python function, by the function's `id`."""
    names = {id(f): name for name, same in PYTHON_FUNCTIONS.items() for f in same}
    names |= {id(getattr(np, name)): name for name in SAME_IN_NUMPY}
    for row in scalar_functions.FUNCTIONS.values():
        names |= {id(f): row.name for f in (row.numpy, row.math) if f is not None}
    return names
