"""`graphc opt file.gir --passes a,b{field=value}`: passes over a graph that is given as text.

`own.py:MyPass` is a pass of the user's: a class or a function of a Python file, which is run.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphc.cli.model_file import UsageError, namespace_of, read_text
from graphc.errors import GraphcError
from graphc.ir.graph import Graph
from graphc.ir.program import Program
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.ir.verify import verify
from graphc.passes.base import Context, FunctionPass, GraphPass, Pass, ProgramPass, spelled
from graphc.passes.graph.unify_sizes import unify_sizes
from graphc.passes.memory.verify import verify_program
from graphc.passes.oracle.check_passes import Checker
from graphc.passes.parse import parse_passes
from graphc.passes.pipeline import GRAPH_PASSES, PASSES, check_sequence, run_pass, run_scheduling
from graphc.passes.trace import Trace
from graphc.session.own_passes import check_pass

OWN = re.compile(r"([^,{}]+\.py):(\w+)")  # a pass of the user's: file and name


class ListPasses(argparse.Action):
    """An option that prints the passes, their fields and the defaults, as `--help` prints help."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(listed(PASSES), end="")
        parser.exit(0)


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser(
        "opt",
        help="run passes over a graph given as text",
        description=(
            "Reads a graph, gives sizes that must be equal one name, runs passes "
            f"({', '.join(p.name for p in PASSES)}), prints the result.  "
            "The verifier runs after each pass."
        ),
    )
    p.add_argument("file", help="a graph as text (.gir), or - for standard input")
    p.add_argument(
        "--passes",
        default=",".join(p.name for p in GRAPH_PASSES),
        metavar="A,B{FIELD=VALUE}",
        help="in this order, with these fields; FILE.py:NAME is your own (default: %(default)s)",
    )
    p.add_argument(
        "--list-passes", action=ListPasses, nargs=0, help="print the passes, their fields, and exit"
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
    passes = chosen(args.passes)
    graph = parse_graph(sys.stdin.read() if args.file == "-" else read_text(Path(args.file)))
    graph = unify_sizes(verify(graph, "parse")).graph
    watch = Checker(graph, args.fast_math).watch if args.check else None
    context = Context(Trace(), args.fast_math, watch=watch)
    current: Graph | Program = graph
    shown = text_of(current)
    for p in passes:
        current = _step(p, current, context)
        now = text_of(current)
        if args.print_after_change and now != shown:
            print(f"// after {p}\n{now}")
        shown = now
    if not args.print_after_change:
        print(shown, end="")
    report(args, context.trace)
    return 0


def chosen(text: str) -> list[Pass]:
    """The passes that an argument names.  Raises `UsageError`."""
    try:
        named = [(file.strip(), name) for file, name in OWN.findall(text)]
        own = {f"{file}:{name}": own_pass(file, name) for file, name in named}
        passes = parse_passes(text, PASSES, own)
        check_sequence(passes)
    except GraphcError as error:
        raise UsageError(error.message) from None
    return passes


def own_pass(file: str, name: str) -> Pass:
    """The user's pass of that name in a Python file.  Raises `UsageError`."""
    declared = namespace_of(Path(file))
    found = declared.get(name)
    if isinstance(found, type) and issubclass(found, Pass):
        found = with_defaults(file, found)
    if isinstance(found, GraphPass) or (callable(found) and not isinstance(found, type)):
        if not isinstance(found, ProgramPass):
            check_pass(f"--passes {file}: pass", found)
        return found if isinstance(found, Pass) else FunctionPass(found)
    passes = [k for k, v in declared.items() if isinstance(v, type) and v.__module__ == "__main__"]
    there = f"; the file's classes are {', '.join(passes)}" if passes else ""
    raise UsageError(
        f"--passes {file}:{name}: expected a GraphPass, or a function from a graph to a graph"
        + there
    )


def with_defaults(file: str, kind: type[Pass]) -> Pass:
    """A pass of a class, its fields as declared.  Raises `UsageError` if one has no default."""
    bare = [
        f.name
        for f in dataclasses.fields(kind)
        if f.init and f.default is f.default_factory is dataclasses.MISSING
    ]
    if bare:
        raise UsageError(
            f"--passes {file}:{kind.__name__}: {', '.join(bare)} has no default; declare it by "
            "graphc.extend.option(default, what it is)"
        )
    return kind()


def _step(p: Pass, current: Graph | Program, context: Context) -> Graph | Program:
    """The result of one pass, verified."""
    if isinstance(p, GraphPass) and isinstance(current, Graph):
        return run_pass(p, current, context)
    with context.trace.span(str(p)):
        return verify_program(run_scheduling(p, current, context))


def listed(passes: Sequence[Pass]) -> str:
    """The text of `--list-passes`: each pass, what it does, its fields, defaults and units."""
    width = max(len(f"{o.name}={spelled(o.default)}") for p in passes for o in p.options())
    lines = []
    for p in passes:
        says = " ".join((type(p).__doc__ or "").split())
        lines.append(f"{p.name}: {says}")
        for o in p.options():
            lines.append(f"    {f'{o.name}={spelled(o.default)}':{width}}  {o.says}")
    return "\n".join(lines) + "\n"


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
