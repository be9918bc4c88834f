"""Tensors from nothing: constants, ranges, identity matrices."""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import DTypeError, ShapeError, user_location
from graphc.frontend.arguments import (
    axis_of,
    converted,
    element_type,
    integer,
    real_number,
    shape_of,
    size_of,
    tensor,
    typed,
)
from graphc.frontend.plain_array import require_fits
from graphc.frontend.tensor import Tensor, broadcast_to, build
from graphc.functions import pointwise as pw
from graphc.ir import dim
from graphc.ir.dim import Dim, Size
from graphc.ir.op import Number
from graphc.ir.ops.gather import CheckIndex
from graphc.ir.ops.shape import Full, Iota, SizeOf
from graphc.ir.types import DType, bool_, f32, i64

__all__ = [
    "arange",
    "asarray",
    "eye",
    "full",
    "full_like",
    "iota",
    "linspace",
    "one_hot",
    "ones",
    "ones_like",
    "size",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def asarray(obj: Any, dtype: Any = None) -> Tensor:
    """A tensor from an array, a number, nested sequences of them (floats become f32), or a tensor.

    >>> asarray([1.0, 2.0]).type, asarray([1, 2], "i32").type
    (f32[2], i32[2])
    """
    if dtype is None:
        return tensor("asarray", obj)
    return typed("asarray", obj, element_type("asarray", dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """`fill_value` everywhere.  Its type: `dtype`, else bool, i64 or f32 as Python's value is.

    Raises `DTypeError` for a value that the type cannot hold.

    >>> full((2, 3), 1).type
    i64[2,3]
    """
    return _filled("full", shape, fill_value, dtype)


def _filled(what: str, shape: Any, fill_value: Any, dtype: Any) -> Tensor:
    sizes = shape_of(what, shape)
    wanted = element_type(what, dtype) if dtype is not None else None
    if isinstance(fill_value, bool | int | float):
        return number(fill_value, wanted or natural(fill_value), sizes)
    value = tensor(what, fill_value) if wanted is None else typed(what, fill_value, wanted)
    return broadcast_to(value, sizes)


def natural(value: Number) -> DType:
    """The type of a plain number."""
    return bool_ if isinstance(value, bool) else i64 if isinstance(value, int) else f32


def number(value: Number, dtype: DType, shape: tuple[Size, ...] = ()) -> Tensor:
    """A literal of a shape.  Raises `DTypeError` for one that the type cannot hold."""
    if dtype.is_float:
        return build(Full(float(value), dtype, shape), ())
    if dtype.kind == "bool":
        return build(Full(bool(value), dtype, shape), ())
    bits = dtype.bits - (dtype.kind == "int")
    low = -(1 << bits) if dtype.kind == "int" else 0
    if isinstance(value, float) or not low <= value < 1 << bits:
        raise DTypeError(f"full: {value!r} is no {dtype}", user_location())
    return build(Full(int(value), dtype, shape), ())


def zeros(shape: Any, dtype: Any = f32) -> Tensor:
    """Zeros.

    >>> zeros((2, 3)).type
    f32[2,3]
    """
    return _filled("zeros", shape, 0, dtype)


def ones(shape: Any, dtype: Any = f32) -> Tensor:
    """Ones."""
    return _filled("ones", shape, 1, dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """`fill_value` in x's shape, and in x's type unless `dtype` is given."""
    like = tensor("full_like", x)
    return full(like.shape, fill_value, like.dtype if dtype is None else dtype)


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros in x's shape and type."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones in x's shape and type."""
    return full_like(x, 1, dtype)


def iota(shape: Any, axis: int = 0, dtype: Any = i64) -> Tensor:
    """Each element is its own position along `axis`.

    >>> iota((2, 3), axis=1).type
    i64[2,3]
    """
    sizes = shape_of("iota", shape)
    along = axis_of("iota", axis, len(sizes))
    return build(Iota(along, element_type("iota", dtype), sizes), ())


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """start, start + step, ... below `stop`; of one argument, 0 to it.

    Sizes such as x.shape[0] may be bounds.  The type: `dtype`, else i64, or f32 where a float is
    given.

    >>> arange(2, 10, 3).type
    i64[3]
    """
    first, last = (0, start) if stop is None else (start, stop)
    wanted = element_type("arange", dtype) if dtype is not None else None
    for name, value in (("start", first), ("stop", last), ("step", step)):
        if isinstance(value, bool) or not isinstance(value, int | float | Dim):
            integer("arange", name, value)
    if step == 0:
        raise ShapeError("arange: step is 0; expected another number", user_location())
    floats = any(isinstance(v, float) for v in (first, last, step))
    work = wanted or (f32 if floats else i64)
    size = _steps(first, last, step)
    if work.is_integer and not isinstance(first, Dim) and isinstance(size, int) and size > 0:
        require_fits("arange: ", work, int(first), int(first) + (size - 1) * int(step))
    line = build(Iota(0, work, (size,)), ())
    line = line if step == 1 else pw.multiply(line, step)
    return line if first == 0 else pw.add(line, _as_operand(first, work))


def _as_operand(size: Any, dtype: DType) -> Any:
    return build(SizeOf(size, dtype), ()) if isinstance(size, Dim) else size


def _steps(first: Any, last: Any, step: Any) -> Size:
    """The number of elements of an arange."""
    if isinstance(first, Dim) or isinstance(last, Dim):
        up = integer("arange", "step", step)
        gap: Size = last - first if up > 0 else first - last
        width = up if up > 0 else -up
        return dim.maximum(dim.floordiv(gap + (width - 1), width), 0)
    steps: int = math.ceil((last - first) / step)
    return max(0, steps)


def linspace(
    start: float, stop: float, num: int, dtype: Any = f32, endpoint: bool = True
) -> Tensor:
    """`num` evenly spaced floats from `start` to `stop` (with it, unless `endpoint` is False).

    Raises `DTypeError` for a `dtype` that is no float's and for an end that is no number.

    >>> linspace(0, 1, 5).type
    f32[5]
    """
    count = size_of("linspace", "num", num)
    wanted = element_type("linspace", dtype)
    if not wanted.is_float:
        raise DTypeError(f"linspace: dtype {wanted} is no float type", user_location())
    if not isinstance(count, int):
        raise ShapeError(f"linspace: num must be an int, got {num}", user_location())
    start, stop = real_number("linspace", "start", start), real_number("linspace", "stop", stop)
    gaps = max(count - 1 if endpoint else count, 1)
    place = iota((count,), 0, wanted)
    line = pw.add(pw.multiply(place, (stop - start) / gaps), float(start))
    last = pw.equal(place, float(count - 1))
    return pw.where(last, float(stop), line) if endpoint and count > 1 else line


def eye(n_rows: Any, n_cols: Any = None, k: int = 0, dtype: Any = f32) -> Tensor:
    """Ones on the diagonal `k` above the main one, zeros elsewhere.

    >>> eye(2, 3).type
    f32[2,3]
    """
    rows = size_of("eye", "n_rows", n_rows)
    cols = rows if n_cols is None else size_of("eye", "n_cols", n_cols)
    shift = integer("eye", "k", k)
    row, col = iota((rows, cols), 0), iota((rows, cols), 1)
    return converted(pw.equal(pw.add(row, shift), col), element_type("eye", dtype))


def tril(x: Any, k: int = 0) -> Tensor:
    """The matrices in the last two axes, with zeros above diagonal `k`."""
    return _triangle("tril", x, lambda row, col: pw.less_equal(col, pw.add(row, k)))


def triu(x: Any, k: int = 0) -> Tensor:
    """The matrices in the last two axes, with zeros below diagonal `k`."""
    return _triangle("triu", x, lambda row, col: pw.greater_equal(col, pw.add(row, k)))


def _triangle(what: str, x: Any, kept: Any) -> Tensor:
    t = tensor(what, x)
    if t.ndim < 2:
        raise ShapeError(f"{what}: {t.type} is no matrix; expected rank 2 or more", user_location())
    row, col = (iota(t.shape[-2:], axis) for axis in (0, 1))
    return pw.where(kept(row, col), t, full_like(t, 0))


def one_hot(x: Any, num_classes: Any, dtype: Any = f32) -> Tensor:
    """A new last axis that holds 1 at each index and 0 elsewhere.

    An index outside [-num_classes, num_classes) makes the run fail.

    >>> one_hot([0, 2], 3).type
    f32[2,3]
    """
    size = size_of("one_hot", "num_classes", num_classes)
    indices = tensor("one_hot", x)
    if not indices.dtype.is_integer:
        raise DTypeError(
            f"one_hot: indices {indices.type} are no integers; use gc.astype", user_location()
        )
    checked = build(CheckIndex(size), (indices,))
    shape = (*indices.shape, size)
    place = iota(shape, len(shape) - 1)
    return converted(pw.equal(place, checked[..., None]), element_type("one_hot", dtype))


def size(x: Any, axis: Any = None) -> Tensor:
    """The number of elements, or the size of one axis, as a 0-d i64 tensor."""
    t = tensor("size", x)
    count = t.type.count if axis is None else t.shape[axis_of("size", axis, t.ndim)]
    return size_tensor(count, i64)


def size_tensor(count: Size, dtype: DType) -> Tensor:
    """A size as a 0-d tensor."""
    if isinstance(count, int):
        return build(Full(float(count) if dtype.is_float else count, dtype, ()), ())
    return build(SizeOf(count, dtype), ())
