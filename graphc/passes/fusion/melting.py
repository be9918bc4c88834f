"""Decides which values melt into their readers, and which stored values are read through them.

Views, literals, arithmetic on single numbers and short reductions melt: they are index lambdas,
computed again wherever they are read.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.graph import Graph, Value
from graphc.ir.op import (
    Contraction,
    Control,
    Gather,
    Generator,
    Opaque,
    Pointwise,
    Reduction,
    Scatter,
    View,
)
from graphc.ir.ops.partial import Partial
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Concat, Constant, Dilate, Pad, Reshape
from graphc.ir.ops.window import Window
from graphc.ir.program import storage
from graphc.passes.fusion.predicates import is_place

READS_MEMORY = (Contraction, Opaque, Scatter, Control)  # ops whose operands must lie in memory


@dataclass(frozen=True)
class Read:
    """A stored value that another reads, and how: at the same index, along rows, or otherwise.

    `rows` are the axes of the reader that index the value, which repeats along the others.
    """

    value: Value
    same: bool
    rows: tuple[int, ...] | None = None

    @property
    def aligned(self) -> bool:
        """Whether the reader walks its index space in step with the value."""
        return self.same or self.rows is not None


@dataclass(frozen=True)
class MeltingLimits:
    """How much may be computed again by each reader: ops on single numbers nested in each other,
    choices between pieces of views, elements of a reduction."""

    depth: int
    choices: int
    unrolled_elements: int


def own_choices(v: Value) -> int:
    """How many times an element of a view chooses what it reads."""
    match v.op:
        case Concat():
            return len(v.args) - 1
        case Pad() | Dilate():
            return 1
    return 0


class Melting:
    """Which values of a graph are melted, and what the others read."""

    def __init__(self, graph: Graph, limits: MeltingLimits) -> None:
        self.graph, self.nodes, self.inputs = graph, graph.nodes(), set(graph.inputs)
        self.limits = limits
        self.required = self._required()
        self.depth: dict[Value, int] = {}  # melted value -> how many melted values are nested in it
        self.choices: dict[Value, int] = {}  # melted value -> choices between pieces nested in it
        for v in self.nodes:
            choices = self._choices(v)
            if self._melts(v):
                self.depth[v] = 1 + max((self.depth.get(a, 0) for a in v.args), default=0)
                self.choices[v] = choices

    def _choices(self, v: Value) -> int:
        """The choices nested in an element of v.  If they are too many, operands are stored, those
        with the most first: each piece of a view has the choices of what it reads in it."""
        choices = own_choices(v)
        nested = {a: self.choices[a] for a in v.args if self.choices.get(a)}
        if v.type.rank == 0:  # emitted where it has a name
            return choices
        for a in sorted(nested, key=lambda a: -nested[a]):
            if choices + sum(nested.values()) <= self.limits.choices or not isinstance(v.op, View):
                break
            del nested[a], self.depth[a], self.choices[a]
            self.required.add(a)
        return choices + sum(nested.values())

    def _required(self) -> set[Value]:
        """The values that must lie in memory whatever the kernels are."""
        needed = {storage(v) for v in self.graph.results}
        for v in self.nodes:
            if isinstance(v.op, READS_MEMORY):
                needed |= {storage(a) for a in v.args}
            if isinstance(v.op, Window):  # a padded copy; else each window would test each element
                needed |= {a for a in v.args[0].args if isinstance(a.op, Pad)}
        return needed

    def is_input(self, v: Value) -> bool:
        return v in self.inputs or isinstance(v.op, Constant)

    def melted(self, v: Value) -> bool:
        """Whether v is an index lambda, recomputed where it is read."""
        return v in self.depth

    def _melts(self, v: Value) -> bool:
        if v in self.required or self.is_input(v):
            return False
        match v.op:
            case View():
                return own_choices(v) <= self.limits.choices
            case Generator(cost=cost):
                return cost <= 1
            case Pointwise():
                shallow = all(self.depth.get(a, 0) < self.limits.depth for a in v.args)
                return shallow and not v.op.can_fail and (v.type.rank == 0 or self.converts(v))
            case Reduction():
                return self.unrolled(v)
        return False

    def converts(self, v: Value) -> bool:
        """Whether v is a cheap function of one input (and of positions): computing v again costs no
        more than reading it."""
        if not isinstance(v.op, Pointwise) or v.op.cost > 1:
            return False
        reads = [a for a in v.args if not is_place(a)]
        if len(reads) != 1:
            return is_place(v)
        return self.is_input(reads[0]) or self.melted(reads[0])

    def unrolled(self, v: Value) -> bool:
        """Whether v is a short reduction over a stored value, written out where it is read."""
        if isinstance(v.op, Partial) or not isinstance(v.op, Reduction) or v.op.positional:
            return False
        (x,) = v.args
        count = 1
        for a in v.op.axes:
            size = x.type.shape[a]
            if not isinstance(size, int):
                return False
            count *= size
        base = storage(x)
        stored = self.is_input(base) or isinstance(base.op, (*READS_MEMORY, Partial))
        whole = stored and x.type.rank - 1 not in v.op.axes
        return count <= self.limits.unrolled_elements and (whole or isinstance(base.op, Partial))

    def sources(self, v: Value) -> list[Read]:
        """The stored values that v reads, directly or through melted values."""
        reads: dict[tuple[Value, bool, tuple[int, ...] | None], Read] = {}
        gathers = isinstance(v.op, Gather)
        view = isinstance(v.op, View) and not isinstance(v.op, Reshape)
        stack: list[tuple[Value, bool, tuple[int, ...] | None]] = [
            (a, not gathers and not view, None) for a in v.args
        ]
        if isinstance(v.op, Broadcast):
            stack = [(v.args[0], False, v.op.axes)]
        if isinstance(v.op, Reshape):
            stack = [(v.args[0], False, None)]
        seen = set()
        while stack:
            value, same, rows = read = stack.pop()
            if read in seen:
                continue
            seen.add(read)
            if not self.melted(value):
                reads[value, same, rows] = Read(value, same, rows)
                continue
            for a in value.args:
                stack.append((a, *self._through(value, same, rows)))
        return list(reads.values())

    def stored_sources(self, v: Value) -> list[Read]:
        """As `sources`; operands that must lie in memory count as stored."""
        if isinstance(v.op, READS_MEMORY):
            return [Read(storage(a), False) for a in v.args]
        return self.sources(v)

    def _through(
        self, v: Value, same: bool, rows: tuple[int, ...] | None
    ) -> tuple[bool, tuple[int, ...] | None]:
        """How the operand of a melted value v is read, if v itself is read as `same` and `rows`
        say."""
        match v.op:
            case Broadcast(axes=axes) if same:
                return False, axes
            case Pointwise():
                return same, rows
        return False, None
