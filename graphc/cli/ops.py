"""`graphc ops` lists the ops."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import graphc  # noqa: F401  (fills the table of ops)
from graphc.cli.model_file import UsageError
from graphc.ir.op import OPS, Op, Pointwise, Sample


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser("ops", help="list the ops, or tell about one")
    p.add_argument("name", nargs="?", help="an op's name")
    p.set_defaults(act=act)


def family(op: type[Op]) -> str:
    """The family of an op."""
    bases = [b for b in op.__mro__[1:] if issubclass(b, Op) and b.abstract]
    return bases[-2].__name__ if len(bases) > 1 else "Op"


def act(args: argparse.Namespace) -> int:
    """Lists ops."""
    if args.name:
        if args.name not in OPS:
            raise UsageError(f"no op {args.name!r}; `graphc ops` lists them")
        print(details(OPS[args.name]))
        return 0
    for group in sorted({family(op) for op in OPS.values()}):
        print(f"{group}:")
        for name, op in sorted(OPS.items()):
            if family(op) == group:
                print(f"  {name + fields(op):<44} {summary(op)}")
    return 0


def fields(op: type[Op]) -> str:
    """` {axes, chunks}`."""
    names = ", ".join(f.name for f in op.fields())
    return f" {{{names}}}" if names else ""


def summary(op: type[Op]) -> str:
    """The first line of the docstring."""
    text = inspect.cleandoc(op.__doc__ or "").split("\n")[0]
    return "" if text.startswith(op.__name__ + "(") else text  # dataclasses write one of their own


def details(op: type[Op]) -> str:
    """The lines of everything that an op declares."""
    doc = inspect.cleandoc(op.__doc__ or "")
    lines = [f"{op.name}: {family(op)}", "", *(f"  {line}" for line in doc.split("\n")), ""]
    for f in op.fields():
        default = "" if f.default is dataclasses.MISSING else f" = {f.default!r}"
        lines.append(f"  field    {f.name}: {f.type}{default}")
    if issubclass(op, Pointwise):
        lines.append(f"  accepts  {', '.join(map(str, op.accepts))}")
        lines.append(f"  operands {op.arity}" + (", commutative" if op.commutative else ""))
        lines.append(f"  spelling {op.spelling or 'a definition by other ops'}")
    lines.append(f"  gradient {'yes' if op.differentiable else 'none'}")
    lines += [f"  sample   {_sample(s)}" for s in op.samples[:3]]
    lines.append(f"  source   {Path(inspect.getsourcefile(op) or '').name}")
    return "\n".join(lines)


def _sample(s: Sample) -> str:
    given = ", ".join(f"{k}={v}" for k, v in s.fields.items())
    return ", ".join(map(str, s.types)) + (f" {{{given}}}" if given else "")
