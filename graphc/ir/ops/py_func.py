"""Ops that call a Python function during a run (`gc.py_func`).

Text cannot hold a function's state and code: a graph with one prints, but the parser refuses it.
Several results share one buffer of bytes, each on a 64-byte boundary; `Unpack` copies each out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphcError, GraphError, Location, ShapeError
from graphc.ir.dim import Shape, Size, product
from graphc.ir.op import Array, Foreign, Opaque, sample
from graphc.ir.ops.index_math import ints
from graphc.ir.types import DType, TensorType, f32, u8

ALIGNMENT_BYTES = 64  # each result of several starts on such a boundary


class PythonFunction:
    """A function on NumPy arrays, its name and the user's line.

    Two that are not `stateful` are equal if their functions are: then equal calls become one.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, stateful: bool, loc: Location | None
    ) -> None:
        self.function, self.name, self.stateful, self.loc = function, name, stateful, loc

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PythonFunction) or self.stateful or other.stateful:
            return self is other
        return self.function is other.function

    def __hash__(self) -> int:
        return id(self) if self.stateful else id(self.function)

    def __str__(self) -> str:
        return repr(self.name)

    __repr__ = __str__

    def __call__(
        self, arrays: Sequence[Array], wanted: Sequence[tuple[DType, Shape]]
    ) -> list[Array]:
        """The results, each of the element type and shape wanted.  Raises `GraphError`."""
        try:
            returned = self.function(*arrays)
        except Exception as error:
            message = error.message if isinstance(error, GraphcError) else str(error)
            raise self._failed(GraphError, f"raised {type(error).__name__}: {message}") from error
        several = len(wanted) > 1
        if several and (not isinstance(returned, tuple | list) or len(returned) != len(wanted)):
            raise self._failed(
                GraphError, f"returned {_shown(returned)}; expected {len(wanted)} results"
            )
        results = returned if several else [returned]
        return [
            self._checked(r, i if several else None, *w)
            for i, (r, w) in enumerate(zip(results, wanted, strict=True))
        ]

    def _checked(self, returned: Any, number: int | None, dtype: DType, shape: Shape) -> Array:
        sizes = ints(shape)
        wanted = f"{dtype}[{','.join(map(str, sizes))}]"
        what = "returned" if number is None else f"returned as result {number}"
        error: type[GraphcError] | None = None
        try:
            array = np.asarray(returned)
        except (TypeError, ValueError):
            array, error = np.asarray(None), DTypeError
        if (
            not isinstance(returned, np.ndarray | np.generic)
            and array.dtype.kind in "biuf"
            and (np.can_cast(array.dtype, dtype.numpy, "same_kind"))
        ):
            array = array.astype(dtype.numpy)  # Python's numbers have no narrow types
        if array.dtype != dtype.numpy:
            error = DTypeError
        elif array.shape != sizes:
            error = ShapeError
        if error is not None:
            raise self._failed(error, f"{what} {_shown(returned)}; expected {wanted}")
        return array

    def _failed(self, kind: type[GraphcError], what: str) -> GraphcError:
        return kind(f"py_func: {self.name} {what}; no variable has changed", self.loc)


def _shown(made: Any) -> str:
    """`float64[3]`, `None`."""
    if isinstance(made, np.ndarray | np.generic):
        return f"{made.dtype}[{','.join(map(str, made.shape))}]"
    text = " ".join(repr(made).split())
    return text if len(text) <= 60 else text[:57] + "..."


class Calling(Foreign, abstract=True):
    """An op with a Python function."""

    differentiable = False
    function: PythonFunction

    def __post_init__(self) -> None:
        if not isinstance(self.function, PythonFunction):
            raise GraphError(
                f"{self.name}: the Python function {self.function!r} is not in the text, and text "
                "never runs code; build this graph in Python"
            )


class PyFunc(Calling):
    """The result of a Python function."""

    dtype: DType
    shape: Shape

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.dtype, self.shape)

    def call(self, *arrays: Array) -> Array:
        (result,) = self.function(arrays, [(self.dtype, self.shape)])
        return result


class PyFuncPacked(Calling):
    """The results of a Python function, as bytes; `sizes` are their shapes one after another."""

    dtypes: tuple[DType, ...]
    ranks: tuple[int, ...]
    shapes: tuple[Size, ...]

    def types(self) -> list[TensorType]:
        """The types of the results."""
        sizes = iter(self.shapes)
        return [
            TensorType(t, tuple(next(sizes) for _ in range(r)))
            for t, r in zip(self.dtypes, self.ranks, strict=True)
        ]

    def places(self) -> list[Size]:
        """Where each result begins, and the number of all bytes."""
        places: list[Size] = [0]
        for t in self.types():
            places.append(
                places[-1] + (t.nbytes + (ALIGNMENT_BYTES - 1)) // ALIGNMENT_BYTES * ALIGNMENT_BYTES
            )
        return places

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(u8, (self.places()[-1],))

    def call(self, *arrays: Array) -> Array:
        results = self.function(arrays, [(t.dtype, t.shape) for t in self.types()])
        *places, count = ints(self.places())
        out = np.zeros(count, np.uint8)
        for array, at in zip(results, places, strict=True):
            out[at : at + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return out


class Unpack(Opaque):
    """A tensor whose bytes begin at `at` in an array of bytes."""

    dtype: DType
    shape: Shape
    at: Size
    differentiable = False
    samples = (
        sample(u8[128], dtype=f32, shape=(3, 2), at=64, special=False),
        sample(u8[64], dtype=u8, shape=(0,), at=0, special=False),
    )

    def infer(self, *types: TensorType) -> TensorType:
        if types[0].dtype != u8 or types[0].rank != 1:
            raise DTypeError(f"unpack: the operand is {types[0]}; expected u8[bytes]")
        return TensorType(self.dtype, self.shape)

    def reference(self, *arrays: Any) -> Any:
        (at, count), dtype = ints((self.at, product(self.shape))), self.dtype.numpy
        part = arrays[0][at : at + count * dtype.itemsize]
        return np.array(part).view(dtype).reshape(ints(self.shape))

    def size_arguments(self, out: TensorType, *types: TensorType) -> tuple[Size, ...]:
        return (self.at, out.count)

    def source(self, out: TensorType, *types: TensorType) -> str:
        word = f"u{out.dtype.bits}"  # bits are copied, whatever they mean
        return f"""\
    source = {word}_buffer(args, 0)
    target = {word}_buffer(args, 1)
    first = n0 // {out.dtype.size}
    for i in range(n1):
        target[i] = source[first + i]
"""
