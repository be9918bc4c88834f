"""Model files: Python that declares a graph and may run sessions itself, or a graph as text."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphc.compiler.compile import Compiled, lower
from graphc.compiler.compile_placed import LoweredPlaced, lower_placed, planned_machine, spec
from graphc.config import CHECKS, Method, Options, defaults, parse_bytes
from graphc.errors import GraphcError, render
from graphc.frontend.group import Group
from graphc.frontend.scope import GraphScope, current, reset_default_graph
from graphc.frontend.stage import is_placed, stage
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph, Value, topological
from graphc.ir.machine import DeviceSpec, Machine, device_name
from graphc.ir.op import State
from graphc.ir.ops.shape import Constant, Full
from graphc.ir.text.graph import parse_graph, print_graph

Fetch = Tensor | Group
Stages = Compiled | LoweredPlaced


class UsageError(Exception):
    """A command line that cannot be acted on."""


class ModelFailure(Exception):
    """An exception of the model file itself; `trace` begins at its own frames."""

    def __init__(self, cause: BaseException, trace: types.TracebackType | None) -> None:
        self.cause, self.trace = cause, trace
        super().__init__(str(cause))


def add_model_options(p: argparse.ArgumentParser, optional: bool = False) -> None:
    """Adds the options that all commands on models have."""
    p.add_argument(
        "model", help="a Python file, or a graph as text (.gir)", nargs="?" if optional else None
    )
    add_device_options(p)
    p.add_argument("--threads", type=positive, metavar="N", help="threads of a session")
    p.add_argument(
        "--memory-limit",
        type=_bytes,
        metavar="BYTES",
        help="of what is stored between kernels ('1.5 GiB', 200MB): the rest is computed again",
    )
    p.add_argument("--seed", type=int, metavar="N", help="chooses the random numbers")
    p.add_argument("--cache", metavar="DIR", help="the kernel cache (default: GRAPHC_CACHE_DIR)")
    p.add_argument(
        "--method",
        choices=[m.name.lower() for m in Method],
        help="how to compute products and convolutions, where it can",
    )
    p.add_argument(
        "--autotune",
        type=seconds,
        metavar="SECONDS",
        help="so long a compilation may try which way is fastest; kept in the cache",
    )
    p.add_argument(
        "--check",
        choices=CHECKS,
        help="passes: the oracle checks every pass on random feeds; bounds: kernels check every "
        "access",
    )
    p.add_argument(
        "--fetch",
        action="extend",
        type=_names,
        default=[],
        metavar="A,B",
        help="names of tensors, or of the Python variables that hold them (repeatable)",
    )


def add_device_options(p: argparse.ArgumentParser) -> None:
    """Adds the options that say where sessions run; `graphc devices` lists the devices."""
    p.add_argument(
        "--device",
        type=_device,
        metavar="NAME",
        help="where all runs that can: cpu:0, cuda:0, cuda:sim",
    )
    p.add_argument(
        "--devices",
        type=_devices,
        metavar="A,B",
        default=(),
        help="devices to choose from by cost; cuda:0=A100 is one as a preset is",
    )
    p.add_argument(
        "--strict",
        action="store_true",
        default=None,
        help="what a device cannot run is an error, and does not go elsewhere",
    )


def _device(text: str) -> str:
    try:
        return device_name(text)
    except GraphcError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _devices(text: str) -> tuple[DeviceSpec, ...]:
    """The devices in an argument like `cpu:0,cuda:0=A100`."""
    specs = []
    try:
        for part in filter(None, text.split(",")):
            name, _, like = part.strip().partition("=")
            specs.append(DeviceSpec(name, like=like) if like else spec(name))
        if not specs:
            raise GraphcError(f"{text!r} names no device; `graphc devices` lists them")
        return Machine(specs).devices
    except GraphcError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _bytes(text: str) -> int:
    try:
        return parse_bytes(text)
    except GraphcError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def seconds(text: str) -> float:
    """An argument that is a time."""
    count = float(text)
    if not 0 <= count < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return count


def _names(text: str) -> list[str]:
    """The names in an argument like `x,y`."""
    return [name for name in map(str.strip, text.split(",")) if name]


def positive(text: str) -> int:
    """An argument that is a number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


@dataclass
class Model:
    """A model file that has been read; `seen` are the compilations of the sessions it ran."""

    path: Path
    namespace: dict[str, Any] = field(default_factory=dict)
    scope: GraphScope = field(default_factory=GraphScope)
    seen: list[Stages] = field(default_factory=list)
    graph: Graph | None = None
    code: int = 0

    def fetch(self, name: str) -> Fetch:
        """The tensor or group that a name means: a tensor's name, or the file's `layer.weight`."""
        plain = name.removeprefix("%")
        if plain in self.scope.by_name:
            return self.scope.by_name[plain]  # type: ignore[no-any-return]
        member = self._variable(plain)
        if isinstance(member, Tensor | Group):
            return member
        known = sorted({*self.scope.by_name, *self.declared()})
        raise GraphcError(
            f"{self.path}: no tensor is called {name!r}; there are {', '.join(known) or 'none'}"
        )

    def _variable(self, dotted: str) -> Any:
        first, *rest = dotted.split(".")
        found = self.namespace.get(first)
        for part in rest:
            found = getattr(found, part, None)
        return found

    def declared(self) -> dict[str, Fetch]:
        """The file's variables that hold tensors or groups."""
        return {
            k: v
            for k, v in self.namespace.items()
            if isinstance(v, Tensor | Group) and not k.startswith("_")
        }

    def values(self) -> list[Value]:
        """The file's tensors, and what they are computed from."""
        held = self.declared().values()
        tensors = [t for f in held for t in ((f,) if isinstance(f, Tensor) else f.tensors)]
        return topological(tensors)

    def sinks(self) -> dict[str, Fetch]:
        """The tensors of the file that nothing else in it uses."""
        declared = self.declared()
        tensors = {k: v for k, v in declared.items() if isinstance(v, Tensor)}
        groups: dict[str, Fetch] = {k: v for k, v in declared.items() if isinstance(v, Group)}
        inside = [t for g in groups.values() if isinstance(g, Group) for t in g.tensors]
        used = {a for v in topological([*tensors.values(), *inside]) for a in v.args}
        fetches: dict[str, Fetch] = {
            k: t
            for k, t in tensors.items()
            if t not in used and not isinstance(t.op, State | Constant | Full)
        }
        fetches |= groups
        if not fetches:
            raise UsageError(f"{self.path} declares nothing to compute; name it with --fetch")
        return fetches

    def chosen(self, names: Sequence[str]) -> dict[str, Fetch]:
        """The fetches named, or all sinks.  A name that is given twice has two results."""
        if not names:
            return self.sinks()
        return {own: self.fetch(n) for own, n in zip(distinct(names), names, strict=True)}

    def compilations(self, args: argparse.Namespace) -> list[Stages]:
        """The stages of what is fetched, or of all that the file ran, or of its sinks.  No device
        is asked: what is not there is planned for."""
        if self.graph is None and not args.fetch and self.seen:
            return [
                _planned(made.staged) if args.device or args.devices else made for made in self.seen
            ]
        return [_planned(self.graph or staged(list(self.chosen(args.fetch).values())))]

    def graphs(self, args: argparse.Namespace) -> list[Graph]:
        """The graphs of what is fetched, or of all that the file ran, or of its sinks."""
        return [graph for graph, _ in self.runs(args)]

    def runs(self, args: argparse.Namespace) -> list[tuple[Graph, Options]]:
        """The same graphs, and the options of the sessions that ran them."""
        if self.graph is None and not args.fetch and self.seen:
            each = {print_graph(made.staged): made for made in self.seen}.values()
            return [(m.staged, m.options if isinstance(m, Compiled) else Options()) for m in each]
        return [(self.graph or staged(list(self.chosen(args.fetch).values())), Options())]

    def session_graph(self, fetches: Sequence[Fetch]) -> GraphScope:
        """The graph that the fetches belong to."""
        tensors = [t for f in fetches for t in ((f,) if isinstance(f, Tensor) else f.tensors)]
        return tensors[0].graph if tensors else self.scope


def distinct(names: Sequence[str]) -> list[str]:
    """The names, with numbers behind those that occur several times.

    >>> distinct(["a", "b", "a", "a.0"])
    ['a.1', 'b', 'a.2', 'a.0']
    """
    taken = set(names)
    result = []
    for name in names:
        own, number = name, 0
        while names.count(name) > 1 and own in taken:
            own, number = f"{name}.{number}", number + 1
        taken.add(own)
        result.append(own)
    return result


def _planned(graph: Graph) -> Stages:
    """The stages of a graph that is not run."""
    options = Options()
    if is_placed(graph, options):
        return lower_placed(graph, options, planned_machine(graph, options))
    return lower(graph, options)


def staged(fetches: Sequence[Fetch]) -> Graph:
    """The graph of some fetches."""
    tensors = [f for f in fetches if isinstance(f, Tensor)]
    effects = [t for f in fetches if isinstance(f, Group) for t in f.tensors]
    return stage(tensors, (), effects).graph


@contextlib.contextmanager
def opened(args: argparse.Namespace, *, planning: bool = False, **more: Any) -> Iterator[Model]:
    """The model file, run; sessions within the block have the options of the command line, and so
    have those of the file: except, when `planning`, for the devices, which need not be there."""
    path = Path(args.model)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; expected a Python file, or a graph as text (.gir)")
    if not path.exists():
        raise UsageError(f"no such file: {path}")
    model = Model(path)
    given = {
        "threads": args.threads,
        "seed": args.seed,
        "memory_limit": args.memory_limit,
        "check": args.check,
        "observe": model.seen.append,
        "cache_dir": Path(args.cache) if args.cache else None,
        "method": Method[args.method.upper()] if args.method else None,
        "autotune": args.autotune,
        **more,
    }
    where = {"device": args.device, "devices": args.devices or None, "strict": args.strict}
    placing = {k: v for k, v in where.items() if v is not None}
    given |= {} if planning else where
    with defaults(**{k: v for k, v in given.items() if v is not None}):
        if path.suffix == ".gir":
            model.graph = parse_graph(read_text(path))
            with defaults(**placing):
                yield model
            return
        with _as_main(path, args.script_args) as module:
            model.namespace = module.__dict__
            _execute(model, module)
            with defaults(**placing):
                yield model


def read_text(path: Path) -> str:
    """A text file.  Raises `UsageError` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


@contextlib.contextmanager
def _as_main(path: Path, script_args: Sequence[str]) -> Iterator[types.ModuleType]:
    """The file as the module `__main__`, with its arguments and its folder on the path."""
    before = sys.argv, sys.path[:], sys.modules.get("__main__")
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=str(path), __builtins__=__builtins__)
    sys.argv = [str(path), *script_args]
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules["__main__"] = module
    reset_default_graph()
    try:
        yield module
    finally:
        sys.argv, sys.path[:] = before[0], before[1]
        if before[2] is not None:
            sys.modules["__main__"] = before[2]


def namespace_of(path: Path) -> dict[str, Any]:
    """What a Python file declares once it has run.  Raises `UsageError` if it cannot be read."""
    with _as_main(path, ()) as module:
        _execute(Model(path), module)
        return module.__dict__


def _execute(model: Model, module: types.ModuleType) -> None:
    """Runs the file.  graphc's errors pass through; others become `ModelFailure`."""
    path = str(model.path)
    try:
        exec(compile(read_text(model.path), path, "exec"), module.__dict__)
    except SystemExit as error:
        model.code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except (GraphcError, KeyboardInterrupt, UsageError):
        raise
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != path:
            trace = trace.tb_next
        raise ModelFailure(error, trace) from None
    model.scope = current()


def where(error: GraphcError, args: argparse.Namespace) -> str:
    """The message, with the line if it lies in the model's folder and not in graphc's own start."""
    location = error.location
    model = getattr(args, "model", None)
    if location is None or model is None:
        return error.message
    folder = Path(model).resolve().parent
    inside = Path(location.file).exists() and Path(location.file).resolve().is_relative_to(folder)
    return render(error.message, location if inside else None)


def find_value(model: Model, graph: Graph, name: str) -> Value | None:
    """The value of a staged graph that a name of the file means: the same op on the same line."""
    found = model._variable(name.removeprefix("%"))
    tensor = found if isinstance(found, Tensor) else model.scope.by_name.get(name.removeprefix("%"))
    if tensor is None:
        return None
    values = [*graph.inputs, *graph.nodes()]
    return next(
        (
            v
            for v in values
            if v.loc == tensor.loc and v.type == tensor.type and type(v.op) is type(tensor.op)
        ),
        None,
    )
