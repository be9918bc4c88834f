"""How typed expressions of the loop IR are spelled: what wraps, what is rounded, literals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.codegen.loops.ir import Apply, Const, Guard, IndexValue, Load, Ref
from graphc.codegen.loops.printer import Printer, bare, fold_step, literal, wrap
from graphc.ir.dim import symbol
from graphc.ir.types import DType, bf16, bool_, f16, f32, f64, i8, i32, i64, u8, u32, u64

ADD, SUBTRACT, MULTIPLY = "({0} + {1})", "({0} - {1})", "({0} * {1})"
FOLDS = (
    (ADD, i64, "wrap_add(t, x)"),
    (MULTIPLY, i64, "wrap_multiply(t, x)"),
    (ADD, i32, "i32(t + x)"),
    (MULTIPLY, u8, "u8(t * x)"),
    (ADD, u64, "u64(t + x)"),
    (ADD, f32, "fold_add(t, x)"),
    (MULTIPLY, f64, "fold_multiply(t, x)"),
    (ADD, f16, "fold_add(t, x)"),
    ("maximum({0}, {1})", i64, "maximum(t, x)"),
    ("maximum({0}, {1})", i8, "maximum(t, x)"),
    ("maximum({0}, {1})", f32, "maximum(t, x)"),
    ("({0} | {1})", bool_, "(t | x)"),
)
APPLIED = (
    (ADD, i64, "wrap_add(a, b)"),
    (SUBTRACT, i64, "wrap_subtract(a, b)"),
    (MULTIPLY, i64, "wrap_multiply(a, b)"),
    (ADD, i8, "i8(a + b)"),
    (SUBTRACT, u32, "u32(a - b)"),
    (MULTIPLY, u64, "u64(a * b)"),
    (ADD, f32, "(a + b)"),
    (ADD, f16, "round_f16(a + b)"),
    (ADD, bf16, "round_bf16(a + b)"),
    ("({0} <= {1})", i32, "(a <= b)"),
    ("({0} == {1})", i8, "(a == b)"),
    ("maximum({0}, {1})", i32, "maximum(a, b)"),
    ("maximum({0}, {1})", f16, "round_f16(maximum(a, b))"),
    ("cast_f16({0})", f16, "cast_f16(a)"),
    ("where({0}, {1}, {1})", f16, "where(a, b, b)"),
)
LITERALS = (
    (True, bool_, "True"),
    (0, bool_, "False"),
    (-5, i32, "i32(-5)"),
    (2**64 - 1, u64, "u64(18446744073709551615)"),
    (0.1, f32, "f32(0.1)"),
    (0.1, f64, "f64(0.1)"),
    (1 / 3, f32, "f32(0.33333334)"),
    (1 / 3, f64, "f64(0.3333333333333333)"),
    (1 / 3, f16, "f32(0.33325195)"),
    (-0.0, f32, "f32(-0.0)"),
    (math.inf, f32, "f32(inf)"),
    (-math.inf, f64, "f64(-inf)"),
    (math.nan, f16, "f32(nan)"),
    (-math.inf, bf16, "f32(-inf)"),
)


@pytest.mark.parametrize(("combine", "dtype", "text"), FOLDS)
def test_a_step_of_a_fold(combine: str, dtype: DType, text: str) -> None:
    assert fold_step(combine, "t", "x", dtype) == text


@pytest.mark.parametrize(("spelling", "dtype", "text"), APPLIED)
def test_an_op_applied(spelling: str, dtype: DType, text: str) -> None:
    applied = Apply(spelling, (Ref("a", dtype), Ref("b", dtype)), dtype)
    assert Printer().expression(applied) == text


@pytest.mark.parametrize(("value", "dtype", "text"), LITERALS)
def test_a_literal(value: float, dtype: DType, text: str) -> None:
    assert literal(value, dtype) == text
    if dtype.is_float and value == value:
        inside = text[text.index("(") + 1 : -1]
        assert np.asarray(float(inside)).astype(dtype.numpy) == np.asarray(value, dtype.numpy)


def test_a_guard_tests_its_bounds_and_evaluates_one_side() -> None:
    i, n = symbol("i."), symbol("n")
    there = Load(2, i - 1, f32)
    guard = Guard(((i, 1, n), (i + n, 0, 7)), there, Const(0, f32), f32)
    text = "(@2[i-1] if 1 <= i < n and 0 <= i+n < 7 else f32(0.0))"
    assert Printer().expression(guard) == text
    assert Printer().expression(IndexValue(2 * i + n, i64)) == "i64(2*i+n)"


@pytest.mark.parametrize(
    ("text", "without"),
    [("(a + b)", "a + b"), ("(a) + (b)", "(a) + (b)"), ("f(a)", "f(a)"), ("((a)(b))", "(a)(b)")],
)
def test_outermost_parentheses(text: str, without: str) -> None:
    assert bare(text) == without
    assert wrap(text, ADD, i8) == f"i8({without})"
