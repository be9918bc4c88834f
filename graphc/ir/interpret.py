"""The meaning of a Graph, in NumPy: the oracle that passes and kernels are judged against.

It shares no code with folding or code generation: it calls each op's `reference` on whole arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import VerifyError
from graphc.ir import dim
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Array
from graphc.ir.substitute import substitute_fields
from graphc.ir.types import TensorType, TupleType

Sizes = Mapping[str, int]


def bind_sizes(inputs: Sequence[Value], arrays: Sequence[Array]) -> dict[str, int]:
    """The values of symbols, read off the shapes of arrays whose dims are plain symbols."""
    sizes: dict[str, int] = {}
    for v, a in zip(inputs, arrays, strict=True):
        for declared, size in zip(v.type.shape, np.shape(a), strict=True):
            if not isinstance(declared, int) and str(declared).isidentifier():
                sizes.setdefault(str(declared), size)
    return sizes


def interpret(graph: Graph, *arrays: Array) -> tuple[Array, ...]:
    """The outputs and then the new values of updated variables, for one array an input.

    >>> from graphc.ir.text.graph import parse_graph
    >>> g = parse_graph('''graph @f(%x: f32[n]) {
    ...   %y = add %x, 1.0f32 : f32[n]
    ...   return %y
    ... }''')
    >>> interpret(g, np.zeros(2, np.float32))
    (array([1., 1.], dtype=float32),)
    """
    return evaluate(graph, arrays, lambda value, array: None)


def evaluate(
    graph: Graph, arrays: Sequence[Array], watch: Callable[[Value, Array], None]
) -> tuple[Array, ...]:
    """`interpret`, showing `watch` each value and its array."""
    sizes = bind_sizes(graph.inputs, arrays)
    env: dict[Value, Array] = dict(zip(graph.inputs, map(np.asarray, arrays), strict=True))
    for v in graph.nodes():
        env[v] = apply(v, tuple(env[a] for a in v.args), sizes)
        watch(v, env[v])
    return tuple(env[r] for r in graph.results)


def apply(v: Value, args: tuple[Array, ...], sizes: Sizes) -> Any:
    """The array (or arrays) of a value, from those of its operands."""
    op = substitute_fields(v.op, sizes)
    results = op.reference(*args)
    if isinstance(v.type, TupleType):
        return tuple(_checked(v, r, t, sizes) for r, t in zip(results, v.type.items, strict=True))
    return _checked(v, results, v.type, sizes)


def _checked(v: Value, made: Any, type: TensorType, sizes: Sizes) -> Array:
    shape = dim.numbers(type.shape, sizes)
    result = np.asarray(made)
    if result.shape != shape or result.dtype != type.dtype.numpy:
        raise VerifyError(
            f"{v.op.name}: reference gives {result.dtype}{list(result.shape)}, "
            f"the type is {type} with sizes {dict(sizes)}",
            v.loc,
        )
    return result
