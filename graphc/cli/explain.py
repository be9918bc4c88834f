"""`graphc explain model.py VALUE`: what became of a value, and why."""

from __future__ import annotations

import argparse
from typing import Any

from graphc.cli.model_file import Model, add_model_options, find_value, opened, staged
from graphc.cli.run import check_sizes, parse_sizes
from graphc.compiler.compile_placed import planned_machine
from graphc.config import Options
from graphc.errors import GraphcError, GraphError
from graphc.explain.placed_value import explain_placed
from graphc.explain.value import explain, find
from graphc.frontend.stage import is_placed
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph, Value
from graphc.passes.autodiff.reverse import explain_gradient


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser(
        "explain",
        help="tell what became of a value",
        description=(
            "Tells where a value was declared, what it became, in which kernel it is computed, "
            "where it is stored, "
            "and why its neighbours are in other kernels."
        ),
    )
    add_model_options(p)
    p.add_argument(
        "value",
        metavar="VALUE",
        help="a tensor's name, a variable of the file, or %%name of a dump",
    )
    p.add_argument(
        "--gradient", metavar="X", help="tell instead how a gradient reaches X, or where it is cut"
    )
    p.add_argument(
        "--size", action="append", default=[], metavar="NAME=N", help="a symbolic size, for bytes"
    )
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    with opened(args, planning=True) as model:
        if args.gradient:
            print(_gradient(model, args.value, args.gradient))
            return 0
        for graph in _graphs(model, args):
            value = find_value(model, graph, args.value) or find(graph, args.value)
            if value is not None:
                sizes = parse_sizes(args.size)
                check_sizes(sizes, [*graph.inputs, *graph.nodes(), *model.scope.by_name.values()])
                print(_told(graph, value, sizes))
                return 0
        raise GraphError(
            f"{args.value!r} is no value of what is computed; "
            f"`graphc dump {args.model} --stage graph` "
            "prints the names; --fetch chooses what is computed"
        )


def _told(graph: Graph, value: Value, sizes: dict[str, int]) -> str:
    options = Options()
    if is_placed(graph, options):
        return explain_placed(graph, value, options, planned_machine(graph, options), sizes)
    return explain(graph, value, options, sizes)


def _graphs(model: Model, args: argparse.Namespace) -> list[Graph]:
    """The graphs to search: those of --fetch, else those that the file ran, the largest first, else
    that of its sinks."""
    if model.graph is not None:
        return [model.graph]
    if args.fetch or not model.seen:
        return [staged(list(model.chosen(args.fetch).values()))]
    return sorted((made.staged for made in model.seen), key=lambda g: -len(g.nodes()))


def _gradient(model: Model, y: str, x: str) -> str:
    def value(name: str) -> Value:
        if model.graph is not None:
            found = find(model.graph, name)
            if found is None:
                raise GraphcError(f"{name!r} is no value of {model.path}")
            return found
        tensor = model.fetch(name)
        if not isinstance(tensor, Tensor):
            raise GraphcError(f"{name!r} is a group; name a tensor")
        return tensor

    return explain_gradient(value(y), value(x))
