"""Scalars on a GPU: the arithmetic and mathematics of kernel text, as numba-cuda intrinsics.

Integers are emitted as for the CPU (`common_scalars`); mathematics is libdevice's, in f32 for f32
and in f64 for f64.  NVVM reads LLVM 7; operations of newer LLVM are spelled out here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from graphc.codegen.cpu.intrinsics import common_scalars as shared
from graphc.codegen.cpu.intrinsics.common_scalars import (
    NUMBA,
    between_integers,
    common,
    further,
    to_bool,
)
from graphc.codegen.mathlib.function_table import FUNCTIONS

I1, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
F16, F32, F64 = ir.HalfType(), ir.FloatType(), ir.DoubleType()

unary, binary = partial(shared.unary, intrinsic), partial(shared.binary, intrinsic)


def assembly(builder: Any, text: str, constraints: str, result: Any, *args: Any) -> Any:
    """One pure PTX instruction."""
    kind = ir.FunctionType(result, [a.type for a in args])
    return builder.call(ir.InlineAsm(kind, text, constraints), args)


def libdevice(b: Any, name: str, *args: Any) -> Any:
    """A call of libdevice's function for the operands' type."""
    t = args[0].type
    full = f"__nv_{name}" + ("f" if t == F32 else "")
    function = b.module.globals.get(full) or ir.Function(
        b.module, ir.FunctionType(t, [a.type for a in args]), full
    )
    return b.call(function, args)


def math(b: Any, name: str, *args: Any) -> Any:
    """A function of floats: one of `FUNCTIONS`, or one of C's."""
    return libdevice(b, FUNCTIONS[name].libdevice if name in FUNCTIONS else name, *args)


def _sigmoid(b: Any, x: Any, t: Any) -> Any:
    """By exp(-|x|), which does not overflow; for large negative x, it is as accurate as exp."""
    one, zero = ir.Constant(x.type, 1.0), ir.Constant(x.type, 0.0)
    near = libdevice(b, "exp", b.fsub(ir.Constant(x.type, -0.0), libdevice(b, "fabs", x)))
    total = b.fadd(one, near)
    if x.type == F64:
        part = b.fdiv(one, total)
    else:
        part = assembly(b, "rcp.approx.f32 $0, $1;", "=f,f", F32, total)  # within 1 ULP; no branch
    return b.select(b.fcmp_ordered("<", x, zero), b.fmul(near, part), part)


def _extreme(order: str) -> Any:
    name = "max" if order == ">" else "min"

    def emit(b: Any, x: Any, y: Any, t: Any) -> Any:
        if not isinstance(t, types.Float):
            return further(b, x, y, t, order)
        if x.type == F32:
            return assembly(b, f"{name}.NaN.f32 $0, $1, $2;", "=f,f,f", F32, x, y)
        bits = (b.and_ if order == ">" else b.or_)(b.bitcast(x, I64), b.bitcast(y, I64))
        chosen = b.select(b.fcmp_ordered(order, x, y), x, y)
        chosen = b.select(b.fcmp_ordered("==", x, y), b.bitcast(bits, F64), chosen)  # -0.0 < 0.0
        return b.select(b.fcmp_unordered("uno", x, y), b.fadd(x, y), chosen)

    return binary(emit)


def to_half(b: Any, x: Any) -> Any:
    """The bits of an f16."""
    return assembly(b, "cvt.rn.f16.f32 $0, $1;", "=h,f", I16, x)


def from_half(b: Any, x: Any) -> Any:
    """The f32 of an f16's bits."""
    return b.fpext(b.bitcast(x, F16), F32)


def to_brain(b: Any, x: Any) -> Any:
    """The bits of a bf16."""
    return assembly(b, "cvt.rn.bf16.f32 $0, $1;", "=h,f", I16, x)


def from_brain(b: Any, x: Any) -> Any:
    """The f32 of a bf16's bits."""
    return b.bitcast(b.shl(b.zext(x, I32), ir.Constant(I32, 16)), F32)


NARROW_CONVERSIONS = {  # narrow floats: the bits of an f32, rounded to nearest even, and back
    "f16": (to_half, from_half),
    "bf16": (to_brain, from_brain),
}


def _round(name: str) -> Any:
    narrow, wide = NARROW_CONVERSIONS[name]
    return lambda b, x, t: wide(b, narrow(b, x))


def _cast(name: str) -> Any:
    target = NUMBA[name]

    def emit(b: Any, x: Any, t: Any) -> Any:
        if name == "bool":
            return to_bool(b, x, t)
        if isinstance(target, types.Float):
            value = _to_float(b, x, t, F64 if name == "f64" else F32)
            return _round(name)(b, value, t) if name in NARROW_CONVERSIONS else value
        to = ir.IntType(target.bitwidth)
        if isinstance(t, types.Float):
            return saturated(b, x, to, target.signed)
        return between_integers(b, x, t, to)

    return unary(emit, target)


def _to_float(b: Any, x: Any, t: Any, to: Any) -> Any:
    if not isinstance(t, types.Float):
        unsigned = isinstance(t, types.Boolean) or not t.signed
        return b.uitofp(x, to) if unsigned else b.sitofp(x, to)
    if x.type == to:
        return x
    return b.fpext(x, to) if to == F64 else b.fptrunc(x, to)


def saturated(b: Any, x: Any, to: Any, signed: bool) -> Any:
    """A float rounded towards zero, and limited to the integers of a type; 0 for NaN."""
    bits = to.width - signed
    low, high = -(1 << bits) if signed else 0, (1 << bits) - 1
    plain = b.fptosi(x, to) if signed else b.fptoui(x, to)
    above = b.fcmp_ordered(">=", x, ir.Constant(x.type, float(1 << bits)))
    below = b.fcmp_ordered("<=", x, ir.Constant(x.type, float(low)))
    inside = b.select(above, ir.Constant(to, high), b.select(below, ir.Constant(to, low), plain))
    return b.select(b.fcmp_unordered("uno", x, x), ir.Constant(to, 0), inside)


@intrinsic
def check_index(context: Any, index: Any, extent: Any, status: Any) -> Any:
    """The index, made non-negative.  If it is out of range, the result is 0; the first thread that
    meets such an index notes 1, index and size in `status`."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        raw, n, words = args
        raw = between_integers(b, raw, index, I64)
        zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
        negative = b.icmp_signed("<", raw, zero)
        moved = b.select(negative, b.add(raw, n), raw) if index.signed else raw
        fine = b.icmp_unsigned("<", moved, n)
        with b.if_then(b.not_(fine), likely=False):
            claimed = b.cmpxchg(words, zero, one, "monotonic", "monotonic")
            with b.if_then(b.extract_value(claimed, 1)):
                b.store(raw, b.gep(words, [one]))
                b.store(n, b.gep(words, [ir.Constant(I64, 2)]))
        return b.select(fine, moved, zero)

    return types.int64(index, types.int64, status), build


SCALARS: dict[str, Any] = {
    **common(intrinsic, math, [row for row in FUNCTIONS.values() if row.libdevice]),
    "sigmoid": unary(_sigmoid),
    "maximum": _extreme(">"),
    "minimum": _extreme("<"),
    "max": _extreme(">"),
    "min": _extreme("<"),
    "fold_add": binary(lambda b, x, y, t: b.fadd(x, y)),
    "fold_multiply": binary(lambda b, x, y, t: b.fmul(x, y)),
    "check_index": check_index,
    **{f"cast_{name}": _cast(name) for name in NUMBA},
    **{f"round_{name}": unary(_round(name)) for name in NARROW_CONVERSIONS},
    **{
        f"from_{name}": unary(lambda b, x, t, widen=widen: widen(b, x), types.float32)
        for name, (_, widen) in NARROW_CONVERSIONS.items()
    },
    **{
        f"to_{name}": unary(lambda b, x, t, narrow=narrow: narrow(b, x), types.uint16)
        for name, (narrow, _) in NARROW_CONVERSIONS.items()
    },
}
