"""Inputs for checks of ops: arrays for their samples, special values, and graphs of one op."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import graphc.ir.ops as _every_op_module  # noqa: F401  (fills the table)
from graphc.errors import GraphcError, GraphError, user_location
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, make
from graphc.ir.op import OPS, Op, Pointwise, Sample
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import FLOATS, DType, TensorType, f32, f64
from graphc.passes.oracle.values import special_values as special_values


def cases() -> list[tuple[type[Op], Sample]]:
    """Every registered op of graphc with each of its samples."""
    return [(c, s) for _, c in sorted(OPS.items()) if built_in(c) for s in c.samples]


def built_in(op_cls: type[Op]) -> bool:
    """Whether an op is graphc's own."""
    return op_cls.__module__.startswith("graphc.")


def case_id(case: Any) -> str:
    """`reduce_sum`, `f32[3,4];axes=(1,)`."""
    if isinstance(case, type):
        return str(case.__dict__["name"])
    fields = [f"{k}={v}" for k, v in case.fields.items()]
    return ";".join([*map(str, case.types), *fields]).replace(" ", "")


def op_class(op: Any) -> type[Op]:
    """The class of an op: itself, or that of a function made by `gc.op` or `gc.kernel`.  Raises
    `GraphError`."""
    if isinstance(op, type) and issubclass(op, Op) and not op.abstract:
        return op
    registered = OPS.get(getattr(op, "__name__", ""))
    if (
        registered is not None
        and not isinstance(op, type)
        and registered.__module__ == getattr(op, "__module__", "")
    ):
        return registered
    raise GraphError(
        f"graphc.testing: {op!r} is no op; expected a subclass of graphc.extend.Op, or a function "
        "made by gc.op or gc.kernel",
        user_location(),
    )


def check_samples(samples: Any) -> tuple[Sample, ...]:
    """The samples.  Raises `GraphError` for what is none, or has operands that cannot be drawn."""
    listed = tuple(samples) if isinstance(samples, list | tuple) else (samples,)
    for s in listed:
        if not isinstance(s, Sample):
            raise GraphError(
                f"check_op: samples holds {s!r}; expected a list of samples, such as "
                "[sample(gc.float32[3, 4])]",
                user_location(),
            )
        for t in s.types:
            if not isinstance(t, TensorType) or not all(isinstance(n, int) for n in t.shape):
                raise GraphError(
                    f"check_op: a sample has the operand {t!r}; expected a type of known sizes, "
                    "such as gc.float32[3, 4] (other sizes are tried, too)",
                    user_location(),
                )
        numbers = isinstance(s.low, int | float) and isinstance(s.high, int | float)
        if not numbers or not s.low <= s.high or not (s.prepare is None or callable(s.prepare)):
            raise GraphError(
                f"check_op: a sample has low={s.low!r}, high={s.high!r}, prepare={s.prepare!r}; "
                "expected numbers low <= high, and a function of the operands or None",
                user_location(),
            )
    return listed


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
    """The arrays after the sample's own preparation of its operands."""
    return (
        arrays
        if sample.prepare is None
        else [
            np.asarray(a).astype(t.dtype.numpy)
            for a, t in zip(sample.prepare(*arrays), sample.types, strict=True)
        ]
    )


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


def in_f64(sample: Sample) -> Sample:
    """The sample with f32 operands and fields made f64."""
    return with_dtype(sample, f32, f64)


def in_other_types(op_cls: type[Op], samples: Sequence[Sample]) -> list[Sample]:
    """The first sample of each kind in the other element types that the op accepts: those that a
    pointwise op lists, and for others all float types."""
    wanted = op_cls.accepts if issubclass(op_cls, Pointwise) else FLOATS
    found: list[Sample] = []
    tried = {t.dtype for s in samples for t in s.types}
    for s in samples:
        held = [t.dtype for t in s.types if t.dtype in wanted]
        for dtype in wanted:
            other = with_dtype(s, held[-1], dtype) if held and dtype not in tried else s
            if other is not s and _accepts(op_cls, other):
                found.append(other)
                tried.add(dtype)
    return found


def _accepts(op_cls: type[Op], sample: Sample) -> bool:
    """Whether the op takes operands of these types."""
    try:
        one_op_graph(op_cls, sample)
    except GraphcError:
        return False
    return True


# ---- other sizes


def symbolic(op_cls: type[Op], sample: Sample, prefix: str = "n") -> tuple[Sample, dict[str, int]]:
    """The sample with a symbol for each of its sizes, in fields that hold sizes too, and what the
    symbols stand for there."""
    sizes = sorted({s for t in sample.types for s in t.shape if isinstance(s, int) and s > 0})
    named: dict[Any, Size] = {s: dim.symbol(f"{prefix}{s}") for s in sizes}
    return _renamed(op_cls, sample, named), {f"{prefix}{s}": s for s in sizes}


def resized(op_cls: type[Op], sample: Sample, change: Callable[[int], int]) -> Sample:
    """The sample with other sizes, in fields that hold sizes too."""
    sizes = {s for t in sample.types for s in t.shape if isinstance(s, int) and s > 0}
    return _renamed(op_cls, sample, {s: change(s) for s in sizes})


def _renamed(op_cls: type[Op], sample: Sample, named: Mapping[Any, Size]) -> Sample:
    def renamed(x: Any) -> Any:
        return tuple(map(renamed, x)) if isinstance(x, tuple) else named.get(x, x)

    hold_sizes = {f.name for f in op_cls.fields() if _holds_sizes(str(f.type))}
    fields = {k: renamed(v) if k in hold_sizes else v for k, v in sample.fields.items()}
    types = tuple(t.with_shape(renamed(t.shape)) for t in sample.types)
    return dataclasses.replace(sample, types=types, fields=fields)


def _holds_sizes(annotation: str) -> bool:
    return any(word in annotation for word in ("Size", "Shape", "Dim"))
