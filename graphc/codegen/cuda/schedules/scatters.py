"""Scatters as CUDA text, without atomics: the same bits in every run.

By updates: a block has one update (one index, with the slice that goes there).  If an earlier
update has the same target, the block does nothing; else it applies all updates of this target, in
their order.  Each block reads every index.
By columns, where updates are too many for that: a thread has one element of a slice, and goes
through all updates.
Apart, where no two updates have one target: a thread has one element of the updates.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.codegen.cuda.frame import Grid, KernelFrame, blocks_of
from graphc.codegen.cuda.printer import loaded, storing
from graphc.codegen.cuda.schedules.maps import BLOCK_THREADS, elementwise, place
from graphc.codegen.device_source import DEFAULT_THREADS, DeviceSource
from graphc.codegen.loops.ir import Apply, Load, Store
from graphc.codegen.lower.emitter import Emitter, Index, row_major, variable
from graphc.codegen.lower.fused import Nest, positions
from graphc.codegen.lower.scatter import checked_target, combined
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.op import Scatter
from graphc.ir.program import Kernel, storage

MAX_UPDATES_BY_BLOCKS = 1 << 15  # above it, comparing each update with all before costs too much


def scatter_sources(
    kernel: Kernel, in_place: bool, wide: bool = False, readable: str = ""
) -> tuple[DeviceSource, ...]:
    """A launch that copies the operand, unless the result overwrites it, and one of the updates."""
    updates = _updates(kernel, wide, readable)
    return (updates,) if in_place else (_copy(kernel, wide, readable), updates)


def _updates(kernel: Kernel, wide: bool, readable: str) -> DeviceSource:
    op = kernel.body[0].op
    assert isinstance(op, Scatter)
    if op.apart:
        return _apart(kernel, wide, readable)
    scatter = _Scatter(kernel, wide)
    return scatter.by_columns(readable) if scatter.too_many else scatter.by_updates(readable)


def _copy(kernel: Kernel, wide: bool, readable: str) -> DeviceSource:
    (out,) = kernel.body
    x, emit = storage(out.args[0]), _emitter(kernel)
    outer = [(f"i{a}", n) for a, n in enumerate(x.type.shape)]
    index = tuple(variable(n) for n, _ in outer)
    emit.open(*(n for n, _ in outer))
    element = emit.element(x, index)
    store = Store(emit.slots[out], row_major(index, x.type.shape), element.expr)
    nest = Nest(
        emit.buffers(emit.slots, kernel.writes), [], [], outer, [*emit.close(), store], [], 0
    )
    return elementwise(KernelFrame(nest.buffers, emit.name, {}, wide), nest, readable)


def _apart(kernel: Kernel, wide: bool, readable: str) -> DeviceSource:
    (out,) = kernel.body
    emit = _emitter(kernel)
    outer = [(f"j{a}", n) for a, n in enumerate(out.args[2].type.shape)]
    index = tuple(variable(n) for n, _ in outer)
    emit.open(*(n for n, _ in outer))
    store = combined(emit, out, index, checked_target(emit, out, index))
    buffers = emit.buffers(emit.slots, kernel.writes)
    nest = Nest(buffers, [], [], outer, [*emit.close(), store], [], 0)
    return elementwise(KernelFrame(buffers, emit.name, _over(kernel), wide), nest, readable)


def _over(kernel: Kernel) -> dict[int, int]:
    """An operand that the result overwrites is only read through the result."""
    x = storage(kernel.body[0].args[0])
    return {i: i for i, v in enumerate(kernel.reads) if v is x}


def _emitter(kernel: Kernel) -> Emitter:
    emit = Emitter({v: i for i, v in enumerate((*kernel.reads, *kernel.writes))})
    emit.reads = set(kernel.reads)
    return emit


@dataclass(frozen=True)
class _Spot:
    """The target of an update.  `lines` set the local `name` to the offset of its slice's first
    element; `index` is the update's own, `target` the checked index that it holds."""

    lines: list[str]
    name: str
    index: Index
    target: Size


class _Scatter:
    """The updates of one scatter.  Of the axes of the updates, `which` tell one index from another,
    and `along` are those of a slice."""

    def __init__(self, kernel: Kernel, wide: bool) -> None:
        (self.out,) = kernel.body
        op = self.out.op
        assert isinstance(op, Scatter)
        self.op, (self.x, self.indices, self.updates) = op, self.out.args
        self.types = tuple(a.type for a in self.out.args)
        self.emit = _emitter(kernel)
        self.buffers = self.emit.buffers(self.emit.slots, kernel.writes)
        self.frame = KernelFrame(self.buffers, self.emit.name, _over(kernel), wide)
        shape = self.updates.type.shape
        axes = [variable(f"j{a}") for a in range(len(shape))]
        used = {s for i in op.locate(tuple(axes), *self.types) for s in dim.symbols(i)}
        self.which = [a for a in range(len(shape)) if f"j{a}." in used]
        self.along = [a for a in range(len(shape)) if a not in self.which]
        self.count = dim.product(tuple(shape[a] for a in self.which))
        self.length = dim.product(tuple(shape[a] for a in self.along))
        self.slot = self.emit.slots[self.out]

    @property
    def too_many(self) -> bool:
        """Whether there are too many updates for a block each."""
        return isinstance(self.count, int) and self.count > MAX_UPDATES_BY_BLOCKS

    def spot(self, number: str) -> _Spot:
        """The target of update `number`."""
        emit, shape = self.emit, self.updates.type.shape
        names = {a: emit.name(f"i{a}_") for a in self.which}
        lets = positions([(names[a], shape[a]) for a in self.which], variable(number))
        lines = [place(self.frame, let) for let in lets]
        index: Index = tuple(variable(names[a]) if a in names else 0 for a in range(len(shape)))
        emit.open(number, *names.values())
        raw = emit.element(self.indices, self.op.locate(index, *self.types))
        checked = emit.checked(raw, self.op.extent(self.x.type), emit.emitter(0))
        lines += [x for s in emit.close() for x in self.frame.printer.simple(s)]
        name = emit.name("spot")
        target = row_major(self.op.target(index, checked, *self.types), self.x.type.shape)
        return _Spot([*lines, f"{name} = {self.frame.printer.size(target)}"], name, index, checked)

    def apply(self, spot: _Spot, columns: dict[int, str]) -> tuple[list[str], Size]:
        """Lines that fold an update's element into `total`, and the element's offset."""
        emit, printer = self.emit, self.frame.printer
        index = tuple(variable(columns[a]) if a in columns else i for a, i in enumerate(spot.index))
        emit.open(*(str(i).rstrip(".") for i in index if not isinstance(i, int)))
        element = emit.element(self.updates, index)
        lines = [x for s in emit.close() for x in printer.simple(s)]
        combine, value = self.op.combine, printer.expression(element.expr)
        dtype = self.x.type.dtype
        if "{0}" in combine:
            total = Load(-1, 0, dtype)
            printer.known[-1, 0] = "total"
            value = printer.expression(Apply(combine, (total, element.expr), dtype))
        offset = row_major(self.op.target(index, spot.target, *self.types), self.x.type.shape)
        return [*lines, f"total = {value}"], offset

    def columns(self, linear: str) -> tuple[list[str], dict[int, str]]:
        """Lines that set the indices of element `linear` of a slice, and their names by axis."""
        names = {a: self.emit.name(f"k{a}_") for a in self.along}
        shape = self.updates.type.shape
        lets = positions([(names[a], shape[a]) for a in self.along], variable(linear))
        return [place(self.frame, let) for let in lets], names

    def by_updates(self, readable: str) -> DeviceSource:
        """The kernel with a block for each update."""
        frame = self.frame
        update, other, lane = (frame.name(n) for n in ("update", "other", "lane"))
        mine, theirs, later = self.spot(update), self.spot(other), self.spot(other)
        lines = [
            "    parts = cuda.shared.array(8, u32)",
            f"    {lane} = {frame.width}(cuda.threadIdx.x)",
            f"    {update} = {frame.width}(cuda.blockIdx.x)",
            *("    " + x for x in mine.lines),
            *self._again(theirs, mine, update, other, lane),
            "    if again == 0:",
            *self._fold(mine, later, update, other, lane),
        ]
        return frame.source("scatter", lines, Grid((self.count, 1, 1), DEFAULT_THREADS), readable)

    def _again(self, theirs: _Spot, mine: _Spot, update: str, other: str, lane: str) -> list[str]:
        """Lines that set `again`, in all threads: whether an earlier update has the same target."""
        meet = "again = u32(again | shuffle_xor(again, {}))"
        return [
            f"    {other} = {lane}",
            "    again = u32(0)",
            f"    while {other} < {update}:",
            *("        " + x for x in theirs.lines),
            f"        if {theirs.name} == {mine.name}:",
            "            again = u32(1)",
            f"        {other} = {self.frame.width}({other} + {BLOCK_THREADS})",
            *("    " + meet.format(d) for d in (16, 8, 4, 2, 1)),
            f"    if {lane} % 32 == 0:",
            f"        parts[u32({lane} // 32)] = again",
            "    cuda.syncthreads()",
            f"    again = parts[u32({lane} % 8)]",
            *("    " + meet.format(d) for d in (4, 2, 1)),
        ]

    def _fold(self, mine: _Spot, later: _Spot, update: str, other: str, lane: str) -> list[str]:
        """Lines that fold all updates of a target into it; each thread takes some elements."""
        frame, u, dtype = self.frame, self.frame.width, self.x.type.dtype
        element = frame.name("element")
        places, names = self.columns(element)
        step, _ = self.apply(later, names)
        _, offset = self.apply(mine, names)
        at = frame.printer.size(offset)
        return [
            f"        {element} = {lane}",
            f"        while {element} < {frame.printer.size(self.length)}:",
            *("            " + x for x in places),
            f"            total = {loaded(f'@{self.slot}[{at}]', dtype)}",
            f"            {other} = {update}",
            f"            while {other} < {frame.printer.size(self.count)}:",
            *("                " + x for x in later.lines),
            f"                if {later.name} == {mine.name}:",
            *("                    " + x for x in step),
            f"                {other} = {u}({other} + 1)",
            f"            @{self.slot}[{at}] = {storing('total', dtype)}",
            f"            {element} = {u}({element} + {BLOCK_THREADS})",
        ]

    def by_columns(self, readable: str) -> DeviceSource:
        """The kernel with a thread for each element of a slice."""
        frame, u = self.frame, self.frame.width
        element, update = frame.name("element"), frame.name("update")
        places, names = self.columns(element)
        spot = self.spot(update)
        step, offset = self.apply(spot, names)
        at, dtype = frame.printer.size(offset), self.x.type.dtype
        lines = [
            f"    {element} = {u}(cuda.blockIdx.x*{BLOCK_THREADS} + cuda.threadIdx.x)",
            f"    if {element} < {frame.printer.size(self.length)}:",
            *("        " + x for x in places),
            f"        {update} = {u}(0)",
            f"        while {update} < {frame.printer.size(self.count)}:",
            *("            " + x for x in spot.lines),
            f"            total = {loaded(f'@{self.slot}[{at}]', dtype)}",
            *("            " + x for x in step),
            f"            @{self.slot}[{at}] = {storing('total', dtype)}",
            f"            {update} = {u}({update} + 1)",
        ]
        return frame.source(
            "scatter",
            lines,
            Grid((blocks_of(self.length, BLOCK_THREADS), 1, 1), DEFAULT_THREADS),
            readable,
        )
