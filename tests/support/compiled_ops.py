"""What tests of compiled ops share, on CPUs and GPUs: operands, and how close results must be."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.graph import Value, make
from graphc.ir.op import OPS, Op, Pointwise, Sample
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import (
    ALL,
    INTS,
    DType,
    TensorType,
    bf16,
    bool_,
    f16,
    u64,
)
from graphc.passes.graph.split_reductions import SplitReductions
from graphc.testing.closeness import equal_bits, same_bits, spacing
from graphc.testing.samples import case_id, cases, make_op, prepared, special_values

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
                sample = dataclasses.replace(
                    sample, fields={**sample.fields, "chunks": SplitReductions().chunks}
                )
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
