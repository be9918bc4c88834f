"""Scatters as CUDA text, without atomics: the same bits in every run.

A block has one update (one index, with the slice that goes there).  If an earlier update goes to
the same place, that one's block does the work; else this one applies all updates of its place, in
their order.  Finding them takes a look at every index: for very many, a thread for each element of
a slice goes through all updates instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.codegen.cuda.frame import Grid, KernelFrame, blocks_of
from graphc.codegen.cuda.printer import loaded, storing
from graphc.codegen.cuda.schedules.maps import BLOCK, elementwise, place
from graphc.codegen.device_source import DEFAULT_THREADS, DeviceSource
from graphc.codegen.loops.ir import Apply, BufferArgument, Load, Store
from graphc.codegen.lower.emitter import Emitter, Index, row_major, variable
from graphc.codegen.lower.fused import Nest, positions
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.op import Scatter
from graphc.ir.program import Kernel, storage

MANY = 1 << 15  # updates, from which on looking at all of them for each is too much


def scatter_sources(
    kernel: Kernel, in_place: bool, wide: bool = False, readable: str = ""
) -> tuple[DeviceSource, ...]:
    """A copy of the operand, unless the result lies where it lay, and the updates."""
    made = _Scatter(kernel, wide)
    updates = made.by_columns(readable) if made.many else made.by_updates(readable)
    return (updates,) if in_place else (_copy(kernel, wide, readable), updates)


def _copy(kernel: Kernel, wide: bool, readable: str) -> DeviceSource:
    (out,) = kernel.body
    x, emit = out.args[0], _emitter(kernel)
    outer = [(f"i{a}", n) for a, n in enumerate(x.type.shape)]
    index = tuple(variable(n) for n, _ in outer)
    emit.open(*(n for n, _ in outer))
    element = emit.element(x, index)
    store = Store(emit.slots[out], row_major(index, x.type.shape), element.expr)
    nest = Nest(_buffers(kernel, emit), [], [], outer, [*emit.close(), store], [], 0)
    return elementwise(KernelFrame(nest.buffers, emit.name, {}, wide), nest, readable)


def _emitter(kernel: Kernel) -> Emitter:
    emit = Emitter({v: i for i, v in enumerate((*kernel.reads, *kernel.writes))})
    emit.reads = set(kernel.reads)
    return emit


def _buffers(kernel: Kernel, emit: Emitter) -> tuple[BufferArgument, ...]:
    return tuple(
        BufferArgument(emit.name(v.name or v.op.name), v.type.dtype, v in kernel.writes)
        for v in emit.slots
    )


@dataclass(frozen=True)
class _Spot:
    """Lines that find where an update goes: the offset of its slice's first element."""

    lines: list[str]
    name: str
    index: Index
    found: Size


class _Scatter:
    """The updates of one scatter.  `which` are the axes of the updates that tell one index from
    another, `along` those of the slice that goes there."""

    def __init__(self, kernel: Kernel, wide: bool) -> None:
        (self.out,) = kernel.body
        op = self.out.op
        assert isinstance(op, Scatter)
        self.op, (self.x, self.indices, self.updates) = op, self.out.args
        self.types = tuple(a.type for a in self.out.args)
        self.emit = _emitter(kernel)
        self.buffers = _buffers(kernel, self.emit)
        # An operand that the result overwrites is only read through the result.
        over = {i: i for i, v in enumerate(kernel.reads) if v is storage(self.x)}
        self.frame = KernelFrame(self.buffers, self.emit.name, over, wide)
        shape = self.updates.type.shape
        axes = [variable(f"j{a}") for a in range(len(shape))]
        told = {s for i in op.locate(tuple(axes), *self.types) for s in dim.symbols(i)}
        self.which = [a for a in range(len(shape)) if f"j{a}." in told]
        self.along = [a for a in range(len(shape)) if a not in self.which]
        self.count = dim.product(tuple(shape[a] for a in self.which))
        self.length = dim.product(tuple(shape[a] for a in self.along))
        self.slot = self.emit.slots[self.out]

    @property
    def many(self) -> bool:
        return isinstance(self.count, int) and self.count > MANY

    def spot(self, number: str) -> _Spot:
        """Where update `number` goes."""
        emit, shape = self.emit, self.updates.type.shape
        names = {a: emit.name(f"i{a}_") for a in self.which}
        lets = positions([(names[a], shape[a]) for a in self.which], variable(number))
        lines = [place(self.frame, let) for let in lets]
        index: Index = tuple(variable(names[a]) if a in names else 0 for a in range(len(shape)))
        emit.open(number, *names.values())
        raw = emit.element(self.indices, self.op.locate(index, *self.types))
        found = emit.checked(raw, self.op.extent(self.x.type), emit.emitter(0))
        lines += [x for s in emit.close() for x in self.frame.printer.simple(s)]
        name = emit.name("spot")
        target = row_major(self.op.target(index, found, *self.types), self.x.type.shape)
        return _Spot([*lines, f"{name} = {self.frame.printer.size(target)}"], name, index, found)

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
        offset = row_major(self.op.target(index, spot.found, *self.types), self.x.type.shape)
        return [*lines, f"total = {value}"], offset

    def columns(self, linear: str) -> tuple[list[str], dict[int, str]]:
        """Where an element lies in a slice."""
        names = {a: self.emit.name(f"k{a}_") for a in self.along}
        shape = self.updates.type.shape
        lets = positions([(names[a], shape[a]) for a in self.along], variable(linear))
        return [place(self.frame, let) for let in lets], names

    def by_updates(self, readable: str) -> DeviceSource:
        """A block for each update."""
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
        """Lines after which all threads know whether an earlier update goes to the same place."""
        meet = "again = u32(again | shuffle_xor(again, {}))"
        return [
            f"    {other} = {lane}",
            "    again = u32(0)",
            f"    while {other} < {update}:",
            *("        " + x for x in theirs.lines),
            f"        if {theirs.name} == {mine.name}:",
            "            again = u32(1)",
            f"        {other} = {self.frame.width}({other} + {BLOCK})",
            *("    " + meet.format(d) for d in (16, 8, 4, 2, 1)),
            f"    if {lane} % 32 == 0:",
            f"        parts[u32({lane} // 32)] = again",
            "    cuda.syncthreads()",
            f"    again = parts[u32({lane} % 8)]",
            *("    " + meet.format(d) for d in (4, 2, 1)),
        ]

    def _fold(self, mine: _Spot, later: _Spot, update: str, other: str, lane: str) -> list[str]:
        """Lines that fold all updates of a place into it: each thread some elements."""
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
            f"            {element} = {u}({element} + {BLOCK})",
        ]

    def by_columns(self, readable: str) -> DeviceSource:
        """A thread for each element of a slice."""
        frame, u = self.frame, self.frame.width
        element, update = frame.name("element"), frame.name("update")
        places, names = self.columns(element)
        spot = self.spot(update)
        step, offset = self.apply(spot, names)
        at, dtype = frame.printer.size(offset), self.x.type.dtype
        lines = [
            f"    {element} = {u}(cuda.blockIdx.x*{BLOCK} + cuda.threadIdx.x)",
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
            "scatter", lines, Grid((blocks_of(self.length, BLOCK), 1, 1), DEFAULT_THREADS), readable
        )
