"""Scalars on a CPU: the names of kernel source that compute, as intrinsics of LLVM.

Each intrinsic emits a few LLVM instructions, which costs numba far less than inlined Python would.
Elementary functions are graphc's own (`codegen.mathlib`).  The Python twins of the same names are
in `codegen.cpu.emulate`; with them kernel source runs without numba.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import types

from graphc.codegen.cpu.intrinsics import common_scalars as shared
from graphc.codegen.cpu.intrinsics.buffers import NARROW_CONVERSIONS
from graphc.codegen.cpu.intrinsics.common_scalars import (
    I1,
    I64,
    NUMBA,
    Emit,
    between_integers,
    common,
    further,
    to_bool,
)
from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.codegen.mathlib.llvm_scalar import emit
from graphc.codegen.status import Status

unary, binary = partial(shared.unary, intrinsic), partial(shared.binary, intrinsic)


def llvm_intrinsic(builder: Any, name: str, *args: Any) -> Any:
    """A call of an LLVM intrinsic overloaded on its first operand's type."""
    t = args[0].type
    suffix = {"float": "f32", "double": "f64"}.get(str(t)) or str(t)
    function_type = ir.FunctionType(t, [a.type for a in args])
    full = f"llvm.{name}.{suffix}"
    function = builder.module.globals.get(full) or ir.Function(builder.module, function_type, full)
    return builder.call(function, args)


def math(builder: Any, name: str, *args: Any) -> Any:
    """A function of floats: one of the table's, or one that LLVM has."""
    row = FUNCTIONS.get(name)
    if row is not None and row.definition is not None:
        dtype = "f64" if args[0].type == ir.DoubleType() else "f32"
        return builder.call(emit(builder.module, name, dtype), args)
    return builder.frem(*args) if name == "fmod" else llvm_intrinsic(builder, name, *args)


def _extreme(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, t: Any) -> Any:
        if isinstance(t, types.Float):
            return llvm_intrinsic(builder, name, a, b)
        return further(builder, a, b, t, ">" if name == "maximum" else "<")

    return binary(emit)


def _fold(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, t: Any) -> Any:
        return getattr(builder, name)(a, b, flags=["reassoc"])

    return binary(emit)


def rounded(name: str) -> Emit:
    """An f32 rounded to what a narrow float can hold."""
    narrow, widen = NARROW_CONVERSIONS[name]
    return lambda b, x, t: widen(b, narrow(b, x))


def _cast(name: str) -> Any:
    target = NUMBA[name]

    def emit(b: Any, x: Any, t: Any) -> Any:
        if name == "bool":
            return to_bool(b, x, t)
        to = _to_float if isinstance(target, types.Float) else _to_int
        return to(b, x, t, name)

    return unary(emit, target)


def _to_float(b: Any, x: Any, t: Any, name: str) -> Any:
    to = ir.DoubleType() if name == "f64" else ir.FloatType()
    if isinstance(t, types.Float):
        if x.type != to:
            x = b.fpext(x, to) if name == "f64" else b.fptrunc(x, to)
            if name == "f16":  # rounds twice (semantics 9.2): LLVM may not merge the roundings
                x = llvm_intrinsic(b, "arithmetic.fence", x)
    elif isinstance(t, types.Boolean):
        x = b.uitofp(x if x.type.width == 1 else b.trunc(x, I1), to)
    else:
        x = b.sitofp(x, to) if t.signed else b.uitofp(x, to)
    return rounded(name)(b, x, t) if name in NARROW_CONVERSIONS else x


def _to_int(b: Any, x: Any, t: Any, name: str) -> Any:
    to = ir.IntType(int(name[1:]))
    if not isinstance(t, types.Float):
        return between_integers(b, x, t, to)
    kind = "fptosi" if name[0] == "i" else "fptoui"
    full = f"llvm.{kind}.sat.i{to.width}.{'f64' if x.type == ir.DoubleType() else 'f32'}"
    function = b.module.globals.get(full) or ir.Function(
        b.module, ir.FunctionType(to, [x.type]), full
    )
    return b.call(function, [x])


@intrinsic
def check_index(context: Any, index: Any, size: Any, status: Any) -> Any:
    """The index made non-negative; out of range, it is noted in `status` and 0 is returned."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        raw, n, address = args
        if raw.type.width < 64:
            raw = b.sext(raw, I64) if index.signed else b.zext(raw, I64)
        negative = b.icmp_signed("<", raw, ir.Constant(I64, 0))
        moved = b.select(negative, b.add(raw, n), raw) if index.signed else raw
        fine = b.icmp_unsigned("<", moved, n)
        with b.if_then(b.not_(fine), likely=False):
            words = b.inttoptr(address, I64.as_pointer())
            b.store(raw, b.gep(words, [ir.Constant(I64, 1)]))
            b.store(n, b.gep(words, [ir.Constant(I64, 2)]))
            b.store(ir.Constant(I64, Status.OUT_OF_RANGE), words)
        return b.select(fine, moved, ir.Constant(I64, 0))

    return types.int64(index, types.int64, types.int64), build


SCALARS: dict[str, Any] = {
    **common(intrinsic, math, FUNCTIONS.values()),
    "maximum": _extreme("maximum"),
    "minimum": _extreme("minimum"),
    "max": _extreme("maximum"),
    "min": _extreme("minimum"),
    "fold_add": _fold("fadd"),
    "fold_multiply": _fold("fmul"),
    "check_index": check_index,
    **{f"cast_{name}": _cast(name) for name in NUMBA},
    **{f"round_{name}": unary(rounded(name)) for name in NARROW_CONVERSIONS},
}
