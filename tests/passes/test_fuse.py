"""How many kernels graphs become: views and literals cost none, rows stay in cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import graphc as gc
from graphc.compiler.compile import Compiled, lower
from graphc.config import Options
from graphc.frontend.stage import stage
from graphc.ir.program import Kind
from graphc.ir.text.graph import parse_graph
from graphc.nn import functional


def compiled(fetches: list[Any]) -> Compiled:
    flat = [t for f in fetches for t in (f.tensors if isinstance(f, gc.Group) else [f])]
    return lower(stage(flat).graph, Options(threads=1))


def kernels(fetches: list[Any]) -> int:
    return len(compiled(fetches).program.kernels)


@pytest.fixture(autouse=True)
def own_graph() -> Any:
    with gc.Graph().as_default():
        yield


def table(*shape: Any, name: str = "x") -> Any:
    return gc.placeholder(gc.float32, shape, name=name)


def test_a_chain_of_maps_is_one_kernel() -> None:
    x = table("n", 100)
    y = x
    for step in (gc.exp, gc.tanh, gc.abs, gc.sqrt, gc.negative, gc.sin) * 2:
        y = step(y + 1.0)
    assert kernels([y]) == 1


def test_maps_with_several_results_are_one_kernel() -> None:
    x, y = table("n", 7), table("n", 7, name="y")
    assert kernels([x + y, gc.exp(x) * y, x - 1.0]) == 1


VIEWS: dict[str, Callable[[Any], Any]] = {
    "transpose": lambda x: gc.transpose(x),
    "slice": lambda x: x[2:9, ::2],
    "reverse": lambda x: x[::-1, ::-1],
    "pad": lambda x: gc.pad(x, ((1, 2), (0, 3))),
    "concat": lambda x: gc.concat([x, x * 2.0, x], axis=1),
    "broadcast": lambda x: gc.broadcast_to(x, (3, 12, 12)) - table(3, 12, 12, name="z"),
    "reshape": lambda x: gc.reshape(x, (6, 24)),
    "expand": lambda x: gc.expand_dims(x, 1),
    "stack": lambda x: gc.stack([x, x + 1.0]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_cost_no_kernel(name: str) -> None:
    x = table(12, 12)
    assert kernels([gc.exp(VIEWS[name](gc.sin(x))) + 1.0]) <= 2  # sin may be kept, exp reads it
    assert kernels([gc.exp(VIEWS[name](x)) + 1.0]) == 1


def test_a_view_that_is_fetched_is_one_copy() -> None:
    x = table(12, 8)
    assert kernels([gc.transpose(x)]) == 1
    assert kernels([gc.reshape(x, (96,))]) == 0


@pytest.mark.parametrize("rows", ["n", 64])
def test_softmax_and_its_kin_are_one_kernel(rows: Any) -> None:
    x = table(rows, 50)
    assert kernels([functional.softmax(x, -1)]) == 1
    assert kernels([functional.log_softmax(x, -1)]) == 1
    assert kernels([gc.var(x, axis=1)]) == 1


def test_cross_entropy_and_its_gradient() -> None:
    x = table("n", 10)
    labels = gc.placeholder(gc.int64, ["n"], name="labels")
    loss = functional.cross_entropy(x, labels, ignore_index=None)
    assert kernels([loss, *gc.gradients(loss, [x])]) <= 2
    loss = functional.cross_entropy(x, labels)  # first counts the labels that are not ignored
    assert kernels([loss, *gc.gradients(loss, [x])]) <= 3


def test_layer_norm_forward_and_backward() -> None:
    x, ct = table("n", 256), table("n", 256, name="ct")
    gain, bias = table(256, name="gain"), table(256, name="bias")
    y = functional.layer_norm(x, (256,), gain, bias)
    assert kernels([y]) == 1
    assert kernels([y, *gc.gradients(y, [x, gain, bias], ct)]) <= 2


def test_a_step_of_a_network() -> None:
    """Five products, with maps and updates in few kernels beside them."""
    x = table("n", 784)
    labels = gc.placeholder(gc.int64, ["n"], name="labels")
    w1, b1 = gc.variable(gc.zeros((784, 128)), name="w1"), gc.variable(gc.zeros((128,)), name="b1")
    w2, b2 = gc.variable(gc.zeros((128, 10)), name="w2"), gc.variable(gc.zeros((10,)), name="b2")
    hidden = functional.relu(x @ w1 + b1)
    loss = functional.cross_entropy(hidden @ w2 + b2, labels)
    step = gc.optim.SGD(0.1).minimize(loss)
    made = compiled([loss, step]).program.kernels
    products = [k for k in made if k.kind is Kind.MATMUL]
    assert len(products) == 5
    assert len(made) - len(products) <= 8


def test_updates_of_an_optimizer_commit_last() -> None:
    w = gc.variable(gc.zeros((30, 4)), name="w")
    x = table("n", 30)
    loss = gc.sum(gc.square(x @ w))
    made = compiled([loss, gc.optim.Adam(0.01).minimize(loss)]).program.kernels
    flags = [k.commits for k in made]
    assert flags == sorted(flags)
    assert any(flags)


GRAPHS = {
    "a product's bias and activation": (
        """graph @f(%x: f32[n,8], %w: f32[8,5], %b: f32[5]) {
  %y = matmul %x, %w : f32[n,5]
  %c = broadcast %b {axes=[1]} : f32[n,5]
  %z = add %y, %c : f32[n,5]
  %r = maximum %z, 0.0f32 : f32[n,5]
  return %r
}""",
        1,
    ),
    "a product read across itself": (
        """graph @f(%x: f32[8,8]) {
  %y = matmul %x, %x : f32[8,8]
  %t = transpose %y {axes=[1, 0]} : f32[8,8]
  %z = add %y, %t : f32[8,8]
  return %z
}""",
        2,
    ),
    "a row sum read along the wrong axis": (
        """graph @f(%x: f32[n,n]) {
  %s = reduce_sum %x {axes=[1]} : f32[n]
  %b = broadcast %s {axes=[1]} : f32[n,n]
  %y = subtract %x, %b : f32[n,n]
  return %y
}""",
        2,
    ),
    "a row sum read along its rows": (
        """graph @f(%x: f32[n,n]) {
  %s = reduce_sum %x {axes=[1]} : f32[n]
  %b = broadcast %s {axes=[0]} : f32[n,n]
  %y = subtract %x, %b : f32[n,n]
  return %y
}""",
        1,
    ),
    "two maps with a product between": (
        """graph @f(%x: f32[8,8], %w: f32[8,8]) {
  %a = multiply %x, %w : f32[8,8]
  %b = matmul %a, %w : f32[8,8]
  %c = add %a, %b : f32[8,8]
  return %a, %c
}""",
        2,
    ),
    "two results of one kind that share what they read": (
        """graph @f(%x: f32[n,6]) {
  %m = reduce_max %x {axes=[1]} : f32[n]
  %s = reduce_sum %x {axes=[1]} : f32[n]
  return %m, %s
}""",
        1,
    ),
    "nothing but inputs": (
        """graph @f(%x: f32[n,6], var %w: f32[2]) {
  return %x, %w
}""",
        0,
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_kernels_of(name: str) -> None:
    text, wanted = GRAPHS[name]
    assert len(lower(parse_graph(text), Options(threads=1)).program.kernels) == wanted


def test_no_program_is_larger_than_its_graph() -> None:
    from graphc.testing.random_graphs import random_graph

    for seed in range(100):
        made = lower(random_graph(seed), Options(threads=1))
        assert len(made.program.kernels) <= len(made.optimised.nodes())
