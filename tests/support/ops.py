"""What tests share: inputs for the samples of ops, one-op graphs, staging, finite differences."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import graphc.ir.ops as _every_op_module  # noqa: F401  (fills the table)
from graphc.frontend.declare import placeholder
from graphc.frontend.tensor import Tensor, as_tensor
from graphc.ir import dim
from graphc.ir.graph import Graph, Value, make, topological
from graphc.ir.interpret import interpret
from graphc.ir.op import OPS, Op, Pointwise, Sample
from graphc.ir.ops.state import Assign, Placeholder, RunCounter, Variable
from graphc.ir.types import DType, TensorType, f32, f64

NO_SAMPLES = {
    "constant": "its value is data, tested with the text round trip",
    "full": "a literal, tested wherever a number is an operand",
    "size_of": "needs a symbolic size, tested in test_functions (mean of a symbolic axis)",
    "placeholder": "an input of a graph",
    "variable": "an input of a graph",
    "run_counter": "an input of a graph",
    "assign": "a write, tested in test_optim",
    "item": "one of several results, tested with what has them, in test_control",
    "loop": "holds a graph, tested in test_control",
    "switch": "holds graphs, tested in test_control",
    "py_func": "holds a Python function, tested in test_py_func",
    "py_func_packed": "holds a Python function, tested in test_py_func",
    "with_gradient": "holds a Python function, tested in test_autodiff",
    "with_update": "a write, tested in test_effects",
    "before_update": "a read of a variable, tested in test_effects",
}


# ---- samples of ops ----


def cases() -> list[tuple[type[Op], Sample]]:
    """Every registered op of graphc with each of its samples."""
    ops = sorted(OPS.items())
    return [(c, s) for _, c in ops if c.__module__.startswith("graphc.") for s in c.samples]


def case_id(case: Any) -> str:
    """`reduce_sum-f32[3,4]-axes=(1,)`."""
    if isinstance(case, type):
        return str(case.__dict__["name"])
    fields = [f"{k}={v}" for k, v in case.fields.items()]
    return ";".join([*map(str, case.types), *fields]).replace(" ", "")


def with_dtype(sample: Sample, old: DType, new: DType) -> Sample:
    """The sample with one element type put in the place of another."""
    types = tuple(t.with_dtype(new) if t.dtype == old else t for t in sample.types)
    fields = {k: new if v == old else v for k, v in sample.fields.items()}
    return dataclasses.replace(sample, types=types, fields=fields)


def make_op(op_cls: type[Op], sample: Sample) -> Op:
    """The op of a sample."""
    return op_cls(**sample.fields)


def graph_of_op(op: Op, types: Sequence[TensorType]) -> Graph:
    """The graph that applies `op` to its inputs %x0, %x1, ..."""
    inputs = tuple(make(Placeholder(t.dtype, t.shape), (), f"x{i}") for i, t in enumerate(types))
    return Graph("one", inputs, (make(op, inputs),))


def one_op_graph(op_cls: type[Op], sample: Sample) -> Graph:
    """The graph of one op, its inputs typed as the sample says."""
    return graph_of_op(make_op(op_cls, sample), sample.types)


def _draw(rng: np.random.Generator, t: TensorType, low: float, high: float) -> Any:
    shape = tuple(dim.evaluate(s, {}) for s in t.shape)
    if t.dtype.kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if not t.dtype.is_integer:
        return np.asarray(rng.uniform(low, high, shape)).astype(t.dtype.numpy)
    info = np.iinfo(t.dtype.numpy)
    lo, hi = max(int(np.ceil(low)), int(info.min)), min(int(np.ceil(high)), int(info.max))
    return rng.integers(lo, hi, shape).astype(t.dtype.numpy)


def sample_inputs(op_cls: type[Op], sample: Sample, seed: int = 0) -> list[Any]:
    """Arrays for a sample's operands, uniform between its bounds."""
    rng = np.random.default_rng([seed, sum(map(ord, op_cls.name))])
    drawn = [_draw(rng, t, sample.low, sample.high) for t in sample.types]
    return prepared(sample, drawn)


def prepared(sample: Sample, arrays: list[Any]) -> list[Any]:
    """The arrays as a sample wants its operands."""
    return (
        arrays
        if sample.prepare is None
        else [
            np.asarray(a).astype(t.dtype.numpy)
            for a, t in zip(sample.prepare(*arrays), sample.types, strict=True)
        ]
    )


# ---- special values ----


def special_values(dtype: DType) -> Any:
    """±0, ±1, ±inf, nan, the least denormal, huge and tiny; or the extremes of an integer type."""
    if dtype.kind == "bool":
        return np.array([False, True])
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        some = {0, 1, 2, 7, int(info.min), int(info.max), int(info.max) - 1}
        return np.array(sorted(some | ({-1, -2, -7} if info.min else set())), dtype.numpy)
    tiny = {"f16": 6e-8, "bf16": 1e-40, "f32": 1e-45, "f64": 5e-324}[dtype.name]
    huge = {"f16": 6e4, "bf16": 3e38, "f32": 3e38, "f64": 1e308}[dtype.name]
    plain = [0.0, 1.0, 0.5, 2.5, 1e-3, 100.0, tiny, huge, np.inf]
    return np.array([*plain, *(-v for v in plain), np.nan]).astype(dtype.numpy)


def special_case(op_cls: type[Op], sample: Sample) -> tuple[Graph, list[Any]]:
    """A one-op graph with special values for inputs: for pointwise ops, in all combinations."""
    pools = [special_values(t.dtype) for t in sample.types]
    if not issubclass(op_cls, Pointwise):
        inputs = [_tiled(pool, t) for pool, t in zip(pools, sample.types, strict=True)]
        return one_op_graph(op_cls, sample), inputs
    rows = list(itertools.product(*(range(len(p)) for p in pools)))
    inputs = [p[[row[i] for row in rows]] for i, p in enumerate(pools)]
    types = [TensorType(t.dtype, (len(rows),)) for t in sample.types]
    return graph_of_op(make_op(op_cls, sample), types), inputs


def _tiled(pool: Any, t: TensorType) -> Any:
    shape = tuple(dim.evaluate(s, {}) for s in t.shape)
    return np.resize(np.roll(pool, 1), shape).astype(t.dtype.numpy)


# ---- staging of tensors ----


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


# ---- derivatives ----


def numeric_gradient(
    function: Callable[..., Any], arrays: Sequence[Any], weights: Any, which: int
) -> Any:
    """Central differences of sum(weights * function(*arrays)) by arrays[which], all in f64."""
    x = np.array(arrays[which], np.float64)
    out = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        step = 1e-6 * max(1.0, abs(float(x[place])))
        values = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved[place] += sign * step
            operands = [moved if i == which else a for i, a in enumerate(arrays)]
            values.append(np.sum(weights * np.asarray(function(*operands))))
        out[place] = (values[0] - values[1]) / (2 * step)
    return out


def in_f64(sample: Sample) -> Sample:
    """The sample with f32 operands and fields made f64."""
    return with_dtype(sample, f32, f64)
