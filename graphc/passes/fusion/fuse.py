"""Fusion: Graph -> Program.  Each value joins the kernel where it costs least memory traffic.

Views, literals and 0-d arithmetic are *melted*: they are index lambdas, recomputed wherever they
are read.  Every other value is in one group.  Fusion visits operands first; a value joins a group
of its operands if both walk the same index space and no cycle arises:

    element-level   the group's domain                       a map
    row-level       the domain without the folded axes       what lies between reductions of a row

A reduction joins if it folds the group's inner axes.  So softmax, layer norm, cross entropy and
their gradients become one kernel whose row stays in cache.  In the end, groups that read the same
arrays merge.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.dim import Shape
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Item
from graphc.ir.ops.partial import Partial
from graphc.ir.program import KINDS, Kind, Program, storage
from graphc.passes.base import Context, Pass, option
from graphc.passes.fusion.control_steps import with_all_items
from graphc.passes.fusion.groups import Groups, KernelGroup, common_space, space_of
from graphc.passes.fusion.kernels import KernelMaker
from graphc.passes.fusion.melting import READS_MEMORY, Melting, MeltingLimits, Read
from graphc.passes.fusion.merging import Merging
from graphc.passes.fusion.predicates import takes_epilogue
from graphc.passes.graph.split_concats import SplitConcats
from graphc.passes.graph.split_reductions import SplitReductions


@dataclass(frozen=True)
class Fuse(Pass):
    """Makes kernels of the graph's values: those that walk one index space share a kernel."""

    name = "fuse"
    required = "it makes the kernels of a graph"
    max_melted_depth: int = option(
        40,
        "nested ops on single numbers that each reader computes again",
        at_least=0,
    )
    max_unrolled_elements: int = option(
        SplitReductions.max_unrolled_elements,
        "elements of a reduction, at most, that is written out where it is read",
        at_least=0,
    )
    # branches in branches: the time to compile them grows faster than their number
    max_choices: int = option(
        SplitConcats.max_parts, "nested choices between pieces of views", at_least=1
    )
    max_members: int = option(300, "values in a kernel", at_least=1)
    # alias metadata covers 64 buffers: with more, LLVM does not vectorise loops
    max_arrays: int = option(60, "arrays that a kernel reads or writes", at_least=1)

    def run(self, graph: Graph, context: Context) -> Program:
        """The graph as kernels."""
        return Fuser(self, graph, context).run()

    def __call__(self, graph: Graph) -> Program:
        """The graph as kernels, outside of a compilation."""
        return self.run(graph, Context())


class Fuser:
    """One run of fusion over one graph."""

    def __init__(self, fuse: Fuse, graph: Graph, context: Context) -> None:
        self.fuse, self.context = fuse, context
        self.graph, self.items = with_all_items(graph)
        self.melting = Melting(
            self.graph,
            MeltingLimits(fuse.max_melted_depth, fuse.max_choices, fuse.max_unrolled_elements),
        )
        updated = {storage(new) for _, new in self.graph.updates}
        self.groups = Groups(self.melting.required, updated, fuse.max_members, fuse.max_arrays)

    def run(self) -> Program:
        """Groups everything, merges groups that read the same arrays, orders the kernels."""
        melting = self.melting
        for v in melting.nodes:
            if not melting.is_input(v) and not melting.melted(v) and not isinstance(v.op, Item):
                self.place(v)
        merging = Merging(melting, self.groups, self.context.takes_epilogue or takes_epilogue)
        merging.merge_siblings()
        merging.add_epilogues()
        maker = KernelMaker(melting, self.groups, lambda g: self.fuse.run(g, self.context))
        return Program(self.graph, tuple(maker.kernels()))

    def place(self, v: Value) -> None:
        """Puts v in a group."""
        if isinstance(v.op, READS_MEMORY):
            kind = next(k for c, k in KINDS.items() if isinstance(v.op, c))
            group = self.groups.new(kind, v.type.shape)
            self.groups.add(group, v, [storage(a) for a in v.args])
            for item in self.items.get(v, ()):
                self.groups.add(group, item, [])
            return
        sources = self.melting.sources(v)
        values = [s.value for s in sources]
        group = self._choose(v, sources)
        self.groups.add(group, v, values)

    def _choose(self, v: Value, sources: list[Read]) -> KernelGroup:
        """A group of the operands that v can join (merged, where it can join several); else a new
        one."""
        own_space = space_of(v)
        best: KernelGroup | None = None
        group_of = self.groups.of
        misaligned = {group_of[s.value] for s in sources if s.value in group_of and not s.aligned}
        for number in sorted({group_of[s.value] for s in sources if s.value in group_of}):
            group = self.groups.all.get(number)
            if group is None or number in misaligned:
                continue
            if best is not None:
                if self.groups.mergeable(best, group) and self._allows(best, group, misaligned):
                    best = self.groups.merge(best, group)
                continue
            if self._joins(group, v, own_space, sources):
                best = group
        if best is None:
            return self.groups.new(Kind.LOOPS, *own_space)
        if not self._joins(best, v, own_space, sources):
            return self.groups.new(Kind.LOOPS, *own_space)
        probe = KernelGroup(-1, Kind.LOOPS, *own_space)
        space = common_space(best, probe)
        assert space is not None
        best.domain, best.inner = space
        return best

    def _allows(self, a: KernelGroup, b: KernelGroup, misaligned: set[int]) -> bool:
        """Whether v may join a and b merged: no group that v reads out of step needs either."""
        others = [self.groups.all[n] for n in sorted(misaligned)]
        return not any(self.groups.needs(x, g) for x in others for g in (a, b))

    def _joins(
        self,
        group: KernelGroup,
        v: Value,
        own_space: tuple[Shape, tuple[int, ...] | None],
        sources: list[Read],
    ) -> bool:
        """Whether v can be a member: one index space, members read in step, no cycle."""
        if group.kind is not Kind.LOOPS:
            return False
        space = common_space(group, KernelGroup(-1, Kind.LOOPS, *own_space))
        if space is None:
            return False
        merged = KernelGroup(-1, Kind.LOOPS, *space)
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
