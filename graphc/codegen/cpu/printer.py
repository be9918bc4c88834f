"""Loops -> numba source for the CPU.

People can read the source: `graphc dump --stage kernels` prints it with the graph's names.  The
compiler gets the same text with canonical names, and with large sizes as arguments, so that equal
loops share one compiled kernel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphc.codegen.loops.canonical import RANDOM_KEY, canonical, with_buffers
from graphc.codegen.loops.ir import (
    NOWHERE,
    Const,
    FoldStep,
    For,
    Gemm,
    Guard,
    Let,
    Loops,
    Memory,
    Ref,
    RowMove,
    Store,
    Tile,
    Transform,
    TransposeMove,
)
from graphc.codegen.loops.printer import Printer, bare, fold_step
from graphc.codegen.loops.transform import Parameters, map_sizes, walk
from graphc.config import Method
from graphc.ir import dim
from graphc.ir.dim import Size

STATUS = "status"  # the argument of kernels that can fail


class CpuPrinter(Printer):
    """Prints expressions for numba."""

    def guard(self, e: Guard) -> str:
        """A choice between a local and a literal is no branch: with hundreds of them, numba takes
        times their square."""
        if not all(isinstance(x, Ref | Const) for x in (e.then, e.other)):
            return super().guard(e)
        tests = []
        for at, low, high in e.bounds:
            tests += [
                f"({self.size(low)} <= {self.size(at)})",
                f"({self.size(at)} < {self.size(high)})",
            ]
        return f"where({' & '.join(tests)}, {self.expression(e.then)}, {self.expression(e.other)})"


CPU = CpuPrinter()


@dataclass(frozen=True)
class KernelSource:
    """A kernel as text: `text` is what is compiled, `sizes` the values of its size arguments."""

    text: str
    sizes: tuple[Size, ...]
    extent: Size
    uses_status: bool
    calls: bool = False  # whether it calls Python, by the address in its last argument
    least: Size = 1  # of the extent that a chunk should have
    apart: bool = False  # whether each part of the extent is a chunk
    method: Method | None = None  # of its contraction
    over: tuple[tuple[int, int], ...] = ()  # buffers that lie where others do
    routines: tuple[str, ...] = ()  # whose addresses are arguments, before that of Python


def print_kernel(
    loops: Loops, readable: bool = False, over: Mapping[int, int] = NOWHERE
) -> KernelSource:
    """Numba source of `kernel(args, lo, hi)`; `readable` keeps names and sizes as they are.

    A buffer in `over` lies where another does, so its name stands for that buffer: LLVM assumes
    that the buffers of different arguments do not overlap.
    """
    parameters = Parameters()
    for given, value in loops.sizes:
        parameters.values[value] = dim.symbol(f"{given}.")
    change = (lambda s: _named(s, parameters)) if readable else parameters.generalize
    body = [map_sizes(s, change, None if readable else parameters.bound) for s in loops.body]
    lines = [*_scratch(loops, [change(s.count) for s in loops.scratch]), *_statements(body, 1)]
    lines += [f"    free_scratch({s.name})" for s in loops.scratch]
    if not readable:
        lines = [
            RANDOM_KEY.sub(lambda m: f"u64({CPU.size(parameters(_signed(m[1])))})", x)
            for x in lines
        ]
    sizes = {CPU.size(name) for name in parameters.values.values()}
    names = [f"{b.name}_" if b.name in sizes else b.name for b in loops.buffers]
    memory: list[Memory] = [*loops.buffers, *loops.scratch]
    names += [s.name for s in loops.scratch]
    text = with_buffers("\n".join(lines), names)
    uses_status = STATUS in text
    routines = tuple(sorted({r for s in body for x in walk(s) for r in _routines(x, memory)}))
    head = [f"def {_identifier(loops.name) if readable else 'kernel'}(args, lo, hi):"]
    for i, b in enumerate(loops.buffers):
        buffer = names[over[i]] if i in over else f"{b.dtype}_buffer(args, {i})"
        head.append(f"    {names[i]} = {buffer}")
    head += _words(len(loops.buffers), parameters, uses_status, routines, readable)
    full = "\n".join([*head, text, ""])
    if not readable:
        full = canonical(full)
    sizes_given = tuple(parameters.values)
    return KernelSource(
        full,
        sizes_given,
        loops.extent,
        uses_status,
        least=loops.least,
        over=tuple(over.items()),
        routines=routines,
    )


def _words(
    at: int, parameters: Parameters, uses_status: bool, routines: tuple[str, ...], readable: bool
) -> list[str]:
    """Lines that read the arguments that are not buffers, from number `at` on."""
    shown = [(CPU.size(name), value) for value, name in parameters.values.items()]
    named = [
        (name, f"  # {value}" if readable and name != str(value) else "") for name, value in shown
    ]
    named += [(STATUS, "")] * uses_status + [(r.split("_")[1], "") for r in routines]
    return [f"    {name} = args[{i}]{note}" for i, (name, note) in enumerate(named, at)]


def _routines(s: Any, memory: list[Memory]) -> tuple[str, ...]:
    """The routines that a statement calls by addresses that are arguments."""
    match s:
        case Gemm(buffers=(_, _, c)):
            return (f"gc_gemm_{memory[c].dtype}",)
        case Tile(dtype=dtype):
            return (f"gc_tile_{dtype}",)
        case TransposeMove(dtype=dtype):
            return (f"gc_transpose_{dtype}",)
        case Transform(dtype=dtype, name=name):
            return (f"gc_{name}_{dtype}",)
    return ()


def _signed(key: str) -> int:
    """The word that holds a number of 64 bits."""
    return (int(key) + (1 << 63)) % (1 << 64) - (1 << 63)


def _named(size: Size, parameters: Parameters) -> Size:
    """Registers the user's size names as arguments that keep their names."""
    for name in sorted(dim.symbols(size)):
        if not name.endswith("."):
            parameters.values.setdefault(dim.symbol(name), dim.symbol(name))
    return size


def _scratch(loops: Loops, counts: list[Size]) -> list[str]:
    """Lines that allocate a kernel's own memory."""
    first = len(loops.buffers)
    return [
        f"    {s.name} = {s.dtype}_scratch({CPU.size(count)}, {first + i})"
        for i, (s, count) in enumerate(zip(loops.scratch, counts, strict=True))
    ]


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name) or "kernel"


def _statements(body: Any, depth: int) -> list[str]:
    pad = "    " * depth
    lines: list[str] = []
    for s in body:
        match s:
            case Let(name=name, value=value):
                lines.append(f"{pad}{name} = {bare(CPU.expression(value))}")
            case Store(buffer=buffer, offset=offset, value=value):
                lines.append(f"{pad}@{buffer}[{CPU.size(offset)}] = {bare(CPU.expression(value))}")
            case FoldStep(name=name, combine=combine, value=value, dtype=dtype):
                step = fold_step(combine, name, CPU.expression(value), dtype)
                lines.append(f"{pad}{name} = {bare(step)}")
            case Gemm():
                lines.append(f"{pad}{_gemm(s)}")
            case RowMove():
                lines.append(f"{pad}{_row(s)}")
            case Tile():
                lines += [f"{pad}{line}" for line in _tile(s)]
            case TransposeMove():
                lines.append(f"{pad}{_turn(s)}")
            case Transform():
                lines.append(f"{pad}{_transform(s)}")
            case For(var=var, low=low, high=high, body=inner):
                bounds = CPU.size(high) if low == 0 else f"{CPU.size(low)}, {CPU.size(high)}"
                lines.append(f"{pad}for {var.rstrip('.')} in range({bounds}):")
                lines += _statements(inner, depth + 1) or [f"{pad}    pass"]
    return lines


def _gemm(g: Gemm) -> str:
    flags = [str(112 if t else 111) for t in (g.ta, g.tb)]
    operands = zip(g.buffers, g.offsets, g.strides, strict=True)
    places = [f"@{b}, {CPU.size(at)}, {CPU.size(stride)}" for b, at, stride in operands]
    name = "cblas_gemm_add" if g.adds else "cblas_gemm"
    return f"{name}(gemm, {', '.join([*flags, *map(CPU.size, g.sizes), *places])})"


def _row(r: RowMove) -> str:
    name = "spread" if r.adds else "window"
    sizes = [*map(CPU.size, (r.count, r.start, r.stop)), _place(r.source), _place(r.target)]
    return f"{r.dtype}_{name}({', '.join(sizes)}, {r.stride})"


def _tile(t: Tile) -> list[str]:
    a, b, c = (_place(x) for x in (t.a, t.b, t.c))
    return [
        f"{t.dtype}_tile(tile, {', '.join(map(CPU.size, t.sizes))}, {a}, {CPU.size(t.rs)}, "
        f"{CPU.size(t.cs)},",
        f"         {b}, {CPU.size(t.ldb)}, {c}, {CPU.size(t.ldc)}, {t.adds}, {CPU.size(t.taps)}, "
        f"{_place(t.table)})",
    ]


def _turn(t: TransposeMove) -> str:
    ends = f"{_place(t.source)}, {CPU.size(t.lds)}, {_place(t.target)}, {CPU.size(t.ldt)}"
    return f"{t.dtype}_transpose(transpose, {CPU.size(t.rows)}, {CPU.size(t.cols)}, {ends})"


def _transform(t: Transform) -> str:
    ends = [
        _place(t.source),
        *map(CPU.size, t.source_steps),
        _place(t.target),
        *map(CPU.size, t.target_steps),
    ]
    sizes = f"{t.name}, {CPU.size(t.channels)}, {CPU.size(t.squares)}"
    return f"{t.dtype}_{t.name}({sizes}, {', '.join(ends)})"


def _place(place: tuple[int, Size]) -> str:
    return f"@{place[0]}, {CPU.size(place[1])}"
