"""Values of tensors through the oracle, without a session, and what NumPy says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import graphc.ir.ops as _every_op_module  # noqa: F401  (fills the table)
from graphc.frontend.declare import placeholder
from graphc.frontend.tensor import Tensor, as_tensor
from graphc.ir import dim
from graphc.ir.graph import Graph, Value, topological
from graphc.ir.interpret import interpret
from graphc.ir.ops.state import Assign, Placeholder, RunCounter, Variable


def stage(outputs: Sequence[Tensor], name: str = "staged") -> Graph:
    """The graph of tensors: its inputs are the placeholders, variables and counter they reach, and
    those placeholders that tell the sizes that are left."""
    reached = topological(outputs)
    inputs = [v for v in reached if isinstance(v.op, Placeholder | Variable | RunCounter)]
    if outputs:
        known = set(inputs)
        named = (v for v in outputs[0].graph.by_name.values() if isinstance(v.op, Placeholder))
        inputs += [v for v in named if v not in known and any(map(dim.symbols, v.type.shape))]
    return Graph(name, tuple(inputs), tuple(outputs))


def run(fetch: Any, feeds: Mapping[Any, Any] | None = None) -> Any:
    """The value of a tensor (or several) through the oracle; variables have their first value."""
    outputs = fetch if isinstance(fetch, list | tuple) else [fetch]
    results = Machine().run(list(outputs), feeds or {})
    return results if isinstance(fetch, list | tuple) else results[0]


class Machine:
    """A session over the oracle: keeps variables, counts runs, commits assigns when a run ends."""

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self.runs = 0

    def run(self, outputs: Sequence[Tensor], feeds: Mapping[Any, Any]) -> list[Any]:
        """The values of `outputs`."""
        graph = stage(outputs)
        arrays = [self._input(v, feeds) for v in self._bound(graph, feeds)]
        trimmed = Graph(graph.name, tuple(self._bound(graph, feeds)), graph.outputs)
        results = list(interpret(trimmed, *arrays))
        for out, array in zip(outputs, results, strict=True):
            if isinstance(out.op, Assign):
                self.values[out.args[0]] = array
        self.runs += 1
        return results

    def _bound(self, graph: Graph, feeds: Mapping[Any, Any]) -> list[Value]:
        needed = set(topological(graph.outputs))
        return [v for v in graph.inputs if v in needed or v in feeds]

    def _input(self, v: Any, feeds: Mapping[Any, Any]) -> Any:
        if v in feeds:
            return np.asarray(feeds[v]).astype(v.type.dtype.numpy)
        if isinstance(v.op, RunCounter):
            return np.uint64(self.runs)
        if v not in self.values:
            self.values[v] = run(v.initial_value)
        return self.values[v]


# ---- comparison with NumPy ----


def compare(actual: Any, expected: Any, tolerance: float = 1e-5) -> None:
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype, f"{actual.dtype}, NumPy has {expected.dtype}"
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def fed(function: Callable[..., Any], *arrays: Any) -> Any:
    """The function of fed placeholders, all of whose sizes are symbolic."""
    xs = [placeholder(a.dtype, [None] * a.ndim) for a in arrays]
    return run(function(*xs), dict(zip(xs, arrays, strict=True)))


def both(function: Callable[..., Any], expected: Any, *arrays: Any) -> None:
    """The function of constants, and of symbolic placeholders."""
    compare(run(function(*map(constant, arrays))), expected)
    compare(fed(function, *arrays), expected)


def constant(a: Any) -> Any:
    return as_tensor(np.asarray(a))
