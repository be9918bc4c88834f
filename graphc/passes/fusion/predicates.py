"""Questions that fusion asks about a value alone: is it a position, do its rows join, can a map
follow it?"""

from __future__ import annotations

from graphc.ir.dim import Shape, product
from graphc.ir.graph import Value
from graphc.ir.op import Pointwise
from graphc.ir.ops.conv import Convolution, ConvolutionInput
from graphc.ir.ops.matmul import Matmul
from graphc.ir.ops.shape import Full, Iota


def joins_rows(matrix: Shape, domain: Shape) -> bool:
    """Whether a matrix is an index space whose leading axes are joined."""
    if len(matrix) != 2 or len(domain) < 3:
        return False
    return domain[-1] == matrix[1] and product(domain[:-1]) == matrix[0]


def is_place(v: Value, depth: int = 3) -> bool:
    """Whether v is a function of an element's position, or a literal: it costs an addition or
    two."""
    if isinstance(v.op, Pointwise) and depth:
        return v.op.cost <= 1 and all(is_place(a, depth - 1) for a in v.args)
    return isinstance(v.op, Full | Iota)


def takes_epilogue(v: Value) -> bool:
    """Whether a CPU makes a contraction in chunks that a map can follow: by register tiles, each
    chunk a block of the result's index space."""
    if not v.type.dtype.tiled:
        return False
    match v.op:
        case Convolution(groups=groups) | ConvolutionInput(groups=groups):
            return groups == 1 and v.type.rank <= 4
        case Matmul():
            return v.type.rank == 2
    return False
