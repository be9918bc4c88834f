"""An operand of a product on a GPU that lies in memory as a matrix."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.codegen.cuda.tensorcores.block import Ends, Side
from graphc.ir import dim
from graphc.ir.dim import Size


@dataclass(frozen=True)
class Matrix:
    """The operand as a source of tiles; one copy moves `width` elements."""

    side: Side
    ends: Ends
    buffer: int
    threads: int
    width: int
    batched: bool = True  # else all products share one matrix

    def setup(self) -> list[str]:
        if not self.batched:
            return [f"{self.ends.name} = u64(0)"]
        return [f"{self.ends.name} = u64(u64(u64(outer) * u64({self.ends.extent})) * u64(depth))"]

    def copy(self) -> list[str]:
        tile, ends = self.side, self.ends
        line, column = ("first", ends.first) if tile.by_k else (ends.first, "first")
        lines, columns = ("depth", ends.extent) if tile.by_k else (ends.extent, "depth")
        shape = f"{tile.lines}, {tile.length}, {tile.pitch}, {self.threads}, {self.width}"
        return [
            f"copy_tile(to, @{self.buffer}, {self.place(line, column, columns)},",
            f"          {columns}, u32({lines} - {line}), u32({columns} - {column}), thread,",
            f"          {shape})",
        ]

    def element(self, name: str) -> list[str]:
        by_k, ends = self.side.by_k, self.ends
        line, column = ("first", ends.here) if by_k else (ends.here, "first")
        at = self.place(line, column, ends.extent if by_k else "depth")
        return [f"{name} = load(@{self.buffer}, {at})"]

    def place(self, line: str, column: str, length: str) -> str:
        """The offset of an element in its buffer."""
        return f"u64({self.ends.name} + u64(u64(u64({line}) * u64({length})) + u64({column})))"


def width(length: Size, size: int) -> int:
    """How many elements of `size` bytes one copy may move: a divisor of the length of rows, so that
    rows begin where a copy may."""
    for count in (16 // size, 8 // size, 4 // size):
        if dim.modulo(length, count) == 0:
            return count
    return 1
