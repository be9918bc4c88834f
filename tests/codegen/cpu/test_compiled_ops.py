"""Every op, compiled, against its reference: all element types it takes, random and special values,
odd shapes.

Samples whose operands have the same types share a graph, so that a few kernels cover many cases.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from support.compiled_ops import (
    HALF,
    POINTWISE,
    arrays_for,
    check_other,
    check_pointwise,
    other_cases,
    placeholders,
    product_of_specials,
    random_values,
)

from graphc.errors import GraphcError
from graphc.ir.graph import Graph, full, make
from graphc.ir.interpret import interpret
from graphc.ir.op import OPS, Op, Sample
from graphc.ir.ops.gather import ScatterAdd, Take
from graphc.ir.ops.logic import widened
from graphc.ir.ops.pointwise import Cast
from graphc.ir.types import (
    ALL,
    INTS,
    NUMBERS,
    DType,
    TensorType,
    bf16,
    bool_,
    f16,
    f32,
    f64,
    i32,
    i64,
    u8,
    u64,
)
from graphc.testing.closeness import equal_bits, same_bits
from graphc.testing.compiled import CompiledGraph, run_compiled
from graphc.testing.machine_code import DISABLED_PASSES, results, together

# ---- pointwise ops, on every element type they take ----


def dtype_cases() -> list[tuple[int, DType]]:
    return [(arity, t) for arity in (1, 2) for t in ALL]


@pytest.mark.parametrize(("arity", "dtype"), dtype_cases(), ids=str)
def test_pointwise(arity: int, dtype: DType) -> None:
    ops = [c() for c in POINTWISE if c.arity == arity and dtype in c.accepts]
    arrays = product_of_specials([dtype] * arity)
    inputs = placeholders([TensorType(dtype, a.shape) for a in arrays])
    for batch in itertools.batched(ops, 12) if hasattr(itertools, "batched") else _batches(ops, 12):
        graph = Graph("ops", inputs, tuple(make(op, inputs) for op in batch))
        got = run_compiled(graph, arrays, disable=DISABLED_PASSES)
        for v, w, g in zip(graph.outputs, interpret(graph, *arrays), got, strict=True):
            check_pointwise(v, w, g, arrays)


def _batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_casts(dtype: DType) -> None:
    (array,) = product_of_specials([dtype])
    inputs = placeholders([TensorType(dtype, array.shape)])
    graph = Graph("casts", inputs, tuple(make(Cast(t), inputs) for t in ALL if t != dtype))
    for w, g in zip(interpret(graph, array), run_compiled(graph, [array]), strict=True):
        assert same_bits(w, g), f"{dtype} to {w.dtype}: wrong at {array[~equal_bits(w, g)][:5]}"


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_where(dtype: DType) -> None:
    arrays = product_of_specials([bool_, dtype, dtype])
    inputs = placeholders(
        [TensorType(t, a.shape) for t, a in zip([bool_, dtype, dtype], arrays, strict=True)]
    )
    graph = Graph("where", inputs, (make(OPS["where"](), inputs),))
    assert same_bits(interpret(graph, *arrays)[0], run_compiled(graph, arrays)[0])


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (1, 1, 1), (2, 3, 5)], ids=str)
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    types = [
        TensorType(f32, shape),
        TensorType(f32, shape),
        TensorType(i32, shape),
        TensorType(i32, shape),
    ]
    arrays = [
        np.asarray(random_values(rng, t.dtype, int(np.prod(shape))).reshape(shape)) for t in types
    ]
    inputs = placeholders(types)
    outputs = [make(OPS[n](), inputs[:2]) for n in ("add", "divide", "maximum", "less", "power")]
    outputs += [
        make(OPS[n](), inputs[2:]) for n in ("add", "floor_divide", "bitwise_xor", "not_equal")
    ]
    graph = Graph("shapes", inputs, tuple(outputs))
    for v, w, g in zip(
        outputs, interpret(graph, *arrays), run_compiled(graph, arrays), strict=True
    ):
        check_pointwise(v, w, g, arrays[:1])


# ---- all samples of all other ops ----


@pytest.mark.parametrize(
    ("op_cls", "samples"), other_cases(), ids=lambda x: x.name if isinstance(x, type) else ""
)
def test_samples(op_cls: type[Op], samples: list[Sample]) -> None:
    compiled = CompiledGraph(together(op_cls, samples), disable=DISABLED_PASSES)
    for special in (False, True):
        arrays = [a for i, s in enumerate(samples) for a in arrays_for(s, i, special)]
        arrays = [
            np.asarray(np.uint64(5))
            if v.type.dtype == u64 and op_cls.name.startswith("random")
            else a
            for v, a in zip(compiled.graph.inputs, arrays, strict=True)
        ]
        for sample, (w, g) in zip(samples, results(compiled, arrays), strict=True):
            check_other(op_cls, sample, w, g, special)


# ---- sums, to a tolerance ----


@pytest.mark.parametrize("dtype", [f16, bf16, f32, f64], ids=str)
def test_sums_are_as_good_as_numpy(dtype: DType) -> None:
    """Error against f64 at most four times numpy's own plus a few units in the last place."""
    rng = np.random.default_rng(3)
    t = TensorType(dtype, (300, 70))
    x = (rng.normal(0, 1, (300, 70)) + 0.1).astype(dtype.numpy)
    (v,) = placeholders([t])
    outputs = tuple(make(OPS["reduce_sum"](axes), (v,)) for axes in ((0,), (1,), (0, 1)))
    graph = Graph("sums", (v,), outputs)
    for o, w, g in zip(outputs, interpret(graph, x), run_compiled(graph, [x]), strict=True):
        axes = o.op.axes  # type: ignore[attr-defined]
        exact = np.sum(x.astype(np.longdouble), axis=axes)
        reach = np.sum(np.abs(x.astype(np.longdouble)), axis=axes)
        own = np.abs(widened(w) - exact)
        eps = {2: 2.0**-10, 4: 2.0**-23, 8: 2.0**-52}[g.dtype.itemsize]
        eps = 2.0**-7 if dtype == bf16 else eps
        rounding = np.abs(exact) * eps + reach * (2.0**-23 if dtype in HALF else eps)
        assert np.all(np.abs(widened(g) - exact) <= 4 * own + 4 * rounding)


# ---- indices out of range ----


@pytest.mark.parametrize("dtype", INTS, ids=str)
def test_an_index_out_of_range_fails_the_run(dtype: DType) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    bad = [4] + ([-5] if dtype.kind == "int" else [np.iinfo(dtype.numpy).max])
    t = TensorType(f32, (4, 3))
    inputs = placeholders([t, TensorType(dtype, (2,)), TensorType(f32, (2, 3))])
    graphs = [
        Graph("take", inputs[:2], (make(Take(0), inputs[:2]),)),
        Graph("scatter", inputs, (make(ScatterAdd(0), inputs),)),
    ]
    for graph in graphs:
        compiled = CompiledGraph(graph)
        for index in (*bad, -1, 3):
            if index < 0 and dtype.kind == "uint":
                continue
            arrays = [x, np.array([0, index], dtype.numpy), np.ones((2, 3), np.float32)][
                : len(graph.inputs)
            ]
            if index in bad:
                with pytest.raises(GraphcError, match="out of range"):
                    compiled(arrays)
                with pytest.raises(GraphcError, match="out of range"):
                    interpret(graph, *arrays)
            else:
                assert same_bits(interpret(graph, *arrays)[0], compiled(arrays)[0])


@pytest.mark.parametrize("dtype", [t for t in NUMBERS if t not in (f64, f32)], ids=str)
@pytest.mark.parametrize("ta", [False, True])
def test_products_of_every_element_type(dtype: DType, ta: bool) -> None:
    rng = np.random.default_rng(2)
    a = rng.integers(0, 4, (5, 7)).astype(dtype.numpy)
    b = rng.integers(0, 4, (5, 3) if ta else (7, 3)).astype(dtype.numpy)
    inputs = placeholders([TensorType(dtype, a.shape), TensorType(dtype, b.shape)])
    graph = Graph("mm", inputs, (make(OPS["matmul"](ta, False), inputs),))
    assert same_bits(interpret(graph, a, b)[0], run_compiled(graph, [a, b])[0])


def test_i64_wraps_whatever_the_compiler_could_conclude() -> None:
    """max(a, b + c) with a wrapping sum: an operator that must not overflow gave another result."""
    x = np.array([2**63 - 1, -(2**63), 5], np.int64)
    inputs = placeholders([TensorType(i64, (3,))] * 2)
    added = make(OPS["add"](), inputs)
    doubled = make(OPS["multiply"](), (added, inputs[1]))
    graph = Graph(
        "wrap",
        inputs,
        (make(OPS["reduce_max"]((0,)), (added,)), make(OPS["less"](), (added, inputs[0])), doubled),
    )
    arrays = [x, np.array([1, -1, 2**62], np.int64)]
    assert all(map(same_bits, interpret(graph, *arrays), run_compiled(graph, arrays)))


@pytest.mark.parametrize("op", ["reduce_sum", "reduce_prod", "cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("dtype", [i64, i32, u8, u64], ids=str)
def test_folds_of_integers_wrap(dtype: DType, op: str) -> None:
    """A fold whose compiler may take it for granted that sums do not overflow compares wrongly."""
    info = np.iinfo(dtype.numpy)
    rows = [[info.max, 1, 1], [info.min, info.max, 3], [5, info.max, info.max]]
    data = np.array(rows, dtype.numpy)
    (x,) = placeholders([TensorType(dtype, (3, 3))])
    fields = {"axes": (1,)} if op.startswith("reduce") else {"axis": 1, "reverse": False}
    out = make(OPS[op](**fields), (x,))
    more = make(OPS["add"](), (out, full(1, out.type)))
    graph = Graph("fold", (x,), (out, make(OPS["less"](), (more, out))))
    found = run_compiled(graph, [data])
    with np.errstate(over="ignore"):
        fold = {"sum": np.sum, "prod": np.prod}[op[-4:].strip("_")]
        if op.startswith("reduce"):
            wanted = fold(data, axis=1, dtype=dtype.numpy)
        else:
            along = np.cumsum if op.endswith("sum") else np.cumprod
            wanted = along(data, axis=1, dtype=dtype.numpy)
    assert all(map(same_bits, (wanted, wanted == info.max), found))


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_angles_of_the_least_numbers(dtype: DType) -> None:
    """Ratios of denormals are as good as any (atan2 lost all but 40 bits)."""
    few = np.arange(1, 40) * np.finfo(dtype.numpy).smallest_subnormal
    y, x = (a.ravel().astype(dtype.numpy) for a in np.meshgrid(few, few))
    inputs = placeholders([TensorType(dtype, y.shape)] * 2)
    graph = Graph(
        "angles",
        inputs,
        (make(OPS["atan2"](), inputs), make(OPS["hypot"](), inputs), make(OPS["divide"](), inputs)),
    )
    for v, w, g in zip(
        graph.outputs, interpret(graph, y, x), run_compiled(graph, [y, x]), strict=True
    ):
        check_pointwise(v, w, g, [y, x])


def test_a_cast_to_f16_goes_by_way_of_f32_whatever_surrounds_it() -> None:
    """LLVM merged the two roundings through a select, into a call of a function that does not
    exist."""
    x = np.linspace(-4, 4, 41)
    inputs = placeholders([TensorType(f64, (41,))])
    half = make(Cast(f16), inputs)
    out = make(OPS["subtract"](), (make(OPS["exp"](), (half,)), full(1, half.type)))
    graph = Graph("expm1", inputs, (out,))
    got = run_compiled(graph, [x])[0]
    np.testing.assert_allclose(widened(got), np.expm1(x), atol=4e-3, rtol=2e-3)
