"""The frame of a CUDA kernel: its parameters, the names in it, its text.

Between them stand the lines that a schedule (`schedules/`) prints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.codegen.cuda.printer import (
    CudaPrinter,
    keeping,
    kept,
    kept_type,
    size_name,
)
from graphc.codegen.cuda.source import pointer
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.loops.canonical import NUMBER_SUFFIX, RANDOM_KEY, canonical, plain, with_buffers
from graphc.codegen.loops.ir import Apply, BufferArgument
from graphc.codegen.loops.transform import names_in
from graphc.codegen.lower.fused import Nest
from graphc.ir import dim
from graphc.ir.dim import Size

# How the spellings of functions begin that take many instructions.
COSTLY_CALLS = ("power(", "exp", "log", "sin", "cos", "tan", "sigmoid", "erf", "cbrt", "atan")


@dataclass(frozen=True)
class Grid:
    """How a schedule wants its kernel launched."""

    blocks: tuple[Size, Size, Size]
    threads: tuple[int, int, int]
    resident: int = 0
    shared: Size = 0


class KernelFrame:
    """A kernel under construction.  `over` says which buffers lie in the memory of which others;
    `wide` asks for 64-bit indices."""

    def __init__(
        self,
        buffers: Sequence[BufferArgument],
        name: Callable[[str], str],
        over: Mapping[int, int],
        wide: bool = False,
    ) -> None:
        self.buffers, self.name, self.over = tuple(buffers), name, over
        written = {i for i, b in enumerate(buffers) if b.written}
        self.printer = CudaPrinter(
            "u64" if wide else "u32",
            [b.dtype for b in buffers],
            frozenset(written | {over[i] for i in over}),
        )

    @property
    def width(self) -> str:
        return self.printer.width

    def base(self, buffer: int) -> str:
        """The stem of the names of locals that hold elements of a buffer."""
        return NUMBER_SUFFIX.sub("", self.buffers[buffer].name)

    def source(
        self, schedule: str, lines: Sequence[str], grid: Grid, readable: str = ""
    ) -> DeviceSource:
        """The kernel as text; with a `readable` name, for people: its own names stay."""
        symbols = list(self.printer.symbols)
        names = [b.name for b in self.buffers]
        text = with_buffers("\n".join(lines), names)
        keys = list(dict.fromkeys(RANDOM_KEY.findall(text)))
        if not readable:
            text = RANDOM_KEY.sub(lambda m: f"key{keys.index(m[1])}", text)
        else:
            keys = []
        status = ["status"] * (re.search(r"\bstatus\b", text) is not None)
        sizes_by_name = {size_name(s): s for s in symbols}
        parameters = [*names, *sizes_by_name, *(f"key{i}" for i in range(len(keys))), *status]
        kinds = [
            *(pointer(b.dtype) for b in self.buffers),
            *([self.width] * len(symbols)),
            *(["u64"] * len(keys)),
            *(["i64*"] * len(status)),
        ]
        head = f"def {readable or 'kernel'}({', '.join(parameters)}):"
        full = f"{head}\n{text}\n"
        sizes: list[Size] = [dim.symbol(s) for s in symbols]
        return DeviceSource(
            plain(full, sizes_by_name, names) if readable else canonical(full, parameters),
            tuple(kinds),
            (*sizes, *map(int, keys)),
            grid.blocks,
            grid.threads,
            grid.shared,
            grid.resident,
            bool(status),
            schedule=schedule,
        )


def once(frame: KernelFrame, nest: Nest) -> list[str]:
    """Lines of the values that a kernel computes once.  If they are costly, one thread of a block
    computes them and shares them with the others."""
    printer, top = frame.printer, nest.top
    if not any(_is_costly(s.value) for s in top):
        return printer.statements(top, 1)
    body = (*nest.begin, *nest.body, *nest.end)
    used = set().union(*(names_in(s) for s in body)) if body else set()
    wanted = [s for s in top if s.name in used or f"{s.name}." in used]
    kinds = [kept_type(s.value.dtype) for s in wanted]
    arrays = {k: frame.name(f"once_{k}") for k in dict.fromkeys(kinds)}
    places = [f"{arrays[k]}[{kinds[:n].count(k)}]" for n, k in enumerate(kinds)]
    lines = [f"    {name} = cuda.shared.array({kinds.count(k)}, {k})" for k, name in arrays.items()]
    lines.append("    if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:")
    lines += printer.statements(top, 2)
    ends = list(zip(wanted, places, strict=True))
    lines += [f"        {at} = {keeping(s.name, s.value.dtype)}" for s, at in ends]
    lines.append("    cuda.syncthreads()")
    return lines + [f"    {s.name} = {kept(at, s.value.dtype)}" for s, at in ends]


def _is_costly(value: Any) -> bool:
    """Whether an expression calls a function that takes many instructions."""
    return isinstance(value, Apply) and value.spelling.startswith(COSTLY_CALLS)


def blocks_of(count: Size, each: int) -> Size:
    """How many blocks of `each` elements cover `count`."""
    return dim.floordiv(count + (each - 1), each)
