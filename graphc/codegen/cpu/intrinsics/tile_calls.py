"""Intrinsics of matrix products: calls of register tiles and their like, a stack buffer.

Those are functions of `microkernels`; kernels get their addresses as arguments.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from graphc.codegen.cpu.intrinsics.buffers import BufferType, stored
from graphc.codegen.cpu.intrinsics.gemm_calls import ALIGNMENT_BYTES
from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.codegen.cpu.microkernels.winograd_transforms import MATRICES
from graphc.ir.types import TILED_FLOATS, i64


@intrinsic
def microkernel(context: Any, function: Any, *operands: Any) -> Any:
    """Calls the function at an address.  Its operands are whole numbers; a buffer and the offset
    behind it become one address.

    tile(rows, cols, k, a + a_at, rs, cs, b + b_at, ldb, c + c_at, ldc, adds, taps, table + at)
    transpose(rows, cols, x + x_at, ldx, y + y_at, ldy): y becomes x transposed
    transform(channels, squares, x + x_at, xi, xj, xs, y + y_at, yi, yj, ys)
    """
    operand_types = [t if isinstance(t, BufferType) else types.int64 for t in operands]

    def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
        address, *values = args
        passed = [
            bd.gep(value, [values[i + 1]]) if isinstance(operand_types[i], BufferType) else value
            for i, value in enumerate(values)
            if i == 0 or not isinstance(operand_types[i - 1], BufferType)  # that is an offset
        ]
        kind = ir.FunctionType(ir.VoidType(), [v.type for v in passed])
        bd.call(bd.inttoptr(address, kind.as_pointer()), passed)
        return ctx.get_dummy_value()

    return types.none(types.int64, *operand_types), build


def _stack(name: str) -> Any:
    """A buffer of a known number of elements on the stack."""

    @intrinsic(prefer_literal=True)
    def stack(context: Any, count: Any, slot: Any) -> Any:
        buffer_type, size = BufferType(name, slot.literal_value), count.literal_value

        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            element = stored(name)
            with bd.goto_entry_block():
                place = bd.alloca(ir.ArrayType(element, size))
                place.align = ALIGNMENT_BYTES
            return bd.bitcast(place, element.as_pointer())

        return buffer_type(count, slot), build

    return stack


TILE_CALLS: dict[str, Any] = {
    **{
        f"{t}_{name}": microkernel
        for t in TILED_FLOATS
        for name in ("tile", "transpose", *MATRICES)
    },
    **{f"{t}_stack": _stack(t.name) for t in (*TILED_FLOATS, i64)},
}
