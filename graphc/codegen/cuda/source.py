"""CUDA texts of any schedule: pointer types, kernels that copy, kernels that check for failure."""

from __future__ import annotations

from dataclasses import replace

from graphc.codegen.device_source import DEFAULT_THREADS, DeviceSource
from graphc.ir.dim import Size
from graphc.ir.types import DType

POINTER_SUFFIX = "*"  # of the parameter types of buffers


def pointer(dtype: DType) -> str:
    """The parameter type of a buffer: `f32*`, `u8*` for bool, `u16*` for narrow floats."""
    return f"{dtype.stored}{POINTER_SUFFIX}"


def guarded(source: DeviceSource) -> DeviceSource:
    """The kernel, made to do nothing once a run has failed: for kernels that change variables."""
    head, body = source.text.split("):\n", 1)
    name = "status"
    if source.uses_status:  # `status` is its last parameter, by any name
        name = head.rpartition(",")[2].strip()
        return replace(source, text=f"{head}):\n    if {name}[0] != 0:\n        return\n{body}")
    return replace(
        source,
        text=f"{head}, {name}):\n    if {name}[0] != 0:\n        return\n{body}",
        parameters=(*source.parameters, "i64*"),
        uses_status=True,
    )


COPY_KERNEL = """\
def kernel(v0, v1, v2):
    v3 = u64(u64(cuda.blockIdx.x)*u64(256) + u64(cuda.threadIdx.x))
    if v3 < v2:
        v1[v3] = load(v0, v3)
"""


def copying(nbytes: int) -> DeviceSource:
    """A kernel that copies `nbytes` bytes: for copies that a failed run leaves out (`guarded`)."""
    grid: tuple[Size, Size, Size] = (-(-nbytes // DEFAULT_THREADS[0]), 1, 1)
    return DeviceSource(COPY_KERNEL, ("u8*", "u8*", "u64"), (nbytes,), grid, schedule="copy")
