"""What becomes one kernel, and where its results lie: promises of the README, by counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.compile import Compiled, lower
from graphc.config import Options
from graphc.frontend.stage import stage
from graphc.ir.arena import layout
from graphc.ir.program import Kind, Place

F = gc.nn.functional


def compiled(build: Callable[[], Any]) -> Compiled:
    """The program of what `build` returns: tensors to fetch, or (tensors, effects)."""
    with gc.Graph().as_default():
        made = build()
    fetches, effects = made if isinstance(made, tuple) else (made, [])
    return lower(stage(fetches, (), effects).graph, Options())


def matrix(name: str, columns: int = 64) -> gc.Tensor:
    return gc.placeholder(gc.float32, ["n", columns], name=name)


def softmax_xent() -> list[Any]:
    x, y = matrix("x"), gc.placeholder(gc.int32, ["n"], name="y")
    loss = F.cross_entropy(x, y)
    return [loss, *gc.gradients(loss, [x])]


def layer_norm() -> list[Any]:
    x, dy = matrix("x"), matrix("dy")
    g, b = (gc.placeholder(gc.float32, [64], name=n) for n in ("g", "b"))
    y = F.layer_norm(x, (64,), g, b)
    return [y, *gc.gradients(y, [x, g, b], dy)]


def chain() -> list[Any]:
    x, y = matrix("x"), matrix("y")
    e = gc.tanh(x * y + x) * F.sigmoid(y)
    i = gc.where(x > y, gc.exp(e) - y, e)
    return [i / (i * i + 1)]


def views() -> list[Any]:
    x = matrix("x")
    moved = gc.flip(gc.pad(x, ((1, 2), (0, 0))), axis=1)
    return [gc.exp(gc.concat([moved, moved * 2.0], axis=1).T)]


@pytest.mark.parametrize(
    ("build", "most"), [(softmax_xent, 3), (layer_norm, 2), (chain, 1), (views, 1)]
)
def test_kernel_counts(build: Callable[[], Any], most: int) -> None:
    assert len(compiled(build).program.kernels) <= most


def test_bias_and_activation_run_with_the_product() -> None:
    def build() -> list[Any]:
        w = gc.variable(gc.zeros((64, 32)), name="w")
        b = gc.variable(gc.zeros((32,)), name="b")
        return [F.relu(matrix("x") @ w + b)]

    (kernel,) = compiled(build).program.kernels
    assert kernel.kind is Kind.MATMUL
    assert [v.op.name for v in kernel.body] == ["matmul", "add", "relu"]


def test_equal_updates_share_one_source() -> None:
    def build() -> Any:
        sizes = (40, 50, 60)
        return [], [gc.variable(gc.zeros((n,)), name="w").assign_add(1.0) for n in sizes]

    made = compiled(build)
    assert len(made.program.kernels) == 3
    assert len({s.text for s in made.sources.values()}) == 1
    assert all(k.commits for k in made.program.kernels)
    places = [made.program.buffers[k.writes[0]].place for k in made.program.kernels]
    assert places == [Place.VARIABLE] * 3


def test_a_dying_operand_gives_its_place() -> None:
    def build() -> list[Any]:
        x = gc.placeholder(gc.float32, ["n", "n"], name="x")
        return [gc.tanh(F.softmax(x @ x) @ x) @ x]

    program = compiled(build).program
    places = layout(program, {"n": 64})
    assert places.arena < places.naive


def test_the_arena_is_what_the_plan_says() -> None:
    with gc.Graph().as_default():
        x = matrix("x")
        y = gc.sum(F.softmax(x @ gc.variable(gc.zeros((64, 64)), name="w")) @ x.T)
        with gc.Session() as session:
            for n in (0, 1, 7, 100):
                session.run(y, {x: np.zeros((n, 64), np.float32)})
                stats = session.stats
                assert stats.arena_planned == stats.arena_allocated > 0
