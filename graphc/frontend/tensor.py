"""Tensor: what users hold.  A Value with sugar: implicit broadcasting, dtype promotion, NumPy
constants.

Below this layer nothing is implicit: every broadcast and every cast is an op of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from graphc.errors import (
    ArgumentError,
    DTypeError,
    GraphcError,
    GraphError,
    Location,
    ShapeError,
    user_location,
)
from graphc.frontend.boundary import answers, door, named, required, short, with_call
from graphc.frontend.broadcasting import broadcast_shapes, may_be_same
from graphc.frontend.indexing import index
from graphc.frontend.plain_array import fits, in_type, plain_array
from graphc.frontend.scope import GraphScope, current, frames, has_home, homes, watched
from graphc.ir import dim
from graphc.ir.dim import Shape
from graphc.ir.graph import Value, full, typecheck
from graphc.ir.op import Gather, Op, Pointwise, Scatter
from graphc.ir.ops.elementary import power
from graphc.ir.ops.gather import CheckIndex
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.pointwise import (
    Cast,
    Divide,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    floor_divide,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    remainder,
)
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Constant, Data, Full, Reshape, Transpose
from graphc.ir.ops.state import Assign
from graphc.ir.types import DType, TensorType, as_dtype, bool_, f32, f64, i64, promote


@dataclasses.dataclass(frozen=True, eq=False, repr=False, slots=True)
class Tensor(Value):
    """A symbolic array of known element type and shape.

    `+ - * / // % ** @`, comparisons and indexing build graph; nothing is computed until a session
    runs. `==` compares identity (tensors are dictionary keys); `gc.equal` compares elements.
    """

    graph: GraphScope = dataclasses.field(default_factory=current)
    __array_ufunc__ = None  # so that `array + tensor` asks the tensor

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.rank

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return build(Transpose(tuple(reversed(range(self.ndim)))), (self,))

    def apply(self, op: Op, args: Sequence[Any]) -> Tensor:
        """The result of `op`; pointwise operands are promoted and broadcast."""
        loc = user_location()
        try:
            operands = sugar(op, args) if isinstance(op, Pointwise) else tuple(map(as_tensor, args))
        except GraphcError as error:
            raise type(error)(named(error.message, op.name), error.location or loc) from None
        return build(op, operands, loc=loc, graph=self.graph)

    def __matmul__(self, other: Any) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(other, self)

    def __and__(self, other: Any) -> Any:
        return logical_and(self, other) if self.dtype == bool_ else bitwise_and(self, other)

    def __or__(self, other: Any) -> Any:
        return logical_or(self, other) if self.dtype == bool_ else bitwise_or(self, other)

    def __xor__(self, other: Any) -> Any:
        return logical_xor(self, other) if self.dtype == bool_ else bitwise_xor(self, other)

    def __invert__(self) -> Any:
        return logical_not(self) if self.dtype == bool_ else bitwise_invert(self)

    def __pow__(self, exponent: Any) -> Any:
        return power(self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return power(base, self)

    def __floordiv__(self, other: Any) -> Any:
        return floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return remainder(other, self)

    def __lshift__(self, other: Any) -> Any:
        return bitwise_left_shift(self, other)

    def __rshift__(self, other: Any) -> Any:
        return bitwise_right_shift(self, other)

    def __getitem__(self, key: Any) -> Tensor:
        return door(index, "index")(self, key)  # type: ignore[no-any-return]

    def __iter__(self) -> Any:
        raise GraphError("a tensor is not iterable; use gc.unstack or index it", user_location())

    def __bool__(self) -> bool:
        raise GraphError(
            f"{self!r} has no truth value while the graph is built; use gc.where or gc.logical_and",
            user_location(),
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise GraphError(f"{self!r} has no elements before a run; use Session.run", user_location())

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        error = answers().refused_function(function.__name__)
        if error is not None:
            raise error
        return function._implementation(*args, **kwargs)  # `numpy.shape` and the like

    def __float__(self) -> NoReturn:
        raise ArgumentError(f"{self!r} has no value before a run; use Session.run", user_location())

    __int__ = __float__

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        problem = f"{self!r} has no value before a run, so {spec!r} cannot format it"
        raise ArgumentError(f"{problem}; format what Session.run gives", user_location())

    if not TYPE_CHECKING:  # type checkers see missing attributes by themselves

        def __getattr__(self, name):
            """What other libraries' tensors have: an error that says what to type instead."""
            raise answers().missing_member(name)

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self  # immutable, and a part of its graph

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            raise GraphError(f"{self!r} has no length known now; use .shape[0]", user_location())
        return self.shape[0]


def build(
    op: Op,
    args: tuple[Value, ...],
    name: str = "",
    loc: Location | None = None,
    graph: GraphScope | None = None,
) -> Tensor:
    """A tensor of the graph its operands belong to; without operands, of `graph` or the current
    one."""
    loc = loc or user_location()
    graphs = homes([a for a in args if isinstance(a, Tensor)])
    if len(graphs) > 1:
        raise GraphError(_mixed(op, args), loc)
    graph = graphs.pop() if graphs else graph or current()
    if isinstance(op, Gather | Scatter | CheckIndex):  # a run may have to name the caller
        loc = with_call(loc)
    if graph.finalized:
        raise GraphError(f"{op.name}: the graph is finalized", loc)
    result = Tensor(op, args, typecheck(op, args, loc), name, loc, graph, needs=required())
    for frame in frames():
        frame.made.add(result)
    return result


def _mixed(op: Op, args: Sequence[Value]) -> str:
    """What is said of operands of two graphs; one may be that of a function being traced."""
    tensors = [a for a in args if isinstance(a, Tensor) and has_home(a)]
    function = next((a.graph.function for a in tensors if a.graph.function), "")
    outside = next((a for a in tensors if not a.graph.function), None)
    if not function or outside is None:
        return f"{op.name}: operands belong to two different graphs; declare both in one gc.Graph()"
    return f"{function} {foreign(outside)}"


def foreign(v: Value) -> str:
    """What is said of a tensor from outside that a traced function uses."""
    shown = next((a for a in (v, *v.args) if a.name), v)  # `v` may be the tensor, repeated or cast
    name = f" {shown.name!r}" if shown.name else ""
    return f"uses the tensor{name} ({shown.type}), which is no operand of it; make it one"


def as_tensor(x: Any, dtype: DType | None = None) -> Tensor:
    """A tensor from a tensor, a number, or anything NumPy takes (a constant).

    Raises `DTypeError` for elements that are neither numbers nor truth values.
    """
    if isinstance(x, Tensor):
        return x
    if isinstance(x, Value):
        return Tensor(x.op, x.args, x.type, x.name, x.loc)
    if isinstance(x, bool | int | float):
        return _scalar(
            x, dtype or (bool_ if isinstance(x, bool) else i64 if isinstance(x, int) else f32)
        )
    array = plain_array(x)
    if array.dtype == np.float64 and not isinstance(x, np.ndarray | np.generic):
        array = array.astype(np.float32)
    own = as_dtype(array.dtype)
    element = dtype or own
    op = Constant(Data(in_type(array, element)), element, array.shape)  # `Data` copies
    return build(op, ())


def operand(what: str, x: Any, dtype: DType | None = None) -> Tensor:
    """A tensor from what the user gave to `what`.  Raises `DTypeError` for what no tensor can
    hold."""
    try:
        return as_tensor(x, dtype)
    except (GraphcError, TypeError, ValueError, OverflowError) as error:
        reason = error.message if isinstance(error, GraphcError) else str(error)
        raise DTypeError(f"{what}: {short(x)} is no tensor: {reason}", user_location()) from None


def _scalar(x: Any, dtype: DType, shape: Shape = ()) -> Tensor:
    if dtype.is_integer and (isinstance(x, float) or not fits(x, dtype)):
        raise DTypeError(f"{x!r} is no {dtype}; use gc.astype on the other operand")
    value = full(x, TensorType(dtype, shape))
    return Tensor(value.op, (), value.type, "", None)


def sugar(op: Pointwise, args: Sequence[Any]) -> tuple[Value, ...]:
    """Operands of a pointwise op: numbers typed by the others, then promoted, then broadcast."""
    values: list[Any] = [
        a if isinstance(a, bool | int | float) else operand(op.name, a) for a in args
    ]
    tensors = [v for v in values if isinstance(v, Tensor)]
    first = 1 if op.arity == 3 else 0  # a condition is not promoted with the branches
    numeric = [v for v in values[first:] if isinstance(v, Tensor)]
    common = numeric[0].dtype if numeric else f32
    for v in numeric[1:]:
        common = promote(common, v.dtype)
    for v in values[first:]:
        common = _with_literal(common, v)
    if isinstance(op, Divide) and not common.is_float:
        common = f64 if common.bits > 32 else f32
    shape = broadcast_shapes(op.name, [t.shape for t in tensors])
    ready: list[Value] = []
    for position, v in enumerate(values):
        wanted = bool_ if position < first else common
        if not isinstance(v, Tensor):
            ready.append(_scalar(v, wanted, shape))
            continue
        v = v if position < first or v.dtype == common else build(Cast(common), (v,))
        ready.append(v if may_be_same(v.shape, shape) else broadcast_to(v, shape))
    return tuple(ready)


def _with_literal(common: DType, v: Any) -> DType:
    """The type of an element and a plain number, which changes only the kind of type: int + 0.5
    is f32, bool + 1 is i64."""
    if isinstance(v, Tensor | bool):
        return common
    if isinstance(v, float) and not common.is_float:
        return f32
    return i64 if common.kind == "bool" else common


def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """x repeated to `shape` by NumPy's rule; a symbolic size must be the wanted one when it is fed.
    Raises `ShapeError`."""
    if x.shape == shape:
        return x
    offset = len(shape) - x.ndim
    if offset < 0 or any(
        s != 1 and dim.differ(s, shape[offset + a]) for a, s in enumerate(x.shape)
    ):
        raise ShapeError(
            f"broadcast_to: {x.type} does not broadcast to {list(shape)}", user_location()
        )
    if isinstance(x.op, Full) and not x.name:
        return _scalar(x.op.value, x.dtype, shape)
    kept = tuple(a for a, s in enumerate(x.shape) if s != 1 or shape[offset + a] == 1)
    if len(kept) < x.ndim:
        x = build(Reshape(tuple(x.shape[a] for a in kept)), (x,))
    return build(Broadcast(tuple(a + offset for a in kept), shape), (x,))


def matmul(x1: Any, x2: Any) -> Tensor:
    """Matrix product, NumPy's rules: 1-d operands are vectors, leading axes broadcast.

    >>> import graphc as gc
    >>> gc.matmul(gc.zeros((5, 2, 3)), gc.zeros((3, 4))).shape
    (5, 2, 4)
    """
    a, b = operand("matmul", x1), operand("matmul", x2)
    loc = user_location()
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul: operands {a.type} and {b.type}: use * for a number", loc)
    common = promote(a.dtype, b.dtype)
    a, b = (t if t.dtype == common else build(Cast(common), (t,)) for t in (a, b))
    left, right = a.ndim == 1, b.ndim == 1
    a = build(Reshape((1, *a.shape)), (a,)) if left else a
    b = build(Reshape((*b.shape, 1)), (b,)) if right else b
    if dim.differ(a.shape[-1], b.shape[-2]):
        raise ShapeError(
            f"matmul: inner sizes differ: {a.shape[-1]} (axis {a.ndim - 1} of {a.type}) and "
            f"{b.shape[-2]} (axis {b.ndim - 2} of {b.type})",
            loc,
        )
    out = _batched(a, b, loc)
    dropped = (len(out.shape) - 2,) * left + (len(out.shape) - 1,) * right
    shape = tuple(s for axis, s in enumerate(out.shape) if axis not in dropped)
    return build(Reshape(shape), (out,)) if dropped else out


def _batched(a: Tensor, b: Tensor, loc: Location | None) -> Tensor:
    """Equal batches; a batch on the left alone is rows of one larger matrix."""
    if a.ndim > 2 and b.ndim == 2:
        rows = dim.product(a.shape[:-1])
        flat = build(Reshape((rows, a.shape[-1])), (a,))
        out = build(Matmul(), (flat, b), loc=loc)
        return build(Reshape((*a.shape[:-1], b.shape[-1])), (out,))
    if a.ndim > 2 or b.ndim > 2:
        batch = broadcast_shapes("matmul", [a.shape[:-2], b.shape[:-2]])
        a = broadcast_to(a, batch + a.shape[-2:])
        b = broadcast_to(b, batch + b.shape[-2:])
    return build(Matmul(), (a, b), loc=loc)


@dataclasses.dataclass(frozen=True, eq=False, repr=False, slots=True)
class Variable(Tensor):
    """A tensor that a session keeps from run to run.  Make one with `gc.variable`."""

    initial_value: Tensor | None = None
    trainable: bool = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Variable:
        first = args[0] if args else kwargs.get("op")
        if cls is Variable and (args or kwargs) and not isinstance(first, Op):
            raise ArgumentError(
                "Variable is the type of variables; gc.variable(initial) makes one", user_location()
            )
        return object.__new__(cls)

    def assign(self, value: Any) -> Tensor:
        """Yields `value`, which the variable takes when the run ends."""
        loc = user_location()
        new = operand(
            "assign", value, self.dtype if isinstance(value, bool | int | float) else None
        )
        new = broadcast_to(new, self.shape)
        return watched(build(Assign(), (self, new), loc=loc))  # type: ignore[no-any-return]

    def assign_add(self, value: Any) -> Tensor:
        """Yields the variable plus `value`, which it takes when the run ends."""
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Tensor:
        """Yields the variable minus `value`, which it takes when the run ends."""
        return self.assign(self - value)
