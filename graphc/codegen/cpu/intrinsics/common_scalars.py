"""Scalars that CPUs and GPUs emit alike: integers, order, selection, random bits.

numba and numba-cuda have an `@intrinsic` each; a target gives its own to `common`, `unary` and
`binary`.  What emits code is a function of a builder, operands and their numba type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from graphc.codegen.mathlib.function_table import ScalarFunction
from graphc.ir.ops.philox import MULTIPLIERS, WEYL
from graphc.ir.types import ALL, NUMBERS

Emit = Callable[..., Any]  # (builder, *operands, numba type of the operands) -> LLVM value
I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
NUMBA: dict[str, Any] = {  # the types that kernels compute in, by that of the elements
    t.name: types.boolean if t.kind == "bool" else getattr(types, t.accumulates.numpy.name)
    for t in ALL
}


def unary(intrinsic: Any, emit: Emit, result: Any = None) -> Any:
    """An intrinsic of one operand: `emit(builder, value, type)`."""

    def function(context: Any, x: Any) -> Any:
        def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
            return emit(builder, args[0], x)

        return (result or x)(x), build

    return intrinsic(function)


def binary(intrinsic: Any, emit: Emit, result: Any = None) -> Any:
    """An intrinsic of two operands of one type: `emit(builder, left, right, type)`."""

    def function(context: Any, x: Any, y: Any) -> Any:
        common = x if not isinstance(x, types.Literal) else y

        def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
            return emit(builder, args[0], args[1], common)

        return (result or common)(common, common), build

    return intrinsic(function)


def where(context: Any, c: Any, x: Any, y: Any) -> Any:
    """A select: both branches are evaluated."""

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return x(types.boolean, x, x), build


def further(builder: Any, a: Any, b: Any, t: Any, order: str) -> Any:
    """The greater (`>`) or lesser (`<`) of two integers."""
    compare = builder.icmp_signed if t.signed else builder.icmp_unsigned
    return builder.select(compare(order, a, b), a, b)


def size(builder: Any, x: Any, t: Any) -> Any:
    """The absolute value of an integer; of the least, itself."""
    if not t.signed:
        return x
    zero = ir.Constant(x.type, 0)
    return builder.select(builder.icmp_signed("<", x, zero), builder.sub(zero, x), x)


def sign(builder: Any, x: Any, t: Any) -> Any:
    """-1, 0 or 1; NaN for NaN."""
    zero, one = ir.Constant(x.type, 0), ir.Constant(x.type, 1)
    if not isinstance(t, types.Float):
        positive = (builder.icmp_signed if t.signed else builder.icmp_unsigned)(">", x, zero)
        low = ir.Constant(x.type, -1)
        below = builder.icmp_signed("<", x, zero) if t.signed else ir.Constant(ir.IntType(1), 0)
        return builder.select(positive, one, builder.select(below, low, zero))
    up = builder.fcmp_ordered(">", x, zero)
    down = builder.fcmp_ordered("<", x, zero)
    nan = builder.fcmp_unordered("uno", x, x)
    whole = builder.select(up, one, builder.select(down, ir.Constant(x.type, -1), zero))
    return builder.select(nan, x, whole)


def position(order: str) -> Any:
    """What emits: x beats y, it is beyond it, or the first NaN."""

    def emit(builder: Any, a: Any, b: Any, t: Any) -> Any:
        if not isinstance(t, types.Float):
            return (builder.icmp_signed if t.signed else builder.icmp_unsigned)(order, a, b)
        first = builder.and_(builder.fcmp_unordered("uno", a, a), builder.fcmp_ordered("ord", b, b))
        return builder.or_(builder.fcmp_ordered(order, a, b), first)

    return emit


def _safe_divisor(b: Any, x: Any, y: Any, signed: bool) -> tuple[Any, Any]:
    """A divisor that cannot trap, and whether the true one is zero.  MIN / -1 divides by 1 and
    wraps."""
    zero, one = ir.Constant(y.type, 0), ir.Constant(y.type, 1)
    is_zero = b.icmp_signed("==", y, zero)
    bad = is_zero
    if signed:
        least = ir.Constant(x.type, -(1 << (x.type.width - 1)))
        overflow = b.and_(
            b.icmp_signed("==", y, ir.Constant(y.type, -1)), b.icmp_signed("==", x, least)
        )
        bad = b.or_(is_zero, overflow)
    return b.select(bad, one, y), is_zero


def floor_divide(b: Any, x: Any, y: Any, t: Any) -> Any:
    """Of integers, towards minus infinity; by 0 it is 0."""
    safe, is_zero = _safe_divisor(b, x, y, t.signed)
    zero = ir.Constant(x.type, 0)
    if not t.signed:
        return b.select(is_zero, zero, b.udiv(x, safe))
    quotient, rest = b.sdiv(x, safe), b.srem(x, safe)
    opposite = b.icmp_signed("<", b.xor(rest, safe), zero)
    down = b.and_(b.icmp_signed("!=", rest, zero), opposite)
    return b.select(is_zero, zero, b.sub(quotient, b.zext(down, x.type)))


def remainder(b: Any, x: Any, y: Any, t: Any) -> Any:
    """Of integers, with the sign of y; by 0 it is 0."""
    safe, is_zero = _safe_divisor(b, x, y, t.signed)
    zero = ir.Constant(x.type, 0)
    if not t.signed:
        return b.select(is_zero, zero, b.urem(x, safe))
    rest = b.srem(x, safe)
    opposite = b.and_(b.icmp_signed("!=", rest, zero), b.icmp_signed("<", b.xor(rest, safe), zero))
    return b.select(is_zero, zero, b.select(opposite, b.add(rest, safe), rest))


def float_divmod(b: Any, x: Any, y: Any, math: Any) -> tuple[Any, Any]:
    """NumPy's divmod of floats (npy_divmod); `math` is that of `common`."""
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
        width = ir.Constant(y.type, x.type.width)
        inside = b.icmp_unsigned("<", y, width)
        safe = b.select(inside, y, ir.Constant(y.type, 0))
        zero = ir.Constant(x.type, 0)
        if left:
            return b.select(inside, b.shl(x, safe), zero)
        if not t.signed:
            return b.select(inside, b.lshr(x, safe), zero)
        fill = b.ashr(x, ir.Constant(x.type, x.type.width - 1))
        return b.select(inside, b.ashr(x, safe), fill)

    return emit


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
    zero, one = ir.Constant(t, 0), ir.Constant(t, 1)
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
    minus = ir.Constant(t, -1)
    flip = b.select(b.icmp_signed("==", b.and_(y, one), one), minus, one)
    is_minus = b.icmp_signed("==", x, minus)
    unit = b.select(b.icmp_signed("==", x, one), one, b.select(is_minus, flip, zero))
    b.ret(b.select(negative, unit, next_total))
    return function


def between_integers(b: Any, x: Any, t: Any, to: Any) -> Any:
    """An integer or bool as an integer of LLVM type `to`; it wraps."""
    if isinstance(t, types.Boolean):
        return b.zext(x if x.type.width == 1 else b.trunc(x, I1), to)
    if x.type.width == to.width:
        return x
    if x.type.width > to.width:
        return b.trunc(x, to)
    return b.sext(x, to) if t.signed else b.zext(x, to)


def to_bool(b: Any, x: Any, t: Any) -> Any:
    """Whether a number is not 0; NaN is not."""
    if isinstance(t, types.Boolean):
        return x
    zero = ir.Constant(x.type, 0)
    floating = isinstance(t, types.Float)
    return b.fcmp_unordered("!=", x, zero) if floating else b.icmp_signed("!=", x, zero)


def philox(b: Any, key_bits: Any, count: Any, where: Any) -> Any:
    """The first word of Philox4x32-10."""
    low = lambda v: b.trunc(v, I32)  # noqa: E731
    high = lambda v: b.trunc(b.lshr(v, ir.Constant(I64, 32)), I32)  # noqa: E731
    x0, x1, x2, x3 = low(where), high(where), low(count), high(count)
    k0, k1 = low(key_bits), high(key_bits)
    for _ in range(10):
        p0 = b.mul(b.zext(x0, I64), ir.Constant(I64, MULTIPLIERS[0]))
        p1 = b.mul(b.zext(x2, I64), ir.Constant(I64, MULTIPLIERS[1]))
        x0, x1, x2, x3 = (
            b.xor(b.xor(high(p1), x1), k0),
            low(p1),
            b.xor(b.xor(high(p0), x3), k1),
            low(p0),
        )
        k0, k1 = b.add(k0, ir.Constant(I32, WEYL[0])), b.add(k1, ir.Constant(I32, WEYL[1]))
    return x0


def random_bits(context: Any, key: Any, counter: Any, position: Any) -> Any:
    """The first word of Philox4x32-10."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return philox(b, *args)

    return types.uint32(types.uint64, types.uint64, types.int64), build


def by_kind(of_floats: Emit, of_integers: Emit) -> Emit:
    """What emits one thing for floats and another for integers."""
    return lambda b, *args: (of_floats if isinstance(args[-1], types.Float) else of_integers)(
        b, *args
    )


def common(intrinsic: Any, math: Emit, functions: Iterable[ScalarFunction]) -> dict[str, Any]:
    """What kernel source calls by name, as intrinsics of one target.  `math(b, name, *args)` emits
    `functions` and C's fabs, fmod, copysign and floor, all of floats."""
    one, two = partial(unary, intrinsic), partial(binary, intrinsic)
    arithmetic = {"wrap_add": "add", "wrap_subtract": "sub", "wrap_multiply": "mul"}

    def of_floats(name: str) -> Emit:
        return lambda b, *args: math(b, name, *args[:-1])

    def divmod_of_floats(part: int) -> Emit:
        return lambda b, x, y, t: float_divmod(b, x, y, math)[part]

    return {
        **{t.name: NUMBA[t.name] for t in NUMBERS if not t.is_narrow},
        "inf": np.inf,
        "nan": np.nan,
        **{
            row.name: {1: one, 2: two}[row.arity](of_floats(row.name))
            for row in functions
            if not row.takes_integers
        },
        "power": two(by_kind(of_floats("power"), integer_power)),
        "floor_divide": two(by_kind(divmod_of_floats(0), floor_divide)),
        "remainder": two(by_kind(divmod_of_floats(1), remainder)),
        "absolute": one(by_kind(of_floats("fabs"), size)),
        "sign": one(sign),
        "where": intrinsic(where),
        "left_shift": two(shift(True)),
        "right_shift": two(shift(False)),
        "logical_not": one(lambda b, x, t: b.not_(x)),
        **{  # numba's own i64 operators must not overflow
            name: two(lambda b, x, y, t, made=made: getattr(b, made)(x, y))
            for name, made in arithmetic.items()
        },
        "greater_or_nan": two(position(">"), types.boolean),
        "less_or_nan": two(position("<"), types.boolean),
        "random_bits": intrinsic(random_bits),
    }
