"""`graphc.extend.interpret`: the meaning of a graph, on arrays of a user's, which may not fit."""

from __future__ import annotations

import numpy as np

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.boundary import short
from graphc.ir import interpret as oracle
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Array


def interpret(graph: Graph, *arrays: Array) -> tuple[Array, ...]:
    """The outputs and then the new values of updated variables, for one array an input.  Raises
    `GraphError`, `ShapeError` or `DTypeError` for arrays that are not of the inputs' types.

    >>> import numpy as np
    >>> from graphc.extend import interpret, parse_graph
    >>> g = parse_graph('''graph @f(%x: f32[n]) {
    ...   %y = add %x, 1.0f32 : f32[n]
    ...   return %y
    ... }''')
    >>> interpret(g, np.zeros(2, np.float32))
    (array([1., 1.], dtype=float32),)
    """
    if not isinstance(graph, Graph):
        raise GraphError(
            f"interpret: graph is {short(graph)}; expected a Graph, as parse_graph reads one",
            user_location(),
        )
    names = ", ".join(f"{v.name}: {v.type}" for v in graph.inputs)
    if len(arrays) != len(graph.inputs):
        raise GraphError(
            f"interpret: got {len(arrays)} arrays; expected one for each input ({names})",
            user_location(),
        )
    given = [np.asarray(a) for a in arrays]
    sizes: dict[str, int] = {}
    for v, array in zip(graph.inputs, given, strict=True):
        _check(v, array, sizes)
    return oracle.interpret(graph, *given)


def _check(v: Value, array: Array, sizes: dict[str, int]) -> None:
    """Raises unless an array is of an input's type, with the sizes of the inputs before it."""
    what = f"interpret: input {v.name!r} ({v.type}) is {array.dtype}{list(array.shape)}"
    if array.dtype != v.type.dtype.numpy:
        raise DTypeError(
            f"{what}; expected {v.type.dtype}: use array.astype({v.type.dtype.numpy.name!r})",
            user_location(),
        )
    if array.ndim != len(v.type.shape):
        raise ShapeError(f"{what}; expected {len(v.type.shape)} axes", user_location())
    for axis, (size, found) in enumerate(zip(v.type.shape, array.shape, strict=True)):
        plain = isinstance(size, int) or str(size).isidentifier()
        wanted = size if isinstance(size, int) else sizes.setdefault(str(size), found)
        if plain and wanted != found:
            raise ShapeError(f"{what}; expected {wanted} for axis {axis}", user_location())
