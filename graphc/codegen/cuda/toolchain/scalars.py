"""Scalars on a GPU: the names of `twins.NAMESPACE` that compute, as numba-cuda intrinsics.

Integers are emitted as for the CPU (`integers.py`, `builtins.py`); mathematics is libdevice's, in
f32 for f32 and in f64 for f64.  NVVM reads LLVM 7: what is newer there is spelled out here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from graphc.codegen.cpu.intrinsics.integers import (
    between_integers,
    float_divmod,
    floor_divide,
    integer_power,
    philox,
    remainder,
    shift,
)
from graphc.codegen.cpu.intrinsics.scalars import NUMBA, further, position, sign, size

I1, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
F16, F32, F64 = ir.HalfType(), ir.FloatType(), ir.DoubleType()
UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sinh cosh tanh asinh acosh atanh erf erfc cbrt rsqrt sin "
    "cos tan asin acos atan sqrt floor ceil rint trunc"
)
LIBDEVICE = {**dict.fromkeys(UNARY.split(), 1), "hypot": 2, "atan2": 2}
CASTS = tuple(NUMBA)


def unary(emit: Any, result: Any = None) -> Any:
    """An intrinsic of one operand: `emit(builder, value, type)`."""

    @intrinsic
    def function(context: Any, x: Any) -> Any:
        def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
            return emit(builder, args[0], x)

        return (result or x)(x), build

    return function


def binary(emit: Any, result: Any = None) -> Any:
    """An intrinsic of two operands of one type."""

    @intrinsic
    def function(context: Any, x: Any, y: Any) -> Any:
        def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
            return emit(builder, args[0], args[1], x)

        return (result or x)(x, x), build

    return function


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


def _math(name: str) -> Any:
    if LIBDEVICE[name] == 1:
        return unary(lambda b, x, t: libdevice(b, name, x))
    return binary(lambda b, x, y, t: libdevice(b, name, x, y))


def _sigmoid(b: Any, x: Any, t: Any) -> Any:
    """With exp(-|x|), which does not overflow: the tail below is as good as exp."""
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


def _floats(of_floats: Any, of_integers: Any) -> Any:
    """What emits one thing for floats and another for integers."""
    return lambda b, *args: (of_floats if isinstance(args[-1], types.Float) else of_integers)(
        b, *args
    )


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


NARROW = {"f16": (to_half, from_half), "bf16": (to_brain, from_brain)}


def _round(name: str) -> Any:
    narrow, wide = NARROW[name]
    return lambda b, x, t: wide(b, narrow(b, x))


def _cast(name: str) -> Any:
    target = NUMBA[name]

    def emit(b: Any, x: Any, t: Any) -> Any:
        if name == "bool":
            return _to_bool(b, x, t)
        if isinstance(target, types.Float):
            made = _to_float(b, x, t, F64 if name == "f64" else F32)
            return _round(name)(b, made, t) if name in NARROW else made
        to = ir.IntType(target.bitwidth)
        if isinstance(t, types.Float):
            return saturated(b, x, to, target.signed)
        return between_integers(b, x, t, to)

    return unary(emit, target)


def _to_bool(b: Any, x: Any, t: Any) -> Any:
    if isinstance(t, types.Boolean):
        return x
    zero = ir.Constant(x.type, 0)
    floating = isinstance(t, types.Float)
    return b.fcmp_unordered("!=", x, zero) if floating else b.icmp_signed("!=", x, zero)


def _to_float(b: Any, x: Any, t: Any, to: Any) -> Any:
    if not isinstance(t, types.Float):
        unsigned = isinstance(t, types.Boolean) or not t.signed
        return b.uitofp(x, to) if unsigned else b.sitofp(x, to)
    if x.type == to:
        return x
    return b.fpext(x, to) if to == F64 else b.fptrunc(x, to)


def saturated(b: Any, x: Any, to: Any, signed: bool) -> Any:
    """A float as the nearest integer that there is, towards zero; 0 for NaN."""
    bits = to.width - signed
    low, high = -(1 << bits) if signed else 0, (1 << bits) - 1
    plain = b.fptosi(x, to) if signed else b.fptoui(x, to)
    above = b.fcmp_ordered(">=", x, ir.Constant(x.type, float(1 << bits)))
    below = b.fcmp_ordered("<=", x, ir.Constant(x.type, float(low)))
    inside = b.select(above, ir.Constant(to, high), b.select(below, ir.Constant(to, low), plain))
    return b.select(b.fcmp_unordered("uno", x, x), ir.Constant(to, 0), inside)


@intrinsic
def where(context: Any, c: Any, x: Any, y: Any) -> Any:
    """A select: both branches are evaluated."""

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return x(types.boolean, x, x), build


@intrinsic
def random_bits(context: Any, key: Any, counter: Any, place: Any) -> Any:
    """The first word of Philox4x32-10."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return philox(b, *args)

    return types.uint32(types.uint64, types.uint64, types.int64), build


@intrinsic
def check_index(context: Any, index: Any, extent: Any, status: Any) -> Any:
    """The index made non-negative; out of range, the first thread to find one notes it in `status`
    as 1, index, size, and 0 is returned."""

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


def _divmod(part: int) -> Any:
    return lambda b, x, y, t: float_divmod(b, x, y, libdevice)[part]


SCALARS: dict[str, Any] = {
    **{name: NUMBA[name] for name in NUMBA if name not in ("bool", *NARROW)},
    "inf": np.inf,
    "nan": np.nan,
    **{name: _math(name) for name in LIBDEVICE},
    "sigmoid": unary(_sigmoid),
    "maximum": _extreme(">"),
    "minimum": _extreme("<"),
    "max": _extreme(">"),
    "min": _extreme("<"),
    "absolute": unary(_floats(lambda b, x, t: libdevice(b, "fabs", x), size)),
    "sign": unary(sign),
    "where": where,
    "floor_divide": binary(_floats(_divmod(0), floor_divide)),
    "remainder": binary(_floats(_divmod(1), remainder)),
    "power": binary(_floats(lambda b, x, y, t: libdevice(b, "pow", x, y), integer_power)),
    "left_shift": binary(shift(True)),
    "right_shift": binary(shift(False)),
    "logical_not": unary(lambda b, x, t: b.not_(x)),
    "fold_add": binary(lambda b, x, y, t: b.fadd(x, y)),
    "fold_multiply": binary(lambda b, x, y, t: b.fmul(x, y)),
    "wrap_add": binary(lambda b, x, y, t: b.add(x, y)),
    "wrap_subtract": binary(lambda b, x, y, t: b.sub(x, y)),
    "wrap_multiply": binary(lambda b, x, y, t: b.mul(x, y)),
    "greater_or_nan": binary(position(">"), types.boolean),
    "less_or_nan": binary(position("<"), types.boolean),
    "random_bits": random_bits,
    "check_index": check_index,
    **{f"cast_{name}": _cast(name) for name in CASTS},
    **{f"round_{name}": unary(_round(name)) for name in NARROW},
    **{
        f"from_{name}": unary(lambda b, x, t, n=name: NARROW[n][1](b, x), types.float32)
        for name in NARROW
    },
    **{
        f"to_{name}": unary(lambda b, x, t, n=name: NARROW[n][0](b, x), types.uint16)
        for name in NARROW
    },
}
