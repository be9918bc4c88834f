"""Kernels of contractions on tensor cores, with the epilogue: what follows, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.codegen.cuda.printer import CudaPrinter
from graphc.codegen.cuda.source import pointer
from graphc.codegen.cuda.tensorcores.block import BlockText, indented
from graphc.codegen.device_source import DEFAULT_THREADS, DeviceSource
from graphc.codegen.loops.canonical import (
    ASSIGNED_NAME,
    IDENTIFIER,
    canonical,
    simplest,
    with_buffers,
)
from graphc.codegen.loops.ir import Load, Ref, Store
from graphc.codegen.loops.transform import Parameters, map_sizes, walk
from graphc.codegen.lower.contraction import map_after
from graphc.codegen.lower.emitter import Emitter, Index, row_major
from graphc.codegen.lower.fused import Fused
from graphc.ir import dim
from graphc.ir.dim import Size, product, symbol
from graphc.ir.graph import Value
from graphc.ir.ops.index_math import reindex
from graphc.ir.program import Kernel, contraction_of

MIN_ELEMENTS_FOR_64_BITS = 1 << 31  # of an array: smaller ones are indexed with 32 bits
RESIDENT_THREADS = 512  # keep a multiprocessor busy, with up to 128 registers each
SCHEDULE = "tensor cores"
SUMS_PARAMETER = "f32*"  # the parameter type of the memory for sums of pieces
SIZE_NAMES = ("rows", "columns", "depth")  # of a product, in kernel text


class Epilogue:
    """Prints the kernels of one contraction: a block's work, then the other values."""

    def __init__(
        self,
        kernel: Kernel,
        slots: dict[Value, int],
        sizes: tuple[Size, Size, Size],
        outer: Size,
        literal: bool = False,
        wide: bool = False,
    ) -> None:
        self.kernel, self.slots, self.sizes, self.outer = kernel, slots, sizes, outer
        self.out = contraction_of(kernel)
        self.values = (*kernel.reads, *kernel.writes)
        self.parameters = Parameters()
        rows, columns, depth = sizes  # equal sizes have one name, `columns` before others
        for name, size in (("columns", columns), ("rows", rows), ("depth", depth)):
            self.parameters.values.setdefault(size, symbol(f"{name}."))
        large = any(
            isinstance(n := product(v.type.shape), int) and n >= MIN_ELEMENTS_FOR_64_BITS
            for v in self.values
        )
        written = frozenset(i for i, v in enumerate(self.values) if v in kernel.writes)
        self.dtypes = [v.type.dtype for v in self.values]
        self.known: dict[tuple[int, Size], str] = {}
        width = "u64" if large or wide else "u32"
        self.printer = CudaPrinter(width, self.dtypes, written, self.known)
        self.change = self.named if literal else self.parameters.generalize
        self.name, self.buffers = "kernel", [f"b{i}" for i in range(len(self.values))]
        self.rename: Callable[[str], str] = canonical

    def show(self, name: str, block: BlockText, place: Index) -> None:
        """Makes text for people from now on: the kernel, its buffers and the epilogue's locals have
        simple names, which the block's text does not use."""
        after = self.statements(place)
        work = "\n".join((*block.head(), *block.product(), *block.epilogue(after)))
        taken, fresh = {*IDENTIFIER.findall(work), *SIZE_NAMES, "scratch"}, Emitter({}).name
        buffers = simplest([fresh(v.name or v.op.name) for v in self.values], taken)
        taken |= set(buffers.values())

        def rename(text: str) -> str:
            assigned = dict.fromkeys(ASSIGNED_NAME.findall(text))
            names = simplest(assigned, taken | (set(IDENTIFIER.findall(text)) - {*assigned}))
            return IDENTIFIER.sub(lambda m: names.get(m[0], m[0]), text)

        self.name, self.buffers, self.rename = name, list(buffers.values()), rename

    def named(self, size: Size) -> Size:
        """A size with parameters in place of its symbols; its numbers stay."""
        return dim.substitute(
            size,
            {
                name: self.parameters(symbol(name))
                for name in sorted(dim.symbols(size))
                if not name.endswith(".")
            },
        )

    def source(self, block: BlockText, place: Index) -> DeviceSource:
        """The only kernel of a contraction; `place` is the index of a sum."""
        lines = [*block.head(), *block.product(), *block.epilogue(self.statements(place))]
        return self.kernel_of(lines, block)

    def pieces(self, block: BlockText) -> DeviceSource:
        """The first of two kernels: stores the sums of pieces of k in scratch memory."""
        line = f"u64(u64(u64(u64(u64(outer) * {block.pieces}) + u64(part)) * u64(rows)) + u64(row))"
        store = f"scratch[u64(u64({line} * u64(columns)) + u64(column))] = total"
        return self.kernel_of(
            [*block.head(), *block.product(), *block.epilogue([store])], block, block.pieces
        )

    def combined(self, pieces: int, place: Index) -> DeviceSource:
        """The second of two kernels: adds the pieces, in order; then comes the epilogue."""
        line = f"u64(u64(u64(u64(u64(outer) * {pieces}) + u64(part)) * u64(rows)) + u64(row))"
        count = f"u32(u32(rows * columns) * {self.printer.size(self.named(self.outer))})"
        lines = [
            f"at = u32(u32(u32(cuda.blockIdx.x) * {DEFAULT_THREADS[0]}) + u32(cuda.threadIdx.x))",
            f"if at < {count}:",
            *indented(
                [
                    "column = u32(at % columns)",
                    "row = u32(u32(at // columns) % rows)",
                    "outer = u32(u32(at // columns) // rows)",
                    "total = f32(0.0)",
                    f"for part in range({pieces}):",
                    f"    total = total + load(scratch, u64(u64({line} * u64(columns))"
                    " + u64(column)))",
                    *self.statements(place),
                ],
                1,
            ),
        ]
        blocks = dim.floordiv(
            product((self.outer, *self.sizes[:2])) + (DEFAULT_THREADS[0] - 1), DEFAULT_THREADS[0]
        )
        text, parameters, sizes = self.text(lines, True)
        return DeviceSource(
            text, parameters, sizes, (blocks, 1, 1), DEFAULT_THREADS, schedule=SCHEDULE
        )

    def kernel_of(self, lines: list[str], block: BlockText, pieces: int = 1) -> DeviceSource:
        """The kernel of a block's lines, which makes so many `pieces` of k."""
        shape = block.shape
        text, parameters, sizes = self.text(lines, pieces > 1)
        counts = (
            dim.floordiv(n + (tile - 1), tile)
            for n, tile in zip(self.sizes, (shape.rows, shape.columns), strict=False)
        )
        grid = (product((self.outer, pieces, *counts)), 1, 1)
        resident = RESIDENT_THREADS // shape.threads // (2 if self.printer.width == "u64" else 1)
        return DeviceSource(
            text,
            parameters,
            sizes,
            grid,
            (shape.threads, 1, 1),
            block.shared,
            resident,
            schedule=SCHEDULE,
        )

    def text(
        self, lines: list[str], scratch: bool
    ) -> tuple[str, tuple[str, ...], tuple[Size, ...]]:
        """A kernel's text, the types of its parameters and its sizes."""
        extra = [
            (size, name)
            for size, name in self.parameters.values.items()
            if str(name).removesuffix(".") not in SIZE_NAMES
        ]
        names = [*SIZE_NAMES, *(str(name).replace(".", "") for _, name in extra)]
        pointers = [*(pointer(d) for d in self.dtypes), *[SUMS_PARAMETER] * scratch]
        body = with_buffers("\n".join(indented(lines, 1)), self.buffers)
        head = f"def {self.name}({', '.join([*self.buffers, *['scratch'] * scratch, *names])}):"
        integers = ["u32"] * len(SIZE_NAMES) + [self.printer.width] * len(extra)
        return (
            f"{head}\n{body}\n",
            (*pointers, *integers),
            (*self.sizes, *(size for size, _ in extra)),
        )

    def statements(self, place: Index) -> list[str]:
        """Lines of the epilogue for one element."""
        out = self.out
        body: list[Any] = []
        if out in self.kernel.writes:
            total = Ref("total", out.type.dtype)
            body = [Store(self.slots[out], row_major(place, out.type.shape), total)]
        body += self.after(place)
        changed = [map_sizes(s, self.change) for s in body]
        self.known |= {
            (x.buffer, x.offset): "total"
            for s in changed
            for x in walk(s)
            if isinstance(x, Load) and x.buffer == self.slots[out]
        }
        dtype = out.type.dtype
        lines = [f"total = round_{dtype}(total)"] if dtype.is_narrow else []
        if self.printer.width == "u64":
            lines += [f"{name} = u64({name})" for name in ("row", "column", "outer")]
        text = self.rename("\n".join(self.printer.statements(changed, 0)))
        return [*lines, *text.split("\n")]

    def after(self, place: Index) -> list[Any]:
        """The statements of the map that follows, at a sum's index."""
        after = map_after(self.kernel)
        if not after.body:
            return []
        nest = Fused(after, self.slots, whole=False).nest()
        index = reindex(place, self.out.type.shape, tuple(n for _, n in nest.outer))
        moved = {f"{name}.": i for (name, _), i in zip(nest.outer, index, strict=True)}
        return [
            map_sizes(s, lambda size: dim.substitute(size, moved)) for s in (*nest.top, *nest.body)
        ]
