"""Carries that a step updates lie in one place: what a step touches, and what must be copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.control import RNG, check_gradients, run
from support.run import options

import graphc as gc
from graphc.codegen.cpu.kernels import loops_of
from graphc.codegen.loops.text import print_loops
from graphc.compiler.compile import lower
from graphc.errors import GraphError, VerifyError
from graphc.frontend.stage import stage
from graphc.frontend.tensor import Tensor
from graphc.ir.program import (
    Kernel,
    Kind,
    Place,
    PlannedBuffer,
    Program,
    copied_updates,
    launched,
    scatters_in_place,
)
from graphc.passes.cost.kernel import program_cost
from graphc.passes.fusion.carried import Carried
from graphc.passes.memory.verify import verify_program

ROWS, WIDTH, STEPS = 173, 4, 6  # 173: a size that no other loop has
CARRY = 8 * ROWS * WIDTH
Step = Callable[[Any, Any], tuple[Any, Any]]


def put(c: Tensor, t: Tensor, row: Any) -> Tensor:
    return gc.scatter(c, t[None], row[None], axis=0)


def slid(c: Tensor, t: Tensor, row: Any) -> Tensor:
    return gc.dynamic_update_slice(c, row[None], (t, 0))


def cell(c: Tensor, t: Tensor, row: Any) -> Tensor:
    return gc.dynamic_update_slice(c, row[None, :2], (t, t % 3))


def one(update: Callable[..., Any]) -> Step:
    return lambda c, r: (update(c, *r), ())


def inner(c: Tensor, t: Tensor, row: Tensor) -> Tensor:
    return gc.scan(lambda d, e: (put(d, e, row + d[0]), gc.sum(d[1])), c, gc.arange(3) + t)[0]


def maybe(c: Tensor, t: Tensor, row: Tensor) -> Tensor:
    return gc.cond(gc.sum(row) > 0, lambda: put(c, t, row), lambda: c)


def until(c: Tensor, t: Tensor, row: Tensor) -> Tensor:
    def more(n: Tensor, d: Tensor) -> Tensor:
        return n < t

    return gc.while_loop(more, lambda n, d: (n + 1, put(d, n, row * 2.0)), (0, c))[1]


IN_PLACE: dict[str, Step] = {
    "scatter": one(put),
    "slice": one(slid),
    "part of a row": one(cell),
    "column": one(lambda c, t, row: gc.dynamic_update_slice(c, c[:, :1] * 0.5, (0, t % 4))),
    "chain": one(lambda c, t, row: slid(put(c, t, row), t + 1, row * 2.0)),
    "added": one(lambda c, t, row: gc.scatter(c, t[None], row[None], axis=0, mode="add")),
    "cond": one(maybe),
    "cond of two updates": one(
        lambda c, t, row: gc.cond(row[0] > 0, lambda: slid(c, t, row), lambda: put(c, t + 1, row))
    ),
    "cond in cond": one(lambda c, t, row: gc.cond(row[0] > 0, lambda: maybe(c, t, row), lambda: c)),
    "loop": one(inner),
    "while": one(until),
    "old row read": lambda c, r: (put(c, r[0], r[1] + c[r[0] - 1]), c[r[0]]),
    "new row read": lambda c, r: (put(c, *r), put(c, *r)[r[0]] * 2.0),
    "a row before, the cond after": lambda c, r: (maybe(c, *r), c[r[0]]),
}
COPIED: dict[str, Step] = {
    "an old and a new row in one kernel": lambda c, r: (put(c, *r), put(c, *r)[r[0]] + c[r[0]]),
    "all of the old and the new": lambda c, r: (put(c, *r), gc.sum(put(c, *r) - c)),
    "the new one stacked": lambda c, r: (put(c, *r), put(c, *r)),
    "the update is all of the carry": one(
        lambda c, t, row: gc.scatter(c, (gc.arange(ROWS) + t) % ROWS, c, axis=0, mode="add")
    ),
}


def scanned(step: Step, first: Any) -> tuple[list[Tensor], dict[str, Any]]:
    """A scan over the rows of a placeholder x, and feeds for it."""
    x = gc.placeholder(gc.float64, [None, WIDTH], name="x")
    places = gc.cumsum(gc.ones((x.shape[0],), gc.int64)) * 2
    last, rows = gc.scan(step, first, (places, x))
    carries = list(last) if isinstance(last, tuple) else [last]
    return [*carries, *([rows] if isinstance(rows, Tensor) else [])], {
        "x": RNG.normal(size=(STEPS, WIDTH))
    }


def steps_of(program: Program) -> list[Program]:
    """The programs inside, those inside them too."""
    inside = [p for k in program.kernels for p in k.programs]
    return [*inside, *(q for p in inside for q in steps_of(p))]


def touched(program: Program) -> int:
    """The most bytes that a step (without those inside it) moves, copies of carries included."""
    most = 0
    for p in steps_of(program):
        flat = replace(p, kernels=tuple(k for k in p.kernels if k.kind is not Kind.CONTROL))
        copied = sum(2 * new.type.nbytes for _, new, _ in copied_updates(p))
        most = max(most, program_cost(flat).moved + copied)
    return most


def program_of(tensors: list[Tensor]) -> Program:
    return lower(stage(tensors).graph, options()).program


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_step_touches_what_it_updates(name: str) -> None:
    """By count: the bytes that kernels and copies move, and the loops that they are."""
    with gc.Graph().as_default():
        tensors, feeds = scanned(IN_PLACE[name], gc.ones((ROWS, WIDTH), gc.float64))
        program = program_of(tensors)
        if name != "column":
            assert touched(program) < CARRY / 8
        for step in steps_of(program):
            for home, kernel in launched(step):
                loops = loops_of(kernel, scatters_in_place(home, kernel))
                whole = f"[0, {ROWS})" in print_loops(loops) if loops is not None else False
                assert not whole or name == "column", kernel.name
            assert all(
                k.kind is not Kind.SCATTER or scatters_in_place(step, k) for k in step.kernels
            )
            assert not list(copied_updates(step))
        run(tensors, feeds)
        run(tensors, {"x": np.zeros((0, WIDTH))})


@pytest.mark.parametrize("name", COPIED)
def test_what_is_read_later_is_copied(name: str) -> None:
    with gc.Graph().as_default():
        tensors, feeds = scanned(COPIED[name], gc.ones((ROWS, WIDTH), gc.float64))
        run(tensors, feeds)
        assert touched(program_of(tensors)) >= CARRY


TWO: dict[str, Step] = {
    "swapped": lambda c, r: ((put(c[1], *r), c[0]), ()),
    "both swapped": lambda c, r: ((put(c[1], *r), slid(c[0], r[0], r[1] * 2.0)), c[0][r[0]]),
    "both from one": lambda c, r: ((put(c[0], *r),) * 2, c[1][r[0]]),
    "one from the other": lambda c, r: ((put(c[0], *r), put(put(c[0], *r), r[0], r[1] * 2.0)), ()),
    "one reads the other": lambda c, r: (
        (put(c[0], *r), put(c[1], r[0], c[0][r[0]] + r[1])),
        gc.sum(c[1]),
    ),
    "each reads the other": lambda c, r: (
        (put(c[0], r[0], c[1][r[0]] + 1.0), put(c[1], r[0], c[0][r[0]] + r[1])),
        (),
    ),
    "the old one stacked": lambda c, r: ((put(c[0], *r), c[1]), c[0]),
    "one kept": lambda c, r: ((c[0], put(c[0], *r)), ()),
}


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("same", [True, False])
def test_two_carries(name: str, same: bool) -> None:
    """Also where both begin as one value, which the run must not lose."""
    with gc.Graph().as_default():
        start = gc.exp(gc.placeholder(gc.float64, [None, WIDTH], name="start"))
        other = start if same else start * 2.0
        tensors, feeds = scanned(TWO[name], (start, other))
        run([*tensors, start], feeds | {"start": RNG.normal(size=(20, WIDTH))})


@pytest.mark.parametrize("name", IN_PLACE)
def test_symbolic_sizes_and_gradients(name: str) -> None:
    with gc.Graph().as_default():
        start = gc.placeholder(gc.float64, [None, WIDTH], name="start")
        tensors, feeds = scanned(IN_PLACE[name], start)
        feeds["start"] = RNG.normal(size=(17, WIDTH))
        run(tensors, feeds)
        x = start.graph.by_name["x"]
        if name != "while":  # (has no gradient)
            loss = sum(gc.sum(t * t) for t in tensors)
            check_gradients(loss, [x, start], feeds)


def test_feeds_and_variables_are_not_overwritten() -> None:
    with gc.Graph().as_default():
        start = gc.placeholder(gc.float64, [20, WIDTH], name="start")
        w = gc.variable(gc.ones((20, WIDTH), gc.float64), name="w")
        (a, b), feeds = scanned(lambda c, r: ((put(c[0], *r), put(c[1], *r)), ()), (start, w))
        array = RNG.normal(size=(20, WIDTH))
        kept = array.copy()
        with gc.Session() as session:
            for _ in range(2):
                found = session.run([a, b, w], {"start": array, **feeds})
                np.testing.assert_array_equal(array, kept)
                np.testing.assert_array_equal(found[2], 1.0)
                np.testing.assert_array_equal(found[0][2::2][:STEPS], feeds["x"])
                np.testing.assert_array_equal(found[1][2::2][:STEPS], feeds["x"])


def test_a_run_that_fails_half_way_changes_nothing() -> None:
    with gc.Graph().as_default():
        at = gc.placeholder(gc.int64, [None], name="at")
        w = gc.variable(gc.zeros((5,), gc.float64), name="w")
        last, _ = gc.scan(lambda c, t: (gc.scatter(c, t[None], [1.0]), ()), w, at)
        train = gc.group(w.assign(last))
        with gc.Session() as session:
            with pytest.raises(GraphError, match="out of range"):
                session.run(train, {at: np.array([0, 1, 7, 2])})
            np.testing.assert_array_equal(session.run(w), np.zeros(5))
            session.run(train, {at: np.array([3])})
            np.testing.assert_array_equal(session.run(w), [0, 0, 0, 1, 0])


def test_a_variable_is_updated_where_it_lies() -> None:
    """Outside of loops, too: the index of a slice is checked before, so the update can commit."""
    with gc.Graph().as_default():
        w = gc.variable(gc.zeros((ROWS, WIDTH), gc.float64), name="w")
        t = gc.placeholder(gc.int64, [], name="t")
        row = gc.placeholder(gc.float64, [2, WIDTH], name="row")
        new = w.assign(gc.dynamic_update_slice(w, row, (t, 0)))
        program = lower(stage([], (), [new]).graph, options()).program
        assert any(scatters_in_place(program, k) for k in program.kernels)
        with gc.Session() as session:
            session.run(gc.group(new), {t: 3, row: np.ones((2, WIDTH))})
            with pytest.raises(GraphError, match="out of range"):
                session.run(gc.group(new), {t: ROWS - 1, row: np.ones((2, WIDTH))})
            assert session.run(w).sum() == 2 * WIDTH


# ---- the verifier refuses a wrong place


def outer(step: Step, first: Any) -> tuple[Program, Kernel]:
    program = program_of(scanned(step, first)[0])
    return program, next(k for k in program.kernels if k.kind is Kind.CONTROL)


def refused(program: Program, match: str) -> None:
    with pytest.raises(VerifyError, match=match):
        verify_program(program)


def test_readers_of_what_is_overwritten_are_refused() -> None:
    with gc.Graph().as_default():
        zeros = gc.zeros((ROWS, WIDTH), gc.float64)
        _, loop = outer(lambda c, r: (put(c, *r), gc.sum(c)), zeros)
        (step,) = loop.programs
        verify_program(step)
        late = replace(step, kernels=step.kernels[::-1])
        refused(late, "which kernel 0 has overwritten")
        refused(replace(step, step=False), "without being a commit")
        commits = tuple(replace(k, commits=True) for k in step.kernels)
        refused(replace(step, kernels=commits), "a step of a loop commits nothing")


def test_places_of_other_carries_are_refused() -> None:
    with gc.Graph().as_default():
        zeros = gc.zeros((ROWS, WIDTH), gc.float64)
        _, loop = outer(lambda c, r: ((put(c[1], *r), slid(c[0], *r)), ()), (zeros, zeros))
        (step,) = loop.programs
        for (_, new), (other, _) in zip(step.graph.updates, step.graph.updates[::-1], strict=True):
            wrong = PlannedBuffer(Place.VARIABLE, new.type.nbytes, other)
            refused(replace(step, buffers=step.buffers | {new: wrong}), "does not take it")


def test_one_place_for_two_is_refused() -> None:
    with gc.Graph().as_default():
        zeros = gc.zeros((ROWS, WIDTH), gc.float64)
        _, loop = outer(one(lambda c, t, row: put(put(c, t, row), t + 1, row)), zeros)
        (step,) = loop.programs
        ((old, new),) = step.graph.updates
        wrong = PlannedBuffer(Place.VARIABLE, new.type.nbytes, old)
        refused(replace(step, buffers=step.buffers | {new: wrong}), "two values take one place")
        itself = PlannedBuffer(Place.VARIABLE, new.type.nbytes, new)
        refused(replace(step, buffers=step.buffers | {new: itself}), "does not take it")


def test_a_carry_that_is_read_besides_does_not_take_its_operands_place() -> None:
    """A loop that reads the first carry as a constant, too, needs a copy."""
    with gc.Graph().as_default():
        step = one(
            lambda c, t, row: gc.scan(lambda d, e: (put(d, e, c[e]), ()), c * 1.0, t[None])[0]
        )
        tensors, feeds = scanned(step, gc.ones((ROWS, WIDTH), gc.float64))
        run(tensors, feeds)


def test_what_branches_carry_is_found_once_however_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each program of the nest asks about the switches in it, so about 8 + 7 + ... + 1 of them."""
    depth, asked = 8, 0
    real = Carried._found

    def counted(self: Carried, v: Any) -> Any:
        nonlocal asked
        asked += 1
        return real(self, v)

    def nest(level: int, a: Any, b: Any, c: Any) -> Any:
        if not level:
            return gc.scatter(a, [0], b[:1], axis=0), b, c * 2.0
        deeper, as_is = (lambda: nest(level - 1, a, b, c)), (lambda: (a, b, c))
        return gc.cond(gc.sum(a) > level, deeper, as_is)

    with gc.Graph().as_default():
        given = [gc.placeholder(gc.float32, [3]) for _ in range(3)]
        staged = stage(list(nest(depth, *given)))
    monkeypatch.setattr(Carried, "_found", counted)
    lower(staged.graph, options())
    assert depth <= asked <= depth * (depth + 1)
