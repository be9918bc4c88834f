"""Ops are records: compared by content and class, shown, and frozen."""

from __future__ import annotations

import dataclasses
import math

import pytest

from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.pointwise import Add
from graphc.ir.ops.shape import Pad, Transpose


def test_equal_by_class_and_content() -> None:
    assert Transpose((1, 0)) == Transpose((1, 0)) != Transpose((0, 1))
    assert hash(Transpose((1, 0))) == hash(Transpose((1, 0)))
    assert Matmul() == Matmul(False, tb=False) != Matmul(ta=True)
    assert Add() == Add() and len({Add(), Add(), Matmul(), Transpose((0,))}) == 3
    assert Pad((1,), (0,), math.nan) != Pad((1,), (0,), 0.0)


def test_shown_with_their_fields() -> None:
    assert repr(Matmul(ta=True)) == "Matmul(ta=True, tb=False)"
    assert repr(Add()) == "Add()"


def test_frozen() -> None:
    op = Transpose((1, 0))
    for change in (
        lambda: setattr(op, "axes", (0, 1)),
        lambda: setattr(op, "other", 1),
        lambda: delattr(op, "axes"),
        lambda: setattr(Add(), "name", "x"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    assert op.axes == (1, 0) and dataclasses.replace(op, axes=(0, 1)) == Transpose((0, 1))
    with pytest.raises(TypeError, match="axes"):
        Transpose()  # type: ignore[call-arg]
