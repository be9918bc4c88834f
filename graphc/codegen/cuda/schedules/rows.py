"""Schedules of CUDA kernels in which a group of threads makes a row together.

    warp      32 threads a row: shuffles combine partial folds
    block     256 threads a row: shuffles, then shared memory
    columns   8 threads a row, and 32 rows side by side: for folds along columns

Where the length of a row is known and short, loaded elements stay in registers from one loop to the
next, since each thread visits the same elements in every loop.  The order of a fold depends on the
sizes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphc.codegen.cuda.frame import Grid, KernelFrame, blocks_of, once
from graphc.codegen.cuda.schedules.folds import (
    WARP_THREADS,
    WARPS_PER_BLOCK,
    folds_in_steps,
    folds_of,
    meet,
    shared_parts,
)
from graphc.codegen.cuda.schedules.maps import place
from graphc.codegen.cuda.vector import VECTOR_BYTES, Key, Saved, Vector, divisible
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.loops.ir import For, Let, Load, Store
from graphc.codegen.loops.transform import loads
from graphc.codegen.lower.emitter import variable
from graphc.codegen.lower.fused import Nest, positions
from graphc.ir import dim
from graphc.ir.dim import Size

MAX_KEPT_ELEMENTS = 64  # elements of a row that one thread keeps in registers
MAX_KEPT_STEPS = 16  # steps of a loop over a row whose elements stay in registers


@dataclass(frozen=True)
class ThreadGroup:
    """The threads that share a row."""

    kind: str
    lanes: int
    rows: int  # in a block
    threads: tuple[int, int, int]


GROUPS = {
    "warp": ThreadGroup(
        "warp", WARP_THREADS, WARPS_PER_BLOCK, (WARP_THREADS * WARPS_PER_BLOCK, 1, 1)
    ),
    "block": ThreadGroup(
        "block", WARP_THREADS * WARPS_PER_BLOCK, 1, (WARP_THREADS * WARPS_PER_BLOCK, 1, 1)
    ),
    "columns": ThreadGroup(
        "columns", WARPS_PER_BLOCK, WARP_THREADS, (WARP_THREADS, WARPS_PER_BLOCK, 1)
    ),
}


class RowPrinter:
    """Prints a kernel in which each group of threads makes a row, or a chunk of rows."""

    def __init__(self, frame: KernelFrame, nest: Nest, kind: str) -> None:
        self.frame, self.nest, self.group = frame, nest, GROUPS[kind]
        self.lane, self.inside = frame.name("lane"), ""
        self.row = "c" if nest.chunks else frame.name("row")
        self.low, self.high = _chunk_rows(nest) if nest.chunks else (0, 0)
        self.shared: dict[str, tuple[int, str]] = {}
        loop = self._chunk_loop() if nest.chunks else []
        self.flat = [*nest.begin, *loop, *nest.end] if loop else []
        loops = [s for s in (*nest.begin, *(self.flat or nest.body)) if isinstance(s, For)]
        self.count = min((neighbours(frame, s, self.group.lanes) for s in loops), default=1)
        self.kept = self._keep([s for s in (*nest.begin, *nest.body) if isinstance(s, For)])
        self.filled: set[Key] = set()
        self.done = False  # all rows of a chunk are printed: from now on, stores go to memory

    def _chunk_loop(self) -> list[Any]:
        """Where a row is a single element: the rows of a chunk, as a loop that lanes share."""
        nest = self.nest
        if any(isinstance(s, For) for s in nest.body):
            return []
        name, lets = (
            (nest.outer[0][0], [])
            if len(nest.outer) == 1
            else ("r", positions(nest.outer, variable("r")))
        )
        return [For(f"{name}.", self.low, self.high, (*lets, *nest.body))]

    def source(self, readable: str = "") -> DeviceSource:
        """The kernel."""
        nest, printer = self.nest, self.frame.printer
        rows = nest.chunks or dim.product(tuple(n for _, n in nest.outer))
        head = [*self._head(rows), *once(self.frame, nest)]
        if self.group.kind == "columns":
            body = self._body(1)
        else:
            head.append(f"    if {self.row} < {printer.size(rows)}:")
            body = self._body(2)
        arrays = [
            f"    {x} = cuda.shared.array({size}, {kind})"
            for x, (size, kind) in self.shared.items()
        ]
        arrays += [
            f"    {x.name} = cuda.local.array({x.length}, {x.kind})" for x in self.kept.values()
        ]
        grid = Grid((blocks_of(rows, self.group.rows), 1, 1), self.group.threads)
        name = f"{'chunks' if nest.chunks else 'rows'} by {self.group.kind}"
        return self.frame.source(name, [*arrays, *head, *body], grid, readable)

    def _head(self, rows: Size) -> list[str]:
        """Lines that set the lane and the row of a thread."""
        width = self.frame.width
        if self.group.kind == "block":
            return [
                f"    {self.lane} = {width}(cuda.threadIdx.x)",
                f"    {self.row} = {width}(cuda.blockIdx.x)",
            ]
        if self.group.kind == "warp":
            warp = f"cuda.blockIdx.x*{WARPS_PER_BLOCK} + cuda.threadIdx.x // {WARP_THREADS}"
            return [
                f"    {self.lane} = {width}(cuda.threadIdx.x % {WARP_THREADS})",
                f"    {self.row} = {width}({warp})",
            ]
        self.inside = self.frame.name("inside")
        last = self.frame.printer.size(rows - 1)
        return [
            f"    {self.lane} = {width}(cuda.threadIdx.y)",
            f"    {self.row} = {width}(cuda.blockIdx.x*{WARP_THREADS} + cuda.threadIdx.x)",
            f"    {self.inside} = {self.row} <= {last}",  # no thread may leave before the barriers
            f"    {self.row} = minimum({self.row}, {last})",
        ]

    def _body(self, depth: int) -> list[str]:
        """Lines of a group: one row, or the rows of a chunk."""
        nest, printer = self.nest, self.frame.printer
        if not nest.chunks:
            return self._places(variable(self.row), depth) + self._statements(nest.body, depth)
        if self.flat:
            return self._statements(self.flat, depth)
        r = nest.outer[0][0] if len(nest.outer) == 1 else "r"

        def rows(d: int) -> list[str]:
            places = self._places(variable(r), d) if len(nest.outer) > 1 else []
            return places + self._statements(nest.body, d)

        return [
            *self._statements(nest.begin, depth),
            *printer.counted(r, printer.size(self.low), printer.size(self.high), "1", rows, depth),
            *self._flush(depth),
            *self._statements(nest.end, depth),
        ]

    def _places(self, linear: Size, depth: int) -> list[str]:
        lets = positions(self.nest.outer, linear)
        return ["    " * depth + place(self.frame, let) for let in lets]

    # -- the statements of a row

    def _statements(self, body: Sequence[Any], depth: int) -> list[str]:
        """Lines of a row's statements: lanes share the loops; each lane does all else."""
        pad, printer = "    " * depth, self.frame.printer
        lines: list[str] = []
        for s in body:
            printer.known.clear()
            if isinstance(s, For):
                lines += self._loop(s, depth)
                for fold in folds_of(s):
                    self.shared |= shared_parts(fold, self.group.kind)
                    lines += [pad + x for x in meet(fold, self.group.kind, self.lane)]
            elif isinstance(s, Store):
                test = f"{self.lane} == 0" + (f" and {self.inside}" if self.inside else "")
                lines += [f"{pad}if {test}:", *(f"{pad}    {x}" for x in printer.simple(s))]
            else:
                lines += [pad + x for x in printer.simple(s)]
        return lines

    def _loop(self, s: For, depth: int) -> list[str]:
        """Lines of a loop along the row, in which each lane takes its elements."""
        printer, lanes = self.frame.printer, self.group.lanes
        name, (first, *_) = s.var.rstrip("."), s.body
        if isinstance(first, For):
            return printer.counted(
                name,
                printer.size(s.low),
                printer.size(s.high),
                "1",
                lambda d: self._loop(first, d),
                depth,
            )
        steps = self._steps(s)
        if not steps:
            at, end = self.frame.name(name), dim.floordiv(s.high - s.low, self.count)
            base = s.low + variable(at) * self.count
            return printer.counted(
                at,
                self.lane,
                printer.size(end),
                str(lanes),
                lambda d: self._elements(s, base, "0", d),
                depth,
            )
        if steps == 1:
            return self._bounded(s, variable(self.lane) * self.count, "0", depth)
        step = self.frame.name("step")
        base = variable(step) * (lanes * self.count) + variable(self.lane) * self.count
        return [
            "    " * depth + f"for {step} in range({steps}):",
            *self._bounded(s, base, f"{step}*{self.count}", depth + 1),
        ]

    def _steps(self, s: For) -> int:
        """How many steps of a loop a lane makes, if loaded elements are kept; else 0."""
        steps = -(-s.high // (self.group.lanes * self.count)) if isinstance(s.high, int) else 0
        return steps if self.kept or steps == 1 else 0

    def _bounded(self, s: For, base: Size, number: str, depth: int) -> list[str]:
        """Lines for the elements of one step, which are left out behind the row's end."""
        assert isinstance(s.high, int)
        if s.high % (self.group.lanes * self.count) == 0:
            return self._elements(s, base, number, depth)
        test = f"{self.frame.printer.size(base)} < {s.high}"
        return ["    " * depth + f"if {test}:", *self._elements(s, base, number, depth + 1)]

    def _elements(self, s: For, base: Size, number: str, depth: int) -> list[str]:
        """Lines for the elements from `base` on; `number` is the place of the first one among the
        elements that a lane keeps."""
        pad, printer = "    " * depth, self.frame.printer
        printer.known.clear()
        vector = Vector(self.frame, s.var, base, self.count, self._saves(s), number)
        touches = any(isinstance(x, Store) for x in s.body) or any(
            e.buffer in printer.written for x in s.body for e in loads(x, True)
        )
        if not (self.inside and touches):  # reading the last row twice does no harm
            return self._loads(s, vector, pad) + vector.lines(s.body, pad)
        inner = pad + "    "
        return [
            f"{pad}if {self.inside}:",
            *self._loads(s, vector, inner),
            *vector.lines(s.body, inner),
        ]

    # -- what stays in registers

    def _keep(self, loops: list[For]) -> dict[Key, Saved]:
        """The elements to keep in registers: those that more than one loop over the row uses, or
        every row of a chunk."""
        sizes = {s.high for s in loops}
        nested = any(isinstance(x, For) for s in loops for x in s.body)
        (size, *more) = sizes or {0}
        if nested or more or not isinstance(size, int) or self.group.kind == "columns":
            return {}
        steps = -(-size // (self.group.lanes * self.count))
        keys, length = _shared(loops), steps * self.count
        if steps > MAX_KEPT_STEPS or length * len(keys) > MAX_KEPT_ELEMENTS:
            return {}
        name = {k: self.frame.name(f"{self.frame.base(k[0])}_row") for k in keys}
        dtypes = self.frame.printer.dtypes
        return {k: Saved(name[k], length, dtypes[k[0]]) for k in keys}

    def _loads(self, s: For, vector: Vector, pad: str) -> list[str]:
        """Lines that load the elements that a lane keeps, but those that it has already; later
        loads of all of them read the registers."""
        printer, lines = self.frame.printer, []
        wanted = {(e.buffer, e.offset): e for x in s.body for e in loads(x)}
        for key, saved in self.kept.items():
            places = [((key[0], vector.at(key[1], k)), vector.place(k)) for k in range(self.count)]
            if key in self.filled:
                printer.known.update({at: saved.element(n) for at, n in places})
            elif key in wanted:
                lines += vector.load(wanted[key], set(), pad)
                for at, n in places:
                    e = Load(*at, wanted[key].dtype)
                    lines.append(pad + saved.keep(n, printer.load(e)))
                    printer.known.setdefault(at, saved.element(n))
                self.filled.add(key)
        return lines

    def _saves(self, s: For) -> dict[Key, tuple[Saved, bool]]:
        """Which stores of a loop go to registers, and which of these go to memory, too.  An element
        of a row is kept while a later loop loads it; its last store goes to memory.  A total of a
        chunk goes to memory at the chunk's end (`_flush`)."""
        saves: dict[Key, tuple[Saved, bool]] = {}
        if self.done:
            return saves
        after = self._after(s)
        for key in [(x.buffer, x.offset) for x in s.body if isinstance(x, Store)]:
            stored = any(isinstance(x, Store) and (x.buffer, x.offset) == key for x in after)
            loaded = any((e.buffer, e.offset) == key for x in after for e in loads(x))
            if key in self.kept and (loaded or self._is_total(key)):
                self.filled.add(key)
                saves[key] = (self.kept[key], not stored and not self._is_total(key))
        return saves

    def _after(self, s: For) -> list[Any]:
        """The statements of the loops after `s`."""
        later = [f for f in self.nest.body if isinstance(f, For)]
        number = next((n for n, f in enumerate(later) if f is s), -1)
        return [x for f in later[number + 1 :] for x in f.body]

    def _is_total(self, key: Key) -> bool:
        """Whether an element is a total of a chunk: its offset does not depend on the row."""
        rows = {f"{n}." for n, _ in self.nest.outer}
        return bool(self.nest.chunks) and not dim.symbols(key[1]) & rows

    def _flush(self, depth: int) -> list[str]:
        """Lines that store the totals of a chunk, from registers to memory."""
        dtypes, lines = self.frame.printer.dtypes, []
        totals = {k: x for k, x in self.kept.items() if self._is_total(k)}
        for s in [s for s in self.nest.begin if isinstance(s, For)]:
            keys = [(x.buffer, x.offset) for x in s.body if isinstance(x, Store)]
            body = tuple(Store(*k, Load(*k, dtypes[k[0]])) for k in keys if k in totals)
            if body:
                self.done = True
                lines += self._loop(For(s.var, s.low, s.high, body), depth)
        return lines


def _chunk_rows(nest: Nest) -> tuple[Size, Size]:
    """The first row of chunk c and of the next one: `fused.chunk_rows`, by numbers that fit into
    32 bits."""
    rows = dim.product(tuple(n for _, n in nest.outer))
    each, left = dim.floordiv(rows, nest.chunks), dim.modulo(rows, nest.chunks)
    low, high = (
        each * c + dim.floordiv(left * c, nest.chunks) for c in (variable("c"), variable("c") + 1)
    )
    return low, high


def _shared(loops: Sequence[For]) -> dict[Key, None]:
    """The elements that a loop loads and an earlier loop has loaded or stored, in order."""
    seen: set[Key] = set()
    shared: dict[Key, None] = {}
    for s in loops:
        here = {(e.buffer, e.offset) for x in s.body for e in loads(x) if _varies(e.offset, s)}
        shared |= dict.fromkeys(sorted(here & seen, key=str))
        seen |= here | {(x.buffer, x.offset) for x in s.body if isinstance(x, Store)}
    return shared


def _varies(offset: Size, s: For) -> bool:
    """Whether an offset depends on the loop's variable, and on no value that the loop loads."""
    names = {f"{x.name}." for x in s.body if isinstance(x, Let)}
    return s.var in dim.symbols(offset) and not dim.symbols(offset) & names


def neighbours(frame: KernelFrame, s: For, lanes: int) -> int:
    """How many neighbours a lane should take at once in a loop."""
    body = s.body
    while isinstance(body[0], For):
        s = body[0]
        body = s.body
    dtypes = frame.printer.dtypes
    stores = [(x.offset, dtypes[x.buffer].size) for x in body if isinstance(x, Store)]
    moved = [(e.offset, e.dtype.size) for x in body for e in loads(x)] + stores
    if folds_in_steps(s) or any(f.position for f in folds_of(s)):
        return 1
    for count in (8, 4, 2):
        vector = Vector(frame, s.var, s.low + variable("lane") * count, count)
        beside = [width for offset, width in moved if vector.aligned(offset)]
        enough = beside and count * max(2, min(beside)) <= VECTOR_BYTES
        length = s.high - s.low
        full = isinstance(length, int) and length >= lanes * count and divisible(length, count)
        if enough and full and all(vector.aligned(offset) for offset, _ in stores):
            return count
    return 1
