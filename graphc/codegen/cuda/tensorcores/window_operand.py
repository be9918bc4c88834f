"""An operand of a product on a GPU that is not a matrix in memory: windows of images.

The offset of its element for row (or column) `at` and depth `k` is a formula of both; so are bounds
outside of which the element is 0.  Threads stand along the lines of the tile in shared memory; what
depends on a thread's own index alone is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.codegen.cuda.printer import CudaPrinter
from graphc.codegen.cuda.tensorcores.block import Ends, Side, indented
from graphc.codegen.loops.transform import Change
from graphc.codegen.lower.emitter import variable
from graphc.ir.dim import Dim, Size

Parts = tuple[tuple[Dim, Size], ...]


@dataclass(frozen=True)
class Formula:
    """Where elements lie.  `at_parts` names formulas of `at`, `k_parts` formulas of `k`; `offset`
    and `bounds` (e, low, high: low <= e < high) are formulas of these names and of `outer`."""

    at_parts: Parts
    k_parts: Parts
    offset: Size
    bounds: tuple[tuple[Size, Size, Size], ...] = ()

    def changed(self, change: Change) -> Formula:
        """The formula with every size changed."""
        at_parts, k_parts = (
            tuple((name, change(value)) for name, value in parts)
            for parts in (self.at_parts, self.k_parts)
        )
        bounds = tuple((change(e), change(low), change(high)) for e, low, high in self.bounds)
        return Formula(at_parts, k_parts, change(self.offset), bounds)


def at(name: str) -> Dim:
    """The row or column of an operand's element."""
    return variable(f"{name}_at")


def depth(name: str) -> Dim:
    """The k of an operand's element."""
    return variable(f"{name}_k")


@dataclass(frozen=True)
class WindowOperand:
    """The operand as a source of tiles, of elements of `size` bytes."""

    side: Side
    ends: Ends
    buffer: int
    threads: int
    size: int
    formula: Formula
    printer: CudaPrinter

    def setup(self) -> list[str]:
        tile, name = self.side, self.ends.name
        lines = [
            f"{name}_inner = u32(thread % {tile.length})",
            f"{name}_line = u32(thread // {tile.length})",
        ]
        return lines + (self.at(f"u32({self.ends.first} + {name}_inner)") if tile.by_k else [])

    def copy(self) -> list[str]:
        tile, name = self.side, self.ends.name
        step = self.threads // tile.length
        assert step and tile.lines % step == 0, "threads do not fit the tile"
        each = (
            self.k(f"u32(first + {name}_move)")
            if tile.by_k
            else self.at(f"u32({self.ends.first} + {name}_move)")
        )
        inside = [f"{name}_at < {self.ends.extent}", f"{name}_k < depth", *self.tests()]
        body = [
            f"{name}_move = u32(u32(u32(number) * {step}) + {name}_line)",
            *each,
            f"{name}_to = u32(u32({name}_move * {tile.pitch}) + u32({name}_inner * {self.size}))",
            f"copy_one(u32(to + {name}_to), @{self.buffer}, u64({self.offset()}),",
            f"         {' and '.join(inside)})",
        ]
        before = [] if tile.by_k else self.k(f"u32(first + {name}_inner)")
        return [*before, f"for number in range({tile.lines // step}):", *indented(body, 1)]

    def element(self, name: str) -> list[str]:
        load = f"load(@{self.buffer}, {self.offset()})"
        tests = " and ".join(self.tests())
        lines = [*self.at(self.ends.here), *self.k("first")]
        if not tests:
            return [*lines, f"{name} = {load}"]
        return [*lines, f"{name} = f32(0.0)", f"if {tests}:", f"    {name} = {load}"]

    def at(self, value: str) -> list[str]:
        """Lines that set `at` and its parts."""
        return [f"{self.ends.name}_at = {value}", *self.parts(self.formula.at_parts)]

    def k(self, value: str) -> list[str]:
        """Lines that set `k` and its parts."""
        return [f"{self.ends.name}_k = {value}", *self.parts(self.formula.k_parts)]

    def parts(self, parts: Parts) -> list[str]:
        return [f"{self.printer.size(name)} = {self.printer.size(value)}" for name, value in parts]

    def tests(self) -> list[str]:
        return [self.printer.test(*bound) for bound in self.formula.bounds]

    def offset(self) -> str:
        return self.printer.size(self.formula.offset)
