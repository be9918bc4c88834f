"""Matrix products and their epilogues -> kernel text for tensor cores."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.codegen.cuda.tensorcores.block import OperandSource, TileShape
from graphc.codegen.cuda.tensorcores.tiling import LEFT, RIGHT, ContractionPlan, Split, Tiling
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.lower.contraction import operands
from graphc.codegen.lower.emitter import Index, variable
from graphc.ir.dim import product
from graphc.ir.ops.index_math import unflatten
from graphc.ir.program import Kernel, contraction_of, storage


def gemm_source(
    kernel: Kernel,
    shape: TileShape | None = None,
    fast_math: bool = False,
    wide: bool = False,
    readable: str = "",
) -> DeviceSource | None:
    """A product's kernel; None for element types that tensor cores do not multiply.  With
    `fast_math`, f32 is multiplied as tf32; else in three products of its parts.  `wide` is for
    arrays that may have 2^31 elements."""
    return _plan(kernel, shape, fast_math, wide).source(readable) if _fits(kernel) else None


def gemm_split(
    kernel: Kernel,
    shape: TileShape | None = None,
    fast_math: bool = False,
    pieces: int = 0,
    readable: str = "",
) -> Split | None:
    """A product's two kernels, if its result is so small and k so long that two are faster."""
    return _plan(kernel, shape, fast_math).split(pieces, readable) if _fits(kernel) else None


def gemm_tiling(kernel: Kernel, known: Mapping[str, int]) -> Tiling | None:
    """The best tile and split for a run's sizes."""
    return _plan(kernel, None, False).tiling(known) if _fits(kernel) else None


def _fits(kernel: Kernel) -> bool:
    return contraction_of(kernel).type.dtype.tensor_cores


def _plan(
    kernel: Kernel, shape: TileShape | None, fast_math: bool, wide: bool = False
) -> ContractionPlan:
    op, a, b, out = operands(kernel)
    m, k, _, n = op.sizes(a.type, b.type)
    return ProductBlock(kernel, shape, fast_math, (m, n, k), product(out.type.shape[:-2]), wide)


class ProductBlock(ContractionPlan):
    """A matrix product, or a batch of them."""

    def operands(self) -> tuple[OperandSource, OperandSource]:
        op, a, b, _ = operands(self.kernel)
        m, n, k = self.sizes
        left = self.matrix(LEFT, self.slots[storage(a)], op.ta, m if op.ta else k)
        right = self.matrix(RIGHT, self.slots[storage(b)], not op.tb, k if op.tb else n)
        return left, right

    def place(self) -> Index:
        batch = contraction_of(self.kernel).type.shape[:-2]
        return (*unflatten(variable("outer"), batch), variable("row"), variable("column"))
