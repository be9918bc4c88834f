"""A scalar function as pointwise arithmetic: what `gc.op` makes of a user's function.

The function is traced twice: over matrices of unknown size, where whatever is not pointwise shows
itself (over single elements a sum is nothing at all), and over single elements, which is what is
kept.  Both traces must be the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from graphc.errors import GraphcError, GraphError, Location, user_location
from graphc.frontend.boundary import short
from graphc.frontend.declare import placeholder
from graphc.frontend.scope import scope_of
from graphc.frontend.signatures import operands_of
from graphc.frontend.tensor import Tensor, as_tensor, foreign
from graphc.ir.graph import Value, topological
from graphc.ir.op import Number, Operand, Pointwise
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Constant, Full
from graphc.ir.ops.state import Placeholder, Variable
from graphc.ir.types import DType

MATRIX = ("rows", "columns")
Trace = tuple[tuple[Tensor, ...], Tensor]


class UserFunction:
    """A user's function of scalars, and how it is called.  Raises `GraphError` for a signature that
    no op can have."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.signature: Signature = operands_of("gc.op", function)
        self.name: str = function.__name__

    @property
    def operands(self) -> list[str]:
        return list(self.signature.parameters)

    def __call__(self, operands: Sequence[Tensor]) -> Any:
        by_name = [p.kind is Parameter.KEYWORD_ONLY for p in self.signature.parameters.values()]
        placed = [x for x, named in zip(operands, by_name, strict=True) if not named]
        named = {n: x for n, x, k in zip(self.operands, operands, by_name, strict=True) if k}
        return self.function(*placed, **named)

    def failed(self, what: str, location: Location | None = None) -> GraphError:
        """The error of a function that is no scalar function."""
        return GraphError(f"gc.op: {self.name} {what}", location or user_location())


class TracedScalar:
    """A scalar function as a graph of pointwise ops over 0-d inputs of one element type."""

    def __init__(self, function: UserFunction, dtype: DType) -> None:
        matrices, of_matrices = _traced(function, dtype, MATRIX)
        _require_pointwise(function, matrices, of_matrices)
        self.inputs, self.output = _traced(function, dtype, ())
        if _form(matrices, of_matrices) != _form(self.inputs, self.output):
            raise function.failed(
                "computes one thing for a matrix and another for a single element; a scalar "
                "function asks for no shape, and gives the same whenever it is called"
            )
        if literal(self.output) is not None:
            raise function.failed(f"returned {literal(self.output)!r}, which no operand changes")

    def replay(self, root: Value, given: Mapping[Any, Any]) -> Any:
        """The traced arithmetic on other operands: tensors, scalars of a kernel, or patterns."""
        done: dict[Value, Any] = dict(given)
        for v in topological([root], given):
            number = literal(v)
            if number is not None:
                done[v] = number
                continue
            args = [done[a] for a in v.args]
            if any(isinstance(a, Operand) for a in args):
                done[v] = v.op(*args)
            else:
                arrays = (
                    np.asarray(a, b.type.dtype.numpy) for a, b in zip(args, v.args, strict=True)
                )
                done[v] = np.asarray(v.op.reference(*arrays)).item()
        return done[root]

    def reference(self, arrays: Sequence[Any]) -> Any:
        """The traced arithmetic in NumPy, one op after the other."""
        done: dict[Value, Any] = dict(zip(self.inputs, arrays, strict=True))
        for v in topological([self.output], self.inputs):
            done[v] = v.op.reference(*(done[a] for a in v.args))
        return np.broadcast_to(done[self.output], np.shape(arrays[0]))


def _traced(function: UserFunction, dtype: DType, shape: tuple[str, ...]) -> Trace:
    """The inputs and the output of the function on operands of a shape."""
    with scope_of(f"gc.op: {function.name}").as_default():
        inputs = tuple(placeholder(dtype, shape, name=name) for name in function.operands)
        result = function(inputs)
        if result is None:
            raise function.failed("returned None; expected one tensor: end it with `return`")
        if isinstance(result, list | tuple | dict):
            raise function.failed(
                f"returned a {type(result).__name__} of {len(result)}; an op has one result: make "
                "one op of each"
            )
        try:
            return inputs, as_tensor(result)
        except (GraphcError, TypeError, ValueError, OverflowError) as error:
            raise function.failed(f"returned {short(result)}; expected one tensor") from error


def _require_pointwise(function: UserFunction, inputs: Sequence[Tensor], output: Tensor) -> None:
    """Raises `GraphError` at the line that uses an op which is not pointwise, or a tensor that is
    no operand."""
    for v in topological([output], inputs):
        if isinstance(v.op, Pointwise) or literal(v) is not None:
            continue
        if isinstance(v.op, Placeholder | Variable):
            raise function.failed(foreign(v), v.loc)
        raise function.failed(
            f"uses {v.op.name}, which is not pointwise; a function of tensors needs no gc.op: "
            "leave the decorator out",
            v.loc,
        )
    if output.ndim != len(MATRIX) and literal(output) is None:
        raise function.failed(f"gives {output.type} of matrices; expected one element each")


def literal(v: Value) -> Number | None:
    """The number that a value is, repeated or not; None if it is none."""
    match v.op:
        case Full(value=number):
            return number
        case Constant() if not v.type.shape:
            number = v.op.value.array.item()
            return number if isinstance(number, bool | int | float) else None
        case Broadcast() if not v.args[0].type.shape:
            return literal(v.args[0])
        case Cast() if literal(v.args[0]) is not None:
            source = np.asarray(literal(v.args[0]), v.args[0].type.dtype.numpy)
            return np.asarray(v.op.reference(source)).item()  # type: ignore[no-any-return]
    return None


def _form(inputs: Sequence[Tensor], output: Tensor) -> list[Any]:
    """The arithmetic of a trace, without shapes."""
    return list(_steps(inputs, output))


def _steps(inputs: Sequence[Tensor], output: Tensor) -> Iterator[Any]:
    place: dict[Value, int] = {v: i for i, v in enumerate(inputs)}
    for v in topological([output], inputs):
        number = literal(v)
        if number is None:
            step: Any = (v.op, tuple(_place(a, place) for a in v.args), v.type.dtype)
            place[v] = len(place)
            yield step
    yield _place(output, place)


def _place(v: Value, place: Mapping[Value, int]) -> Any:
    """Where a value is made, or the number that it is."""
    return place[v] if v in place else (repr(literal(v)), v.type.dtype)
