"""Intrinsics of matrix products: register tiles, transposes, a stack buffer.

Tiles and transposes are functions of `tiles.py`; kernels get their addresses as arguments.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from graphc.codegen.cpu.intrinsics.gemm_calls import ALIGN
from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.codegen.cpu.intrinsics.scalars import FLOAT, BufferType, stored
from graphc.codegen.cpu.microkernels.winograd_transforms import MATRICES

WORD = types.int64


def _tile(name: str) -> Any:
    """function(rows, cols, k, a + a_at, rs, cs, b + b_at, ldb, c + c_at, ldc, adds, taps, table +
    table_at)."""

    @intrinsic
    def tile(
        context: Any,
        function: Any,
        rows: Any,
        cols: Any,
        k: Any,
        a: Any,
        a_at: Any,
        rs: Any,
        cs: Any,
        b: Any,
        b_at: Any,
        ldb: Any,
        c: Any,
        c_at: Any,
        ldc: Any,
        adds: Any,
        taps: Any,
        table: Any,
        table_at: Any,
    ) -> Any:
        w = WORD
        signature = types.none(w, w, w, w, a, w, w, w, b, w, w, c, w, w, w, w, table, w)

        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            to, rows, cols, k, a, a_at, rs, cs, b, b_at, ldb, c, c_at, ldc, adds, taps, t, at = args
            places = (bd.gep(a, [a_at]), bd.gep(b, [b_at]), bd.gep(c, [c_at]), bd.gep(t, [at]))
            _call(
                bd,
                to,
                [
                    rows,
                    cols,
                    k,
                    places[0],
                    rs,
                    cs,
                    places[1],
                    ldb,
                    places[2],
                    ldc,
                    adds,
                    taps,
                    places[3],
                ],
            )
            return ctx.get_dummy_value()

        return signature, build

    return tile


def _transpose(name: str) -> Any:
    """function(rows, cols, x + x_at, ldx, y + y_at, ldy): y becomes x transposed."""

    @intrinsic
    def transpose(
        context: Any,
        function: Any,
        rows: Any,
        cols: Any,
        x: Any,
        x_at: Any,
        ldx: Any,
        y: Any,
        y_at: Any,
        ldy: Any,
    ) -> Any:
        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            to, rows, cols, x, x_at, ldx, y, y_at, ldy = args
            _call(bd, to, [rows, cols, bd.gep(x, [x_at]), ldx, bd.gep(y, [y_at]), ldy])
            return ctx.get_dummy_value()

        return types.none(WORD, WORD, WORD, x, WORD, WORD, y, WORD, WORD), build

    return transpose


def _transform(name: str) -> Any:
    """function(channels, squares, x + x_at, xi, xj, xs, y + y_at, yi, yj, ys)."""

    @intrinsic
    def transform(
        context: Any,
        function: Any,
        channels: Any,
        squares: Any,
        x: Any,
        x_at: Any,
        xi: Any,
        xj: Any,
        xs: Any,
        y: Any,
        y_at: Any,
        yi: Any,
        yj: Any,
        ys: Any,
    ) -> Any:
        w = WORD

        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            to, channels, squares, x, x_at, xi, xj, xs, y, y_at, yi, yj, ys = args
            places = (bd.gep(x, [x_at]), bd.gep(y, [y_at]))
            _call(bd, to, [channels, squares, places[0], xi, xj, xs, places[1], yi, yj, ys])
            return ctx.get_dummy_value()

        return types.none(w, w, w, x, w, w, w, w, y, w, w, w, w), build

    return transform


def _call(bd: Any, function: Any, values: list[Any]) -> None:
    kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
    bd.call(bd.inttoptr(function, kind.as_pointer()), values)


def _stack(name: str) -> Any:
    """A buffer of a known number of elements on the stack."""

    @intrinsic(prefer_literal=True)
    def stack(context: Any, count: Any, slot: Any) -> Any:
        made, size = BufferType(name, slot.literal_value), count.literal_value

        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            element = stored(name)
            with bd.goto_entry_block():
                place = bd.alloca(ir.ArrayType(element, size))
                place.align = ALIGN
            return bd.bitcast(place, element.as_pointer())

        return made(count, slot), build

    return stack


TILE_CALLS: dict[str, Any] = {
    **{f"{t}_tile": _tile(t) for t in FLOAT},
    **{f"{t}_transpose": _transpose(t) for t in FLOAT},
    **{f"{t}_{name}": _transform(t) for t in FLOAT for name in MATRICES},
    **{f"{t}_stack": _stack(t) for t in (*FLOAT, "i64")},
}
