"""Program: the second IR.  Kernels in order, and where each buffer lies.

A kernel computes `writes` from `reads` through `body`, a slice of the graph.  Values between are index
lambdas: they exist in registers only.  Buffers live in the caller's arrays, in variables, in constants or
in the arena, at offsets that are formulas of the sizes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from graphc.ir.dim import Shape, Size
from graphc.ir.graph import Graph, Value


class Kind(enum.Enum):
    """How a kernel is lowered."""

    LOOPS = "kernel"
    MATMUL = "matmul"
    OPAQUE = "opaque"
    SCATTER = "scatter"


class Place(enum.Enum):
    """Where a buffer lives."""

    INPUT = "in"  # the caller's array, or a variable: read only
    CONSTANT = "const"
    OUTPUT = "out"  # handed to the caller
    VARIABLE = "var"  # the variable's own storage, written by a commit
    ARENA = "arena"


@dataclass(frozen=True, eq=False)
class Kernel:
    """One launch.  `domain` is its index space; `inner` are the axes that its reductions fold."""

    name: str
    kind: Kind
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    body: tuple[Value, ...]
    domain: Shape = ()
    inner: tuple[int, ...] = ()
    commits: bool = False


@dataclass(frozen=True)
class Buffer:
    """Where a value is stored.  `offset` counts bytes in the arena; `alias` shares another's place."""

    place: Place
    nbytes: Size
    offset: Size = 0
    slot: Value | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Program:
    """Kernels in order; `buffers` says where their values lie (empty before planning)."""

    graph: Graph
    kernels: tuple[Kernel, ...]
    buffers: dict[Value, Buffer] = field(default_factory=dict)
    arena: Size = 0
    naive: Size = 0  # arena bytes without reuse
