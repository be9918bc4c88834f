"""Fused kernels -> Loops: maps, row kernels with several reductions, folds of rows by chunks.

for c in chunks:                    only if rows are folded too
    for i in rows:
        for j in row: ...           loop 0: folds, stores
        for j in row: ...           loop 1: may use what loop 0 folded
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    BufferArgument,
    Const,
    For,
    IndexValue,
    Let,
    Load,
    Loops,
    Ref,
    Store,
)
from graphc.codegen.loops.scalar import Scalar
from graphc.codegen.loops.transform import collapse, map_sizes
from graphc.codegen.lower.emitter import (
    Emitter,
    Index,
    fold,
    nest,
    row_major,
    start_of,
    variable,
)
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.op import Reduction
from graphc.ir.ops.partial import Partial
from graphc.ir.program import Kernel
from graphc.ir.types import DType, bool_, i64
from graphc.passes.fusion.row_stages import Stages, is_element, stages

MAX_SHORT_ROW_ELEMENTS = 64  # of a row whose index should cost no division
MIN_LINE_ELEMENTS = 16  # of the loop around short rows, so that the division for its index is rare


@dataclass(frozen=True)
class Nest:
    """The parts of a kernel: `top` runs once, `body` for every index of the axes `outer`, that is a
    row.  If rows are folded by `chunks`, `begin` and `end` surround the rows of each chunk."""

    buffers: tuple[BufferArgument, ...]
    top: list[Any]
    begin: list[Any]
    outer: list[tuple[str, Size]]
    body: list[Any]
    end: list[Any]
    chunks: int


def chunk_rows(parts: Nest) -> tuple[Size, Size]:
    """The first row of chunk c, and the first of the next."""
    rows, c = dim.product(tuple(n for _, n in parts.outer)), variable("c")
    return rows * c // parts.chunks, rows * (c + 1) // parts.chunks


def positions(axes: Sequence[tuple[str, Size]], linear: Size) -> list[Let]:
    """Definitions of the index on each axis at a place in row-major order."""
    lets = []
    for position, (name, size) in enumerate(axes):
        inner = dim.product(tuple(n for _, n in axes[position + 1 :]))
        here = linear // inner if position == 0 else linear // inner % size
        lets.append(Let(name, IndexValue(here, i64, size)))
    return lets


class Fused:
    """Lowers one fused kernel."""

    def __init__(
        self, kernel: Kernel, slots: dict[Value, int] | None = None, whole: bool = True
    ) -> None:
        self.kernel, self.whole = kernel, whole
        self.stages: Stages = stages(kernel, set(kernel.reads))
        buffers = (*kernel.reads, *kernel.writes)
        self.slots = slots or {v: i for i, v in enumerate(buffers)}
        self.emit = Emitter(self.slots)
        self.emit.reads = set(kernel.reads)
        outer = [a for a in range(len(kernel.domain)) if a not in kernel.inner]
        self.outer = [(f"i{n}", kernel.domain[a]) for n, a in enumerate(outer)]
        self.inner = [(f"j{n}", kernel.domain[a]) for n, a in enumerate(kernel.inner)]
        names = {a: self.outer[n][0] for n, a in enumerate(outer)}
        names |= {a: self.inner[n][0] for n, a in enumerate(kernel.inner)}
        self.index: Index = tuple(variable(names[a]) for a in range(len(kernel.domain)))
        self.row: Index = tuple(variable(name) for name, _ in self.outer)
        self.column: Index = tuple(variable(name) for name, _ in self.inner)
        self.partials = [v for v in kernel.body if isinstance(v.op, Partial)]
        self.totals: dict[Value, str] = {}
        self.element = {v: bool(kernel.inner) and is_element(kernel, v) for v in kernel.body}

    def lower(self) -> Loops:
        """The loops of the kernel."""
        parts = self.nest()
        body, extent = self._rows(parts)
        if parts.chunks:
            chunk = (*parts.begin, *body, *parts.end)
            body = [For("c.", variable("lo"), variable("hi"), chunk)]
        return Loops(self.kernel.name, parts.buffers, (), extent, (*parts.top, *body))

    def nest(self) -> Nest:
        """The parts of the kernel, before they are put into loops."""
        self.emit.open()
        if self.partials:
            self.emit.open("c")
            self._start_partials()
        merged = not self.outer and not self.partials
        if not merged:
            self.emit.open(*(name for name, _ in self.outer))
        for s in range(self.stages.last + 1):
            self._row_work(s)
            self._loop(s)
            self._after(s)
        body = self.emit.close()
        begin = self.emit.close() if self.partials else []
        top = [] if merged else self.emit.close()
        outer = self.outer
        if self.whole:
            body, outer = collapse(body, outer)
            begin, body = self._collapsed(begin, body)
        buffers = self.emit.buffers(self.slots, self.kernel.writes)
        chunks = {v.op.chunks for v in self.partials if isinstance(v.op, Partial)}
        assert len(chunks) <= 1, "folds of one kernel are cut into equal chunks"
        return Nest(buffers, top, begin, outer, body, self._end_partials(), sum(chunks))

    def _collapsed(self, begin: Sequence[Any], body: Sequence[Any]) -> list[list[Any]]:
        """The statements that begin a chunk and those of a row, with their inner loops merged
        alike: a row continues the folds that the chunk starts."""
        parts = [For("", 0, 1, tuple(part)) for part in (begin, body)]
        return [list(part.body) for part in collapse(parts, self.inner)[0]]

    # -- the parts of a row

    def _row_work(self, s: int) -> None:
        """Emits what is computed once a row, before loop s.  All loads come before all stores: a
        buffer may be both read and written (an epilogue's product, a value computed in place)."""
        stores: list[tuple[Value, Scalar]] = []
        for v in self.kernel.body:
            if self.element[v] or self.stages.at[v] != s:
                continue
            if isinstance(v.op, Partial):
                step = self.emit.element(v.args[0], self.row)
                self._append(fold(self.totals[v], v.op, step))
            elif v in self.kernel.writes and not isinstance(v.op, Reduction):
                stores.append((v, self.emit.element(v, self.row)))
        for v, scalar in stores:
            self._store(v, self.row, scalar)

    def _loop(self, s: int) -> None:
        """Emits loop s over the inner axes."""
        work = [v for v in self.kernel.body if self.element[v] and self._works(v, s)]
        if not work:
            return
        folds = {
            v: self._start_fold(v)
            for v in work
            if isinstance(v.op, Reduction) and not isinstance(v.op, Partial)
        }
        self.emit.open(*(name for name, _ in self.inner))
        last: list[Any] = []
        for v in work:
            last += self._element_work(v, folds)
        body = self.emit.close() + last
        for statement in nest(
            [n for n, _ in self.inner], tuple(size for _, size in self.inner), body
        ):
            self._append(statement)
        for v, name in folds.items():
            self._finish_fold(v, name)

    def _works(self, v: Value, s: int) -> bool:
        if isinstance(v.op, Reduction) or v in self.kernel.writes:
            return self.stages.at[v] == s
        return v in self.stages.kept and min(self.stages.loops[v]) == s

    def _element_work(self, v: Value, folds: dict[Value, str]) -> list[Any]:
        """The statements that a value adds at the end of a loop's body."""
        op = v.op
        if isinstance(op, Partial):
            step = self.emit.element(v.args[0], self.index)
            return [self._add_partial(v, step)]
        if isinstance(op, Reduction):
            step = self.emit.element(v.args[0], self.index)
            return self._step(v, folds[v], step)
        scalar = self.emit.element(v, self.index)
        holder = self.stages.kept.get(v, v)
        return [Store(self.slots[holder], row_major(self.index, v.type.shape), scalar.expr)]

    def _after(self, s: int) -> None:
        """Makes later loops load the values that loop s kept in memory."""
        for v, holder in self.stages.kept.items():
            if min(self.stages.loops[v]) == s:
                self.emit.reload[v] = (holder, row_major(self.index, v.type.shape))

    # -- folds of a row

    def _start_fold(self, v: Value) -> str:
        op = v.op
        assert isinstance(op, Reduction)
        dtype = v.args[0].type.dtype
        name = self.emit.name(v.name or v.op.name)
        self._append(Let(name, start_of(op, dtype)))
        if op.positional:
            self._append(Let(f"{name}_at_", Const(0, i64)))
        return name

    def _step(self, v: Value, name: str, step: Scalar) -> list[Any]:
        op = v.op
        assert isinstance(op, Reduction)
        if not op.positional:
            return [fold(name, op, step)]
        dtype = step.dtype
        taken = f"{name}_take_"
        better = Apply(op.combine, (Ref(name, dtype), step.expr), bool_)
        place = IndexValue(self.column[0], i64)
        choose = "where({2}, {1}, {0})"
        flag = Ref(taken, bool_)
        return [
            Let(taken, better),
            Let(name, Apply(choose, (Ref(name, dtype), step.expr, flag), dtype)),
            Let(f"{name}_at_", Apply(choose, (Ref(f"{name}_at_", i64), place, flag), i64)),
        ]

    def _finish_fold(self, v: Value, name: str) -> None:
        op = v.op
        assert isinstance(op, Reduction)
        dtype = v.args[0].type.dtype
        emit = self.emit.emitter(len(self.emit.stack) - 1)
        if op.positional:
            result = Scalar(Ref(f"{name}_at_", i64), i64, emit)
        else:
            result = Scalar(Ref(name, dtype.accumulates), dtype.accumulates, emit)
            if dtype.accumulates != dtype:
                result = Scalar(
                    emit(Apply(f"cast_{dtype}({{0}})", (result.expr,), dtype), name), dtype, emit
                )
        self.emit.stack[-1].known[v, self.row] = result
        if v in self.kernel.writes:
            self._store(v, self.row, result)

    # -- folds of rows, by chunks

    def _start_partials(self) -> None:
        """Starts the accumulators: a local for each fold of row values, a row of the result for
        each fold of elements."""
        for v in self.partials:
            op = v.op
            assert isinstance(op, Partial)
            start = start_of(op, v.args[0].type.dtype)
            if self.element[v]:
                store = Store(self.slots[v], self._chunk_offset(v), start)
                sizes = tuple(size for _, size in self.inner)
                for statement in nest([n for n, _ in self.inner], sizes, [store]):
                    self._append(statement)
            else:
                self.totals[v] = self.emit.name(v.name or op.name)
                self._append(Let(self.totals[v], start))

    def _chunk_offset(self, v: Value) -> Size:
        return row_major((variable("c"), *self.column), v.type.shape)

    def _add_partial(self, v: Value, step: Scalar) -> Store:
        op, dtype = v.op, v.type.dtype
        assert isinstance(op, Partial)
        offset = self._chunk_offset(v)
        total = Load(self.slots[v], offset, dtype)
        return Store(self.slots[v], offset, Apply(op.combine, (total, step.expr), dtype))

    def _end_partials(self) -> list[Any]:
        stores: list[Any] = []
        for v, name in self.totals.items():
            dtype: DType = v.type.dtype.accumulates
            stores.append(Store(self.slots[v], variable("c"), Ref(name, dtype)))
        return stores

    # -- the loops around a row

    def _rows(self, parts: Nest) -> tuple[list[Any], Size]:
        """The row loops around the body of a row, and the size of the parallel axis."""
        body, outer = parts.body, list(parts.outer)
        low: Size = variable("lo")
        high: Size = variable("hi")
        if parts.chunks:
            low, high = chunk_rows(parts)
        elif len(outer) > 1 and self._short():
            name, size = outer.pop()
            body = [For(f"{name}.", 0, size, tuple(body))]
            while (
                self.whole and len(outer) > 1 and isinstance(size, int) and size < MIN_LINE_ELEMENTS
            ):
                name, more = outer.pop()
                size, body = size * more, [For(f"{name}.", 0, more, tuple(body))]
        extent = parts.chunks or dim.product(tuple(n for _, n in outer))
        if len(outer) == 1:
            return [For(f"{outer[0][0]}.", low, high, tuple(body))], extent
        return [For("r.", low, high, (*positions(outer, variable("r")), *body))], extent

    def _short(self) -> bool:
        """Whether a row is so short that a division for its index would cost too much."""
        inner = dim.product(tuple(n for _, n in self.inner))
        return isinstance(inner, int) and inner <= MAX_SHORT_ROW_ELEMENTS

    def _append(self, statement: Any) -> None:
        self.emit.stack[-1].body.append(statement)

    def _store(self, v: Value, index: Index, scalar: Scalar) -> None:
        self._append(Store(self.slots[v], row_major(index, v.type.shape), scalar.expr))


def lower_region(
    kernel: Kernel, slots: dict[Value, int], region: Sequence[tuple[Size, Size]]
) -> list[Any]:
    """A map on a block of its index space, as part of a larger kernel; `region` has (low, count)
    for each axis."""
    fused = Fused(kernel, slots)
    fused.emit.open()
    fused.emit.open(*(name for name, _ in fused.outer))
    fused._row_work(0)
    body = fused.emit.close()
    top = fused.emit.close()
    names = [name for name, _ in fused.outer]
    moved = {f"{n}.": low + variable(n) for n, (low, _) in zip(names, region, strict=True)}
    body = [map_sizes(s, lambda size: dim.substitute(size, moved)) for s in body]
    counts = [(n, count) for n, (_, count) in zip(names, region, strict=True)]
    body, counts = collapse(body, counts)
    for name, count in reversed(counts):
        body = [For(f"{name}.", 0, count, tuple(body))]
    return [*top, *body]


def lower_fused(kernel: Kernel, slots: dict[Value, int] | None = None, whole: bool = True) -> Loops:
    """The loops of a fused kernel.  As part of a larger kernel, it gets its buffers' numbers in
    `slots`; without `whole`, rows and columns stay separate loops, which the larger kernel cuts."""
    return Fused(kernel, slots, whole).lower()
