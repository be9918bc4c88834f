"""`graphc ops` lists the ops; `graphc cache` looks after compiled kernels."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import time
from pathlib import Path
from typing import Any

import graphc  # noqa: F401  (fills the table of ops)
from graphc.cli.model_file import UsageError
from graphc.config import Options
from graphc.ir.op import OPS, Op, Pointwise, Sample

DAY = 86400.0


def register(commands: Any) -> None:
    """Adds both commands."""
    p = commands.add_parser("ops", help="list the ops, or tell about one")
    p.add_argument("name", nargs="?", help="an op's name")
    p.set_defaults(act=act_ops)
    p = commands.add_parser("cache", help="look after the cache of compiled kernels")
    p.add_argument(
        "--dir",
        "--cache",
        dest="cache",
        metavar="DIR",
        help="the cache (default: GRAPHC_CACHE_DIR, else ~/.cache/graphc)",
    )
    p.add_argument("--list", action="store_true", help="list the kernels, the newest first")
    p.add_argument("--clear", action="store_true", help="delete all kernels")
    p.add_argument(
        "--prune-days", type=float, metavar="N", help="delete kernels not written for N days"
    )
    p.set_defaults(act=act_cache)


def family(op: type[Op]) -> str:
    """The family of an op."""
    bases = [b for b in op.__mro__[1:] if issubclass(b, Op) and b.abstract]
    return bases[-2].__name__ if len(bases) > 1 else "Op"


def act_ops(args: argparse.Namespace) -> int:
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
    """All that an op says about itself."""
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


def act_cache(args: argparse.Namespace) -> int:
    """Looks after the cache."""
    directory = Path(args.cache) if args.cache else Options().cache_dir
    if args.prune_days is not None and args.prune_days < 0:
        raise UsageError("--prune-days: expected a number of days")
    try:
        files = [(p, p.stat()) for p in directory.glob("*") if p.suffix in (".o", ".tmp")]
        old = time.time() - DAY * (args.prune_days or 0)
        if args.clear or args.prune_days is not None:
            doomed = [p for p, s in files if args.clear or s.st_mtime < old]
            for p in doomed:
                p.unlink(missing_ok=True)
            print(f"deleted {len(doomed)} of {len(files)} objects in {directory}")
            return 0
    except OSError as error:
        raise UsageError(f"cache {directory}: {error}") from None
    if args.list:
        for p, s in sorted(files, key=lambda f: -f[1].st_mtime):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(s.st_mtime))
            print(f"{when} {s.st_size:8d} {p.stem}")
    size = sum(s.st_size for _, s in files)
    print(f"{directory}: {len(files)} objects, {size} bytes")
    return 0
