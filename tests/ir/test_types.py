"""The table of element types: what it says of each agrees with NumPy, and with itself."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError
from graphc.ir.types import (
    ALL,
    FLOATS,
    NARROW_FLOATS,
    TILED_FLOATS,
    DType,
    bf16,
    bool_,
    f16,
    f32,
    f64,
    u8,
    u16,
)


def facts(t: DType) -> Any:
    """What NumPy, or for bf16 ml_dtypes, knows of a float type."""
    return (np if t.numpy.isbuiltin == 1 else ml_dtypes).finfo(t.numpy)


@pytest.mark.parametrize("t", FLOATS, ids=str)
def test_floats_are_as_numpy_says(t: DType) -> None:
    assert t.significand == facts(t).nmant + 1
    assert t.largest == float(facts(t).max)


@pytest.mark.parametrize("t", ALL, ids=str)
def test_what_is_stored_has_the_size_of_an_element(t: DType) -> None:
    assert t.stored.size == t.size == t.numpy.itemsize
    assert t.stored.stored == t.stored and t.accumulates.accumulates == t.accumulates
    assert not t.accumulates.is_narrow
    # Every element has a place in the type that it is computed with.
    assert t.accumulates.kind == t.kind and t.accumulates.bits >= t.bits


def test_types_that_are_treated_alike() -> None:
    assert (f16, bf16) == NARROW_FLOATS and (f32, f64) == TILED_FLOATS
    assert [t.accumulates for t in NARROW_FLOATS] == [f32, f32]
    assert {t for t in ALL if t.stored != t} == {bool_, f16, bf16}
    assert (bool_.stored, f16.stored, bf16.stored) == (u8, u16, u16)
    assert {t for t in ALL if t.tensor_cores} == {f16, bf16, f32}
    assert all(t.accumulates == t for t in ALL if t not in NARROW_FLOATS)


def test_an_element_type_is_no_sequence() -> None:
    """Though `f32[n]` is a type; iterating by `__getitem__` would never end."""
    for use in (tuple, list, iter, sum, lambda t: [*t], lambda t: 3 in t, lambda t: gc.stack(t)):
        with pytest.raises((TypeError, GraphcError)):
            use(gc.float32)
    with pytest.raises(GraphcError, match="passes is f32; expected a list of functions"):
        gc.Session(passes=gc.float32)
