"""`graphc opt file.gir --passes a,b`: passes over a graph that is given as text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphc.cli.model_file import UsageError, read_text
from graphc.ir.graph import Graph
from graphc.ir.program import Program
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.ir.verify import verify
from graphc.passes.fusion.fuse import fuse
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.memory.order import ordered
from graphc.passes.memory.plan import plan
from graphc.passes.memory.verify import verify_program
from graphc.passes.oracle.check_passes import Checker
from graphc.passes.pipeline import PASSES, Trace, run_pass

SCHEDULING = ("fuse", "order", "plan")  # they make a program of the graph


def register(commands: Any) -> None:
    """Adds the command."""
    names = ", ".join((*PASSES, *SCHEDULING))
    p = commands.add_parser(
        "opt",
        help="run passes over a graph given as text",
        description=(
            "Reads a graph, gives sizes that must be equal one name, runs passes "
            f"({names}), prints the result.  "
            "The verifier runs after each pass."
        ),
    )
    p.add_argument("file", help="a graph as text (.gir), or - for standard input")
    p.add_argument(
        "--passes",
        default=",".join(PASSES),
        metavar="A,B",
        help="in this order (default: %(default)s)",
    )
    p.add_argument(
        "--print-after-change", action="store_true", help="print after each pass that changed it"
    )
    p.add_argument("--timing", action="store_true", help="say how long each pass took (on stderr)")
    p.add_argument(
        "--stats", action="store_true", help="say which rules fired how often (on stderr)"
    )
    p.add_argument(
        "--fast-math", action="store_true", help="also use rules that hold over the reals only"
    )
    p.add_argument(
        "--check", action="store_true", help="the oracle checks every pass on random feeds"
    )
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    names = [n.strip() for n in args.passes.split(",") if n.strip()]
    _check_names(names)
    graph = parse_graph(sys.stdin.read() if args.file == "-" else read_text(Path(args.file)))
    current: Graph | Program = unify_sizes(verify(graph, "parse")).graph
    trace = Trace()
    if args.check:
        assert isinstance(current, Graph)
        trace.watch = Checker(current, args.fast_math).watch
    shown = text_of(current)
    for name in names:
        current = _step(name, current, args.fast_math, trace)
        now = text_of(current)
        if args.print_after_change and now != shown:
            print(f"// after {name}\n{now}")
        shown = now
    if not args.print_after_change:
        print(shown, end="")
    report(args, trace)
    return 0


def _check_names(names: Sequence[str]) -> None:
    known = (*PASSES, *SCHEDULING)
    for name in names:
        if name not in known:
            raise UsageError(f"no pass {name!r}; there are {', '.join(known)}")
    start = names.index("fuse") if "fuse" in names else len(names)
    if names[start:] != [n for n in SCHEDULING if n in names]:
        raise UsageError(
            "fuse, order and plan come last, in this order: they make a program of the graph"
        )


def _step(name: str, current: Graph | Program, fast_math: bool, trace: Trace) -> Graph | Program:
    if isinstance(current, Graph) and name != "fuse":
        return run_pass(name, current, fast_math, trace)
    with trace.span(name):
        if isinstance(current, Graph):
            made = fuse(current)
        else:
            made = plan(current) if name == "plan" else ordered(current)
        verify_program(made)
    return made


def text_of(current: Graph | Program) -> str:
    """A graph or program as text."""
    return print_graph(current) if isinstance(current, Graph) else print_program(current)


def report(args: argparse.Namespace, trace: Trace) -> None:
    """Times and counts."""
    if args.timing:
        for span in trace.spans:
            print(f"{(span.end - span.start) / 1e6:9.3f} ms  {span.name}", file=sys.stderr)
    if args.stats:
        for rule, count in sorted(trace.fired.items(), key=lambda item: (-item[1], item[0])):
            print(f"{count:6d} x  {rule}", file=sys.stderr)
