"""Makes one size of sizes that must be equal: Graph -> Graph.

Operands of `add` may be `f32[n]` and `f32[m]`; then n = m must hold in every run.  This pass solves
the equations that ops state (`Op.requires`).  An equation without a plain symbol stays as a check
for feed time.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value
from graphc.ir.substitute import substitute_graph
from graphc.ir.types import TensorType


@dataclass(frozen=True)
class Check:
    """Two sizes that must be equal in every run, and the value that demands it."""

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
    for v in graph.every():
        for a, b in v.op.requires(*(x.type for x in v.args)):
            _equate(_resolve(a, known), _resolve(b, known), known, checks, v)
    for old, new in graph.updates:
        for a, b in zip(old.type.shape, new.type.shape, strict=True):
            _equate(_resolve(a, known), _resolve(b, known), known, checks, new)
    declared = tuple(v.type for v in graph.inputs)
    if known:
        solved = {name: _resolve(size, known) for name, size in known.items()}
        graph = substitute_graph(graph, solved)
    unsolved = (Check(_resolve(c.left, known), _resolve(c.right, known), c.value) for c in checks)
    return Unified(graph, declared, tuple(c for c in unsolved if c.left != c.right))


def _resolve(size: Size, known: dict[str, Size]) -> Size:
    """The size with known symbols replaced, until none is left."""
    while dim.symbols(size) & known.keys():
        size = dim.substitute(size, known)
    return size


def _equate(a: Size, b: Size, known: dict[str, Size], checks: list[Check], v: Value) -> None:
    """Adds a = b to what is known, if one side is a symbol that the other lacks; else to checks."""
    if a == b:
        return
    for unknown, other in ((b, a), (a, b)):
        if (
            isinstance(unknown, dim.Dim)
            and str(unknown).isidentifier()
            and str(unknown) not in dim.symbols(other)
        ):
            known[str(unknown)] = other
            return
    checks.append(Check(a, b, v))
