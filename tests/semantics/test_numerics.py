"""The decisions of docs/semantics.md, one by one, through the oracle."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.oracle import run

import graphc as gc
from graphc.errors import DTypeError
from graphc.ir.types import ALL, FLOATS, INTS, SIGNED, as_dtype, promote

NAN, INF = np.nan, np.inf


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def same_bits(actual: Any, expected: Any) -> None:
    expected = np.asarray(expected, actual.dtype)
    np.testing.assert_array_equal(actual, expected)
    floats = actual.astype(np.float64)
    signs = ~np.isnan(floats)
    np.testing.assert_array_equal(
        np.signbit(floats)[signs], np.signbit(expected.astype(np.float64))[signs]
    )


def array(values: Any, dtype: Any = gc.float32) -> Any:
    return np.asarray(values).astype(dtype.numpy)


def test_promotion_follows_table_1() -> None:
    """semantics 1.1, 1.2"""
    for a, b in itertools.product(ALL, ALL):
        if a.is_float != b.is_float:
            wanted = a if a.is_float else b
        elif "bf16" in (a.name, b.name):
            other = b if a.name == "bf16" else a
            wanted = gc.float32 if other == gc.float16 else other
        elif (a.is_integer or b.is_integer) and np.promote_types(a.numpy, b.numpy).kind == "f":
            with pytest.raises(DTypeError, match="no common integer type"):
                promote(a, b)
            continue
        else:
            wanted = as_dtype(np.promote_types(a.numpy, b.numpy))
        assert promote(a, b) == promote(b, a) == wanted
    assert promote(gc.float16, gc.bfloat16) == gc.float32


def test_plain_numbers() -> None:
    """semantics 1.3"""
    for t in INTS:
        x = gc.zeros((2,), t)
        assert (x + 1).dtype == t
        assert (x + 0.5).dtype == gc.float32
        with pytest.raises(DTypeError, match="is no"):
            x + (1 << 70)
    for f in FLOATS:
        assert (gc.zeros((2,), f) * 2).dtype == f
    assert (gc.zeros((2,), gc.bool_) + 1).dtype == gc.int64


def test_operators_on_truth_values() -> None:
    """semantics 1.6"""
    x = gc.astype([True, False], gc.bool_)
    same_bits(run(x & True), [True, False])
    same_bits(run(~x ^ x), [True, True])
    with pytest.raises(DTypeError, match="add: operand 0 has element type bool"):
        x + x


def test_nan_wins() -> None:
    """semantics 2.1"""
    x, y = array([NAN, 1, NAN]), array([1, NAN, NAN])
    for f in (gc.maximum, gc.minimum):
        same_bits(run(f(x, y)), [NAN] * 3)
    row = array([3, NAN, 9, NAN])
    assert np.isnan(run(gc.max(row)))
    assert np.isnan(run(gc.min(row)))
    assert run(gc.argmax(row)) == 1
    assert run(gc.argmin(row)) == 1
    assert np.isnan(run(gc.clip(array([NAN]), 0.0, 1.0)))[0]
    assert np.isnan(run(gc.sign(array([NAN]))))[0]


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_sign_of_zero(dtype: Any) -> None:
    """semantics 2.2, 2.3"""
    x, y = array([0.0, -0.0, -0.0], dtype), array([-0.0, 0.0, -0.0], dtype)
    same_bits(run(gc.maximum(x, y)), [0.0, 0.0, -0.0])
    same_bits(run(gc.minimum(x, y)), [-0.0, -0.0, -0.0])
    for order in ([0.0, -0.0], [-0.0, 0.0]):
        same_bits(run(gc.max(array(order, dtype))), 0.0)
        same_bits(run(gc.min(array(order, dtype))), -0.0)
    same_bits(run(gc.max(array([-0.0, -1.0], dtype))), -0.0)
    same_bits(run(gc.nn.functional.relu(array([-0.0], dtype))), [0.0])
    same_bits(run(gc.sign(array([-0.0], dtype))), [0.0])


def test_comparisons_with_nan() -> None:
    """semantics 2.4"""
    x = array([NAN])
    for f in (gc.equal, gc.less, gc.less_equal, gc.greater, gc.greater_equal):
        assert not run(f(x, x))[0]
    assert run(gc.not_equal(x, x))[0]


@pytest.mark.parametrize("dtype", SIGNED)
def test_integers_wrap(dtype: Any) -> None:
    """semantics 3.1, 3.2"""
    info = np.iinfo(dtype.numpy)
    low, high = array([info.min], dtype), array([info.max], dtype)
    same_bits(run(gc.add(high, 1)), low)
    same_bits(run(gc.multiply(high, 2)), [-2])
    same_bits(run(gc.negative(low)), low)
    same_bits(run(gc.abs(low)), low)
    same_bits(run(gc.floor_divide(low, -1)), low)
    same_bits(run(gc.remainder(low, -1)), [0])
    same_bits(run(gc.floor_divide(high, 0)), [0])
    same_bits(run(gc.remainder(high, 0)), [0])


def test_division_rounds_down() -> None:
    """semantics 3.3"""
    for dtype in (gc.int32, gc.float32):
        x, y = array([7, -7, 7, -7], dtype), array([3, 3, -3, -3], dtype)
        same_bits(run(gc.floor_divide(x, y)), [2, -3, -3, 2])
        same_bits(run(gc.remainder(x, y)), [1, 2, -2, -1])
    assert np.isnan(run(gc.remainder(array([1.0]), 0.0)))[0]


def test_shifts() -> None:
    """semantics 3.4"""
    n = array([0, 1, 31, 32, 100, -1], gc.int32)
    same_bits(
        run(gc.bitwise_left_shift(array(np.ones(6), gc.int32), n)), [1, 2, -(1 << 31), 0, 0, 0]
    )
    same_bits(run(gc.bitwise_right_shift(array([-8] * 6, gc.int32), n)), [-8, -4, -1, -1, -1, -1])
    same_bits(run(gc.bitwise_right_shift(array([8] * 6, gc.int32), n)), [8, 4, 0, 0, 0, 0])


def test_integer_powers() -> None:
    """semantics 3.5"""
    x = array([2, 1, -1, -1, 0, 3], gc.int32)
    n = array([-1, -5, -3, -2, -1, 40], gc.int32)
    with np.errstate(all="ignore"):
        wrapped = np.power(np.int32(3), np.int32(40))
    same_bits(run(gc.pow(x, n)), [0, 1, -1, 1, 0, wrapped])


@pytest.mark.parametrize("to", INTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_to_integers(to: Any, dtype: Any) -> None:
    """semantics 4.1"""
    info = np.iinfo(to.numpy)
    x = array([NAN, INF, -INF, 2.75, -0.0], dtype)
    same_bits(run(gc.astype(x, to)), np.array([0, info.max, info.min, 2, 0], to.numpy))
    least = run(gc.astype(array([-2.75], dtype), to))
    same_bits(least, [-2 if to in SIGNED else 0])


def test_integers_to_narrower_ones_and_to_bool() -> None:
    """semantics 4.2, 4.3"""
    same_bits(run(gc.astype(array([300, -1], gc.int64), gc.uint8)), [44, 255])
    same_bits(run(gc.astype(array([NAN, -0.0, 1e-45, INF]), gc.bool_)), [True, False, True, True])


def test_narrow_floats_are_reached_by_way_of_f32() -> None:
    """semantics 4.4, 9.2"""
    between = 1 + 2**-11 + 2**-40  # just above the middle of two f16; in f32 just the middle
    assert run(gc.astype(array([between], gc.float64), gc.float16))[0] == 1.0
    assert np.float16(between) == np.float16(1 + 2**-10)


def test_sums_of_narrow_floats_round_once() -> None:
    """semantics 9.1"""
    x = array(np.full(4096, 1.0), gc.float16)
    assert run(gc.sum(x)) == 4096
    assert run(gc.sum(array(np.full(300, 1.0), gc.bfloat16))) == 300


def test_symbols_do_not_broadcast() -> None:
    """semantics 8.2"""
    x = gc.placeholder(gc.float32, ["n", 3])
    y = gc.placeholder(gc.float32, ["m", 3])
    assert str((x + y).type) == "f32[n,3]"
    assert str((x + gc.zeros((1, 3))).type) == "f32[n,3]"


@pytest.mark.parametrize("least", [2**63 - 1, 2**63, 2**63 + 1, 2**63 + 2, 2**64 - 1])
def test_literals_of_64_bits_reach_the_kernel(least: int) -> None:
    """As words of a launch, 2**63 and 2**63 + 1 once stood for addresses of the runtime's own."""
    x = gc.placeholder(gc.uint64, ["n"], name="x")
    loop = gc.scan(lambda c, r: (gc.maximum(c, r), c), gc.full((), least, gc.uint64), x)[0]
    taken = gc.take(gc.maximum(x, least), gc.asarray([1]))  # checks an index: it has a status
    with gc.Session() as sess:
        got = sess.run([gc.maximum(x, least), loop, taken], {x: np.array([1, 2], np.uint64)})
    assert [a.tolist() for a in got] == [[least, least], least, [least]]


def test_every_decision_is_cited_by_a_test() -> None:
    """Numbers in the page and numbers in the tests agree."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "semantics.md").read_text(encoding="utf-8")
    decided = set(re.findall(r"^(\d+\.\d+) ", page, re.M))
    tests = "\n".join(p.read_text(encoding="utf-8") for p in root.glob("tests/**/test_*.py"))
    cited = {
        n
        for line in re.findall(r"semantics ([\d., ]+)", tests)
        for n in re.findall(r"\d+\.\d+", line)
    }
    assert cited == decided
