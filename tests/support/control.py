"""Loops and branches under test: data, runs judged by the oracle, gradients judged by
differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from support.run import options

import graphc as gc
from graphc.compiler.compile import lower
from graphc.frontend.stage import stage
from graphc.frontend.tensor import Tensor
from graphc.ir.interpret import interpret
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.ir.text.program_parser import parse_program
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.pipeline import optimise

RNG = np.random.default_rng(5)
DATA = {
    "x": RNG.normal(size=(4, 2, 3)),
    "w": RNG.normal(size=(3, 3)) * 0.5,
    "h": RNG.normal(size=(2, 3)),
    "b": RNG.normal(size=3),
    "p": np.array(1.3),
}


def inputs(**types: Any) -> dict[str, Tensor]:
    """Placeholders of f64 for DATA, the first axis of x symbolic."""
    shapes = {k: v.shape for k, v in DATA.items()} | {"x": (None, 2, 3)} | types
    return {k: gc.placeholder(gc.float64, s, name=k) for k, s in shapes.items()}


def run(tensors: Sequence[Tensor], feeds: dict[str, Any], **kwargs: Any) -> list[Any]:
    """What a session gives, after the oracle, before and after the passes, gave the same."""
    graph = stage(tensors).graph
    text = print_graph(graph)
    assert print_graph(parse_graph(text)) == text
    arrays = [np.asarray(feeds[v.name], v.type.dtype.numpy) for v in graph.inputs]
    wanted = interpret(graph, *arrays)
    better = optimise(unify_sizes(graph).graph, options())
    assert print_graph(parse_graph(print_graph(better))) == print_graph(better)
    program = print_program(lower(graph, options()).program)
    assert print_program(parse_program(program)) == program
    with gc.Session(options=options(**kwargs)) as sess:
        found = sess.run(list(tensors), {v.name: feeds[v.name] for v in graph.inputs})
    for a, b, c in zip(wanted, interpret(better, *arrays), found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(c, a, rtol=1e-9, atol=1e-12)
        assert c.dtype == a.dtype
    return found


def slope(value: Tensor, feeds: dict[str, Any], ways: dict[str, Any], step: float = 1e-6) -> Any:
    """The derivative of a number along `ways`, by central differences in the oracle."""
    graph = stage([value]).graph

    def at(t: float) -> Any:
        moved = [feeds[v.name] + t * ways.get(v.name, 0.0) for v in graph.inputs]
        return interpret(graph, *moved)[0]

    return (at(step) - at(-step)) / (2 * step)


def check_gradients(loss: Tensor, xs: Sequence[Tensor], feeds: dict[str, Any]) -> None:
    """First and second derivatives against differences."""
    ways = {x.name: RNG.normal(size=np.shape(feeds[x.name])) for x in xs}
    first = gc.gradients(loss, xs)
    found = sum((g * ways[x.name]).sum() for g, x in zip(run(first, feeds), xs, strict=True))
    np.testing.assert_allclose(found, slope(loss, feeds, ways), rtol=1e-5, atol=1e-6)
    weighed = [
        gc.sum(g * RNG.normal(size=np.shape(feeds[x.name]))) for g, x in zip(first, xs, strict=True)
    ]
    total = sum(weighed[1:], weighed[0])
    second = gc.gradients(total, xs, allow_unused=True)
    known = [(g, x) for g, x in zip(second, xs, strict=True) if g is not None]
    parts = run([g for g, _ in known], feeds)
    found = sum((g * ways[x.name]).sum() for g, (_, x) in zip(parts, known, strict=True))
    np.testing.assert_allclose(found, slope(total, feeds, ways), rtol=1e-5, atol=1e-5)


STEPS: dict[str, Callable[..., Any]] = {
    "rnn": lambda t: lambda h, x: (gc.tanh(h @ t["w"] + x + t["b"]), h * h),
    "carry only": lambda t: lambda h, x: (h * x, ()),
    "rows only": lambda t: lambda h, x: (h, x * x * x),
    "swap": lambda t: lambda h, x: (x * t["b"], h),
    "constant row": lambda t: lambda h, x: (h + x, t["b"] * t["b"]),
    "reduction": lambda t: lambda h, x: (h * 0.5 + gc.sum(x * h), gc.max(x, axis=1)),
}
