"""Ops are records: compared by content and class, shown, and frozen."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from graphc.ir.op import Op
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


def test_the_constructor_takes_what_its_fields_say() -> None:
    assert Matmul().fields() == dataclasses.fields(Matmul(True))  # type: ignore[arg-type]
    assert str(inspect.signature(Matmul)) == "(ta: 'bool' = False, tb: 'bool' = False)"
    assert Pad(high=(0,), value=1.0, low=(1,)) == Pad((1,), (0,), 1.0)
    assert hash(Pad(high=(0,), value=1.0, low=(1,))) == hash(Pad((1,), (0,), 1.0))
    match Matmul(True):
        case Matmul(ta, tb):
            assert (ta, tb) == (True, False)
        case _:
            pytest.fail("fields match by place")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Transpose(), "Transpose: missing a required argument: 'axes'"),  # type: ignore[call-arg]
        (lambda: Pad((1,), value=0.0), "Pad: missing a required argument: 'high'"),  # type: ignore[call-arg]
        (lambda: Matmul(True, True, True), "Matmul: too many positional arguments"),  # type: ignore[call-arg]
        (lambda: Matmul(True, ta=True), "Matmul: multiple values for argument 'ta'"),  # type: ignore[misc]
        (lambda: Matmul(tc=True), "Matmul: got an unexpected keyword argument 'tc'"),  # type: ignore[call-arg]
    ],
)
def test_a_wrong_call_is_a_type_error_in_pythons_words(
    make: Callable[[], Op], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value) == message


def test_a_record_copies_and_pickles() -> None:
    op = Pad((1,), (0,), 2.0)
    assert copy.copy(op) == copy.deepcopy(op) == pickle.loads(pickle.dumps(op)) == op


def test_fields_are_inherited_checked_and_plain() -> None:
    class Base(Op, abstract=True):
        axes: tuple[int, ...]
        shown: ClassVar[int] = 3

    class Derived(Base, abstract=True):
        keep: bool = False

        def __post_init__(self) -> None:
            if not self.axes:
                raise ValueError("no axes")

    assert repr(Derived((1,))).endswith("Derived(axes=(1,), keep=False)")
    assert [f.name for f in Base.fields()] == ["axes"]
    with pytest.raises(ValueError, match="no axes"):
        Derived(axes=())
    with pytest.raises(TypeError, match="non-default argument 'b' follows default argument"):

        class Wrong(Op, abstract=True):
            a: int = 1
            b: int

    with pytest.raises(TypeError, match="a record's field has a plain default"):

        class Late(Op, abstract=True):
            made: Any = dataclasses.field(default_factory=list)
