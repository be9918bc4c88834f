"""GraphScope: the graph under construction; it hands out names and sizes, and lists variables.

`gc.Graph()` makes a scope, and there is a default one.  Its methods lock, so several threads may
build one graph.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import weakref
from collections.abc import Iterator, Sequence
from keyword import iskeyword
from typing import Any

from graphc.errors import GraphError, Location, pinned
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value, topological
from graphc.ir.machine import device_name
from graphc.ir.op import Foreign
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Constant, Full, Iota, Reshape, SizeOf


class GraphScope:
    """A graph under construction.

    >>> import graphc as gc
    >>> with gc.Graph().as_default() as g:
    ...     x = gc.placeholder(gc.float32, [None, 3], name="x")
    >>> x.graph is g
    True
    """

    def __init__(self) -> None:
        self.variables: list[Any] = []
        self.finalized = False
        self.function = ""  # the user's function that it traces, as errors call it
        self.by_name: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._path: list[str] = []
        self._fresh: set[str] = set()
        self._named: set[str] = set()
        self._effects = 0
        self._lock = threading.RLock()

    def as_default(self) -> contextlib.AbstractContextManager[GraphScope]:
        """Makes this graph the one that new tensors belong to, within a `with` block."""
        return _within(self)

    def finalize(self) -> None:
        """From now on, adding to this graph is an error (a guard against growth inside a loop)."""
        self.finalized = True

    @contextlib.contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Prefixes the names of what is built inside."""
        self._path.append(name)
        try:
            yield
        finally:
            self._path.pop()

    def unique(self, name: str, location: Location | None) -> str:
        """The full name of a new named tensor; a second `w` becomes `w_1`."""
        with self._lock:
            if self.finalized:
                raise GraphError(f"graph is finalized; cannot add {name!r}", location)
            return self._free("/".join([*self._path, name]))

    def _free(self, full: str) -> str:
        while full in self._counts:
            self._counts[full] += 1
            full = f"{full}_{self._counts[full]}"
        self._counts.setdefault(full, 0)
        return full

    def rename(self, old: str, wanted: str) -> str:
        """Gives the tensor called `old` another name (with a number, if that is taken)."""
        with self._lock:
            if not self._counts.get(old, 1):
                del self._counts[old]
            full = self._free(wanted)
            self.by_name[full] = self.by_name.pop(old)
            return full

    def next_effect(self) -> int:
        """The number of a new `with_update` among those of this graph, in order of building."""
        with self._lock:
            self._effects += 1
            return self._effects - 1

    def size(self, given: Any, location: Location | None) -> Size:
        """One size of a placeholder: None is a fresh symbol, a string a named one."""
        with self._lock:
            if given is None:
                name = next(
                    f"n{i}" if i else "n"
                    for i in range(1 << 30)
                    if (f"n{i}" if i else "n") not in self._fresh | self._named
                )
                self._fresh.add(name)
                return dim.symbol(name)
            if isinstance(given, str):
                if not given.isidentifier() or iskeyword(given):
                    raise GraphError(f"size name {given!r} is not an identifier", location)
                if given in self._fresh:
                    raise GraphError(
                        f"size name {given!r} already stands for an unnamed size (None) of this "
                        "graph; name that one too, or choose another name",
                        location,
                    )
                self._named.add(given)
                return dim.symbol(given)
        if isinstance(given, dim.Dim):
            return given
        if isinstance(given, bool) or not hasattr(given, "__index__") or int(given) < 0:
            raise GraphError(
                f"size {given!r} is no size: use an int >= 0, a name, or None", location
            )
        return int(given)


@dataclasses.dataclass(eq=False)
class TraceFrame:
    """A function being traced for control flow: the tensors `made` in it and, in a loop, the
    number of the `step`, from which random draws differ step by step."""

    made: set[Any] = dataclasses.field(default_factory=set)
    step: Any = None
    stepped: bool = False  # whether `step` was asked for


def scope_of(function: str) -> GraphScope:
    """A graph to trace a user's function in; errors call the function so."""
    scope = GraphScope()
    scope.function = function
    return scope


_default = GraphScope()
_stack = threading.local()


def has_home(v: Value) -> bool:
    """Whether a tensor belongs to its graph alone: constants go with any, and so do their casts,
    reshapes and broadcasts without a name, as those of a NumPy array that stands for a tensor."""
    while isinstance(v.op, Cast | Reshape | Broadcast) and not v.name:
        v = v.args[0]
    return not isinstance(v.op, Constant | Full)


def is_rooted(v: Value) -> bool:
    """Whether a tensor depends on anything that its graph alone has: what is computed from
    constants and sizes, without a name or a call of Python, means the same in every graph."""
    return any(
        isinstance(a.op, Foreign) or bool(a.name)
        if a.args
        else not isinstance(a.op, Constant | Full | Iota | SizeOf)
        for a in topological([v])
    )


def homes(tensors: Sequence[Any]) -> set[GraphScope]:
    """The graphs to which tensors that meet belong: at most one, if they may.  While a function is
    traced, what is not its operand must have been written out as a constant."""
    graphs = {t.graph for t in tensors if has_home(t)}
    if len(graphs) > 1 and not any(g.function for g in graphs):
        return {t.graph for t in tensors if is_rooted(t)}
    return graphs


def watched(tensor: Any) -> Any:
    """An assign, of which the innermost `forward` that is being run may ask whether it was lost."""
    assigns = getattr(_stack, "assigns", None)
    if assigns is not None:
        assigns.append((weakref.ref(tensor), tensor.args[0].name, tensor.loc))
    return tensor


@contextlib.contextmanager
def keeping_assigns(forward: str) -> Iterator[None]:
    """Within the block, no assign may be made and dropped: no run could ever make it.  Raises
    `GraphError` at its line."""
    outer = getattr(_stack, "assigns", None)
    made: list[tuple[weakref.ref[Any], str, Location | None]] = []
    _stack.assigns = made
    try:
        yield
    finally:
        _stack.assigns = outer
    for tensor, name, loc in made:
        if tensor() is None:
            raise GraphError(
                f"{forward} assigns to {name!r} and drops the result, so no run would do it; "
                "return gc.with_update(out, variable, step) instead",
                loc,
            )
    if outer is not None:
        outer += made


def frames() -> list[TraceFrame]:
    """The functions that this thread is tracing, the innermost last."""
    found: list[TraceFrame] = getattr(_stack, "frames", [])
    return found


@contextlib.contextmanager
def tracing(frame: TraceFrame) -> Iterator[TraceFrame]:
    """Within the `with` block, what is built belongs to `frame`."""
    before = frames()
    _stack.frames = [*before, frame]
    try:
        yield frame
    finally:
        _stack.frames = before


def current() -> GraphScope:
    """The graph that new tensors belong to."""
    scopes: list[GraphScope] = getattr(_stack, "scopes", [])
    return scopes[-1] if scopes else _default


@contextlib.contextmanager
def _within(scope: GraphScope) -> Iterator[GraphScope]:
    if not hasattr(_stack, "scopes"):
        _stack.scopes = []
    _stack.scopes.append(scope)
    try:
        yield scope
    finally:
        _stack.scopes.pop()


def reset_default_graph() -> None:
    """Forgets the default graph; tensors already built keep working in their sessions."""
    global _default
    _default = GraphScope()


def name_scope(name: str) -> contextlib.AbstractContextManager[None]:
    """Prefixes the names of what is built inside, in the current graph.

    >>> import graphc as gc
    >>> with gc.Graph().as_default(), gc.name_scope("layer"):
    ...     w = gc.variable(gc.zeros((2,)), name="w")
    >>> w.name
    'layer/w'
    """
    return current().name_scope(name)


def device(name: Any) -> contextlib.AbstractContextManager[None]:
    """Pins what is built inside to a device: `cpu:N`, `cuda:N`, `cuda:sim`, or that of a
    `gc.DeviceSpec`; None undoes an outer pin.  Raises `DeviceError` for an unknown name.

    >>> import graphc as gc
    >>> with gc.Graph().as_default(), gc.device("cuda"):
    ...     w = gc.variable(gc.zeros((2,)))
    >>> w.device
    'cuda:0'
    """
    return pinned("" if name is None else device_name(name))
