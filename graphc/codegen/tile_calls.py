"""Intrinsics of matrix products: register tiles, transposes, rows copied and added, a stack buffer.

Tiles and transposes are functions of `tiles.py`, found by name when the object code is linked; rows
are copied in place, by whole vectors and a masked one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from graphc.codegen.builtins import FLOAT, I64, BufferType
from graphc.codegen.calls import ALIGN, _outside

I32 = ir.IntType(32)
LANES = {"f32": 16, "f64": 8}  # of the vectors that rows are copied by; LLVM splits them if it must
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


def _row(name: str, adds: bool) -> Any:
    """to[to_at + i] = x[x_at + i], or += with `adds`, for i below n."""

    @intrinsic
    def row(context: Any, n: Any, x: Any, x_at: Any, to: Any, to_at: Any) -> Any:
        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            function = _row_function(bd.module, name, adds)
            n, x, x_at, to, to_at = args
            bd.call(function, [n, bd.gep(x, [x_at]), bd.gep(to, [to_at])])
            return ctx.get_dummy_value()

        return types.none(WORD, x, WORD, to, WORD), build

    return row


def _row_function(module: Any, name: str, adds: bool) -> Any:
    """The function `(n, from, to)` behind `_row`, in this module."""
    title = f"gc_row_{'add' if adds else 'copy'}_{name}"
    if title in module.globals:
        return module.globals[title]
    pointer, lanes = FLOAT[name].as_pointer(), LANES[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64, pointer, pointer]), title)
    function.linkage = "internal"
    function.attributes.add("alwaysinline")
    n, source, to = function.args
    bd = ir.IRBuilder(function.append_basic_block("entry"))
    whole = bd.and_(n, ir.Constant(I64, -lanes))
    head, body, rest, tail, end = (function.append_basic_block() for _ in range(5))
    entry = bd.block
    bd.branch(head)
    bd.position_at_end(head)
    i = bd.phi(I64)
    i.add_incoming(ir.Constant(I64, 0), entry)
    bd.cbranch(bd.icmp_signed("<", i, whole), body, rest)
    bd.position_at_end(body)
    _move(bd, name, adds, (bd.gep(source, [i]), bd.gep(to, [i])), None)
    i.add_incoming(bd.add(i, ir.Constant(I64, lanes)), body)
    bd.branch(head)
    bd.position_at_end(rest)
    bd.cbranch(bd.icmp_signed("<", whole, n), tail, end)
    bd.position_at_end(tail)
    _move(bd, name, adds, (bd.gep(source, [whole]), bd.gep(to, [whole])), bd.sub(n, whole))
    bd.branch(end)
    bd.position_at_end(end)
    bd.ret_void()
    return function


def _move(bd: Any, name: str, adds: bool, places: Any, count: Any) -> None:
    """One vector, or `count` elements of it."""
    lanes, element = LANES[name], FLOAT[name]
    vector, align = ir.VectorType(element, lanes), 4 if name == "f32" else 8
    source, to = (bd.bitcast(p, vector.as_pointer()) for p in places)
    if count is None:
        value = bd.load(source, align=align)
        value = bd.fadd(bd.load(to, align=align), value) if adds else value
        bd.store(value, to, align=align)
        return
    numbers = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
    limit = bd.insert_element(ir.Constant(numbers.type, ir.Undefined), bd.trunc(count, I32),
                              ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
    mask = bd.icmp_signed("<", numbers, bd.shuffle_vector(limit, limit, zeros))
    size, nothing = ir.Constant(I32, align), ir.Constant(vector, [0.0] * lanes)
    suffix = f"v{lanes}{name}.p0"
    load = _outside(bd.module, f"llvm.masked.load.{suffix}", vector, source.type, I32, mask.type,
                    vector)
    store = _outside(bd.module, f"llvm.masked.store.{suffix}", ir.VoidType(), vector, to.type, I32,
                     mask.type)
    value = bd.call(load, [source, size, mask, nothing])
    if adds:
        value = bd.fadd(bd.call(load, [to, size, mask, nothing]), value)
    bd.call(store, [value, to, size, mask])


TILE_CALLS: dict[str, Any] = {
    **{f"{t}_tile": _tile(t) for t in FLOAT},
    **{f"{t}_transpose": _transpose(t) for t in FLOAT},
    **{f"{t}_stack": _stack(t) for t in FLOAT},
    **{f"{t}_copy": _row(t, False) for t in FLOAT},
    **{f"{t}_add": _row(t, True) for t in FLOAT},
}
