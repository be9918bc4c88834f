"""`graphc bisect model.py`: which pass, rewrite or kernel makes a result wrong."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.cli.model_file import Model, UsageError, add_model_options, opened
from graphc.cli.run import add_feed_options, make_feeds, parse_feeds, parse_sizes
from graphc.config import Options
from graphc.frontend.tensor import Variable
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Array
from graphc.session.session import Session
from graphc.testing.bisect import bisect_graph
from graphc.testing.model_check import small_feeds, title


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser(
        "bisect",
        help="find the pass, rewrite or kernel that makes a result wrong",
        description=(
            "Runs the file; then compares what it ran, or what --fetch names, or what it declares, "
            "with the oracle: after each pass, and after each kernel.  The first fault is printed "
            "with a small graph that shows it, as text that this command reads (exit code 1)."
        ),
    )
    add_model_options(p)
    add_feed_options(p)
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    with opened(args) as model:
        for graph, options in model.runs(args):
            culprit, tried = bisect_graph(graph, list(cases(model, graph, args)), options)
            if culprit is not None:
                print(culprit, end="")
                return 1
            said = (
                "every pass and every kernel keeps the meaning"
                if tried
                else ("nothing was compared: it rejects these feeds; feed others with --feed")
            )
            print(f"{title(graph)}: {said}")
    return model.code


def cases(model: Model, graph: Graph, args: argparse.Namespace) -> Iterator[list[Array]]:
    """Arrays for the inputs of a graph: with --feed or --size one case, whose variables have their
    initial values; else that case and random ones of small sizes."""
    given, sizes = parse_feeds(args.feed), parse_sizes(args.size)
    by_name = {v.name: v for v in graph.inputs}
    files: dict[Any, str] = {}
    for name, what in given.items():
        if name:
            value = by_name.get(_input_name(model, name))
            if value is None:
                raise UsageError(f"--feed {name}: the inputs are {', '.join(by_name)}")
            files[value] = what
    fed = make_feeds(graph.inputs, files, True, sizes, args.seed or 0)
    initial = _initial(model, graph)
    fed = {v: a if v in files else initial.get(v, a) for v, a in fed.items()}
    yield [np.asarray(fed[v], v.type.dtype.numpy) for v in graph.inputs]
    if not given and not sizes:
        for _, arrays in small_feeds(graph, args.seed or 0):
            yield arrays


def _input_name(model: Model, name: str) -> str:
    """The name of the graph's input that a name of the command line means."""
    if model.graph is not None:
        return name.removeprefix("%")
    fetch = model.fetch(name)
    return getattr(fetch, "name", name)


def _initial(model: Model, graph: Graph) -> dict[Value, Array]:
    """The initial values of a graph's variables, as far as the file declares them."""
    tensors = {v: model.scope.by_name.get(v.name) for v in graph.inputs}
    variables = {v: t for v, t in tensors.items() if isinstance(t, Variable)}
    if not variables:
        return {}
    with Session(model.scope, options=Options()) as session:
        values = session.values_of(list(variables.values()))
    return dict(zip(variables, values, strict=True))
