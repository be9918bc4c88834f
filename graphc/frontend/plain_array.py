"""NumPy arrays of what users give, where nothing that they say may get lost in silence."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from graphc.errors import DTypeError, user_location
from graphc.ir.op import Array
from graphc.ir.types import DType


def plain_array(x: Any) -> Array:
    """`np.asarray`.  Raises `TypeError` for masked elements, which have no counterpart here."""
    if _masked(x):
        raise TypeError(
            "it has masked elements, which a tensor cannot have; give .filled(value), or the mask "
            "as an array of its own"
        )
    return np.asarray(x)


def fits(value: int, element: DType) -> bool:
    """Whether an integer type can hold an integer."""
    info = np.iinfo(element.numpy)
    return int(info.min) <= value <= int(info.max)


def require_fits(what: str, element: DType, *values: int) -> None:
    """Raises `DTypeError` for an integer that an integer type cannot hold: it would wrap around."""
    for value in values:
        if not fits(value, element):
            raise DTypeError(f"{what}{value} is no {element}", user_location())


def in_type(array: Array, element: DType) -> Array:
    """The array in an element type.  Raises `DTypeError` for integers that it cannot hold."""
    if element.is_integer and array.dtype.kind in "iu" and array.size:
        require_fits("", element, int(array.min()), int(array.max()))
    return array.astype(element.numpy, copy=False)


def _masked(x: Any) -> bool:
    """Whether an array, or one in nested lists, has a mask that hides something."""
    if isinstance(x, list | tuple):
        return any(_masked(part) for part in x if not isinstance(part, int | float))
    if type(x) is np.ndarray or "numpy.ma" not in sys.modules:
        return False
    return isinstance(x, np.ma.MaskedArray) and bool(np.ma.is_masked(x))
