"""Intrinsics of matrix products: register tiles, transposes, a stack buffer.

Tiles and transposes are functions of `tiles.py`, found by name when the object code is linked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from graphc.codegen.builtins import FLOAT, BufferType
from graphc.codegen.calls import ALIGN, _outside

WORD = types.int64


def _tile(name: str) -> Any:
    """gc_tile(rows, cols, k, a + a_at, rs, cs, b + b_at, ldb, c + c_at, ldc, adds)."""

    @intrinsic
    def tile(
        context: Any, rows: Any, cols: Any, k: Any, a: Any, a_at: Any, rs: Any, cs: Any, b: Any,
        b_at: Any, ldb: Any, c: Any, c_at: Any, ldc: Any, adds: Any,
    ) -> Any:
        signature = types.none(
            WORD, WORD, WORD, a, WORD, WORD, WORD, b, WORD, WORD, c, WORD, WORD, WORD)

        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            rows, cols, k, a, a_at, rs, cs, b, b_at, ldb, c, c_at, ldc, adds = args
            places = (bd.gep(a, [a_at]), bd.gep(b, [b_at]), bd.gep(c, [c_at]))
            values = [rows, cols, k, places[0], rs, cs, places[1], ldb, places[2], ldc, adds]
            _call(bd, f"gc_tile_{name}", values)
            return ctx.get_dummy_value()

        return signature, build

    return tile


def _transpose(name: str) -> Any:
    """gc_transpose(rows, cols, x + x_at, ldx, y + y_at, ldy): y becomes x transposed."""

    @intrinsic
    def transpose(
        context: Any, rows: Any, cols: Any, x: Any, x_at: Any, ldx: Any, y: Any, y_at: Any, ldy: Any
    ) -> Any:
        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            rows, cols, x, x_at, ldx, y, y_at, ldy = args
            values = [rows, cols, bd.gep(x, [x_at]), ldx, bd.gep(y, [y_at]), ldy]
            _call(bd, f"gc_transpose_{name}", values)
            return ctx.get_dummy_value()

        return types.none(WORD, WORD, x, WORD, WORD, y, WORD, WORD), build

    return transpose


def _call(bd: Any, name: str, values: list[Any]) -> None:
    bd.call(_outside(bd.module, name, ir.VoidType(), *(v.type for v in values)), values)


def _stack(name: str) -> Any:
    """A buffer of a known number of elements on the stack."""

    @intrinsic(prefer_literal=True)
    def stack(context: Any, count: Any, slot: Any) -> Any:
        made, size = BufferType(name, slot.literal_value), count.literal_value

        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            with bd.goto_entry_block():
                place = bd.alloca(ir.ArrayType(FLOAT[name], size))
                place.align = ALIGN
            return bd.bitcast(place, FLOAT[name].as_pointer())

        return made(count, slot), build

    return stack


TILE_CALLS: dict[str, Any] = {
    **{f"{t}_tile": _tile(t) for t in FLOAT},
    **{f"{t}_transpose": _transpose(t) for t in FLOAT},
    **{f"{t}_stack": _stack(t) for t in FLOAT},
}
