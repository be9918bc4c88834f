"""Graphs cut at device changes: run one after another, they are the whole graph."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
from support.place import THREE, pin_some, placed, run_segments

import graphc as gc
from graphc.compiler.targets import targets
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.op import View
from graphc.ir.ops.transfer import Transfer
from graphc.passes.pipeline import schedule
from graphc.passes.placement.place import place
from graphc.passes.placement.segments import Segments, segments
from graphc.testing.random_control import control_graph
from graphc.testing.random_graphs import inputs_for, random_graph


@pytest.fixture(autouse=True)
def own_graph() -> Any:
    with gc.Graph().as_default():
        yield


def variable(name: str, device: str) -> gc.Variable:
    with gc.device(device):
        return gc.variable(np.ones(8, np.float32), name=name)


def cut(fetches: list[Any], effects: list[Any]) -> Segments:
    return segments(placed(fetches, effects, THREE))


def shapes(found: Segments) -> list[tuple[str, list[str]]]:
    """The device of each segment, and its ops."""
    return [(p.device, [v.op.name for v in p.graph.nodes()]) for p in found.parts]


def names(pairs: Any) -> list[str]:
    return [old.name for old, _ in pairs]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("make", [random_graph, control_graph])
def test_segments_one_after_another_are_the_whole(seed: int, make: Any) -> None:
    graph = make(seed)
    pinned = pin_some(graph, random.Random(seed), (0.0, 0.3, 0.8)[seed % 3], THREE.names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = place(pinned, THREE, targets())
    found = segments(made)
    for n in (1, 7):
        arrays = inputs_for(graph, seed, n == 1, n)
        with np.errstate(all="ignore"):
            wanted = interpret(graph, *arrays)
            for got in (interpret(made.graph, *arrays), run_segments(made, found, arrays)):
                same = [a.tobytes() == b.tobytes() for a, b in zip(wanted, got, strict=True)]
                assert all(same)


@pytest.mark.parametrize("seed", range(6))
def test_segments_are_ordinary_graphs(seed: int) -> None:
    pinned = pin_some(random_graph(seed), random.Random(seed), 0.4, THREE.names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = segments(place(pinned, THREE, targets()))
    for part in found.parts:
        schedule(part.graph)
        assert not any(isinstance(v.op, Transfer) for v in part.graph.nodes())


def test_a_segment_for_each_level_and_device() -> None:
    x = gc.placeholder(gc.float32, [8], name="x")
    with gc.device("cuda:0"):
        a = gc.exp(x)
    with gc.device("cuda:1"):
        b, c = gc.tanh(x), gc.sin(a)
    with gc.device("cuda:0"):
        d = b * c
    assert shapes(cut([d], [])) == [
        ("cuda:0", ["exp"]),
        ("cuda:1", ["tanh"]),
        ("cuda:1", ["sin"]),
        ("cuda:0", ["multiply"]),
    ]


def test_inputs_count_for_no_level() -> None:
    x, w = gc.placeholder(gc.float32, [8], name="x"), variable("w", "cuda:1")
    with gc.device("cuda:0"):
        y = gc.exp(x) + w
    (part,) = cut([y], []).parts
    assert [s.name for s in part.sources] == ["x", "w"] and part.level == 0


def test_an_update_is_made_where_it_is_computed() -> None:
    w = variable("w", "cuda:0")
    with gc.device("cuda:0"):
        step = w.assign_sub(0.1 * gc.exp(w))
    found = cut([], [step])
    (part,) = found.parts
    assert names(part.graph.updates) == ["w"] and found.deferred == () and part.results == ()


def test_an_update_waits_for_others_that_read_the_variable() -> None:
    w = variable("w", "cuda:0")
    with gc.device("cuda:0"):
        h = gc.exp(w)
        step = w.assign(h)
    with gc.device("cpu:0"):
        y = gc.tanh(h) + w
    found = cut([y], [step])
    assert names(found.deferred) == ["w"]
    assert not any(p.graph.updates for p in found.parts)


def test_an_update_waits_for_what_may_fail() -> None:
    w, x = variable("w", "cuda:0"), gc.placeholder(gc.int64, [3], name="x")
    with gc.device("cuda:0"):
        step = w.assign_add(1.0)
    with gc.device("cpu:0"):
        y = gc.take(gc.placeholder(gc.float32, [8], name="table"), x)
    assert names(cut([y], [step]).deferred) == ["w"]
    assert names(cut([], [step]).deferred) == []


def test_variables_that_change_places() -> None:
    a, b = variable("a", "cuda:0"), variable("b", "cuda:1")
    found = cut([], [a.assign(b), b.assign(a)])
    assert names(found.deferred) == ["a", "b"] and found.parts == ()
    assert [new.name for _, new in found.deferred] == ["b", "a"]


def test_a_variable_that_is_fetched_and_updated_gives_its_old_value() -> None:
    w = variable("w", "cuda:0")
    with gc.device("cuda:0"):
        step = w.assign(gc.exp(w))
    found = cut([w], [step])
    assert [v.name for v in found.outputs] == ["w"] and names(found.deferred) == ["w"]


def test_inputs_and_constants_that_are_fetched() -> None:
    x = gc.placeholder(gc.float32, [2], name="x")
    c = gc.asarray(np.arange(3, dtype=np.float32))
    found = cut([x, c, gc.zeros((2,))], [])
    assert found.outputs[0].name == "x"
    (part,) = found.parts
    assert part.device == "cpu:0" and part.sources == () and len(part.results) == 2


def test_a_constant_has_a_copy_wherever_it_is_read() -> None:
    c = np.arange(8, dtype=np.float32) + 0.5
    x = gc.placeholder(gc.float32, [8], name="x")
    with gc.device("cuda:0"):
        a = gc.exp(x) * c
    with gc.device("cuda:1"):
        b = gc.tanh(a) * c
    found = cut([b], [])
    assert [ops.count("constant") for _, ops in shapes(found)] == [1, 1]
    assert [[s.op.name for s in p.sources] for p in found.parts] == [["placeholder"], ["multiply"]]


def test_a_value_that_several_read_is_one_result() -> None:
    x = gc.placeholder(gc.float32, [8], name="x")
    with gc.device("cuda:0"):
        a = gc.exp(x)
    with gc.device("cuda:1"):
        b = gc.tanh(a) + a
    with gc.device("cpu:0"):
        c = gc.sin(a)
    found = cut([a, b, c], [])
    assert [len(p.results) for p in found.parts] == [1, 1, 1]
    assert found.outputs[0] is found.parts[0].results[0]


def test_views_alone_are_no_segment() -> None:
    x = gc.placeholder(gc.float32, [4, 6], name="x")
    with gc.device("cuda:0"):
        a = gc.exp(x)
    b = gc.reshape(a, (24,))
    with gc.device("cuda:1"):
        c = gc.tanh(gc.transpose(x))
    found = cut([b, c], [])
    assert not any(all(isinstance(v.op, View) for v in p.graph.nodes()) for p in found.parts)
    assert len(found.parts) == 2


def test_a_segment_is_told_the_sizes_that_it_names() -> None:
    x = gc.placeholder(gc.float32, ["n"], name="x")
    with gc.device("cuda:0"):
        total = gc.sum(gc.exp(x))
    with gc.device("cuda:1"):
        z = gc.broadcast_to(gc.tanh(total), x.shape) + 1.0
    made = placed([z], [], THREE)
    found = segments(made)
    arrays = [np.ones(5, np.float32)]
    (out,) = run_segments(made, found, arrays)
    assert out.shape == (5,)
    last: Graph = found.parts[-1].graph
    sizes: list[Value] = [v for v in last.inputs if v.type.rank == 1]
    assert len(sizes) == 1
