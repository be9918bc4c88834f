"""Running folds (cumulative sums, products, extremes) as CUDA text.

along rows      one warp a row: 32 elements at a time are folded by shuffles, then with the carry of
                the elements before; the order of a sum differs from a CPU's, but never changes
along columns   one thread a column: neighbouring threads read neighbouring elements
"""

from __future__ import annotations

from graphc.codegen.cuda.frame import Grid, KernelFrame, blocks_of
from graphc.codegen.cuda.printer import loaded, storing
from graphc.codegen.cuda.schedules.folds import WARP_THREADS, WARPS_PER_BLOCK
from graphc.codegen.device_source import DEFAULT_THREADS, DeviceSource
from graphc.codegen.loops.ir import BufferArgument
from graphc.codegen.loops.printer import bare, fold_step
from graphc.codegen.lower.emitter import Emitter
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.ops.scan import Scan
from graphc.ir.program import Kernel


def scan_source(kernel: Kernel, wide: bool = False, readable: str = "") -> DeviceSource:
    """The kernel of a running fold."""
    (out,) = kernel.body
    op, dtype, shape = out.op, out.type.dtype, out.type.shape
    assert isinstance(op, Scan)
    emit = Emitter({})
    buffers = [
        BufferArgument(emit.name(n), dtype, n == "out", out.type.count) for n in ("x", "out")
    ]
    frame = KernelFrame(buffers, emit.name, {}, wide)
    outer, length = dim.product(shape[: op.axis]), shape[op.axis]
    inner = dim.product(shape[op.axis + 1 :])
    step = bare(fold_step(op.combine, "{0}", "{1}", dtype))
    text = _Text(frame, length, inner, op.reverse, step)
    lines, grid = text.rows(outer) if inner == 1 else text.columns(outer * inner)
    return frame.source("scan", lines, grid, readable)


class _Text:
    """The lines of a running fold of rows whose `length` elements lie `inner` apart."""

    def __init__(
        self, frame: KernelFrame, length: Size, inner: Size, reverse: bool, step: str
    ) -> None:
        self.frame, self.length, self.reverse, self.step = frame, length, reverse, step
        self.n = frame.printer.size(length)
        self.inner = frame.printer.size(inner)

    def fold(self, before: str, value: str) -> str:
        """The fold of a value with all before it."""
        return self.step.format(before, value)

    def load(self, at: str) -> str:
        return loaded(f"load(@0, {at})", self.frame.printer.dtypes[0])

    def store(self, at: str) -> str:
        return f"@1[{at}] = {storing('value', self.frame.printer.dtypes[1])}"

    def columns(self, count: Size) -> tuple[list[str], Grid]:
        """Lines in which one thread makes a column."""
        u, total = self.frame.width, self.frame.printer.size(count)
        start = f" + {u}({self.n} - 1)*{self.inner}" if self.reverse else ""
        sign = "-" if self.reverse else "+"
        lines = [
            f"    thread = {u}(cuda.blockIdx.x*{DEFAULT_THREADS[0]} + cuda.threadIdx.x)",
            f"    if thread < {total} and {self.n} > 0:",
            f"        row = floor_divide(thread, {self.inner})",
            f"        at = {u}(row*{self.n}*{self.inner} + remainder(thread, {self.inner}){start})",
            f"        value = {self.load('at')}",
            f"        {self.store('at')}",
            f"        j = {u}(1)",
            f"        while j < {self.n}:",
            f"            at = {u}(at {sign} {self.inner})",
            f"            value = {self.fold('value', self.load('at'))}",
            f"            {self.store('at')}",
            f"            j = {u}(j + 1)",
        ]
        return lines, Grid((blocks_of(count, DEFAULT_THREADS[0]), 1, 1), DEFAULT_THREADS)

    def rows(self, count: Size) -> tuple[list[str], Grid]:
        """Lines in which one warp makes a row."""
        u, total = self.frame.width, self.frame.printer.size(count)
        warp = f"cuda.blockIdx.x*{WARPS_PER_BLOCK} + cuda.threadIdx.x // {WARP_THREADS}"
        place = f"{self.n} - 1 - j" if self.reverse else "j"
        lines = [
            f"    lane = {u}(cuda.threadIdx.x % {WARP_THREADS})",
            f"    row = {u}({warp})",
            f"    if row < {total} and {self.n} > 0:",
            f"        start = {u}(0)",
            f"        while start < {self.n}:",
            f"            j = minimum({u}(start + lane), {u}({self.n} - 1))",
            f"            at = {u}(row*{self.n} + {place})",
            f"            value = {self.load('at')}",
        ]
        for distance in (1, 2, 4, 8, 16):
            lines += [
                f"            before = shuffle_up(value, {distance})",
                f"            if lane >= {distance}:",
                f"                value = {self.fold('before', 'value')}",
            ]
        lines += [
            "            if start > 0:",
            f"                value = {self.fold('carry', 'value')}",
            f"            if {u}(start + lane) < {self.n}:",
            f"                {self.store('at')}",
            f"            carry = shuffle(value, {WARP_THREADS - 1})",
            f"            start = {u}(start + {WARP_THREADS})",
        ]
        lines.insert(
            3, f"        carry = {self.load('0')}"
        )  # numba wants it defined; the first turn does not use it
        return lines, Grid((blocks_of(count, WARPS_PER_BLOCK), 1, 1), DEFAULT_THREADS)
