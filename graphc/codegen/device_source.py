"""A kernel for a GPU, as text: what the printer (`cuda.py`) makes, the toolchain (`gcuda.py`)
compiles and the simulator (`simt.py`) runs.

The text defines one function, `kernel`, of pointers and whole numbers.  Addresses, weights and
large sizes are its arguments; so equal kernels are equal text, and are compiled once.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.config import Method
from graphc.ir.dim import Size
from graphc.ir.types import DType

STORED = {"bool": "u8", "f16": "u16", "bf16": "u16"}  # what a pointer to elements points at
POINTER = "*"
BLOCKS, THREADS = (1, 1, 1), (256, 1, 1)


def pointer(dtype: DType) -> str:
    """The parameter type of a buffer: `f32*`, `u8*` for bool, `u16*` for f16 and bf16."""
    return STORED.get(dtype.name, dtype.name) + POINTER


@dataclass(frozen=True)
class DeviceSource:
    """`parameters` are types by name: `f32*`, ..., `u32`, `u64`, `i64`; pointers come first, in the
    order of the kernel's buffers, then whole numbers (`sizes` are their values), then `i64*`, the
    status words, if `uses_status`.  `grid` and `shared` are formulas: blocks, and bytes of dynamic
    shared memory.  `resident` is how many blocks a multiprocessor should hold (0: no matter)."""

    text: str
    parameters: tuple[str, ...]
    sizes: tuple[Size, ...] = ()
    grid: tuple[Size, Size, Size] = BLOCKS
    threads: tuple[int, int, int] = THREADS
    shared: Size = 0
    resident: int = 0
    uses_status: bool = False
    schedule: str = ""  # its name, for `explain` and the profile
    method: Method | None = None  # of its contraction
