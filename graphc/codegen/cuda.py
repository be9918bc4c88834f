"""Kernel -> CUDA source: which schedule makes a kernel, and what of it a GPU cannot run."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.codegen.cpu import NOWHERE
from graphc.codegen.cuda_frame import Frame
from graphc.codegen.cuda_maps import elementwise
from graphc.codegen.cuda_rows import Rows
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.fused import Fused, Nest
from graphc.codegen.loops import For
from graphc.ir import dim
from graphc.ir.program import Kernel

SHORT = 32  # elements of a row that one thread folds
LONG = 1024  # of one that a block folds


def device_source(
    kernel: Kernel, over: Mapping[int, int] = NOWHERE, wide: bool = False, readable: str = ""
) -> DeviceSource:
    """The CUDA source of a kernel."""
    fused = Fused(kernel)
    nest = fused.nest()
    frame = Frame(nest.buffers, fused.emit.name, over, wide)
    row = dim.product(tuple(n for _, n in fused.inner))
    kind = _kind(nest, row)
    return Rows(frame, nest, kind).source(readable) if kind else elementwise(frame, nest, readable)


def _kind(nest: Nest, row: object) -> str:
    """The group that makes a row; none if a thread does."""
    if nest.chunks:
        folded = any(isinstance(s, For) for s in nest.body)
        return "warp" if folded and isinstance(row, int) and row <= LONG else "block"
    if not any(isinstance(s, For) for s in nest.body) or isinstance(row, int) and row <= SHORT:
        return ""
    return "block" if isinstance(row, int) and row > LONG else "warp"
