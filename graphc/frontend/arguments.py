"""Checks and conversions of functions' arguments.

Every error names the function, the argument, what was expected, what was given, and the user's
line.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.boundary import require, short
from graphc.frontend.tensor import Tensor, build, operand
from graphc.ir.dim import Dim, Shape, Size
from graphc.ir.op import Op
from graphc.ir.ops.pointwise import Cast
from graphc.ir.requirement import equal
from graphc.ir.types import DType, as_dtype, promote

tensor = operand
C = TypeVar("C")
Axis = int | Sequence[int] | None


def apply(op: Op, *args: Any) -> Tensor:
    """A pointwise op on tensors, arrays and numbers, at least one of which becomes a tensor."""
    ready = [a if isinstance(a, bool | int | float) else tensor(op.name, a) for a in args]
    if not any(isinstance(a, Tensor) for a in ready):
        ready[-1] = tensor(op.name, ready[-1])
    out: Tensor = op(*ready)
    return out


def element_type(what: str, dtype: Any) -> DType:
    """The element type the user named.  Raises `DTypeError`."""
    try:
        return as_dtype(dtype)
    except DTypeError as error:
        raise DTypeError(f"{what}: {error.message}", user_location()) from None


def same_type(what: str, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in their common element type.  Raises `DTypeError` where there is none."""
    common = tensors[0].dtype
    try:
        for t in tensors[1:]:
            common = promote(common, t.dtype)
    except DTypeError as error:
        raise DTypeError(f"{what}: {error.message}", user_location()) from None
    return tuple(converted(t, common) for t in tensors)


def converted(x: Tensor, dtype: DType) -> Tensor:
    """The tensor in another element type; itself if it has it."""
    return x if x.dtype == dtype else build(Cast(dtype), (x,))


def typed(what: str, x: Any, dtype: DType) -> Tensor:
    """A tensor of an element type, from what the user gave.  Raises `DTypeError` for integers that
    are no tensor yet and do not fit; a tensor is cast."""
    if isinstance(x, int) and not isinstance(x, bool):
        return tensor(what, x, dtype)
    t = tensor(what, x)
    cast = isinstance(x, Tensor) or not (t.dtype.is_integer and dtype.is_integer)
    return converted(t, dtype) if cast else tensor(what, x, dtype)


def integer(what: str, argument: str, value: Any) -> int:
    """A Python integer.  Raises `ShapeError`."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise ShapeError(f"{what}: {argument} must be an int, got {short(value)}", user_location())


def real_number(what: str, argument: str, value: Any) -> float:
    """A Python number, from one or from NumPy's scalar or 0-d array.  Raises `DTypeError`."""
    known = isinstance(value, np.generic | np.ndarray) and value.ndim == 0
    if known and value.dtype.kind not in "mM":  # the item of a date in nanoseconds is an int
        value = value.item()
    if isinstance(value, int | float):
        return value
    raise DTypeError(f"{what}: {argument} must be a number, got {short(value)}", user_location())


def flag(what: str, argument: str, value: Any) -> bool:
    """A truth value.  Raises `GraphError`."""
    if isinstance(value, bool):
        return value
    raise GraphError(f"{what}: {argument} must be a bool, got {short(value)}", user_location())


def choice(what: str, argument: str, value: Any, options: Mapping[str, C]) -> C:
    """The option with this name.  Raises `GraphError` for a name that is no option."""
    if isinstance(value, str) and value in options:
        return options[value]
    wanted = ", ".join(map(repr, options))
    raise GraphError(
        f"{what}: {argument} must be one of {wanted}, got {short(value)}", user_location()
    )


def axis_of(what: str, axis: Any, rank: int, argument: str = "axis") -> int:
    """One axis, made non-negative.  Raises `ShapeError`."""
    a = integer(what, argument, axis)
    if not -rank <= a < rank:
        raise ShapeError(
            f"{what}: {argument} {a} is out of range for a tensor of rank {rank}; expected one in "
            f"[{-rank}, {rank})",
            user_location(),
        )
    return a % rank


def axes_of(what: str, axis: Any, rank: int, argument: str = "axis") -> tuple[int, ...]:
    """One axis, several or (None) all: rising and non-negative.  Raises `ShapeError`."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, list | tuple) else (axis,)
    found = [axis_of(what, a, rank, argument) for a in given]
    if len(set(found)) != len(found):
        raise ShapeError(f"{what}: {argument} {axis} names an axis twice", user_location())
    return tuple(sorted(found))


def size_of(what: str, argument: str, value: Any) -> Size:
    """A size: a non-negative int, or a symbolic one.  Raises `ShapeError`."""
    if isinstance(value, Dim):
        return value
    n = integer(what, argument, value)
    if n < 0:
        raise ShapeError(f"{what}: {argument} holds the negative size {n}", user_location())
    return n


def shape_of(what: str, shape: Any, argument: str = "shape") -> Shape:
    """A shape from a size or a sequence of sizes.  Raises `ShapeError`."""
    if isinstance(shape, Tensor):
        raise ShapeError(
            f"{what}: {argument} must be known while the graph is built (ints, or sizes such as "
            f"x.shape[0]), got {shape!r}",
            user_location(),
        )
    if isinstance(shape, Dim) or not hasattr(shape, "__iter__"):
        return (size_of(what, argument, shape),)
    return tuple(size_of(what, argument, s) for s in shape)


def known_size(what: str, x: Tensor, axis: int) -> int:
    """The size of an axis where a number is needed.  Raises `ShapeError` for a symbolic one."""
    size = x.shape[axis]
    if not isinstance(size, int):
        raise ShapeError(
            f"{what}: axis {axis} of {x.type} has a symbolic size; expected a known one",
            user_location(),
        )
    return size


def sequence(what: str, argument: str, xs: Any) -> list[Tensor]:
    """At least one tensor, from a sequence.  Raises `GraphError`."""
    if isinstance(xs, Tensor) or not hasattr(xs, "__iter__"):
        raise GraphError(
            f"{what}: {argument} must be a sequence of tensors, got {short(xs)}", user_location()
        )
    tensors = [tensor(what, x) for x in xs]
    if not tensors:
        raise GraphError(
            f"{what}: {argument} is empty; expected at least one tensor", user_location()
        )
    return tensors


def require_equal(what: str, a: Size, b: Size, where: str) -> None:
    """Two sizes must be equal.  Raises `ShapeError` for two that never can be."""
    requirement = equal(a, b, f"sizes {where}")
    if requirement.holds() is False:
        raise ShapeError(f"{what}: sizes differ {where}: {a} and {b}", user_location())
    require(what, requirement)
