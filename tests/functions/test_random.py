"""Random ops: known answers of Philox, distributions, and what a draw depends on (semantics 11)."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from support.oracle import Machine, run

import graphc as gc
from graphc.errors import DTypeError, ShapeError
from graphc.ir.ops.philox import philox


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def test_known_answers_of_philox() -> None:
    """semantics 11.1; Random123's kat_vectors, philox4x32 10: the first word."""
    assert philox(0, 0, np.zeros(1, np.uint64))[0] == 0x6627E8D5
    ones = (1 << 64) - 1
    assert philox(ones, ones, np.array([ones], np.uint64))[0] == 0x408F276D


@pytest.mark.parametrize("dtype", [gc.float16, gc.bfloat16, gc.float32, gc.float64])
def test_uniform(dtype: Any) -> None:
    """semantics 11.3"""
    x = run(gc.random.uniform((100, 200), dtype=dtype))
    assert x.dtype == dtype.numpy
    wide = x.astype(np.float64)
    assert wide.min() >= 0
    assert wide.max() < 1
    assert abs(wide.mean() - 0.5) < 0.01
    assert abs(wide.var() - 1 / 12) < 0.005


def test_uniform_over_a_range() -> None:
    x = run(gc.random.uniform((5000,), -3.0, 5.0))
    assert -3 <= x.min() < -2.9
    assert 4.9 < x.max() <= 5
    low = gc.placeholder(gc.float32, ())
    y = run(gc.random.uniform((50,), low, low + 1.0), {low: 7.0})
    assert 7 <= y.min() <= y.max() <= 8


def test_normal() -> None:
    x = run(gc.random.normal((200, 200), 1.0, 2.0))
    assert abs(x.mean() - 1) < 0.05
    assert abs(x.std() - 2) < 0.05
    assert np.isfinite(x).all()
    standard = (x - 1) / 2
    assert abs((np.abs(standard) < 1).mean() - 0.6827) < 0.01
    assert run(gc.random.normal((3,), dtype=gc.float64)).dtype == np.float64


def test_bernoulli_integers_permutation() -> None:
    hit = run(gc.random.bernoulli((5000,), 0.3))
    assert hit.dtype == bool
    assert abs(hit.mean() - 0.3) < 0.03
    assert run(gc.random.bernoulli((3,), dtype=gc.float32)).dtype == np.float32
    rolls = run(gc.random.integers(1, 7, (6000,)))
    assert set(rolls) == {1, 2, 3, 4, 5, 6}
    assert abs(np.bincount(rolls)[1:] / 6000 - 1 / 6).max() < 0.02
    assert not np.array_equal(rolls[:3000], rolls[3000:])
    order = run(gc.random.permutation(50))
    assert sorted(order) == list(range(50))
    assert order.tolist() != list(range(50))
    assert sorted(run(gc.random.permutation(np.array([3, 1, 2])))) == [1, 2, 3]


def test_every_permutation_is_as_likely() -> None:
    """Each of the 24 orders of four: within four deviations of 1/24 of the draws, as is each place
    of each element."""
    machine, order = Machine(), gc.random.permutation(4)
    draws = np.array([machine.run([order], {})[0] for _ in range(1500)])
    found = Counter(map(tuple, draws.tolist()))
    assert len(found) == 24
    deviation = math.sqrt(1500 * (1 / 24) * (23 / 24))
    assert max(abs(n - 1500 / 24) for n in found.values()) < 4 * deviation
    places = np.array([(draws == k).mean(0) for k in range(4)])
    assert abs(places - 0.25).max() < 4 * math.sqrt(0.25 * 0.75 / 1500)


@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (5, 6), (0, 100)])
def test_integers_have_equal_chances(low: int, high: int) -> None:
    drawn = run(gc.random.integers(low, high, (20000,)))
    counts = np.bincount(drawn - low, minlength=high - low)
    assert drawn.min() >= low and len(counts) == high - low
    share = 1 / (high - low)
    assert abs(counts / 20000 - share).max() <= 4.5 * math.sqrt(share * (1 - share) / 20000)


def test_neighbours_of_draws_are_independent() -> None:
    for x in (run(gc.random.uniform((20000,))), run(gc.random.normal((20000,)))):
        for distance in (1, 2, 3, 4):
            assert abs(np.corrcoef(x[distance:], x[:-distance])[0, 1]) < 4.5 / math.sqrt(20000)


def test_every_run_draws_anew_and_the_same_again() -> None:
    """semantics 11.2"""
    x = gc.random.uniform((8,), name="x")
    first, second = (Machine() for _ in range(2))
    draws = [first.run([x], {})[0] for _ in range(3)]
    assert (draws[0] != draws[1]).any()
    assert (draws[1] != draws[2]).any()
    np.testing.assert_array_equal([second.run([x], {})[0] for _ in range(3)], draws)


def test_ops_do_not_share_draws() -> None:
    a, b, c = gc.random.uniform((8,)), gc.random.uniform((8,)), gc.random.uniform((8,), seed=1)
    values = Machine().run([a, b, c], {})
    assert (values[0] != values[1]).any()
    assert (values[0] != values[2]).any()


def test_a_draw_depends_on_the_name_and_seed_alone() -> None:
    def draw(before: int, seed: int | None) -> Any:
        with gc.Graph().as_default():
            for _ in range(before):
                gc.random.uniform((2,), name="other")
            return run(gc.random.uniform((4,), name="x", seed=seed))

    np.testing.assert_array_equal(draw(0, None), draw(3, None))
    assert (draw(0, None) != draw(0, 1)).any()


def test_one_draw_is_one_value() -> None:
    x = gc.random.uniform((8,))
    assert not run(x - x).any()


def test_symbolic_sizes() -> None:
    x = gc.placeholder(gc.float32, ["n", 2])
    noise = gc.random.normal(x.shape, name="noise")
    assert run(x + noise, {x: np.zeros((5, 2))}).shape == (5, 2)


def test_wrong_arguments() -> None:
    with pytest.raises(DTypeError, match=r"random\.uniform: dtype i32 is no float"):
        gc.random.uniform((2,), dtype=gc.int32)
    with pytest.raises(DTypeError, match="is no range"):
        gc.random.integers(5, 5)
    with pytest.raises(ShapeError, match=r"random\.normal: shape holds the negative size"):
        gc.random.normal((-2,))
    with pytest.raises(ShapeError, match=r"random\.permutation: x must be an int"):
        gc.random.permutation(gc.zeros(()))
