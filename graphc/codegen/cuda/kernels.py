"""Kernel -> CUDA source: chooses the schedule that prints a kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from graphc.codegen.cpu.kernels import loops_of
from graphc.codegen.cuda.frame import KernelFrame
from graphc.codegen.cuda.schedules.contractions import contraction_nest
from graphc.codegen.cuda.schedules.maps import elementwise, serial
from graphc.codegen.cuda.schedules.rows import RowPrinter
from graphc.codegen.cuda.schedules.scans import scan_source
from graphc.codegen.cuda.schedules.scatters import scatter_sources
from graphc.codegen.cuda.schedules.transposing import by_tiles, turned
from graphc.codegen.cuda.tensorcores.convolution import (
    convolution_source,
    convolution_split,
    convolution_tiling,
)
from graphc.codegen.cuda.tensorcores.gemm import gemm_source, gemm_split, gemm_tiling
from graphc.codegen.cuda.tensorcores.tiling import Tiling
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.loops.ir import NOWHERE, For
from graphc.codegen.loops.transform import loads
from graphc.codegen.lower.contraction import map_after, own_buffers, slots_of
from graphc.codegen.lower.fused import Fused, Nest
from graphc.errors import CodegenError
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.op import Opaque
from graphc.ir.ops.scan import Scan
from graphc.ir.program import Kernel, Kind

MAX_ROW_PER_THREAD = 32  # elements: longer rows are folded by a warp
MAX_ROW_PER_WARP = 1024  # elements: longer rows are folded by a block
# Families of ops that have no loops and get their text from a function of their own.
HAND_WRITTEN: Mapping[type[Opaque], Callable[[Kernel, bool, str], DeviceSource]] = MappingProxyType(
    {Scan: scan_source}
)


def device_sources(
    kernel: Kernel,
    over: Mapping[int, int] = NOWHERE,
    wide: bool = False,
    readable: bool = False,
    tiling: Tiling | None = None,
) -> tuple[DeviceSource, ...]:
    """The CUDA source of a kernel: launches that run one after another over the same buffers.
    `tiling` says how tensor cores share a contraction (`tiling_of`); by default, its static sizes
    decide."""
    shown = re.sub(r"\W", "_", kernel.name) if readable else ""
    if kernel.kind is Kind.LOOPS:
        return (_fused(kernel, over, wide, shown),)
    if kernel.kind in (Kind.MATMUL, Kind.CONVOLUTION):
        return _contraction(kernel, wide, shown, tiling)
    if kernel.kind is Kind.SCATTER:
        return scatter_sources(kernel, bool(over), wide, shown)
    for family, source_of in HAND_WRITTEN.items():
        if isinstance(kernel.body[0].op, family):
            return (source_of(kernel, wide, shown),)
    loops = loops_of(kernel, bool(over))
    if loops is None or loops.scratch:
        raise CodegenError(f"no CUDA code for {kernel.kind.value} {kernel.name}")
    frame = KernelFrame(
        loops.buffers, lambda hint: f"{hint}_", over, wide
    )  # no local's name ends in _
    return (serial(frame, loops, shown),)


def _fused(kernel: Kernel, over: Mapping[int, int], wide: bool, shown: str) -> DeviceSource:
    fused = Fused(kernel)
    nest = fused.nest()
    return _scheduled(
        KernelFrame(nest.buffers, fused.emit.name, over, wide), nest, fused.inner, shown
    )


def _contraction(
    kernel: Kernel, wide: bool, shown: str, tiling: Tiling | None
) -> tuple[DeviceSource, ...]:
    """A product or convolution: tensor cores make it together with its epilogue; where they cannot,
    one launch makes the sums, another the epilogue."""
    sources = _by_tensor_cores(kernel, wide, shown, tiling)
    if sources:
        return sources
    nest, emit = contraction_nest(kernel)
    first = elementwise(KernelFrame(nest.buffers, emit.name, NOWHERE, wide), nest, shown)
    return first, *epilogue_sources(kernel, wide, shown)


def epilogue_sources(
    kernel: Kernel, wide: bool = False, shown: str = ""
) -> tuple[DeviceSource, ...]:
    """The launch of what follows a contraction, whose sums lie in its accumulator; or none."""
    after = Fused(map_after(kernel), slots_of(kernel))
    if not after.kernel.body:
        return ()
    nest = after.nest()
    nest = replace(nest, buffers=own_buffers(kernel, nest.buffers))
    frame = KernelFrame(nest.buffers, after.emit.name, NOWHERE, wide)
    return (_scheduled(frame, nest, after.inner, shown),)


def tiling_of(kernel: Kernel, known: Mapping[str, int], fast_math: bool = False) -> Tiling | None:
    """The best way for tensor cores to share a contraction at a run's sizes; None for kernels that
    they do not make."""
    if kernel.kind not in (Kind.MATMUL, Kind.CONVOLUTION):
        return None
    of_kind = gemm_tiling if kernel.kind is Kind.MATMUL else convolution_tiling
    tiling = of_kind(kernel, known)
    return replace(tiling, fast_math=fast_math) if tiling is not None else None


def _by_tensor_cores(
    kernel: Kernel, wide: bool, shown: str, tiling: Tiling | None
) -> tuple[DeviceSource, ...]:
    """One launch; two where sums are long and results are few; none for element types and shapes
    that tensor cores do not take."""
    product = kernel.kind is Kind.MATMUL
    if wide and not product:
        return ()
    shape, pieces = (tiling.shape, tiling.pieces) if tiling else (None, 0)
    fast = tiling is not None and tiling.fast_math
    split = (gemm_split if product else convolution_split)(
        kernel, shape, fast, pieces=pieces, readable=shown
    )
    if split is not None and not wide:
        return tuple(replace(s, scratch=split.scratch) for s in (split.first, split.second))
    whole = (
        gemm_source(kernel, shape, fast, wide=wide, readable=shown)
        if product
        else (convolution_source(kernel, shape, fast, readable=shown))
    )
    return (whole,) if whole is not None else ()


def _scheduled(
    frame: KernelFrame, nest: Nest, inner: Sequence[tuple[str, Size]], shown: str
) -> DeviceSource:
    """The source of a nest whose rows have the axes `inner`, by the schedule that fits it."""
    transposed = turned(nest)
    if transposed is not None:
        return by_tiles(frame, nest, *transposed, shown)
    kind = _group_kind(nest, dim.product(tuple(n for _, n in inner)))
    return RowPrinter(frame, nest, kind).source(shown) if kind else elementwise(frame, nest, shown)


def _group_kind(nest: Nest, row: Size) -> str:
    """The kind of `ThreadGroup` that makes a row of `row` elements; "" if one thread does."""
    if nest.chunks:
        folded = any(isinstance(s, For) for s in nest.body)
        return "warp" if folded and isinstance(row, int) and row <= MAX_ROW_PER_WARP else "block"
    if not any(isinstance(s, For) for s in nest.body) or (
        isinstance(row, int) and row <= MAX_ROW_PER_THREAD
    ):
        return ""
    if _lies_along_columns(nest):
        return "columns"
    return "block" if isinstance(row, int) and row > MAX_ROW_PER_WARP else "warp"


def _lies_along_columns(nest: Nest) -> bool:
    """Whether the elements that a row folds lie far apart, and neighbouring rows side by side."""
    if not nest.outer:
        return False
    loops = [s for s in nest.body if isinstance(s, For)]
    last = f"{nest.outer[-1][0]}."
    offsets = [(e.offset, s.var) for s in loops for e in loads(s)]
    across = any(dim.coefficient(at, last) == 1 for at, _ in offsets)
    along = any(dim.coefficient(at, var) == 1 for at, var in offsets)
    return across and not along and not any(isinstance(x, For) for s in loops for x in s.body)
