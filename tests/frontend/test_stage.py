"""The key of a staged graph: equal for equal graphs, another for each part of what runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphError, Location
from graphc.frontend.fetches import key_of
from graphc.frontend.stage import Staged, stage
from graphc.ir.graph import Graph, Value, make
from graphc.ir.ops.pointwise import Add, Multiply
from graphc.ir.ops.py_func import PyFunc, PythonFunction
from graphc.ir.ops.shape import Constant, Data
from graphc.ir.ops.state import Placeholder, Variable
from graphc.ir.requirement import at_least
from graphc.ir.text.graph import print_graph
from graphc.ir.types import f32


def pinned(device: str) -> Location:
    return dataclasses.replace(Location("model.py", 1), device=device)


def same(a: Any) -> Any:
    return a


class Parts:
    """A graph of two inputs, a constant and a Python function; a subclass changes one part."""

    function: Callable[[Any], Any] = staticmethod(same)
    input_device, device, data, needs = "", "", (1.0, 2.0), 1
    outputs, updated, swapped, op = 1, True, False, Add()

    def key(self) -> Any:
        return Staged(self.graph(), ()).key

    def graph(self) -> Graph:
        at = pinned(self.input_device)
        x = Value(Placeholder(f32, (2,)), (), f32[2], "x", at)
        w = make(Variable(f32, (2,)), (), "w")
        c = make(Constant(Data(np.array(self.data, np.float32)), f32, (2,)), ())
        called = PythonFunction(self.function, "f", False, None)
        y = make(PyFunc(called, f32, (2,)), (x,), "y")
        args = (c, y) if self.swapped else (y, c)
        needs = (at_least(2, self.needs, "here"),)
        z = make(self.op, args, "z", pinned(self.device), needs)
        updates = ((w, z),) if self.updated else ()
        return Graph("g", (x, w), (z,) * self.outputs, updates)


CHANGES: dict[str, dict[str, Any]] = {
    "the op": {"op": Multiply()},
    "the order of operands": {"swapped": True},
    "data": {"data": (1.0, 3.0)},
    "the sign of zero in data": {"data": (1.0, -0.0)},
    "the outputs": {"outputs": 2},
    "the updates": {"updated": False},
    "the Python function": {"function": staticmethod(lambda a: a)},
    "the device of an op": {"device": "cuda:sim"},
    "the device of an input": {"input_device": "cuda:sim"},
    "what sizes must be": {"needs": 2},
}


@pytest.mark.parametrize("part", CHANGES)
def test_each_part_of_the_key(part: str) -> None:
    changed = type("Changed", (Parts,), CHANGES[part])()
    assert Parts().key() == Parts().key() and changed.key() == changed.key()
    assert changed.key() != Parts().key()
    hash(changed.key())


@pytest.mark.parametrize(
    "part", ["the Python function", "the device of an op", "the device of an input"]
)
def test_the_text_alone_would_not_tell(part: str) -> None:
    changed = type("Changed", (Parts,), CHANGES[part])()
    assert print_graph(changed.graph()) == print_graph(Parts().graph())


@pytest.fixture(autouse=True)
def own_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def test_a_session_keeps_functions_of_one_name_apart() -> None:
    x = gc.placeholder(gc.float32, [2], name="x")

    def made(factor: float) -> Any:
        def scaled(a: Any) -> Any:
            return a * np.float32(factor)

        return gc.py_func(scaled, [x], x.type)

    with gc.Session() as sess:
        assert [sess.run(made(k), {x: [1.0, 1.0]}).tolist() for k in (2, 3)] == [[2, 2], [3, 3]]


def test_keys_of_nests() -> None:
    a, b = gc.zeros((2,)), gc.ones((2,))
    nests: list[Any] = [a, b, [a], (a,), [a, b], [b, a], [[a], b], [a, [b]], {"a": a}, {"b": a}]
    nests += [{"a": a, "b": b}, {"a": b, "b": a}, [], (), {}, "a", ["a"]]
    keys = [key_of(nest) for nest in nests]
    assert len({hash(k) for k in keys}) > len(keys) // 2
    for i, one in enumerate(keys):
        assert [j for j, other in enumerate(keys) if one == other] == [i]


# ---- what staging refuses


def test_a_variable_is_updated_once_in_a_run() -> None:
    w = gc.variable([1.0, 2.0], name="w")
    first, second = w.assign(w + 1.0), w.assign(w + 2.0)
    with pytest.raises(GraphError, match="variable 'w' is assigned twice in one run, also at"):
        stage([first, second])
    (update,) = stage([first]).graph.updates
    assert update[0].name == "w" and update[1].op.name == "add"


def test_a_fed_variable_is_not_assigned() -> None:
    w = gc.variable([1.0, 2.0], name="w")
    with pytest.raises(GraphError, match="variable 'w' is fed and assigned in one run"):
        stage([w.assign(w + 1.0)], fed=[w])
    staged = stage([w + 1.0], fed=[w])
    assert staged.inputs == (w,) and isinstance(staged.graph.inputs[0].op, Placeholder)
