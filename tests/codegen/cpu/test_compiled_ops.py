"""Every op, compiled, against its reference: all element types it takes, random and special values,
odd shapes.

Samples whose operands have the same types share a graph, so that a few kernels cover many cases.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from support.ops import case_id, cases, make_op, prepared, special_values
from support.run import CompiledGraph, equal_bits, run_compiled, same_bits, small_chunks, spacing

from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Value, full, make
from graphc.ir.interpret import interpret
from graphc.ir.op import OPS, Op, Pointwise, Sample
from graphc.ir.ops.gather import ScatterAdd, Take
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.state import Placeholder
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
    u64,
)
from graphc.passes.graph.split_reductions import SplitReductions

HALF = (f16, bf16)
ULPS = 4  # of elementary functions, see docs/semantics.md and tests/codegen/cpu/test_mathlib.py
POINTWISE = sorted(
    (
        c
        for c in OPS.values()
        if issubclass(c, Pointwise)
        and c.__module__.startswith("graphc.ir.ops")
        and c not in (Cast, OPS["where"], OPS["check_index"])
    ),
    key=lambda c: c.name,
)
SUMS = (
    "reduce_sum",
    "reduce_prod",
    "matmul",
    "scatter_add",
    "scatter_add_along_axis",
    "partial_sum",
    "partial_prod",
)


def placeholders(types: Sequence[TensorType]) -> tuple[Value, ...]:
    return tuple(make(Placeholder(t.dtype, t.shape), (), f"x{i}") for i, t in enumerate(types))


def product_of_specials(dtypes: Sequence[DType], seed: int = 0) -> list[Any]:
    """All combinations of special values, then random ones."""
    pools = [special_values(t) for t in dtypes]
    rows = list(itertools.product(*(range(len(p)) for p in pools)))
    rng = np.random.default_rng(seed)
    arrays = []
    for i, (pool, t) in enumerate(zip(pools, dtypes, strict=True)):
        special = pool[[row[i] for row in rows]]
        arrays.append(np.concatenate([special, random_values(rng, t, 300)]))
    return arrays


def random_values(rng: np.random.Generator, t: DType, count: int) -> Any:
    if t == bool_:
        return rng.integers(0, 2, count).astype(bool)
    if t.is_integer:
        info = np.iinfo(t.numpy)
        wide = rng.integers(info.min, info.max, count, t.numpy, endpoint=True)
        near = rng.integers(0 if t.kind == "uint" else -9, 70, count).astype(t.numpy)
        return np.where(rng.random(count) < 0.5, wide, near)
    scale = np.exp2(rng.integers(-12, 12, count))
    return (rng.normal(0, 1, count) * scale).astype(t.numpy)


def ulps_apart(want: Any, got: Any) -> Any:
    """Units in the last place between two arrays; 0 where the bits are the same."""
    w, g = widened(want).astype(np.float64), widened(got).astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.abs(w - g) / spacing(want)
    return np.where(equal_bits(want, got), 0, np.where(np.isfinite(apart), apart, np.inf))


def check_pointwise(v: Value, want: Any, got: Any, arrays: Sequence[Any]) -> None:
    """Bits, or a few units in the last place for elementary functions."""
    assert want.shape == got.shape and want.dtype == got.dtype
    op = v.op
    assert isinstance(op, Pointwise)
    allowed = (
        0.0 if op.exact or not is_float(want) else 1.0 if v.type.dtype in HALF else float(ULPS)
    )
    apart = ulps_apart(want, got) if is_float(want) else np.where(want == got, 0, np.inf)
    if np.any(apart > allowed):
        worst = int(np.argmax(apart))
        operands = [a.ravel()[worst] for a in arrays]
        raise AssertionError(
            f"{op.name}{operands}: wanted {want.ravel()[worst]!r}, got "
            f"{got.ravel()[worst]!r}, {apart.ravel()[worst]:.1f} ULP apart"
        )


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
        got = run_compiled(graph, arrays, disable=frozenset(["simplify", "cleanup"]))
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


def with_types(sample: Sample, change: dict[DType, DType]) -> Sample:
    """The sample over other element types."""
    types = tuple(t.with_dtype(change.get(t.dtype, t.dtype)) for t in sample.types)
    fields = {k: change.get(v, v) if isinstance(v, DType) else v for k, v in sample.fields.items()}
    return dataclasses.replace(sample, types=types, fields=fields)


def variants(op_cls: type[Op], sample: Sample) -> list[Sample]:
    """The sample over every element type that the op accepts in the place of its main one."""
    if not sample.types or (not sample.special and sample.types[0].dtype == u64):
        return [sample]
    main = sample.types[0].dtype
    found = []
    for t in ALL:
        changed = with_types(sample, {main: t})
        try:
            make(make_op(op_cls, changed), placeholders(changed.types))
        except (GraphcError, OverflowError):
            continue
        found.append(changed)
    return found


def other_cases() -> list[tuple[type[Op], list[Sample]]]:
    """Ops that are not pointwise, each with its samples (the first ones over every element
    type)."""
    found: dict[type[Op], list[Sample]] = {}
    for op_cls, sample in cases():
        if not issubclass(op_cls, Pointwise):
            known = found.setdefault(op_cls, [])
            if "chunks" in sample.fields:  # kernels know one number of chunks
                known_chunks = {**sample.fields, "chunks": SplitReductions().chunks}
                sample = dataclasses.replace(sample, fields=known_chunks)
            known.extend(variants(op_cls, sample) if len(known) < 12 else [sample])
    return list(found.items())


def arrays_for(sample: Sample, seed: int, special: bool) -> list[Any]:
    rng = np.random.default_rng(seed)
    arrays = []
    for i, t in enumerate(sample.types):
        count = int(np.prod([int(s) for s in t.shape]))
        if i == 1 and t.dtype in INTS and not sample.special:  # indices
            values = rng.integers(0, 2, count).astype(t.dtype.numpy)
        elif special and sample.special:
            values = rng.choice(special_values(t.dtype), count)
        else:
            values = rng.integers(0, 4, count).astype(t.dtype.numpy)
        arrays.append(np.asarray(values.reshape([int(s) for s in t.shape])))
    return prepared(sample, arrays)


@pytest.mark.parametrize(
    ("op_cls", "samples"), other_cases(), ids=lambda x: x.name if isinstance(x, type) else ""
)
def test_samples(op_cls: type[Op], samples: list[Sample]) -> None:
    inputs: list[Value] = []
    outputs: list[Value] = []
    for sample in samples:
        own = placeholders(sample.types)
        made = make(make_op(op_cls, sample), own) if own else make(make_op(op_cls, sample), ())
        inputs += [dataclasses.replace(v, name=f"x{len(inputs) + i}") for i, v in enumerate(own)]
        outputs.append(make(made.op, tuple(inputs[len(inputs) - len(own) :])))
    graph = Graph("samples", tuple(inputs), tuple(outputs))
    compiled = CompiledGraph(graph, disable=frozenset(["simplify", "cleanup"]))
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
            check_other(op_cls, sample, w, g, special)
        with small_chunks():
            compiled._runners.clear()
            again = compiled(arrays, threads=2, poison=0xFF)
        assert all(map(same_bits, got, again)), "other bits on two threads"


def check_other(op_cls: type[Op], sample: Sample, want: Any, got: Any, special: bool) -> None:
    assert want.shape == got.shape and want.dtype == got.dtype
    if sample.prepare is not None:  # a routine of LAPACK, or a transform
        eps = float(np.finfo(want.dtype).eps)
        np.testing.assert_allclose(got, want, rtol=300 * eps, atol=300 * eps)
        return
    if op_cls.name not in SUMS or not is_float(want) or not special:
        if op_cls.name in SUMS and is_float(want):  # sums of small whole numbers are exact
            assert np.array_equal(widened(want), widened(got)), case_id(sample)
            return
        assert same_bits(want, got), f"{case_id(sample)}: wanted {want}, got {got}"
        return
    w, g = widened(want).astype(np.float64), widened(got).astype(np.float64)
    finite = np.isfinite(w) & np.isfinite(g)  # where a partial sum may overflow the order decides
    with np.errstate(all="ignore"):
        close = np.abs(w - g) <= 1e-2 * np.abs(w) + 4e38 * (want.dtype.itemsize < 8) + 1e300
    assert np.all(close[finite])
    assert (
        np.array_equal(np.isnan(w), np.isnan(g))
        or "prod" in op_cls.name
        or not sample.types[0].dtype.is_float
        or np.any(np.isnan(w) | np.isinf(w))
    )


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
