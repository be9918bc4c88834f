"""Arithmetic, comparison, logic, bits, selection and conversion; the operator mixin.

NumPy is the meaning, with the exceptions of docs/semantics.md: integer arithmetic wraps, integer
division by zero is 0, float-to-integer casts saturate and take NaN to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import DTypeError
from graphc.ir.op import Operand, Pointwise, sample
from graphc.ir.ops.logic import (
    BINARY_SAMPLES as BINARY_SAMPLES,
    INTEGER_SAMPLES as INTEGER_SAMPLES,
    UNARY_SAMPLES as UNARY_SAMPLES,
    BitwiseAnd as BitwiseAnd,
    BitwiseInvert as BitwiseInvert,
    BitwiseLeftShift as BitwiseLeftShift,
    BitwiseOr as BitwiseOr,
    BitwiseRightShift as BitwiseRightShift,
    BitwiseXor as BitwiseXor,
    Compare as Compare,
    Equal as Equal,
    Greater as Greater,
    GreaterEqual as GreaterEqual,
    Less as Less,
    LessEqual as LessEqual,
    LogicalAnd as LogicalAnd,
    LogicalNot as LogicalNot,
    LogicalOr as LogicalOr,
    LogicalXor as LogicalXor,
    NotEqual as NotEqual,
    Unary as Unary,
    bitwise_and as bitwise_and,
    bitwise_invert as bitwise_invert,
    bitwise_left_shift as bitwise_left_shift,
    bitwise_or as bitwise_or,
    bitwise_right_shift as bitwise_right_shift,
    bitwise_xor as bitwise_xor,
    equal as equal,
    greater as greater,
    greater_equal as greater_equal,
    is_float,
    less as less,
    less_equal as less_equal,
    logical_and as logical_and,
    logical_not as logical_not,
    logical_or as logical_or,
    logical_xor as logical_xor,
    not_equal as not_equal,
    quiet as quiet,
)
from graphc.ir.types import (
    ALL,
    FLOATS,
    NUMBERS,
    SIGNED,
    DType,
    bool_,
    f32,
    f64,
    i8,
    i32,
    u8,
)


class Add(Pointwise):
    """x + y."""

    accepts, spelling, commutative, samples = NUMBERS, "({0} + {1})", True, BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.add)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return ct, ct


class Subtract(Pointwise):
    """x - y."""

    accepts, spelling, samples = NUMBERS, "({0} - {1})", BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.subtract)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return ct, -ct


class Multiply(Pointwise):
    """x * y."""

    accepts, spelling, commutative, samples = NUMBERS, "({0} * {1})", True, BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.multiply)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return ct * y, ct * x


class Divide(Pointwise):
    """x / y, of floats."""

    accepts, spelling, cost = FLOATS, "({0} / {1})", 4
    samples = (sample(f32[7], f32[7]), sample(f64[3], f64[3], low=0.5))

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.divide)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return ct / y, -(ct * out) / y


class FloorDivide(Pointwise):
    """floor(x / y).  Integers: x // 0 is 0, and the least integer // -1 wraps to itself."""

    accepts, spelling, cost, differentiable = NUMBERS, "floor_divide({0}, {1})", 20, False
    samples = (*INTEGER_SAMPLES, sample(f32[9], f32[9]), sample(f64[9], f64[9]))

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.floor_divide)(x, y)


class Remainder(Pointwise):
    """x - floor(x / y) * y, with the sign of y.  Integers: x % 0 is 0."""

    accepts, spelling, cost = NUMBERS, "remainder({0}, {1})", 20
    samples = (*INTEGER_SAMPLES, sample(f32[9], f32[9], low=0.5), sample(f64[9], f64[9], low=0.5))

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.remainder)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return ct, -ct * floor_divide(x, y)


class Negative(Unary):
    """-x; integers wrap."""

    accepts, spelling = NUMBERS, "(-{0})"
    samples = (*UNARY_SAMPLES, sample(i32[5]), sample(u8[5]))

    def reference(self, x: Any) -> Any:
        return quiet(np.negative)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (-ct,)


class Absolute(Unary):
    """|x|; its gradient at 0 is 0.  The least integer wraps to itself."""

    accepts, spelling = NUMBERS, "absolute({0})"
    samples = (*UNARY_SAMPLES, sample(i8[256]), sample(u8[5]))

    def reference(self, x: Any) -> Any:
        return quiet(np.absolute)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * sign(x),)


class Sign(Unary):
    """-1, 0 or 1; sign(nan) is nan, sign(-0.0) is 0.0."""

    accepts, differentiable = NUMBERS, False
    samples = (*UNARY_SAMPLES, sample(i32[5]), sample(u8[5]))
    spelling = "sign({0})"

    def reference(self, x: Any) -> Any:
        return quiet(np.sign)(x)


class Maximum(Pointwise):
    """The larger; NaN wins; 0.0 is above -0.0.  At a tie both operands get half the gradient."""

    accepts, spelling, commutative, samples = NUMBERS, "maximum({0}, {1})", True, BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return extreme(np.maximum, x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return _split(ct, x > y, x, y), _split(ct, x < y, x, y)


class Minimum(Pointwise):
    """The smaller; NaN wins; -0.0 is below 0.0.  At a tie both operands get half the gradient."""

    accepts, spelling, commutative, samples = NUMBERS, "minimum({0}, {1})", True, BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return extreme(np.minimum, x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return _split(ct, x < y, x, y), _split(ct, x > y, x, y)


def extreme(function: Any, x: Any, y: Any) -> Any:
    """NumPy leaves the sign of max(0.0, -0.0) open; graphc does not (semantics 2.2)."""
    out = quiet(function)(x, y)
    if not is_float(x):
        return out
    least = function is np.minimum
    negative = np.logical_or if least else np.logical_and
    zero = np.where(negative(np.signbit(x), np.signbit(y)), -0.0, 0.0).astype(x.dtype)
    return np.where((x == 0) & (y == 0), zero, out)


def _split(ct: Any, wins: Any, x: Any, y: Any) -> Any:
    return where(wins, ct, where(equal(x, y), ct * 0.5, 0.0))


class Where(Pointwise):
    """x where the condition holds, else y.  The branch not taken gets gradient exactly 0."""

    arity, spelling = 3, "where({0}, {1}, {2})"
    samples = (sample(bool_[7], f32[7], f32[7]), sample(bool_[3], i32[3], i32[3]))

    def check(self, *dtypes: DType) -> None:
        if dtypes[0] != bool_:
            raise DTypeError(f"where: the condition has element type {dtypes[0]}; expected bool")
        if dtypes[1] != dtypes[2]:
            raise DTypeError(
                f"where: branches have element types {dtypes[1]} and {dtypes[2]}; "
                "expected the same. Use gc.astype to convert one"
            )

    def literal_dtype(self, dtypes: Sequence[DType | None]) -> DType:
        return dtypes[1] or dtypes[2] or f32

    def reference(self, c: Any, x: Any, y: Any) -> Any:
        return np.where(c, x, y)

    def vjp(self, ct: Any, out: Any, c: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return None, where(c, ct, 0.0), where(c, 0.0, ct)


class Cast(Unary):
    """Conversion.  Float to integer truncates, saturates and takes NaN to 0; what is not 0 is true.

    Narrow floats are reached by way of f32 (semantics 9.2).
    """

    dtype: DType
    samples: ClassVar[Any] = tuple(
        sample(a[9], dtype=b, low=-5, high=300) for a in ALL for b in ALL if a != b
    )

    @property
    def spelling(self) -> str:  # type: ignore[override]
        return f"cast_{self.dtype}({{0}})"

    def result(self, *dtypes: DType) -> DType:
        return self.dtype

    def reference(self, x: Any) -> Any:
        to = self.dtype.numpy
        with np.errstate(all="ignore"):
            if self.dtype.is_integer and is_float(x):
                return saturated(x.astype(np.float64), to)
            return x.astype(self.dtype.accumulates.numpy).astype(to)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        if not (x.type.dtype.is_float and self.dtype.is_float):
            return (None,)
        return (cast(ct, x.type.dtype),)


def saturated(x: Any, to: Any) -> Any:
    """Floats (f64) as integers: truncated, clamped to the range of the type, NaN to 0."""
    info = np.iinfo(to)
    whole = np.where(np.isnan(x), 0.0, np.trunc(x))
    inside = (whole >= float(info.min)) & (whole < float(info.max))
    beyond = np.where(whole < 0, to.type(info.min), to.type(info.max))
    return np.where(inside, np.where(inside, whole, 0).astype(to), beyond)


class StopGradient(Unary):
    """x itself, through which no gradient flows."""

    spelling, differentiable, samples = "{0}", False, UNARY_SAMPLES

    def reference(self, x: Any) -> Any:
        return x


add, subtract, multiply, divide = Add(), Subtract(), Multiply(), Divide()
floor_divide, remainder, negative, absolute, sign = (
    FloorDivide(),
    Remainder(),
    Negative(),
    Absolute(),
    Sign(),
)
maximum, minimum, where, stop_gradient = Maximum(), Minimum(), Where(), StopGradient()
SIGNED_OR_FLOAT = SIGNED + FLOATS


def cast(x: Any, dtype: DType) -> Any:
    """x in another element type."""
    return Cast(dtype)(x)


class Arithmetic(Operand):
    """Python's operators, for values, patterns and scalars alike."""

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return add(self, other)

    def __radd__(self, other: Any) -> Any:
        return add(other, self)

    def __sub__(self, other: Any) -> Any:
        return subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return divide(other, self)

    def __neg__(self) -> Any:
        return negative(self)

    def __abs__(self) -> Any:
        return absolute(self)

    def __lt__(self, other: Any) -> Any:
        return less(self, other)

    def __le__(self, other: Any) -> Any:
        return less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return greater_equal(self, other)

    def __and__(self, other: Any) -> Any:
        return bitwise_and(self, other)

    def __or__(self, other: Any) -> Any:
        return bitwise_or(self, other)

    def __xor__(self, other: Any) -> Any:
        return bitwise_xor(self, other)

    def __invert__(self) -> Any:
        return bitwise_invert(self)
