"""A kernel for a device as text: its target prints it, its toolchain compiles it.

The text defines one function, `kernel`, whose parameters are pointers and whole numbers.
Addresses, weights and large sizes are arguments, so equal kernels have equal text and are compiled
once.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.config import Method
from graphc.ir.dim import Size

DEFAULT_BLOCKS = (1, 1, 1)  # of a launch, unless its source says otherwise
DEFAULT_THREADS = (256, 1, 1)  # of a block, likewise


@dataclass(frozen=True)
class DeviceSource:
    """`parameters` are types by name: `f32*`, ..., `u32`, `u64`, `i64`; pointers come first, in the
    order of the kernel's buffers, then whole numbers (`sizes` are their values), then `i64*`, the
    status words, if `uses_status`.  `grid` and `shared` are formulas: blocks, and bytes of dynamic
    shared memory.  `resident` is how many blocks a multiprocessor should hold (0: no matter)."""

    text: str
    parameters: tuple[str, ...]
    sizes: tuple[Size, ...] = ()
    grid: tuple[Size, Size, Size] = DEFAULT_BLOCKS
    threads: tuple[int, int, int] = DEFAULT_THREADS
    shared: Size = 0
    resident: int = 0
    uses_status: bool = False
    scratch: Size = 0  # bytes that a kernel's launches share: an `f32*` behind its buffers
    schedule: str = ""  # its name, for `explain` and the profile
    method: Method | None = None  # of its contraction
