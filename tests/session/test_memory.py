"""Runs that find no memory, sizes that no machine has: typed errors, and the session goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.run import options

import graphc as gc
from graphc.errors import GraphcError, OutOfMemoryError, ShapeError
from graphc.runtime.cpu.executable import Arena

F32 = np.float32


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


class Exhausted:
    """NumPy whose `empty` finds no memory at the `k`-th call."""

    def __init__(self, k: int) -> None:
        self.left = k

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise MemoryError
        return np.empty(*args, **kwargs)


MODULES = [
    "graphc.runtime.cpu.executable",
    "graphc.runtime.cpu.result_pool",
    "graphc.session.host_engine",
]


def failing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> Iterator[None]:
    """Calls `act` until it succeeds, with the first, second, ... allocation failing; yields after
    each failure."""
    for k in itertools.count(1):
        with monkeypatch.context() as patch:
            for module in MODULES:
                patch.setattr(f"{module}.np", exhausted := Exhausted(k))
            try:
                act()
            except OutOfMemoryError as error:
                assert "not enough memory" in str(error) and error.location is not None
            else:
                assert exhausted.left > 0
                return
        yield


@pytest.mark.parametrize("n", [100, 200_000], ids=["small", "pooled"])
def test_the_kth_allocation_of_a_run_fails(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    v = gc.variable(np.zeros(2, F32), name="v")
    noise = gc.random.uniform((3,))
    total = gc.sum(gc.exp(gc.flip(x)) - gc.flip(gc.exp(x)), axis=0)
    twice = x * 2.0
    step = v.assign(v + gc.sum(x) + total)
    fetches = [twice, twice, v, step, v * 0.0 + 1.0, gc.zeros((4,)), noise]
    with gc.Session(options=options()) as fresh:
        wanted = fresh.run(noise)
    fed = np.ones(n, F32)
    failures = 0
    with gc.Session(options=options()) as sess:
        for _ in failing(monkeypatch, lambda: sess.run(fetches, {x: fed})):
            failures += 1
            assert sess.value(v).tolist() == [0, 0] and sess.stats.runs == 0
            assert sess._runners and not sess.closed
        assert failures >= 4 and sess.stats.runs == 1 and sess.value(v).tolist() == [n, n]
        with gc.Session(options=options()) as other:  # and then with all that it needs
            found = other.run(fetches, {x: fed})
    np.testing.assert_array_equal(found[-1], wanted)


def test_a_failure_of_the_arena_leaves_other_plans_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gc.placeholder(gc.float32, [None], name="x")
    y = gc.sum(gc.flip(gc.exp(x)) * gc.exp(x)) + gc.sum(x @ x)
    with gc.Session(options=options()) as sess:
        small, large = np.zeros(10, F32), np.zeros(1000, F32)
        assert sess.run(y, {x: small}) == 10
        for _ in failing(monkeypatch, lambda: sess.run(y, {x: large})):
            assert sess.run(y, {x: small}) == 10
        assert sess.run(y, {x: large}) == 1000


def test_an_arena_that_cannot_grow_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for k in (1, 2):
        arena = Arena()
        arena.reserve(1000)
        with monkeypatch.context() as patch:
            patch.setattr("graphc.runtime.cpu.executable.np", Exhausted(k))
            with pytest.raises(MemoryError):
                arena.reserve(5000)
        assert arena.array.nbytes >= arena.nbytes and arena.nbytes in (0, 1000)
        arena.reserve(5000)
        assert arena.nbytes == 5000


def test_a_draw_after_a_failed_run_is_the_one_it_would_have_been() -> None:
    i = gc.placeholder(gc.int64, [None], name="i")
    noise = gc.random.uniform((3,))
    fetches = [noise, gc.take(gc.zeros((4,)) + noise[0], i)]
    with gc.Session(options=options()) as sess:
        wanted = [sess.run(fetches, {i: [0]})[0] for _ in range(3)]
    with gc.Session(options=options()) as sess:
        for draw in wanted:
            with pytest.raises(GraphcError, match="out of range"):
                sess.run(fetches, {i: [4]})
            with pytest.raises(GraphcError):
                sess.run(fetches, {i: [[0]]})
            np.testing.assert_array_equal(sess.run(fetches, {i: [0]})[0], draw)


HUGE = (2**31, 2**31, 4)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: gc.ones(HUGE),
        lambda x: gc.sum(gc.ones(HUGE), axis=0)[0, 0],
        lambda x: gc.sum(gc.pad(x, 2**62)),
        lambda x: gc.pad(x, 2**61) * 2.0,
        lambda x: gc.variable(gc.ones(HUGE)),
        lambda x: gc.variable(gc.random.normal((2**40, 2**40))),
        lambda x: gc.arange(2**62),
        lambda x: gc.random.uniform(HUGE),
        lambda x: gc.py_func(lambda a: a, [gc.zeros(HUGE)], gc.float32[HUGE]),
    ],
)
def test_sizes_beyond_64_bits(make: Any) -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    y = make(x)
    with gc.Session(options=options()) as sess:
        needed = {x: np.ones(2, F32)}
        for _ in range(2):
            with pytest.raises(ShapeError, match="bytes; one tensor may have 9223372036854775807"):
                sess.run([y, gc.sum(x)], needed)
        assert sess.run(x * 2.0, needed).tolist() == [2, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: gc.sum(gc.broadcast_to(x[:2], (2**62, 2))),
        lambda x: gc.max(gc.broadcast_to(x[0], (x.shape[0] * 2**61, 2))),
        lambda x: gc.sum(gc.exp(gc.broadcast_to(x[0], (2**32, 2**31)) * 2.0), axis=0)[:2],
    ],
)
def test_loops_that_64_bits_cannot_count(make: Any) -> None:
    """No memory is needed for a tensor of such a size, which is fused; the loops would not end."""
    x = gc.placeholder(gc.float32, ["n"], name="x")
    y = make(x)
    with gc.Session(options=options()) as sess:
        for _ in range(2):
            with pytest.raises(ShapeError, match="bytes; one tensor may have 9223372036854775807"):
                sess.run(y, {x: np.ones(4, F32)})
        assert sess.run(x * 2.0, {x: np.ones(2, F32)}).tolist() == [2, 2]


def test_more_than_the_machine_has() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    with gc.Session(options=options()) as sess:
        for y in (gc.ones((2**45,)), gc.variable(gc.ones((2**45,))), gc.pad(x, 2**45)):
            with pytest.raises(OutOfMemoryError, match="not enough memory: Unable to allocate"):
                sess.run([y, gc.sum(x)], {x: np.ones(2, F32)})
        assert sess.run(x * 2.0, {x: [1.0]}) == 2
    with pytest.raises(MemoryError):
        raise OutOfMemoryError("it is a MemoryError, too")
