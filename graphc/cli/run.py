"""`graphc run model.py`: runs a model file, and fetches tensors of one that only declares."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.cli.dump import write_all
from graphc.cli.model_file import Fetch, Model, UsageError, add_model_options, distinct, opened
from graphc.config import Options
from graphc.errors import FeedError
from graphc.frontend.scope import GraphScope
from graphc.frontend.stage import reachable
from graphc.frontend.tensor import Tensor
from graphc.ir import dim
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Array
from graphc.ir.ops.state import Placeholder, RunCounter
from graphc.passes.oracle.check_passes import draw
from graphc.profile.report import Profile
from graphc.session.recorder import Recorder
from graphc.session.session import Session

DEFAULT_SIZE = 8  # of a symbolic axis of a random feed
MIN_TIME_SHARE = 0.01  # of all signatures' time; a signature with less gets no table
Results = dict[str, tuple[str, Any]]
Once = Callable[[], Results]


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser(
        "run",
        help="run a model file",
        description=(
            "Runs a Python file as a script.  Then computes what --fetch names (also for a "
            ".gir file, which is computed whole).  Arguments after -- are the script's."
        ),
    )
    add_model_options(p)
    add_feed_options(p)
    p.add_argument(
        "--out", metavar="FILE.npz|DIR", help="save the results instead of printing them"
    )
    p.add_argument("--profile", action="store_true", help="time every kernel; see `graphc profile`")
    p.add_argument(
        "--debug-nan",
        action="store_true",
        help="fail at the first op that makes a NaN, and show its operands",
    )
    p.add_argument("--dump-ir", metavar="DIR", help="write every stage of every compilation there")
    p.set_defaults(act=act)


def add_feed_options(p: argparse.ArgumentParser) -> None:
    """Adds the options of commands that run a graph."""
    p.add_argument(
        "--feed",
        action="append",
        default=[],
        metavar="NAME=FILE.npy|random",
        help="what a placeholder is fed; `--feed random` feeds all that are left",
    )
    p.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="NAME=N",
        help=f"a symbolic size for random feeds (default: {DEFAULT_SIZE})",
    )


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    _check_out(args.out)
    recorder = Recorder()
    more: dict[str, Any] = {"watch": recorder.watch} if args.profile else {}
    more |= {"debug_nan": True} if args.debug_nan else {}
    with opened(args, **more) as model:
        if needs_fetches(model, args):
            with fetching(model, args) as once:
                _show(once(), args.out)
        if args.dump_ir:
            write_all(model.seen, Path(args.dump_ir))
        if args.profile:
            print(tables(recorder.profiles()))
        return model.code


def _check_out(out: str | None) -> None:
    """Raises `UsageError` unless results can be saved there."""
    if out is not None and Path(out).suffix not in ("", ".npz") and not Path(out).is_dir():
        raise UsageError(
            f"--out {out}: expected FILE.npz, or a folder, which gets a .npy file of each result"
        )


def needs_fetches(model: Model, args: argparse.Namespace) -> bool:
    """Whether there is something to compute besides what the file has run.  Raises `UsageError` if
    there is nothing at all."""
    if args.fetch or model.graph is not None:
        return True
    if not model.seen and model.code == 0:
        known = ", ".join(sorted({*model.declared(), *model.scope.by_name})) or "nothing"
        raise UsageError(
            f"{model.path} ran no session; name what to compute with --fetch (it declares {known})"
        )
    return False


@contextlib.contextmanager
def fetching(model: Model, args: argparse.Namespace) -> Iterator[Once]:
    """A function that computes what --fetch names, or a graph that was given as text: (type, value)
    of each fetch, None for a group."""
    sizes, given = parse_sizes(args.size), parse_feeds(args.feed)
    if model.graph is not None:
        with _running_graph(model.graph, given, sizes, args) as once:
            yield once
        return
    fetches = model.chosen(args.fetch)
    with Session(model.session_graph(list(fetches.values()))) as session:
        named = {(model.fetch(n) if n else None): path for n, path in given.items()}
        needed = [
            v
            for v in reachable(_tensors(list(fetches.values())), ())
            if isinstance(v.op, Placeholder)
        ]
        feeds = make_feeds(
            needed,
            {k: v for k, v in named.items() if k is not None},
            None in named,
            sizes,
            Options().seed,
        )
        _check_fed("placeholder", [t for t in needed if t.graph.by_name.get(t.name) is t], feeds)
        types = {n: str(f.type) if isinstance(f, Tensor) else "group" for n, f in fetches.items()}

        def once() -> Results:
            values = session.run(dict(fetches), feeds)
            return {n: (types[n], values[n]) for n in fetches}

        yield once


def _tensors(fetches: Sequence[Fetch]) -> list[Tensor]:
    return [t for f in fetches for t in ((f,) if isinstance(f, Tensor) else f.tensors)]


def parse_sizes(texts: Sequence[str]) -> dict[str, int]:
    """`n=32` as a dictionary."""
    sizes = {}
    for text in texts:
        name, _, number = text.partition("=")
        if not name.isidentifier() or not number.isdecimal():
            raise UsageError(f"--size {text}: expected NAME=N")
        sizes[name] = int(number)
    return sizes


def parse_feeds(texts: Sequence[str]) -> dict[str, str]:
    """Name -> file or `random`; the name "" stands for all placeholders not named."""
    feeds = {}
    for text in texts:
        name, sign, what = text.rpartition("=")
        if (not sign and what != "random") or (sign and not name):
            raise UsageError(f"--feed {text}: expected NAME=FILE.npy, NAME=random or random")
        feeds[name] = what
    return feeds


def make_feeds(
    needed: Sequence[Any], given: Mapping[Any, str], rest: bool, sizes: Mapping[str, int], seed: int
) -> dict[Any, Array]:
    """Arrays for placeholders: files first, whose shapes fix symbolic sizes; then random ones."""
    check_sizes(sizes, [*given, *needed])
    known = dict(sizes)
    feeds: dict[Any, Array] = {}
    for t, what in given.items():
        if what == "random":
            continue
        feeds[t] = array = load(what)
        for size, n in zip(t.type.shape, array.shape, strict=False):
            if isinstance(size, dim.Dim) and str(size).isidentifier():
                known.setdefault(str(size), n)
    rng = np.random.default_rng(seed & 0xFFFF_FFFF_FFFF_FFFF)  # a session takes any whole number
    for t in dict.fromkeys([*given, *(needed if rest else [])]):
        if t not in feeds:
            names = {s for size in t.type.shape for s in dim.symbols(size)}
            feeds[t] = draw(rng, t.type, {name: known.get(name, DEFAULT_SIZE) for name in names})
    return feeds


def check_sizes(sizes: Mapping[str, int], values: Iterable[Value]) -> None:
    """Raises `UsageError` for a size that the types of no value have."""
    known = sorted({s for v in values for size in v.type.shape for s in dim.symbols(size)})
    unknown = [name for name in sizes if name not in known]
    if unknown:
        there = f"the sizes are {', '.join(known)}" if known else "there are no symbolic sizes"
        raise UsageError(f"--size {unknown[0]}={sizes[unknown[0]]}: no such size; {there}")


def _check_fed(what: str, needed: Sequence[Value], feeds: Mapping[Any, Array]) -> None:
    """Raises `FeedError`, which tells how to feed, for the first value that has no array."""
    missing = next((v for v in needed if v not in feeds), None)
    if missing is not None:
        raise FeedError(
            f"{what} {missing.name!r} ({missing.type}) is needed but not fed; use "
            f"--feed {missing.name}=FILE.npy, or --feed random for all that are left"
        )


def load(path: str) -> Array:
    """An array from a .npy file, which may hold no Python objects."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path} holds several arrays; feed one .npy file")
    return array


@contextlib.contextmanager
def _running_graph(
    graph: Graph, given: Mapping[str, str], sizes: Mapping[str, int], args: argparse.Namespace
) -> Iterator[Once]:
    """A function that computes a graph that was given as text; its variables are fed, too."""
    if args.fetch:
        raise UsageError("--fetch: a .gir file is computed whole")
    by_name = {v.name: v for v in graph.inputs}
    unknown = [n for n in given if n and n.removeprefix("%") not in by_name]
    if unknown:
        raise UsageError(f"--feed {unknown[0]}: the inputs are {', '.join(by_name)}")
    named = {by_name[n.removeprefix("%")]: what for n, what in given.items() if n}
    needed = [v for v in graph.inputs if not isinstance(v.op, RunCounter)]
    feeds = make_feeds(needed, named, "" in given, sizes, Options().seed)
    _check_fed("input", needed, feeds)
    names = distinct([f"%{v.name or v.op.name}" for v in graph.results])
    scope = GraphScope()
    with scope.as_default(), Session(scope) as session:
        tensors = _tensors_of(graph, scope)
        results, fed = (
            [tensors[r] for r in graph.results],
            {tensors[v]: a for v, a in feeds.items()},
        )

        def once() -> Results:
            values = session.run(results, fed)
            return {
                n: (str(v.type), value)
                for n, v, value in zip(names, graph.results, values, strict=True)
            }

        yield once


def _tensors_of(graph: Graph, scope: GraphScope) -> dict[Value, Tensor]:
    """Tensors that stand for a graph's values."""
    tensors: dict[Value, Tensor] = {}
    for v in graph.inputs:
        op = v.op if isinstance(v.op, RunCounter) else Placeholder(v.type.dtype, v.type.shape)
        tensors[v] = Tensor(op, (), v.type, v.name, v.loc, scope)
    for v in graph.nodes():
        tensors[v] = Tensor(v.op, tuple(tensors[a] for a in v.args), v.type, v.name, v.loc, scope)
    return tensors


def _show(results: Mapping[str, tuple[str, Any]], out: str | None) -> None:
    """Prints results, or saves them."""
    if out is None:
        for name, (type, value) in results.items():
            print(f"{name}: done" if value is None else f"{name}: {type} = {summary(value)}")
        return
    arrays = {n: v for n, (_, v) in results.items() if v is not None}
    path = Path(out)
    try:
        if path.suffix == ".npz":
            np.savez(path, **arrays)
        else:
            path.mkdir(parents=True, exist_ok=True)
            files = distinct([re.sub(r"[^\w.\-]", "_", n) for n in arrays])
            for file, v in zip(files, arrays.values(), strict=True):
                np.save(path / f"{file}.npy", v)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}") from None
    print(f"graphc: saved {', '.join(arrays)} to {path}", file=sys.stderr)


def summary(value: Any) -> str:
    """A few elements of an array."""
    text = np.array2string(
        np.asarray(value), threshold=24, edgeitems=3, precision=6, separator=", "
    )
    return text.replace("\n", "\n  ")


def tables(profiles: Sequence[Profile], sort: str = "time", top: int | None = None) -> str:
    """The profiles of signatures that take much time, as text, and the number of the others."""
    total = sum(p.runs * p.run_seconds for p in profiles) or 1.0
    large = [p for p in profiles if p.runs * p.run_seconds >= MIN_TIME_SHARE * total]
    shown = [p.table(sort, top) for p in large]
    left = len(profiles) - len(large)
    if left:
        share = 1 - sum(p.runs * p.run_seconds for p in large) / total
        shown.append(f"{left} other signature{'s' * (left > 1)}: {share:.1%} of the time of all")
    return "\n\n".join(shown)
