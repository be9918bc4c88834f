"""Reuses the arrays of large results that the caller has dropped, because fresh pages are costly.

A session keeps references to a few arrays.  An array is free once nobody else refers to it or to a
view of it: then the next result of its shape takes its memory.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.ir.op import Array

MIN_POOLED_BYTES = 1 << 16  # of a result; smaller ones are not kept
MAX_ARRAYS_PER_SHAPE = 4  # and dtype
MAX_POOLED_SHAPES = 8


@dataclass
class Results:
    """The large results of one session, whose lock must be held to use them."""

    kept: dict[tuple[tuple[int, ...], np.dtype[Any]], list[Array]] = field(default_factory=dict)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array that nobody else refers to."""
        alike = self.kept.get((shape, dtype))
        if alike is None:
            alike = self.kept[shape, dtype] = []
            if len(self.kept) > MAX_POOLED_SHAPES:
                del self.kept[next(iter(self.kept))]
        for old, free in zip(alike, _free(alike), strict=True):
            if free and _as_new(old, shape, dtype):
                return old
        if len(alike) == MAX_ARRAYS_PER_SHAPE:
            del alike[0]
        alike.append(np.empty(shape, dtype))
        return alike[-1]


def _free(arrays: list[Array]) -> list[bool]:
    """Which arrays only their list refers to.  Pythons differ in what counting adds (a variable of
    a frame may own its object or borrow it), so arrays that are free are counted with them, before
    and behind."""
    first, *counts, last = [sys.getrefcount(a) for a in (FREE[0], *arrays, FREE[1])]
    return [first == count == last for count in counts]


FREE = [np.empty(0), np.empty(0)]  # nobody else has these


def _as_new(a: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether nobody has changed an array's shape, dtype, layout or write flag."""
    flags = a.flags
    return a.shape == shape and a.dtype == dtype and flags.c_contiguous and flags.writeable
