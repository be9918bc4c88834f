"""Sizes that must be equal become one: Graph -> Graph.

Operands of `add` may be `f32[n]` and `f32[m]`; then n = m must hold in every run.  The equations
that ops state (`Op.requires`) are solved here; what is no plain symbol stays as a check for feed
time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Op
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import TensorType


@dataclass(frozen=True)
class Check:
    """Two sizes that must turn out equal, and the value that demands it."""

    left: Size
    right: Size
    value: Value


@dataclass(frozen=True)
class Unified:
    """A graph with fewer symbols; `declared` are the types its inputs had."""

    graph: Graph
    declared: tuple[TensorType, ...]
    checks: tuple[Check, ...]


def unify_sizes(graph: Graph) -> Unified:
    """Solves the size equations of a graph."""
    known: dict[str, Size] = {}
    checks: list[Check] = []
    for v in graph.nodes():
        for a, b in v.op.requires(*(x.type for x in v.args)):
            _equate(_resolve(a, known), _resolve(b, known), known, checks, v)
    for old, new in graph.updates:
        for a, b in zip(old.type.shape, new.type.shape, strict=True):
            _equate(_resolve(a, known), _resolve(b, known), known, checks, new)
    declared = tuple(v.type for v in graph.inputs)
    if known:
        graph = _substitute(graph, {name: _resolve(size, known) for name, size in known.items()})
    left = (Check(_resolve(c.left, known), _resolve(c.right, known), c.value) for c in checks)
    return Unified(graph, declared, tuple(c for c in left if c.left != c.right))


def _resolve(size: Size, known: dict[str, Size]) -> Size:
    while dim.symbols(size) & known.keys():
        size = dim.substitute(size, known)
    return size


def _equate(a: Size, b: Size, known: dict[str, Size], checks: list[Check], v: Value) -> None:
    if a == b:
        return
    for one, other in ((b, a), (a, b)):
        if (
            isinstance(one, dim.Dim)
            and str(one).isidentifier()
            and str(one) not in dim.symbols(other)
        ):
            known[str(one)] = other
            return
    checks.append(Check(a, b, v))


def _substitute(graph: Graph, known: dict[str, Size]) -> Graph:
    done: dict[Value, Value] = {}
    for v in graph.inputs:
        op = substitute_fields(v.op, known)
        shape = tuple(dim.substitute(s, known) for s in v.type.shape)
        kept = isinstance(op, Placeholder)
        done[v] = Value(op, (), v.type.with_shape(shape) if kept else v.type, v.name, v.loc)
    for v in graph.nodes():
        done[v] = make(
            substitute_fields(v.op, known), tuple(done[a] for a in v.args), v.name, v.loc
        )
    return graph.replace(done)


def substitute_fields(op: Op, known: dict[str, Size]) -> Op:
    """The op with symbols in its fields replaced."""
    changed = {}
    for f in op.fields():
        old = getattr(op, f.name)
        new = _field(old, known)
        if new is not old:
            changed[f.name] = new
    return dataclasses.replace(op, **changed) if changed else op  # type: ignore[type-var]


def _field(x: Any, known: dict[str, Size]) -> Any:
    if isinstance(x, dim.Dim):
        return dim.substitute(x, known)
    if isinstance(x, tuple) and any(isinstance(e, dim.Dim) for e in x):
        return tuple(_field(e, known) for e in x)
    return x
