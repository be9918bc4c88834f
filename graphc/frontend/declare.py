"""The sources of a graph: placeholders, which runs feed, and variables, which sessions keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import Location, ShapeError, user_location
from graphc.frontend.scope import GraphScope, current
from graphc.frontend.tensor import Tensor, Variable, as_tensor, build
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.state import Placeholder, Variable as VariableOp
from graphc.ir.types import TensorType, as_dtype


def placeholder(dtype: Any, shape: Sequence[Any] = (), name: str | None = None) -> Tensor:
    """A tensor that each run is fed.  A size may be an int, None (any) or a name (equal names,
    equal sizes).

    >>> import graphc as gc
    >>> print(gc.placeholder(gc.float32, ("batch", 784), name="x").type)
    f32[batch,784]
    """
    loc, graph = user_location(), current()
    element = as_dtype(dtype)
    sizes = tuple(graph.size(s, loc) for s in shape)
    full_name = graph.unique(name or "placeholder", loc)
    tensor = Tensor(
        Placeholder(element, sizes), (), TensorType(element, sizes), full_name, loc, graph
    )
    graph.by_name[full_name] = tensor
    return tensor


def variable(
    initial: Any, trainable: bool = True, name: str | None = None, dtype: Any = None
) -> Variable:
    """A variable with an initial value: a tensor (drawn or computed when a session first needs it),
    an array or a number.  Its shape is static.  Raises `ShapeError` for a symbolic one.

    >>> import graphc as gc
    >>> w = gc.variable([1.0, 2.0], name="w0")
    >>> w.type
    f32[2]
    """
    result = Variable(*declared(initial, name or "variable", dtype), trainable)
    register(result)
    return result


Declared = tuple[VariableOp, tuple[()], TensorType, str, Location | None, GraphScope, Tensor]


def declared(initial: Any, name: str, dtype: Any) -> Declared:
    """The fields of a new variable."""
    loc, graph = user_location(), current()
    wanted = as_dtype(dtype) if dtype is not None else None
    start = as_tensor(initial, wanted)
    if wanted is not None and start.dtype != wanted:
        start = build(Cast(wanted), (start,))
    if any(not isinstance(s, int) for s in start.shape):
        raise ShapeError(f"variable: the initial value {start.type} has a symbolic size", loc)
    op = VariableOp(start.dtype, start.shape)
    return op, (), start.type, graph.unique(name, loc), loc, graph, start


def register(variable: Variable) -> None:
    """Makes a new variable known to its graph."""
    variable.graph.variables.append(variable)
    variable.graph.by_name[variable.name] = variable
