"""Sizes: arithmetic agrees with integers, equal sizes compare equal, text round-trips."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import graphc as gc
from graphc.ir import dim
from graphc.ir.dim import Dim, Size, symbol

NAMES = ("n", "m", "k")
values = st.fixed_dictionaries({name: st.integers(0, 12) for name in NAMES})


def leaves() -> st.SearchStrategy[Size]:
    return st.one_of(st.integers(-6, 6), st.sampled_from([symbol(n) for n in NAMES]))


def combine(children: st.SearchStrategy[Size]) -> st.SearchStrategy[Size]:
    pair = st.tuples(children, children)
    positive = st.tuples(children, st.integers(1, 7))
    return st.one_of(
        pair.map(lambda p: p[0] + p[1]),
        pair.map(lambda p: p[0] - p[1]),
        pair.map(lambda p: p[0] * p[1]),
        children.map(lambda a: -a),
        positive.map(lambda p: dim.floordiv(*p)),
        positive.map(lambda p: dim.modulo(*p)),
        pair.map(lambda p: dim.maximum(*p)),
        pair.map(lambda p: dim.minimum(*p)),
    )


sizes = st.recursive(leaves(), combine, max_leaves=8)


@given(sizes, sizes, values)
@settings(max_examples=300, deadline=None)
def test_arithmetic_is_that_of_integers(a: Size, b: Size, at: dict[str, int]) -> None:
    x, y = dim.evaluate(a, at), dim.evaluate(b, at)
    assert dim.evaluate(a + b, at) == x + y
    assert dim.evaluate(a - b, at) == x - y
    assert dim.evaluate(a * b, at) == x * y
    assert dim.evaluate(dim.maximum(a, b), at) == max(x, y)
    assert dim.evaluate(dim.minimum(a, b), at) == min(x, y)
    if y > 0:
        assert dim.evaluate(dim.floordiv(a, b), at) == x // y
        assert dim.evaluate(dim.modulo(a, b), at) == x % y


@given(sizes)
@settings(max_examples=300, deadline=None)
def test_what_is_printed_parses_back(a: Size) -> None:
    assert dim.parse(str(a)) == a
    assert str(dim.parse(str(a))) == str(a)


@given(sizes, values)
@settings(max_examples=200, deadline=None)
def test_text_means_what_python_reads(a: Size, at: dict[str, int]) -> None:
    """Kernels are printed with sizes as text, so Python must read it so."""
    assert eval(str(a), {"min": min, "max": max}, dict(at)) == dim.evaluate(a, at)


@given(sizes, sizes, values)
@settings(max_examples=200, deadline=None)
def test_equal_sizes_are_equal_everywhere(a: Size, b: Size, at: dict[str, int]) -> None:
    if a == b:
        assert hash(a) == hash(b)
        assert dim.evaluate(a, at) == dim.evaluate(b, at)
    if dim.differ(a, b):
        assert dim.evaluate(a, at) != dim.evaluate(b, at)


@given(sizes, sizes, sizes)
@settings(max_examples=200, deadline=None)
def test_ring_laws_hold_by_comparison(a: Size, b: Size, c: Size) -> None:
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert a * (b + c) == a * b + a * c
    assert a - a == 0
    assert -(-a) == a


@given(sizes, sizes, values)
@settings(max_examples=200, deadline=None)
def test_substitution_is_evaluation_in_steps(a: Size, b: Size, at: dict[str, int]) -> None:
    inner = dim.evaluate(b, at)
    put = dim.substitute(a, {"n": b})
    assert dim.evaluate(put, at) == dim.evaluate(a, {**at, "n": inner})


@given(sizes, sizes, values)
@settings(max_examples=200, deadline=None)
def test_division_with_rest(a: Size, b: Size, at: dict[str, int]) -> None:
    if b != 0:
        quotient, rest = dim.divide(a, b)
        assert dim.evaluate(quotient * b + rest, at) == dim.evaluate(a, at)


@given(sizes, values)
@settings(max_examples=200, deadline=None)
def test_coefficients_of_linear_sizes(a: Size, at: dict[str, int]) -> None:
    steps = [dim.evaluate(a, {**at, "n": at["n"] + k}) - dim.evaluate(a, at) for k in (1, 2, 5)]
    if dim.is_linear(a, {"n"}):
        step = dim.evaluate(dim.coefficient(a, "n"), at)
        assert steps == [step, 2 * step, 5 * step]


LINEAR = (  # a size, whether it is linear in n, the factor of n
    ("7", True, "0"),
    ("n", True, "1"),
    ("3*n+5", True, "3"),
    ("2*m-n", True, "-1"),
    ("m*n+n+1", True, "m+1"),
    ("(m//2)*n", True, "m//2"),
    ("min(m, 3)*n", True, "min(m, 3)"),
    ("n*n", False, ""),
    ("m*n*n+n", False, ""),
    ("n//2", False, ""),
    ("n+n%3", False, ""),
    ("max(n, 2)", False, ""),
    ("m*min(n, m)", False, ""),
    ("(n+m)//2+n", False, ""),
)


@pytest.mark.parametrize(("text", "linear", "factor"), LINEAR)
def test_which_sizes_are_linear(text: str, linear: bool, factor: str) -> None:
    size = dim.parse(text)
    assert dim.is_linear(size, {"n"}) is linear
    if linear:
        assert dim.coefficient(size, "n") == dim.parse(factor)


def test_examples() -> None:
    n, m = symbol("n"), symbol("m")
    assert (n + 1) * 2 - 2 == 2 * n
    assert (4 * n) // 2 == 2 * n
    assert (n * m) // n == m
    assert str(2 * n + 1) == "2*n+1"
    assert n - n == 0 and isinstance(n - n, int)
    assert (6 * n + 3) // 3 == 2 * n + 1
    assert (n + 1) % 1 == 0
    assert dim.product((2, n, 3)) == 6 * n
    assert dim.symbols(n // 2 + m) == {"n", "m"}


def test_a_negated_quotient_keeps_its_meaning() -> None:
    """-n//2 is (-n)//2 to Python: kernels read beyond their arrays (found by the fuzzer)."""
    n = symbol("n")
    for size in (-(n // 2), -(n % 3), 3 * n - (n // 2), -(n // 2) + 5):
        assert eval(str(size), {"n": 5}) == dim.evaluate(size, {"n": 5})
        assert dim.parse(str(size)) == size


def test_unknown_symbols_are_named() -> None:
    with pytest.raises(KeyError, match="m"):
        dim.evaluate(symbol("n") + symbol("m"), {"n": 1})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "n +",
        "n.x",
        "f(n)",
        "n / 2",
        "n ** 2",
        "'n'",
        "1.5",
        "True",
        "n // 0",
        "1if n",
        "2n",
        "0x1f",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        dim.parse(text)


def test_a_size_is_immutable_enough_to_be_a_key() -> None:
    n = symbol("n")
    assert {n + 1: "a"}[symbol("n") + 1] == "a"
    assert isinstance(n + 1, Dim)


# ---- what is computed, printed (kernels evaluate the text) and parsed is one

GIVEN = ({"n": 1, "m": 4}, {"n": 5, "m": 3}, {"n": 8, "m": 0}, {"n": 33, "m": 7})


def random_size(rng: random.Random, depth: int) -> Size:
    if depth == 0:
        return rng.choice([symbol("n"), symbol("m"), rng.randint(-5, 5), 1, 2])
    a, b = random_size(rng, depth - 1), random_size(rng, depth - 1)
    divisor: Size = rng.choice([1, 2, 3, 7, symbol("n")])
    return rng.choice(
        [a + b, a - b, a * b, a // divisor, a % divisor, dim.minimum(a, b), dim.maximum(a, b)]
    )


def test_text_means_what_the_size_means() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        size = random_size(rng, rng.randint(1, 4))
        for values in GIVEN:
            wanted = dim.evaluate(size, values)
            assert eval(str(size), {}, dict(values)) == wanted, size
            assert dim.evaluate(dim.parse(str(size)), values) == wanted, size


def test_a_negative_quotient_is_not_the_quotient_of_a_negative() -> None:
    n = symbol("n")
    assert str(n - 1 - n // 2) != "-n//2+n-1"
    assert eval(str(0 - n // 2), {"n": 5}) == -2 == dim.evaluate(0 - n // 2, {"n": 5})
    assert eval(str(0 - n % 3), {"n": 5}) == -2


# ---- the normal form of what min and max are of


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (lambda x: x[1:], "n-min(20, n)"),
        (lambda x: x[:-1], "n-min(20, n)"),
        (lambda x: x[1:-1], "n-min(40, n)"),
        (lambda x: x[::-1][1:], "n-min(20, n)"),
        (lambda x: x[::2], "(n+1048575)//1048576"),
        (lambda x: x[::2][1:], None),
        (lambda x: x[1:5][::2], None),
    ],
)
def test_a_slice_of_a_slice_is_a_slice(cut: Any, expected: str | None) -> None:
    """Twenty of them are a size that is no longer than that of one."""
    for start in (lambda x: x, lambda x: x[1:], lambda x: x[2:40]):
        with gc.Graph().as_default():
            x = start(gc.placeholder(gc.float32, ["n"]))
            plain = start(np.arange(50))
            for _ in range(20):
                x, plain = cut(x), cut(plain)
            (size,) = x.shape
            assert len(str(size)) < 100
            assert dim.evaluate(size, {"n": 50}) == len(plain)
            if expected and start(np.arange(9)).size == 9:
                assert size == dim.parse(expected)


def test_what_a_slice_leaves_and_takes_is_the_whole() -> None:
    n = symbol("n")
    for k in (1, 3):
        left = n - dim.minimum(k, n)
        assert left == dim.maximum(n - k, 0)
        assert dim.minimum(k, n) + left == n
    assert dim.maximum(n, 0) == n and dim.minimum(2 * n + 1, 0) == 0
    assert dim.maximum(dim.symbol("i."), 0) != dim.symbol("i.")  # may begin below 0
