"""A kernel for a GPU, as text: what the printer makes, the toolchain compiles and the simulator
runs.

The text defines one function, `kernel`, of pointers and whole numbers.  Addresses, weights and
large sizes are its arguments; so equal kernels are equal text, and are compiled once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.config import Method
from graphc.ir.dim import Size
from graphc.ir.types import DType

POINTER = "*"
BLOCKS, THREADS = (1, 1, 1), (256, 1, 1)


def pointer(dtype: DType) -> str:
    """The parameter type of a buffer: `f32*`, `u8*` for bool, `u16*` for narrow floats."""
    return f"{dtype.stored}{POINTER}"


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
    scratch: Size = 0  # bytes that a kernel's launches share: an `f32*` behind its buffers
    schedule: str = ""  # its name, for `explain` and the profile
    method: Method | None = None  # of its contraction


def guarded(source: DeviceSource) -> DeviceSource:
    """The kernel that does nothing once a run has failed: what changes variables."""
    head, body = source.text.split("):\n", 1)
    name = "status"
    if source.uses_status:  # the name of its last parameter
        name = head.rpartition(",")[2].strip()
        return replace(source, text=f"{head}):\n    if {name}[0] != 0:\n        return\n{body}")
    return replace(
        source,
        text=f"{head}, {name}):\n    if {name}[0] != 0:\n        return\n{body}",
        parameters=(*source.parameters, "i64*"),
        uses_status=True,
    )


COPY = """\
def kernel(v0, v1, v2):
    v3 = u64(u64(cuda.blockIdx.x)*u64(256) + u64(cuda.threadIdx.x))
    if v3 < v2:
        v1[v3] = load(v0, v3)
"""


def copying(nbytes: int) -> DeviceSource:
    """A kernel that copies so many bytes: for copies that may have to be left out (`guarded`)."""
    grid: tuple[Size, Size, Size] = (-(-nbytes // THREADS[0]), 1, 1)
    return DeviceSource(COPY, ("u8*", "u8*", "u64"), (nbytes,), grid, schedule="copy")
