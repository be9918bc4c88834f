"""Large results: arrays that the caller has dropped are used again, because fresh pages are costly.

A session keeps a few references.  An array that nobody else refers to, neither itself nor a view of
it, is free: its memory goes to the next result of its shape.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.ir.op import Array

MIN_POOLED_BYTES = 1 << 16  # bytes from which results are kept
MAX_ARRAYS_PER_SHAPE = 4  # arrays of one shape
MAX_POOLED_SHAPES = 8


@dataclass
class Results:
    """The large results of one session.  Its lock is held wherever this is used."""

    kept: dict[tuple[tuple[int, ...], np.dtype[Any]], list[Array]] = field(default_factory=dict)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array that is the caller's alone."""
        alike = self.kept.get((shape, dtype))
        if alike is None:
            alike = self.kept[shape, dtype] = []
            if len(self.kept) > MAX_POOLED_SHAPES:
                del self.kept[next(iter(self.kept))]
        for old, references in zip(alike, _references(alike), strict=True):
            if references == REFERENCES_IF_FREE and _as_new(old, shape, dtype):
                return old
        if len(alike) == MAX_ARRAYS_PER_SHAPE:
            del alike[0]
        alike.append(np.empty(shape, dtype))
        return alike[-1]


def _references(arrays: list[Array]) -> list[int]:
    """How many references each array has, those of this question among them."""
    return [sys.getrefcount(a) for a in arrays]


# Those of an array that only its list holds.  Pythons differ in what the question itself adds.
REFERENCES_IF_FREE = _references([np.empty(0)])[0]


def _as_new(a: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether nobody has changed an array itself: its shape, its type, what may be done with it."""
    flags = a.flags
    return a.shape == shape and a.dtype == dtype and flags.c_contiguous and flags.writeable
