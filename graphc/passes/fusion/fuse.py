"""Fusion: Graph -> Program.  Each value joins the kernel where it costs least memory traffic.

Views, literals and 0-d arithmetic are *melted*: they are index lambdas, recomputed wherever they
are read. Every other value has one group.  Values are visited operands first; a value joins a group
of its operands if both walk the same index space and no cycle arises:

    element-level   the group's domain                       a map
    row-level       the domain without the folded axes       what lies between reductions of a row

A reduction joins if it folds the group's inner axes.  So softmax, layer norm, cross entropy and
their gradients become one kernel whose row stays in cache.  At last, groups that read the same
arrays merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graphc.ir.dim import Shape
from graphc.ir.graph import Graph, Value
from graphc.ir.op import (
    Contraction,
    Control,
    Gather,
    Generator,
    Item,
    Opaque,
    Pointwise,
    Reduction,
    Scatter,
    View,
)
from graphc.ir.ops.partial import Partial
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Constant, Pad, Reshape
from graphc.ir.ops.window import Window
from graphc.ir.program import KINDS, Kernel, Kind, Program, can_fail, holds, storage
from graphc.passes.fusion.control_steps import scan_space, step_graphs, with_all_items
from graphc.passes.fusion.groups import Group, Groups, common_space, space_of
from graphc.passes.fusion.predicates import is_place, joins_rows, takes_epilogue
from graphc.passes.graph.split_reductions import UNROLL

DEEPEST = 40  # arithmetic on single numbers is stored once it is so deep, not made again everywhere
MATERIAL = (Contraction, Opaque, Scatter, Control)  # their operands must lie in memory


@dataclass(frozen=True)
class Source:
    """A stored value that another reads, and how: at the same index, along rows, or otherwise.

    `rows` are the axes of the reader that index it when it repeats along the others.
    """

    value: Value
    same: bool
    rows: tuple[int, ...] | None = None


class Fuser:
    """One run of fusion over one graph; `takes` tells which contractions a map may follow."""

    def __init__(self, graph: Graph, takes: Callable[[Value], bool] = takes_epilogue) -> None:
        self.takes = takes
        self.graph, self.items = with_all_items(graph)
        graph = self.graph
        self.inputs = set(graph.inputs)
        self.nodes = graph.nodes()
        self.required = self._required()
        self.updated = {storage(new) for _, new in graph.updates}
        self.groups = Groups(self.required)
        self.depth: dict[Value, int] = {}  # of what is melted, one upon the other
        for v in self.nodes:
            if self._melts(v):
                self.depth[v] = 1 + max((self.depth.get(a, 0) for a in v.args), default=0)

    def _required(self) -> set[Value]:
        """The values that must lie in memory whatever the kernels are."""
        needed = {storage(v) for v in self.graph.results}
        for v in self.nodes:
            if isinstance(v.op, MATERIAL):
                needed |= {storage(a) for a in v.args}
            if isinstance(v.op, Window):  # else each window would test each element
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
                return True
            case Generator(cost=cost):
                return cost <= 1
            case Pointwise():
                shallow = all(self.depth.get(a, 0) < DEEPEST for a in v.args)
                return shallow and not v.op.can_fail and (v.type.rank == 0 or self.converts(v))
            case Reduction():
                return self.unrolled(v)
        return False

    def converts(self, v: Value) -> bool:
        """Whether v is so cheap a function of one input (and of places) that reading the input
        again costs no more."""
        if not isinstance(v.op, Pointwise) or v.op.cost > 1:
            return False
        reads = [a for a in v.args if not is_place(a)]
        if len(reads) != 1:
            return is_place(v)
        return self.is_input(reads[0]) or self.melted(reads[0])

    def unrolled(self, v: Value) -> bool:
        """Whether a reduction is so short, over something stored, that it is written out in
        place."""
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
        stored = self.is_input(base) or isinstance(base.op, (*MATERIAL, Partial))
        whole = stored and x.type.rank - 1 not in v.op.axes
        return count <= UNROLL and (whole or isinstance(base.op, Partial))

    def sources(self, v: Value) -> list[Source]:
        """The stored values that v reads, through what is melted."""
        found: dict[tuple[Value, bool, tuple[int, ...] | None], Source] = {}
        gathers = isinstance(v.op, Gather)
        view = isinstance(v.op, View) and not isinstance(v.op, Reshape)
        stack: list[tuple[Value, bool, tuple[int, ...] | None]] = [
            (a, not gathers and not view, None) for a in v.args
        ]
        if isinstance(v.op, Broadcast):
            stack = [(v.args[0], False, v.op.axes)]
        if isinstance(v.op, Reshape):
            stack = [(v.args[0], False, None)]
        while stack:
            value, same, rows = stack.pop()
            if not self.melted(value):
                found[value, same, rows] = Source(value, same, rows)
                continue
            for a in value.args:
                stack.append((a, *self._through(value, same, rows)))
        return list(found.values())

    def _through(
        self, v: Value, same: bool, rows: tuple[int, ...] | None
    ) -> tuple[bool, tuple[int, ...] | None]:
        """How the operand of a melted value is read, if v is read so."""
        match v.op:
            case Broadcast(axes=axes) if same:
                return False, axes
            case Pointwise():
                return same, rows
        return False, None

    def place(self, v: Value) -> None:
        """Puts v in a group."""
        if isinstance(v.op, MATERIAL):
            found = next(k for c, k in KINDS.items() if isinstance(v.op, c))
            group = self.groups.new(found, v.type.shape)
            self.groups.add(group, v, [storage(a) for a in v.args])
            for item in self.items.get(v, ()):
                self.groups.add(group, item, [])
            return
        sources = self.sources(v)
        values = [s.value for s in sources]
        group = self._choose(v, sources)
        self.groups.add(group, v, values)

    def _choose(self, v: Value, sources: list[Source]) -> Group:
        own = space_of(v)
        best: Group | None = None
        of = self.groups.of
        barred = {of[s.value] for s in sources if s.value in of and not self._aligned(s)}
        for number in sorted({of[s.value] for s in sources if s.value in of}):
            group = self.groups.all.get(number)
            if group is None or number in barred:
                continue
            if best is not None:
                if self.groups.mergeable(best, group) and self._allows(best, group, barred):
                    best = self.groups.merge(best, group)
                continue
            if self._joins(group, v, own, sources):
                best = group
        if best is None:
            return self.groups.new(Kind.LOOPS, *own)
        if not self._joins(best, v, own, sources):
            return self.groups.new(Kind.LOOPS, *own)
        probe = Group(-1, Kind.LOOPS, *own)
        space = common_space(best, probe)
        assert space is not None
        best.domain, best.inner = space
        return best

    def _allows(self, a: Group, b: Group, barred: set[int]) -> bool:
        others = [self.groups.all[n] for n in sorted(barred)]
        return not any(self.groups.needs(x, g) for x in others for g in (a, b))

    def _aligned(self, s: Source) -> bool:
        return s.same or s.rows is not None

    def _joins(
        self,
        group: Group,
        v: Value,
        own: tuple[Shape, tuple[int, ...] | None],
        sources: list[Source],
    ) -> bool:
        """Whether v can be a member: one index space, members read in step, no cycle."""
        if group.kind is not Kind.LOOPS:
            return False
        space = common_space(group, Group(-1, Kind.LOOPS, *own))
        if space is None:
            return False
        merged = Group(-1, Kind.LOOPS, *space)
        if isinstance(v.op, Partial) and not merged.trailing:
            return False
        if group.partial and not merged.trailing:
            return False
        for s in sources:
            if self.groups.of.get(s.value) != group.number:
                continue
            if isinstance(s.value.op, Partial):
                return False
            if s.rows is not None and s.rows != merged.outer_axes:
                return False
            if s.rows is not None and merged.inner in (None, ()):
                return False
            if not s.same and s.rows is None:
                return False
        return self.groups.joinable(group, [s.value for s in sources])

    def run(self) -> Program:
        """Groups everything, merges groups that read the same arrays, orders the kernels."""
        for v in self.nodes:
            if not self.is_input(v) and not self.melted(v) and not isinstance(v.op, Item):
                self.place(v)
        self._merge_siblings()
        self._add_epilogues()
        return Program(self.graph, tuple(self._kernels()))

    def _kernels(self) -> Iterable[Kernel]:
        """The groups as kernels, in an order that the graph alone decides; commits come last."""
        position = {v: i for i, v in enumerate(self.nodes)}
        results = {storage(v) for v in self.graph.results}
        users: dict[Value, set[int]] = {}
        reads: dict[int, dict[Value, None]] = {n: {} for n in self.groups.all}
        for v in self.nodes:
            if v not in self.groups.of or isinstance(v.op, Item):
                continue
            n = self.groups.of[v]
            for s in self._stored_sources(v):
                if self.groups.of.get(s.value) != n:
                    reads[n][s.value] = None
                    users.setdefault(s.value, set()).add(n)
        needed = results | users.keys()
        for n in self._order(position, self.updated):
            group = self.groups.all[n]
            if group.kind is Kind.CONTROL:
                yield self._control(group, tuple(reads[n]))
            else:
                group.members.sort(key=position.__getitem__)
                yield self._kernel(group, tuple(reads[n]), needed)

    def _kernel(self, group: Group, reads: tuple[Value, ...], needed: set[Value]) -> Kernel:
        members = group.members
        writes = tuple(m for m in members if m in needed)
        product = next((m for m in members if isinstance(m.op, Contraction)), None)
        if product is not None and not any(holds(w, product) for w in writes):
            writes = (product, *writes)  # no result can hold it on the way
        name = next((m.name for m in reversed(members) if m.name), members[-1].op.name)
        commits = self._commits(group, self.updated)
        return Kernel(
            name,
            group.kind,
            reads,
            writes,
            tuple(members),
            group.domain,
            group.inner or (),
            commits,
        )

    def _control(self, group: Group, reads: tuple[Value, ...]) -> Kernel:
        """A kernel that runs programs; all its results are stored, used or not."""
        v, *results = group.members
        name, body = v.name or v.op.name, (v, *results)
        space = scan_space(v)
        if space is not None:
            return Kernel(name, Kind.SCAN, reads, tuple(results), body, space)
        programs = tuple(fuse(g, self.takes) for g in step_graphs(v))
        return Kernel(name, group.kind, reads, tuple(results), body, programs=programs)

    def _order(self, position: dict[Value, int], updated: set[Value]) -> list[int]:
        """The groups, operands before users: of those that are ready, the one whose first member
        comes first, and commits last of all."""
        groups = self.groups.all
        first = {n: min(position[m] for m in g.members if m in position) for n, g in groups.items()}
        return self.groups.dag.order(
            {n: (self._commits(g, updated), first[n], n) for n, g in groups.items()}
        )

    def _merge_siblings(self) -> None:
        """Merges groups of one domain that read the same array at the same index, and groups of one
        index space that only combine chunks."""
        readers: dict[object, list[int]] = {}
        for v in self.nodes:
            if v not in self.groups.of:
                continue
            sources = self.sources(v)
            for s in sources:
                if s.same and s.value.type.rank:
                    readers.setdefault(s.value, []).append(self.groups.of[v])
            if sources and all(isinstance(s.value.op, Partial) for s in sources):
                readers.setdefault(space_of(v), []).append(self.groups.of[v])
        for numbers in readers.values():
            first: Group | None = None
            for n in dict.fromkeys(numbers):
                group = self.groups.all.get(n)
                if group is None or group.kind is not Kind.LOOPS:
                    continue
                if first is None or not self.groups.small(first, group):
                    first = group
                elif self._independent(first, group):
                    first = self.groups.merge(first, group)

    def _add_epilogues(self) -> None:
        """A map over a contraction's result runs chunk by chunk with it, if nothing else reads
        it."""
        users: dict[Value, set[int]] = {}
        for v in self.nodes:
            if v in self.groups.of:
                for s in self._stored_sources(v):
                    users.setdefault(s.value, set()).add(self.groups.of[v])
        for v in self.nodes:
            readers = users.get(v, set())
            if not self.takes(v) or len(readers) != 1 or v in self.required:
                continue
            product, group = self.groups.all[self.groups.of[v]], self.groups.all.get(readers.pop())
            if group is not None and self._follows(product, group) and self._in_step(v, group):
                product.domain = group.domain
                self.groups.merge(product, group)

    def _in_step(self, v: Value, group: Group) -> bool:
        """Whether the members of a map read v only at their own place, perhaps reshaped to the
        map's index space."""
        stack = [(a, isinstance(m.op, Pointwise)) for m in group.members for a in m.args]
        seen: set[tuple[Value, bool]] = set()
        while stack:
            a, same = stack.pop()
            if (a, same) in seen:
                continue
            seen.add((a, same))
            if storage(a) is v:
                if not same or a.type.shape != group.domain:
                    return False
            elif self.melted(a):
                stack += [(b, same and isinstance(a.op, Pointwise)) for b in a.args]
        return True

    def _stored_sources(self, v: Value) -> list[Source]:
        if isinstance(v.op, MATERIAL):
            return [Source(storage(a), False) for a in v.args]
        return self.sources(v)

    def _follows(self, product: Group, group: Group) -> bool:
        """Whether a group is a plain map over the product's index space that may run with it."""
        if group.kind is not Kind.LOOPS or group.inner is not None:
            return False
        if group.domain != product.domain and not joins_rows(product.domain, group.domain):
            return False
        if self._commits(group, self.updated) or any(can_fail(m) for m in group.members):
            return False
        return not self.groups.between(product, group)

    def _independent(self, a: Group, b: Group) -> bool:
        """Neither needs the other, and no commit would have to wait for the other's readers."""
        groups = self.groups
        if a.domain != b.domain or not groups.matching(a, b):
            return False
        if groups.needs(a, b) or groups.needs(b, a):
            return False
        return self._commits(a, self.updated) == self._commits(b, self.updated)

    def _commits(self, group: Group, updated: set[Value]) -> bool:
        """Whether a kernel does nothing but compute new values of variables, for nobody else, and
        cannot fail: then it runs last, when nothing can stop the run any more."""
        if group.kind is Kind.CONTROL:
            return False
        if self.groups.needed(group) or not any(m in updated for m in group.members):
            return False
        return not any(can_fail(m) for m in group.members)


def fuse(graph: Graph, takes: Callable[[Value], bool] = takes_epilogue) -> Program:
    """The graph as kernels."""
    return Fuser(graph, takes).run()
