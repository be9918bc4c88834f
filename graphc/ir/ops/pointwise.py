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
from graphc.ir.types import (
    ALL, BOOLS, FLOATS, INTS, NUMBERS, SIGNED, DType, bool_, f32, f64, i8, i32, i64, u8, u64,
)


def quiet(function: Any) -> Any:
    """NumPy without its warnings: overflow and division by zero have defined results here."""

    def call(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return call


class Unary(Pointwise, abstract=True):
    """One operand."""

    arity = 1


class Compare(Pointwise, abstract=True):
    """Two operands, a truth value; no gradient."""

    differentiable = False

    def result(self, *dtypes: DType) -> DType:
        return bool_


BINARY = (sample(f32[7], f32[7]), sample(f64[3, 1], f64[3, 1]), sample(i32[5], i32[5]),
          sample(i8[64], i8[64]), sample(u8[4], u8[4]), sample(f32[()], f32[()]), sample(f32[0], f32[0]))
UNARY = (sample(f32[33]), sample(f64[2, 3]), sample(f32[()]), sample(f32[0, 3]))
INTEGER = (sample(i32[9], i32[9]), sample(u8[40], u8[40]), sample(i64[3], i64[3]))


class Add(Pointwise):
    """x + y."""

    accepts, spelling, commutative, samples = NUMBERS, "({0} + {1})", True, BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.add)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return ct, ct


class Subtract(Pointwise):
    """x - y."""

    accepts, spelling, samples = NUMBERS, "({0} - {1})", BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.subtract)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return ct, -ct


class Multiply(Pointwise):
    """x * y."""

    accepts, spelling, commutative, samples = NUMBERS, "({0} * {1})", True, BINARY

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
    samples = (*INTEGER, sample(f32[9], f32[9]), sample(f64[9], f64[9]))

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.floor_divide)(x, y)


class Remainder(Pointwise):
    """x - floor(x / y) * y, with the sign of y.  Integers: x % 0 is 0."""

    accepts, spelling, cost = NUMBERS, "remainder({0}, {1})", 20
    samples = (*INTEGER, sample(f32[9], f32[9], low=0.5), sample(f64[9], f64[9], low=0.5))

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.remainder)(x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return ct, -ct * floor_divide(x, y)


class Negative(Unary):
    """-x; integers wrap."""

    accepts, spelling = NUMBERS, "(-{0})"
    samples = (*UNARY, sample(i32[5]), sample(u8[5]))

    def reference(self, x: Any) -> Any:
        return quiet(np.negative)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (-ct,)


class Absolute(Unary):
    """|x|; its gradient at 0 is 0.  The least integer wraps to itself."""

    accepts, spelling = NUMBERS, "absolute({0})"
    samples = (*UNARY, sample(i8[256]), sample(u8[5]))

    def reference(self, x: Any) -> Any:
        return quiet(np.absolute)(x)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct * sign(x),)


class Sign(Unary):
    """-1, 0 or 1; sign(nan) is nan, sign(-0.0) is 0.0."""

    accepts, differentiable = NUMBERS, False
    samples = (*UNARY, sample(i32[5]), sample(u8[5]))
    spelling = "sign({0})"

    def reference(self, x: Any) -> Any:
        return np.sign(x)


class Maximum(Pointwise):
    """The larger; NaN wins; 0.0 is above -0.0.  At a tie each operand gets half of the gradient."""

    accepts, spelling, commutative, samples = NUMBERS, "maximum({0}, {1})", True, BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return _extreme(np.maximum, x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return _split(ct, x > y, x, y), _split(ct, x < y, x, y)


class Minimum(Pointwise):
    """The smaller; NaN wins; -0.0 is below 0.0.  At a tie each operand gets half of the gradient."""

    accepts, spelling, commutative, samples = NUMBERS, "minimum({0}, {1})", True, BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return _extreme(np.minimum, x, y)

    def vjp(self, ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return _split(ct, x < y, x, y), _split(ct, x > y, x, y)


def _extreme(function: Any, x: Any, y: Any) -> Any:
    """NumPy leaves the sign of max(0.0, -0.0) open; graphc does not."""
    out = function(x, y)
    if x.dtype.kind != "f" or out.size == 0:
        return out
    both = (x == 0) & (y == 0)
    negative = np.signbit(x) | np.signbit(y) if function is np.minimum else np.signbit(x) & np.signbit(y)
    zero = np.where(negative, out.dtype.type(-0.0), out.dtype.type(0.0))
    return np.where(both, zero, out).astype(out.dtype)


def _split(ct: Any, wins: Any, x: Any, y: Any) -> Any:
    return where(wins, ct, where(equal(x, y), ct * 0.5, 0.0))


class Equal(Compare):
    """x == y."""

    spelling, commutative, samples = "({0} == {1})", True, BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return np.equal(x, y)


class NotEqual(Compare):
    """x != y."""

    spelling, commutative, samples = "({0} != {1})", True, BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return np.not_equal(x, y)


class Less(Compare):
    """x < y."""

    accepts, spelling, samples = NUMBERS, "({0} < {1})", BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return np.less(x, y)


class LessEqual(Compare):
    """x <= y."""

    accepts, spelling, samples = NUMBERS, "({0} <= {1})", BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return np.less_equal(x, y)


class Greater(Compare):
    """x > y."""

    accepts, spelling, samples = NUMBERS, "({0} > {1})", BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return np.greater(x, y)


class GreaterEqual(Compare):
    """x >= y."""

    accepts, spelling, samples = NUMBERS, "({0} >= {1})", BINARY

    def reference(self, x: Any, y: Any) -> Any:
        return np.greater_equal(x, y)


LOGIC = (sample(bool_[9], bool_[9]), sample(bool_[0], bool_[0]))


class LogicalAnd(Compare):
    """Both."""

    accepts, spelling, commutative, samples = BOOLS, "({0} & {1})", True, LOGIC

    def reference(self, x: Any, y: Any) -> Any:
        return np.logical_and(x, y)


class LogicalOr(Compare):
    """Either."""

    accepts, spelling, commutative, samples = BOOLS, "({0} | {1})", True, LOGIC

    def reference(self, x: Any, y: Any) -> Any:
        return np.logical_or(x, y)


class LogicalXor(Compare):
    """One but not both."""

    accepts, spelling, commutative, samples = BOOLS, "({0} ^ {1})", True, LOGIC

    def reference(self, x: Any, y: Any) -> Any:
        return np.logical_xor(x, y)


class LogicalNot(Unary):
    """Not x."""

    accepts, spelling, differentiable = BOOLS, "logical_not({0})", False
    samples = (sample(bool_[9]), sample(bool_[()]))

    def reference(self, x: Any) -> Any:
        return np.logical_not(x)


class BitwiseAnd(Pointwise):
    """The bits set in both."""

    accepts, spelling, commutative = INTS, "({0} & {1})", True
    samples, differentiable = INTEGER, False

    def reference(self, x: Any, y: Any) -> Any:
        return np.bitwise_and(x, y)


class BitwiseOr(Pointwise):
    """The bits set in either."""

    accepts, spelling, commutative = INTS, "({0} | {1})", True
    samples, differentiable = INTEGER, False

    def reference(self, x: Any, y: Any) -> Any:
        return np.bitwise_or(x, y)


class BitwiseXor(Pointwise):
    """The bits that differ."""

    accepts, spelling, commutative = INTS, "({0} ^ {1})", True
    samples, differentiable = INTEGER, False

    def reference(self, x: Any, y: Any) -> Any:
        return np.bitwise_xor(x, y)


class BitwiseInvert(Unary):
    """All bits flipped."""

    accepts, spelling, differentiable = INTS, "(~{0})", False
    samples = (sample(i32[9]), sample(u8[9]))

    def reference(self, x: Any) -> Any:
        return np.invert(x)


class BitwiseLeftShift(Pointwise):
    """x * 2**y, wrapping; 0 where y is not in [0, bits)."""

    accepts, spelling, differentiable = INTS, "left_shift({0}, {1})", False
    samples = (*INTEGER, sample(i32[9], i32[9], low=0, high=40), sample(u64[9], u64[9], low=0, high=70))

    def reference(self, x: Any, y: Any) -> Any:
        inside = (y >= 0) & (y < 8 * x.dtype.itemsize)
        return np.where(inside, np.left_shift(x, np.where(inside, y, 0)), 0).astype(x.dtype)


class BitwiseRightShift(Pointwise):
    """floor(x / 2**y); where y is not in [0, bits): -1 for negative x, else 0."""

    accepts, spelling, differentiable = INTS, "right_shift({0}, {1})", False
    samples = (*INTEGER, sample(i32[9], i32[9], low=0, high=40), sample(u64[9], u64[9], low=0, high=70))

    def reference(self, x: Any, y: Any) -> Any:
        inside = (y >= 0) & (y < 8 * x.dtype.itemsize)
        beyond = np.where(x < 0, -1, 0).astype(x.dtype)
        return np.where(inside, np.right_shift(x, np.where(inside, y, 0)), beyond).astype(x.dtype)


class Where(Pointwise):
    """x where the condition holds, else y.  The branch not taken gets gradient exactly 0."""

    arity, spelling = 3, "where({0}, {1}, {2})"
    samples = (sample(bool_[7], f32[7], f32[7]), sample(bool_[3], i32[3], i32[3]))

    def check(self, *dtypes: DType) -> None:
        if dtypes[0] != bool_:
            raise DTypeError(f"where: the condition has element type {dtypes[0]}; expected bool")
        if dtypes[1] != dtypes[2]:
            raise DTypeError(f"where: branches have element types {dtypes[1]} and {dtypes[2]}; "
                             "expected the same. Use gc.astype to convert one")

    def literal_dtype(self, dtypes: Sequence[DType | None]) -> DType:
        return dtypes[1] or dtypes[2] or f32

    def reference(self, c: Any, x: Any, y: Any) -> Any:
        return np.where(c, x, y)

    def vjp(self, ct: Any, out: Any, c: Any, x: Any, y: Any) -> tuple[Any, ...]:
        return None, where(c, ct, 0.0), where(c, 0.0, ct)


class Cast(Unary):
    """Conversion.  Float to integer truncates, saturates and takes NaN to 0; anything but 0 is true."""

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
        if not self.dtype.is_integer or x.dtype.kind in "biu":
            return quiet(lambda v: v.astype(to))(x)
        info = np.iinfo(to)
        whole = np.trunc(np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf))
        inside = (whole >= float(info.min)) & (whole < float(info.max))
        clipped = np.where(whole < float(info.min), info.min, info.max).astype(to)
        return np.where(inside, np.where(inside, whole, 0).astype(to), clipped).astype(to)

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        if not (x.type.dtype.is_float and self.dtype.is_float):
            return (None,)
        return (cast(ct, x.type.dtype),)


class StopGradient(Unary):
    """x itself, through which no gradient flows."""

    spelling, differentiable, samples = "{0}", False, UNARY

    def reference(self, x: Any) -> Any:
        return x


add, subtract, multiply, divide = Add(), Subtract(), Multiply(), Divide()
floor_divide, remainder, negative, absolute, sign = (
    FloorDivide(), Remainder(), Negative(), Absolute(), Sign())
maximum, minimum, where, stop_gradient = Maximum(), Minimum(), Where(), StopGradient()
equal, not_equal, less, less_equal = Equal(), NotEqual(), Less(), LessEqual()
greater, greater_equal = Greater(), GreaterEqual()
logical_and, logical_or, logical_xor, logical_not = (
    LogicalAnd(), LogicalOr(), LogicalXor(), LogicalNot())
bitwise_and, bitwise_or, bitwise_xor = BitwiseAnd(), BitwiseOr(), BitwiseXor()
bitwise_invert, bitwise_left_shift, bitwise_right_shift = (
    BitwiseInvert(), BitwiseLeftShift(), BitwiseRightShift())
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
