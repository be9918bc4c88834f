"""What texts for GPUs have in common: the types of pointers, copies, and kernels that a failed run
leaves out."""

from __future__ import annotations

from dataclasses import replace

from graphc.codegen.device_source import DEFAULT_THREADS, DeviceSource
from graphc.ir.dim import Size
from graphc.ir.types import DType

POINTER = "*"


def pointer(dtype: DType) -> str:
    """The parameter type of a buffer: `f32*`, `u8*` for bool, `u16*` for narrow floats."""
    return f"{dtype.stored}{POINTER}"


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
    grid: tuple[Size, Size, Size] = (-(-nbytes // DEFAULT_THREADS[0]), 1, 1)
    return DeviceSource(COPY, ("u8*", "u8*", "u64"), (nbytes,), grid, schedule="copy")
