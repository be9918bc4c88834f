"""Scalars: the carrier on which ops build kernel expressions.

Applying an op to scalars emits one line of the kernel, `t = spelling`; a composite op emits the
lines of its definition instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.codegen.loops.ir import Apply, Const, IndexValue
from graphc.ir.dim import Size
from graphc.ir.op import Number, Op, Pointwise
from graphc.ir.ops.pointwise import Arithmetic
from graphc.ir.types import DType, i64, u64

Emit = Callable[[Any, str], Any]


@dataclass(frozen=True, eq=False)
class Scalar(Arithmetic):
    """A typed expression; `emit` binds a new one to a local name."""

    expr: Any
    dtype: DType
    emit: Emit

    def apply(self, op: Op, args: Sequence[Any]) -> Scalar:
        """The expression of a pointwise op."""
        assert isinstance(op, Pointwise), f"{op.name} is not pointwise"
        dtypes = [a.dtype if isinstance(a, Scalar) else None for a in args]
        literal = op.literal_dtype(dtypes)
        operands = [a if isinstance(a, Scalar) else self.number(a, literal) for a in args]
        return self.define(op, operands)

    def define(self, op: Pointwise, operands: Sequence[Scalar], hint: str = "") -> Scalar:
        """`op` on scalars: its definition, or one line."""
        dtype = op.result(*(a.dtype for a in operands))
        composite = op.scalar(*(self.carried(x) for x in operands))
        if composite is not None:  # narrow floats are computed in f32 and rounded once
            rounded = dtype.is_narrow and composite.dtype == dtype.accumulates
            return (
                Scalar(self.emit(Apply("{0}", (composite.expr,), dtype), hint), dtype, self.emit)
                if rounded
                else composite
            )
        if op.spelling == "{0}":
            return operands[0]
        sizes = tuple(IndexValue(s, i64) for s in op.sizes)
        expr = Apply(op.spelling, (*(a.expr for a in operands), *sizes), dtype)
        return Scalar(self.emit(expr, hint), dtype, self.emit)

    def carried(self, x: Scalar) -> Scalar:
        """An operand of a definition: emitted where this scalar is; narrow floats are f32, as they
        are in registers."""
        return Scalar(x.expr, x.dtype.accumulates, self.emit)

    def number(self, value: Number, dtype: DType) -> Scalar:
        """A literal."""
        return Scalar(Const(value, dtype), dtype, self.emit)

    def call(self, name: str, dtype: DType, *args: Any) -> Scalar:
        """A builtin of the kernels' namespace on scalars and plain integers (as u64)."""
        exprs = tuple(a.expr if isinstance(a, Scalar) else Const(a, u64) for a in args)
        spelling = f"{name}({', '.join(f'{{{i}}}' for i in range(len(exprs)))})"
        return Scalar(self.emit(Apply(spelling, exprs, dtype), ""), dtype, self.emit)


def index_scalar(size: Size, emit: Emit) -> Scalar:
    """An index as a scalar of type i64."""
    return Scalar(IndexValue(size, i64), i64, emit)
