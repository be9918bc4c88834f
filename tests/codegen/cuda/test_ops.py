"""Every op that a GPU runs, as CUDA text in the warp simulator, against its reference: element
types, special values, odd shapes.  (What a GPU's own functions give for `exp` in the last bits, no
simulator tells: `make gpu-check` does.)"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.compiled_ops import (
    POINTWISE,
    arrays_for,
    check_other,
    check_pointwise,
    other_cases,
    placeholders,
    product_of_specials,
    random_values,
)
from support.device import SimulatedGraph, run_simulated, runs_on_a_gpu

from graphc.errors import GraphError
from graphc.ir.graph import Graph, Value, make
from graphc.ir.interpret import interpret
from graphc.ir.op import OPS, Op, Sample
from graphc.ir.ops.gather import Take
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.scan import CumulativeSum
from graphc.ir.types import ALL, DType, TensorType, bool_, f32, f64, i32, i64, u64
from graphc.testing.closeness import equal_bits, same_bits
from graphc.testing.samples import make_op

SCANS = ("cumulative_sum", "cumulative_prod")  # a warp folds a row in an order of its own
PLAIN = frozenset(["simplify", "cleanup"])


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("arity", [1, 2])
def test_pointwise(arity: int, dtype: DType) -> None:
    ops = [c() for c in POINTWISE if c.arity == arity and dtype in c.accepts]
    arrays = [a[:: 1 if arity == 1 else 5] for a in product_of_specials([dtype] * arity)]
    inputs = placeholders([TensorType(dtype, a.shape) for a in arrays])
    for start in range(0, len(ops), 12):
        batch = ops[start : start + 12]
        graph = Graph("ops", inputs, tuple(make(op, inputs) for op in batch))
        got = run_simulated(graph, arrays, disable=PLAIN)
        for v, w, g in zip(graph.outputs, interpret(graph, *arrays), got, strict=True):
            check_pointwise(v, w, g, arrays)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_casts(dtype: DType) -> None:
    (array,) = product_of_specials([dtype])
    inputs = placeholders([TensorType(dtype, array.shape)])
    graph = Graph("casts", inputs, tuple(make(Cast(t), inputs) for t in ALL if t != dtype))
    for w, g in zip(interpret(graph, array), run_simulated(graph, [array]), strict=True):
        assert same_bits(w, g), f"{dtype} to {w.dtype}: wrong at {array[~equal_bits(w, g)][:5]}"


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (1, 1, 1), (2, 3, 5)], ids=str)
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    types = [TensorType(t, shape) for t in (f32, f32, i32, i32)]
    count = int(np.prod(shape))
    arrays = [np.asarray(random_values(rng, t.dtype, count).reshape(shape)) for t in types]
    inputs = placeholders(types)
    outputs = [make(OPS[n](), inputs[:2]) for n in ("add", "divide", "maximum", "less", "power")]
    outputs += [make(OPS[n](), inputs[2:]) for n in ("add", "floor_divide", "bitwise_xor")]
    graph = Graph("shapes", inputs, tuple(outputs))
    for v, w, g in zip(
        outputs, interpret(graph, *arrays), run_simulated(graph, arrays), strict=True
    ):
        check_pointwise(v, w, g, arrays[:1])


def on_a_gpu() -> list[tuple[type[Op], list[Sample]]]:
    """The cases of compiled ops that a GPU runs."""
    found = []
    for op_cls, samples in other_cases():
        op = make_op(op_cls, samples[0])
        made = make(op, placeholders(samples[0].types))
        if runs_on_a_gpu(Graph("one", tuple(made.args), (made,))):
            found.append((op_cls, samples))
    return found


@pytest.mark.parametrize(
    ("op_cls", "samples"), on_a_gpu(), ids=lambda x: x.name if isinstance(x, type) else ""
)
def test_samples(op_cls: type[Op], samples: list[Sample]) -> None:
    """semantics 19.1"""
    inputs: list[Value] = []
    outputs: list[Value] = []
    for sample in samples:
        own = placeholders(sample.types)
        made = make(make_op(op_cls, sample), own)
        inputs += [dataclasses.replace(v, name=f"x{len(inputs) + i}") for i, v in enumerate(own)]
        outputs.append(make(made.op, tuple(inputs[len(inputs) - len(own) :])))
    graph = Graph("samples", tuple(inputs), tuple(outputs))
    compiled = SimulatedGraph(graph, disable=PLAIN)
    for special in (False, True):
        arrays = [a for i, s in enumerate(samples) for a in arrays_for(s, i, special)]
        arrays = [
            np.asarray(np.uint64(5))
            if v.type.dtype == u64 and op_cls.name.startswith("random")
            else a
            for v, a in zip(inputs, arrays, strict=True)
        ]
        got = compiled(arrays)
        for sample, w, g in zip(samples, interpret(graph, *arrays), got, strict=True):
            if special and op_cls.name in SCANS and sample.types[0].dtype.is_float:
                continue  # where partial sums cancel or overflow, their order decides
            check_other(op_cls, sample, w, g, special)


def test_where() -> None:
    types = [TensorType(t, (70,)) for t in (bool_, f32, f32)]
    arrays = [random_values(np.random.default_rng(3), t.dtype, 70) for t in types]
    inputs = placeholders(types)
    graph = Graph("where", inputs, (make(OPS["where"](), inputs),))
    assert same_bits(interpret(graph, *arrays)[0], run_simulated(graph, arrays)[0])


def test_an_index_out_of_range_fails_the_run() -> None:
    inputs = placeholders([TensorType(f32, (5, 3)), TensorType(i64, (4,))])
    graph = Graph("take", inputs, (make(Take(0), inputs),))
    x = np.arange(15, dtype=np.float32).reshape(5, 3)
    compiled = SimulatedGraph(graph)
    (got,) = compiled([x, np.array([4, -5, 0, 1])])
    assert np.array_equal(got, x[[4, 0, 0, 1]])
    with pytest.raises(GraphError, match="index 5 is out of range for 5"):
        compiled([x, np.array([4, 5, 0, 1])])


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 100])
def test_cumulative_sums(length: int, dtype: DType) -> None:
    for reverse in (False, True):
        for axis in (0, 1):
            shape = (3, length) if axis else (length, 3)
            x = np.random.default_rng(length).standard_normal(shape).astype(dtype.numpy)
            inputs = placeholders([TensorType(dtype, shape)])
            made = make(CumulativeSum(axis, reverse), inputs)
            graph = Graph("sums", inputs, (made,))
            (got,) = run_simulated(graph, [x])
            wide = x.astype(np.float64)
            wide = (
                np.flip(np.cumsum(np.flip(wide, axis), axis), axis)
                if reverse
                else (np.cumsum(wide, axis))
            )
            eps = float(np.finfo(dtype.numpy).eps)
            np.testing.assert_allclose(got.astype(np.float64), wide, rtol=8 * eps, atol=40 * eps)
