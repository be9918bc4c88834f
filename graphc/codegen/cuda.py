"""Kernel -> CUDA source: which schedule makes a kernel, and what of it a GPU cannot run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from graphc.codegen.cpu import NOWHERE
from graphc.codegen.cuda_frame import Frame
from graphc.codegen.cuda_maps import elementwise, serial
from graphc.codegen.cuda_rows import Rows
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.fused import Fused, Nest
from graphc.codegen.kernels import loops_of
from graphc.codegen.loops import For
from graphc.codegen.lower import Emitter
from graphc.config import Method
from graphc.errors import CodegenError
from graphc.ir import dim
from graphc.ir.program import Kernel, Kind

SHORT = 32  # elements of a row that one thread folds
LONG = 1024  # of one that a block folds


def device_sources(
    kernel: Kernel, over: Mapping[int, int] = NOWHERE, wide: bool = False, readable: bool = False
) -> tuple[DeviceSource, ...]:
    """The CUDA source of a kernel: launches one after another, of the same buffers."""
    shown = re.sub(r"\W", "_", kernel.name) if readable else ""
    if kernel.kind is Kind.LOOPS:
        return (_fused(kernel, over, wide, shown),)
    loops = loops_of(kernel, bool(over), Method.LOOPS)
    if loops is None or loops.scratch:
        raise CodegenError(f"no CUDA code for {kernel.kind.value} {kernel.name}")
    name = Emitter({}).name
    return (serial(Frame(loops.buffers, name, over, wide), loops, shown),)


def _fused(kernel: Kernel, over: Mapping[int, int], wide: bool, shown: str) -> DeviceSource:
    fused = Fused(kernel)
    nest = fused.nest()
    frame = Frame(nest.buffers, fused.emit.name, over, wide)
    row = dim.product(tuple(n for _, n in fused.inner))
    kind = _kind(nest, row)
    return Rows(frame, nest, kind).source(shown) if kind else elementwise(frame, nest, shown)


def _kind(nest: Nest, row: object) -> str:
    """The group that makes a row; none if a thread does."""
    if nest.chunks:
        folded = any(isinstance(s, For) for s in nest.body)
        return "warp" if folded and isinstance(row, int) and row <= LONG else "block"
    if not any(isinstance(s, For) for s in nest.body) or (isinstance(row, int) and row <= SHORT):
        return ""
    return "block" if isinstance(row, int) and row > LONG else "warp"
