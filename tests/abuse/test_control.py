"""Control flow under abuse: typed errors, interrupts, threads, and tensors from the inside."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.run import options
from support.threads import in_threads

import graphc as gc
from graphc.errors import FeedError, GradientError, GraphcError, GraphError, ShapeError
from graphc.ir.text.graph import parse_graph

F = {"x": np.ones((4, 3), np.float32)}


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def x() -> gc.Tensor:
    return gc.placeholder(gc.float32, [None, 3], name="x")


def test_tensors_from_inside() -> None:
    """semantics 13.1"""
    found: list[gc.Tensor] = []

    def step(c: gc.Tensor, row: gc.Tensor) -> Any:
        found.append(c + 1.0)
        return c + gc.sum(row), row * 2.0

    total, rows = gc.scan(step, 0.0, x())
    with gc.Session(options=options()) as sess:
        for bad in (found[0], found[0] + total):
            with pytest.raises(FeedError, match=r"only inside a function.*as a carry or a row"):
                sess.run(bad, F)
        with pytest.raises(FeedError, match="nothing fetched depends on it"):
            sess.run(total, {found[0]: 1.0, **F})
        with pytest.raises(GradientError):
            gc.gradients(total, [found[0]])
        assert sess.run(total * 2.0, {total: 5.0}) == 10.0  # a result may be fed
        assert sess.run(rows + 1.0, {rows: np.zeros((2, 3), np.float32)}).shape == (2, 3)
        assert sess.run(total, F) == 12.0


def loops(f: Callable[[gc.Tensor], Any]) -> list[Callable[[], Any]]:
    """f inside each kind of control flow."""
    s = gc.placeholder(gc.float32, (), name="s")
    return [
        lambda: gc.scan(lambda c, r: (f(c), ()), 0.0, None, length=3),
        lambda: gc.while_loop(lambda v: v < 3.0, f, (0.0,)),
        lambda: gc.cond(s > 0.0, lambda: f(s), lambda: s),
        lambda: gc.switch(0, [lambda: f(s)]),
        lambda: gc.map_fn(lambda r: f(gc.sum(r)), gc.zeros((2, 3))),
    ]


def test_what_may_not_be_done_inside() -> None:
    """semantics 13.1"""
    w = gc.variable(1.0, name="w")
    for call in loops(lambda v: w.assign(v)):
        with pytest.raises(GraphError, match="assigned inside"):
            call()
    for call in loops(lambda v: v if v > 0.0 else -v):
        with pytest.raises(GraphError, match="no truth value"):
            call()
    for call in loops(lambda v: "text"):
        with pytest.raises(GraphcError):
            call()
    for call in loops(lambda v: 1 // 0):
        with pytest.raises(ZeroDivisionError):
            call()


WRONG: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: gc.scan(None, 0.0, x()), GraphError, "no function"),
    (lambda: gc.scan(lambda c, r: (c, ()), 0.0, None, length=-1), ShapeError, "negative size"),
    (lambda: gc.scan(lambda c, r: (c, ()), 0.0, None, length="n"), ShapeError, "must be an int"),
    (lambda: gc.scan(lambda c, r: (c, ()), 0.0, None, length=10**30), ShapeError, "too many"),
    (lambda: gc.scan(lambda c, r: (c, ()), 0.0, x(), tape_bytes=-5), GraphError, "tape_bytes"),
    (lambda: gc.while_loop(lambda v: v < 1.0, lambda v: v, (0.0,), -3), ShapeError, "negative"),
    (
        lambda: gc.while_loop(lambda v, u: v < 1.0, lambda v, u: None, (0.0, 1.0)),
        GraphError,
        "body gave None; expected 2 values",
    ),
    (lambda: gc.while_loop(lambda v: v < 1.0, lambda v: v, 0.0), GraphError, "list or tuple"),
    (lambda: gc.cond(1, lambda: 1.0, lambda: 2.0), ShapeError, "one truth value"),
    (lambda: gc.switch(0.5, [lambda: 1.0]), ShapeError, "one integer"),
    (lambda: gc.map_fn(lambda r: r, ()), GraphError, "map_fn: give xs"),
    (lambda: gc.map_fn(None, x()), GraphError, "map_fn: None is no function"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Callable[[], Any], error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_an_endless_loop(threads: int) -> None:
    """semantics 10.2"""
    n = gc.placeholder(gc.float32, (), name="n")
    (end,) = gc.while_loop(lambda v: v >= 0.0, lambda v: v + n, (n,))
    w = gc.variable(1.0, name="w")
    write = w.assign(end)
    with gc.Session(options=options(threads=threads)) as sess:
        assert sess.run(write, {n: -1.0}) == -1.0
        with pytest.raises(KeyboardInterrupt):  # one signal; without it, the run has no end
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            sess.run(write, {n: 1.0})
        assert sess.stats.runs == 1, "the run that was stopped counts as one"
        assert sess.value(w) == -1.0
        assert sess.run(write, {n: -2.0}) == -2.0


def test_threads_share_a_looping_session() -> None:
    """semantics 13.1: steps of one run never see those of another."""
    rows = x()
    start = gc.placeholder(gc.float32, (3,), name="start")
    (a, b), out = gc.scan(lambda c, r: ((c[1], c[0] + r), c[0]), (start, start * 2.0), rows)
    with gc.Session(options=options(threads=2)) as sess:

        def job(k: int) -> Callable[[], None]:
            def work() -> None:
                for n in (1, 5, 40, 2):
                    first = np.full(3, k, np.float32)
                    got = sess.run([a, b, out], {rows: np.ones((n, 3)), start: first})
                    u, v, made = first, first * 2, []
                    for _ in range(n):
                        made.append(u)
                        u, v = v, u + 1
                    for g, w in zip(got, (u, v, np.stack(made)), strict=True):
                        np.testing.assert_array_equal(g, w)

            return work

        in_threads([job(k) for k in range(4)])


def test_a_reversed_loop_that_ends_early_clears_its_other_rows() -> None:
    """semantics 13.3"""
    from graphc.ir.interpret import interpret
    from graphc.testing.compiled import run_compiled

    graph = parse_graph("""graph @f(%go: bool[], %steps: i64[], %x: f32[5]) {
  %loop = loop %steps, %go, %x {carries=1, slices=1, length=5, reverse=true, whilst=true} : (i64[], bool[], f32[5]) {
    body graph @body(%go: bool[], %x: f32[]) {
      %more = less %x, 3.0f32 : bool[]
      return %more, %x
    }
  }
  %rows = item %loop {index=2} : f32[5]
  return %rows
}""")  # noqa: E501
    for steps, wanted in ((5, [0, 0, 3, 2, 1]), (4, [0, 4, 3, 2, 0]), (0, [0] * 5)):
        data = np.array([5, 4, 3, 2, 1] if steps == 5 else [9, 4, 3, 2, 9], np.float32)
        if steps == 4:
            data, wanted = np.array([9, 4, 1, 2, 9], np.float32), [0, 4, 1, 2, 0]
        arrays = [np.asarray(True), np.asarray(steps), data]
        found = run_compiled(graph, arrays)[0]
        np.testing.assert_array_equal(found, interpret(graph, *arrays)[0])
        np.testing.assert_array_equal(found, wanted)


def test_an_operand_of_one_branch_that_another_needs_too() -> None:
    """semantics 13.2: what two branches need is computed outside."""
    s = gc.placeholder(gc.float32, (), name="s")
    b = gc.exp(s)
    a = gc.sin(b)
    y = gc.cond(s > 0.0, lambda: a + 0.0 * s, lambda: b * 1.0)
    with gc.Session(options=options()) as sess:
        for v in (0.5, -0.5):
            want = np.sin(np.exp(v)) if v > 0 else np.exp(v)
            np.testing.assert_allclose(sess.run(y, {s: v}), want, rtol=1e-6)


def test_what_is_the_same_in_all_steps_is_done_before() -> None:
    """semantics 13.4"""
    table = gc.asarray(np.arange(3, dtype=np.float32))
    rows = gc.placeholder(gc.float32, [None], name="r")
    at = gc.placeholder(gc.int64, (), name="at")
    fixed, _ = gc.scan(lambda c, r: (c + r * gc.sum(gc.take(table, at)), ()), 0.0, rows)
    own, _ = gc.scan(lambda c, r: (c + gc.take(table, at + gc.astype(r, gc.int64)), ()), 0.0, rows)
    with gc.Session(options=options()) as sess:
        assert sess.run(own, {rows: [], at: 9}) == 0.0
        for bad in (fixed, own):
            assert np.isfinite(sess.run(bad, {rows: [1.0], at: 1}))
            with pytest.raises(GraphError, match="out of range"):
                sess.run(bad, {rows: [0.0], at: 9})
        with pytest.raises(GraphError, match="9 is out of range"):
            sess.run(fixed, {rows: [], at: 9})


def test_a_condition_that_is_false_at_first_and_a_limit() -> None:
    """semantics 13.3, 13.5"""
    n = gc.placeholder(gc.int64, (), name="n")
    (end,) = gc.while_loop(lambda v: v < 100, lambda v: v + 1, (n,), 5)
    with gc.Session(options=options()) as sess:
        assert [int(sess.run(end, {n: k})) for k in (100, 99, 0)] == [100, 100, 5]


def test_what_was_left_out_has_a_strong_zero() -> None:
    """semantics 13.7"""
    s = gc.placeholder(gc.float32, (), name="s")
    rows = gc.placeholder(gc.float32, [None], name="r")
    bad = gc.sqrt(s)  # of slope inf at 0
    y = gc.cond(s > 0.0, lambda: bad * 2.0, lambda: s)
    (total,), _ = gc.scan(lambda c, r: ((c[0] + r * bad,), ()), (gc.asarray(1.0),), rows)
    (dy,), (dt,) = gc.gradients(y + 0.0 * gc.stop_gradient(bad), [s]), gc.gradients(total, [s])
    with gc.Session(options=options()) as sess:
        assert sess.run(dy, {s: 0.0}) == 1.0
        assert sess.run(dt, {s: 0.0, rows: []}) == 0.0
