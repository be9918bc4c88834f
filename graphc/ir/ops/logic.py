"""Comparison, logic and bits; and the helpers that all modules of pointwise ops share."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.op import Pointwise, sample
from graphc.ir.types import (
    BOOLS,
    INTS,
    NUMBERS,
    DType,
    bool_,
    f32,
    f64,
    i8,
    i32,
    i64,
    u8,
    u64,
)


def is_half(x: Any) -> bool:
    """Whether an array holds narrow floats, which are computed with in f32."""
    return bool(x.dtype.itemsize == 2 and x.dtype.kind not in "iu")


def is_float(x: Any) -> bool:
    """Whether an array holds floats (NumPy does not count all narrow ones among them)."""
    return bool(x.dtype.kind == "f" or is_half(x))


def widened(x: Any) -> Any:
    """The array in the type it is computed with: narrow floats become f32."""
    return x.astype(np.float32) if is_half(x) else x


def quiet(function: Any) -> Any:
    """NumPy without its warnings (overflow and division by zero have defined results here); narrow
    floats are computed in f32 and rounded once (semantics 9.1)."""

    def call(*args: Any) -> Any:
        narrow = next((a.dtype for a in args if is_half(a)), None)
        with np.errstate(all="ignore"):
            out = function(*map(widened, args))
            return out.astype(narrow) if narrow is not None and out.dtype == np.float32 else out

    return call


class Unary(Pointwise, abstract=True):
    """One operand."""

    arity = 1


class Compare(Pointwise, abstract=True):
    """Two operands, a truth value; no gradient."""

    differentiable = False

    def result(self, *dtypes: DType) -> DType:
        return bool_


BINARY_SAMPLES = (
    sample(f32[7], f32[7]),
    sample(f64[3, 1], f64[3, 1]),
    sample(i32[5], i32[5]),
    sample(i8[64], i8[64]),
    sample(u8[4], u8[4]),
    sample(f32[()], f32[()]),
    sample(f32[0], f32[0]),
)
UNARY_SAMPLES = (sample(f32[33]), sample(f64[2, 3]), sample(f32[()]), sample(f32[0, 3]))
INTEGER_SAMPLES = (sample(i32[9], i32[9]), sample(u8[40], u8[40]), sample(i64[3], i64[3]))


class Equal(Compare):
    """x == y."""

    spelling, commutative, samples = "({0} == {1})", True, BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.equal)(x, y)


class NotEqual(Compare):
    """x != y."""

    spelling, commutative, samples = "({0} != {1})", True, BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.not_equal)(x, y)


class Less(Compare):
    """x < y."""

    accepts, spelling, samples = NUMBERS, "({0} < {1})", BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.less)(x, y)


class LessEqual(Compare):
    """x <= y."""

    accepts, spelling, samples = NUMBERS, "({0} <= {1})", BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.less_equal)(x, y)


class Greater(Compare):
    """x > y."""

    accepts, spelling, samples = NUMBERS, "({0} > {1})", BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.greater)(x, y)


class GreaterEqual(Compare):
    """x >= y."""

    accepts, spelling, samples = NUMBERS, "({0} >= {1})", BINARY_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return quiet(np.greater_equal)(x, y)


BOOL_SAMPLES = (sample(bool_[9], bool_[9]), sample(bool_[0], bool_[0]))


class LogicalAnd(Compare):
    """Both."""

    accepts, spelling, commutative, samples = BOOLS, "({0} & {1})", True, BOOL_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return np.logical_and(x, y)


class LogicalOr(Compare):
    """Either."""

    accepts, spelling, commutative, samples = BOOLS, "({0} | {1})", True, BOOL_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        return np.logical_or(x, y)


class LogicalXor(Compare):
    """One but not both."""

    accepts, spelling, commutative, samples = BOOLS, "({0} ^ {1})", True, BOOL_SAMPLES

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
    samples, differentiable = INTEGER_SAMPLES, False

    def reference(self, x: Any, y: Any) -> Any:
        return np.bitwise_and(x, y)


class BitwiseOr(Pointwise):
    """The bits set in either."""

    accepts, spelling, commutative = INTS, "({0} | {1})", True
    samples, differentiable = INTEGER_SAMPLES, False

    def reference(self, x: Any, y: Any) -> Any:
        return np.bitwise_or(x, y)


class BitwiseXor(Pointwise):
    """The bits that differ."""

    accepts, spelling, commutative = INTS, "({0} ^ {1})", True
    samples, differentiable = INTEGER_SAMPLES, False

    def reference(self, x: Any, y: Any) -> Any:
        return np.bitwise_xor(x, y)


class BitwiseInvert(Unary):
    """All bits flipped."""

    accepts, spelling, differentiable = INTS, "(~{0})", False
    samples = (sample(i32[9]), sample(u8[9]))

    def reference(self, x: Any) -> Any:
        return np.invert(x)


SHIFT_SAMPLES = (*INTEGER_SAMPLES, sample(i32[9], i32[9], high=40), sample(u64[9], u64[9], high=70))


class BitwiseLeftShift(Pointwise):
    """x * 2**y, wrapping; 0 where y is not in [0, bits)."""

    accepts, spelling, differentiable = INTS, "left_shift({0}, {1})", False
    samples = SHIFT_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        inside = (y >= 0) & (y < 8 * x.dtype.itemsize)
        return np.where(inside, np.left_shift(x, np.where(inside, y, 0)), 0).astype(x.dtype)


class BitwiseRightShift(Pointwise):
    """floor(x / 2**y); where y is not in [0, bits): -1 for negative x, else 0."""

    accepts, spelling, differentiable = INTS, "right_shift({0}, {1})", False
    samples = SHIFT_SAMPLES

    def reference(self, x: Any, y: Any) -> Any:
        inside = (y >= 0) & (y < 8 * x.dtype.itemsize)
        beyond = np.where(x < 0, -1, 0).astype(x.dtype)
        return np.where(inside, np.right_shift(x, np.where(inside, y, 0)), beyond).astype(x.dtype)


equal, not_equal, less, less_equal = Equal(), NotEqual(), Less(), LessEqual()
greater, greater_equal = Greater(), GreaterEqual()
logical_and, logical_or, logical_xor, logical_not = (
    LogicalAnd(),
    LogicalOr(),
    LogicalXor(),
    LogicalNot(),
)
bitwise_and, bitwise_or, bitwise_xor = BitwiseAnd(), BitwiseOr(), BitwiseXor()
bitwise_invert, bitwise_left_shift, bitwise_right_shift = (
    BitwiseInvert(),
    BitwiseLeftShift(),
    BitwiseRightShift(),
)
