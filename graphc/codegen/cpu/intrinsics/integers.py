"""Intrinsics of integers, conversions, random bits and checked indices (see docs/semantics.md)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.codegen.cpu.intrinsics.scalars import (
    BUILTINS,
    NUMBA,
    _binary,
    _float_name,
    _llvm,
    _unary,
    bf16_bits,
)
from graphc.codegen.mathlib import functions
from graphc.ir.ops.philox import MULTIPLIERS, WEYL

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def _constant(t: Any, value: int) -> Any:
    return ir.Constant(t, value)


def _safe_divisor(b: Any, x: Any, y: Any, signed: bool) -> tuple[Any, Any]:
    """A divisor that cannot trap, and whether the true one is zero.  MIN / -1 divides by 1 and
    wraps."""
    zero, one = _constant(y.type, 0), _constant(y.type, 1)
    is_zero = b.icmp_signed("==", y, zero)
    bad = is_zero
    if signed:
        least = _constant(x.type, -(1 << (x.type.width - 1)))
        overflow = b.and_(
            b.icmp_signed("==", y, _constant(y.type, -1)), b.icmp_signed("==", x, least)
        )
        bad = b.or_(is_zero, overflow)
    return b.select(bad, one, y), is_zero


def floor_divide(b: Any, x: Any, y: Any, t: Any) -> Any:
    """Towards minus infinity; integers by 0 give 0."""
    if isinstance(t, types.Float):
        return float_divmod(b, x, y, _of_llvm)[0]
    safe, is_zero = _safe_divisor(b, x, y, t.signed)
    zero = _constant(x.type, 0)
    if not t.signed:
        return b.select(is_zero, zero, b.udiv(x, safe))
    quotient, rest = b.sdiv(x, safe), b.srem(x, safe)
    opposite = b.icmp_signed("<", b.xor(rest, safe), zero)
    down = b.and_(b.icmp_signed("!=", rest, zero), opposite)
    return b.select(is_zero, zero, b.sub(quotient, b.zext(down, x.type)))


def remainder(b: Any, x: Any, y: Any, t: Any) -> Any:
    """With the sign of y; integers by 0 give 0."""
    if isinstance(t, types.Float):
        return float_divmod(b, x, y, _of_llvm)[1]
    safe, is_zero = _safe_divisor(b, x, y, t.signed)
    zero = _constant(x.type, 0)
    if not t.signed:
        return b.select(is_zero, zero, b.urem(x, safe))
    rest = b.srem(x, safe)
    opposite = b.and_(b.icmp_signed("!=", rest, zero), b.icmp_signed("<", b.xor(rest, safe), zero))
    return b.select(is_zero, zero, b.select(opposite, b.add(rest, safe), rest))


def _of_llvm(b: Any, name: str, *args: Any) -> Any:
    return b.frem(*args) if name == "fmod" else _llvm(b, name, *args)


def float_divmod(b: Any, x: Any, y: Any, math: Any) -> tuple[Any, Any]:
    """NumPy's divmod of floats (npy_divmod); `math(b, name, *args)` emits fmod, copysign, floor."""
    zero = ir.Constant(x.type, 0.0)
    half, one = ir.Constant(x.type, 0.5), ir.Constant(x.type, 1.0)
    rest = math(b, "fmod", x, y)
    by_zero = b.fcmp_ordered("==", y, zero)
    quotient = b.fdiv(b.fsub(x, rest), y)
    nonzero = b.fcmp_unordered("!=", rest, zero)
    opposite = b.xor(b.fcmp_ordered("<", y, zero), b.fcmp_ordered("<", rest, zero))
    adjust = b.and_(nonzero, opposite)
    moved = b.select(adjust, b.fadd(rest, y), b.select(nonzero, rest, math(b, "copysign", zero, y)))
    quotient = b.select(adjust, b.fsub(quotient, one), quotient)
    floored = math(b, "floor", quotient)
    up = b.fcmp_ordered(">", b.fsub(quotient, floored), half)
    floored = b.select(up, b.fadd(floored, one), floored)
    signed_zero = math(b, "copysign", zero, b.fdiv(x, y))
    is_zero = b.fcmp_ordered("==", quotient, zero)
    floored = b.select(is_zero, signed_zero, floored)
    return b.select(by_zero, b.fdiv(x, y), floored), b.select(by_zero, rest, moved)


def shift(left: bool) -> Any:
    """What emits a shift that drops all bits where the distance is too long."""

    def emit(b: Any, x: Any, y: Any, t: Any) -> Any:
        width = _constant(y.type, x.type.width)
        inside = b.icmp_unsigned("<", y, width)
        safe = b.select(inside, y, _constant(y.type, 0))
        zero = _constant(x.type, 0)
        if left:
            return b.select(inside, b.shl(x, safe), zero)
        if not t.signed:
            return b.select(inside, b.lshr(x, safe), zero)
        fill = b.ashr(x, _constant(x.type, x.type.width - 1))
        return b.select(inside, b.ashr(x, safe), fill)

    return emit


def _power(b: Any, x: Any, y: Any, t: Any) -> Any:
    if isinstance(t, types.Float):
        return b.call(functions.emit(b.module, "pow", _float_name(t)), [x, y])
    return integer_power(b, x, y, t)


def integer_power(b: Any, x: Any, y: Any, t: Any) -> Any:
    """x to the y: wraps; a negative exponent gives the truncated value."""
    name = f"gc_ipow_{'i' if t.signed else 'u'}{x.type.width}"
    function = b.module.globals.get(name)
    if function is None:
        function = _integer_power(b.module, name, x.type, t.signed)
    return b.call(function, [x, y])


def _integer_power(module: Any, name: str, t: Any, signed: bool) -> Any:
    """x ** y by squaring; a negative exponent gives the truncated value."""
    function = ir.Function(module, ir.FunctionType(t, [t, t]), name)
    function.linkage = "internal"
    x, y = function.args
    entry, loop, done = (function.append_basic_block(n) for n in ("entry", "loop", "done"))
    b = ir.IRBuilder(entry)
    zero, one = _constant(t, 0), _constant(t, 1)
    b.branch(loop)
    b.position_at_end(loop)
    base, left, total = b.phi(t), b.phi(t), b.phi(t)
    odd = b.icmp_signed("==", b.and_(left, one), one)
    next_total = b.select(odd, b.mul(total, base), total)
    next_left = b.lshr(left, one)
    next_base = b.mul(base, base)
    negative = b.icmp_signed("<", y, zero) if signed else ir.Constant(I1, 0)
    start = {base: x, left: y, total: one}
    for phi, step in ((base, next_base), (left, next_left), (total, next_total)):
        phi.add_incoming(start[phi], entry)
        phi.add_incoming(step, loop)
    b.cbranch(b.icmp_signed("!=", next_left, zero), loop, done)
    b.position_at_end(done)
    minus = _constant(t, -1)
    flip = b.select(b.icmp_signed("==", b.and_(y, one), one), minus, one)
    is_minus = b.icmp_signed("==", x, minus)
    unit = b.select(b.icmp_signed("==", x, one), one, b.select(is_minus, flip, zero))
    b.ret(b.select(negative, unit, next_total))
    return function


def _cast(name: str) -> Any:
    target = NUMBA[name]

    def emit(b: Any, x: Any, t: Any) -> Any:
        if name == "bool":
            zero = ir.Constant(x.type, 0)
            return (
                b.fcmp_unordered("!=", x, zero)
                if isinstance(t, types.Float)
                else (x if isinstance(t, types.Boolean) else b.icmp_signed("!=", x, zero))
            )
        return (
            _to_float(b, x, t, name)
            if name in ("f16", "bf16", "f32", "f64")
            else _to_int(b, x, t, name)
        )

    return _unary(emit, target)


def _to_float(b: Any, x: Any, t: Any, name: str) -> Any:
    to = ir.DoubleType() if name == "f64" else ir.FloatType()
    if isinstance(t, types.Float):
        if x.type != to:
            x = b.fpext(x, to) if name == "f64" else b.fptrunc(x, to)
            if name == "f16":  # rounds twice (semantics 9.2): LLVM may not merge the roundings
                x = _llvm(b, "arithmetic.fence", x)
    elif isinstance(t, types.Boolean):
        x = b.uitofp(x if x.type.width == 1 else b.trunc(x, I1), to)
    else:
        x = b.sitofp(x, to) if t.signed else b.uitofp(x, to)
    return _round(name)(b, x, None) if name in ("f16", "bf16") else x


def _round(name: str) -> Any:
    """An f32 rounded to what f16 or bf16 can hold."""

    def emit(b: Any, x: Any, t: Any) -> Any:
        if name == "f16":
            return b.fpext(b.fptrunc(x, ir.HalfType()), ir.FloatType())
        wide = b.shl(b.zext(bf16_bits(b, x), I32), _constant(I32, 16))
        return b.bitcast(wide, ir.FloatType())

    return emit


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


def between_integers(b: Any, x: Any, t: Any, to: Any) -> Any:
    """An integer or bool as an integer of LLVM type `to`; it wraps."""
    if isinstance(t, types.Boolean):
        return b.zext(x if x.type.width == 1 else b.trunc(x, I1), to)
    if x.type.width == to.width:
        return x
    if x.type.width > to.width:
        return b.trunc(x, to)
    return b.sext(x, to) if t.signed else b.zext(x, to)


def philox(b: Any, key_bits: Any, count: Any, where: Any) -> Any:
    """The first word of Philox4x32-10."""
    low = lambda v: b.trunc(v, I32)  # noqa: E731
    high = lambda v: b.trunc(b.lshr(v, _constant(I64, 32)), I32)  # noqa: E731
    x0, x1, x2, x3 = low(where), high(where), low(count), high(count)
    k0, k1 = low(key_bits), high(key_bits)
    for _ in range(10):
        p0 = b.mul(b.zext(x0, I64), _constant(I64, MULTIPLIERS[0]))
        p1 = b.mul(b.zext(x2, I64), _constant(I64, MULTIPLIERS[1]))
        x0, x1, x2, x3 = (
            b.xor(b.xor(high(p1), x1), k0),
            low(p1),
            b.xor(b.xor(high(p0), x3), k1),
            low(p0),
        )
        k0, k1 = b.add(k0, _constant(I32, WEYL[0])), b.add(k1, _constant(I32, WEYL[1]))
    return x0


@intrinsic
def random_bits(context: Any, key: Any, counter: Any, position: Any) -> Any:
    """The first word of Philox4x32-10."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return philox(b, *args)

    return types.uint32(types.uint64, types.uint64, types.int64), build


@intrinsic
def check_index(context: Any, index: Any, size: Any, status: Any) -> Any:
    """The index made non-negative; out of range, it is noted in `status` and 0 is returned."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        raw, n, address = args
        if raw.type.width < 64:
            raw = b.sext(raw, I64) if index.signed else b.zext(raw, I64)
        negative = b.icmp_signed("<", raw, _constant(I64, 0))
        moved = b.select(negative, b.add(raw, n), raw) if index.signed else raw
        fine = b.icmp_unsigned("<", moved, n)
        with b.if_then(b.not_(fine), likely=False):
            words = b.inttoptr(address, I64.as_pointer())
            b.store(raw, b.gep(words, [_constant(I64, 1)]))
            b.store(n, b.gep(words, [_constant(I64, 2)]))
            b.store(_constant(I64, 1), words)
        return b.select(fine, moved, _constant(I64, 0))

    return types.int64(index, types.int64, types.int64), build


@intrinsic
def call_python(context: Any, function: Any, args: Any, status: Any) -> Any:
    """Calls `function(args, status)`, which sets the second word of `status` to 1 when it is done;
    if it is not, the run has failed with status 3."""

    def build(ctx: Any, b: Any, sig: Any, values: Any) -> Any:
        address, words, at = values
        status_words = b.inttoptr(at, I64.as_pointer())
        done = b.gep(status_words, [_constant(I64, 1)])
        b.store(_constant(I64, 0), done)
        kind = ir.FunctionType(ir.VoidType(), [words.type, I64])
        b.call(b.inttoptr(address, kind.as_pointer()), [words, at])
        with b.if_then(b.icmp_signed("!=", b.load(done), _constant(I64, 1)), likely=False):
            b.store(_constant(I64, 3), status_words)
        return ctx.get_dummy_value()

    return types.none(types.int64, args, types.int64), build


INTEGERS: dict[str, Any] = {
    "floor_divide": _binary(floor_divide),
    "remainder": _binary(remainder),
    "power": _binary(_power),
    "left_shift": _binary(shift(True)),
    "right_shift": _binary(shift(False)),
    "max": BUILTINS["maximum"],
    "min": BUILTINS["minimum"],
    "random_bits": random_bits,
    "call_python": call_python,
    "check_index": check_index,
    "round_f16": _unary(_round("f16")),
    "round_bf16": _unary(_round("bf16")),
    **{f"cast_{name}": _cast(name) for name in NUMBA},
}
