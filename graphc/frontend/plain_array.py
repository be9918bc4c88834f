"""NumPy arrays of what users give, where nothing that they say may get lost in silence."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from graphc.ir.op import Array


def plain_array(x: Any) -> Array:
    """`np.asarray`.  Raises `TypeError` for masked elements, which have no counterpart here."""
    if _masked(x):
        raise TypeError(
            "it has masked elements, which a tensor cannot have; give .filled(value), or the mask "
            "as an array of its own"
        )
    return np.asarray(x)


def _masked(x: Any) -> bool:
    """Whether an array, or one in nested lists, has a mask that hides something."""
    if isinstance(x, list | tuple):
        return any(_masked(part) for part in x if not isinstance(part, int | float))
    if type(x) is np.ndarray or "numpy.ma" not in sys.modules:
        return False
    return isinstance(x, np.ma.MaskedArray) and bool(np.ma.is_masked(x))
