"""Intrinsics that move rows of elements by vectors, with masks at the ends.

Thanks to masks, short rows, which convolutions have many of, need no loops over single elements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types

from graphc.codegen.cpu.intrinsics.buffers import stored
from graphc.codegen.cpu.intrinsics.common_scalars import I32, I64
from graphc.codegen.cpu.intrinsics.gemm_calls import outside
from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.ir.types import TILED_FLOATS

LANES_PER_VECTOR = {"f32": 16, "f64": 8}  # 512 bits; LLVM splits them for narrower machines
WORD = types.int64


@dataclass
class VectorPrinter:
    """Prints instructions on vectors of a type."""

    bd: Any
    name: str

    def __post_init__(self) -> None:
        self.lanes, self.element = LANES_PER_VECTOR[self.name], stored(self.name)
        self.type = ir.VectorType(self.element, self.lanes)
        self.align = ir.Constant(I32, 4 if self.name == "f32" else 8)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)

    def mask(self, low: Any, high: Any) -> Any:
        """The lanes in [low, high)."""
        numbers = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        above = self.bd.icmp_signed(">=", numbers, self._everywhere(low))
        return self.bd.and_(above, self.bd.icmp_signed("<", numbers, self._everywhere(high)))

    def _everywhere(self, word: Any) -> Any:
        """A word as i32, cut to [-lanes, 2 lanes], in every lane."""
        for compare, limit in ((">", -self.lanes), ("<", 2 * self.lanes)):
            bound = ir.Constant(I64, limit)
            word = self.bd.select(self.bd.icmp_signed(compare, word, bound), word, bound)
        vector = ir.VectorType(I32, self.lanes)
        first = self.bd.insert_element(
            ir.Constant(vector, ir.Undefined), self.bd.trunc(word, I32), ir.Constant(I32, 0)
        )
        return self.bd.shuffle_vector(first, first, ir.Constant(vector, [0] * self.lanes))

    def load(self, place: Any, mask: Any) -> Any:
        """The elements in the mask's lanes, 0 in the others, whose memory is not touched."""
        pointer = self.bd.bitcast(place, self.type.as_pointer())
        function = outside(
            self.bd.module,
            f"llvm.masked.load.v{self.lanes}{self.name}.p0",
            self.type,
            pointer.type,
            I32,
            mask.type,
            self.type,
        )
        return self.bd.call(function, [pointer, self.align, mask, self.zero])

    def store(self, value: Any, place: Any, mask: Any) -> None:
        """Writes the elements in the mask's lanes."""
        pointer = self.bd.bitcast(place, self.type.as_pointer())
        function = outside(
            self.bd.module,
            f"llvm.masked.store.v{self.lanes}{self.name}.p0",
            ir.VoidType(),
            self.type,
            pointer.type,
            I32,
            mask.type,
        )
        self.bd.call(function, [value, pointer, self.align, mask])


def _row(name: str, title: str, step: Callable[..., None]) -> Any:
    """An intrinsic `(count, start, stop, x, x_at, y, y_at, stride)` that calls a function of its
    module, which steps from vector to vector."""

    @intrinsic(prefer_literal=True)
    def row(
        context: Any,
        count: Any,
        start: Any,
        stop: Any,
        x: Any,
        x_at: Any,
        y: Any,
        y_at: Any,
        stride: Any,
    ) -> Any:
        every = stride.literal_value

        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            count, start, stop, x, x_at, y, y_at, _ = args
            function = _function(bd.module, name, f"gc_{title}_{name}_{every}", step, every)
            bd.call(function, [count, start, stop, bd.gep(x, [x_at]), bd.gep(y, [y_at])])
            return ctx.get_dummy_value()

        return types.none(WORD, WORD, WORD, x, WORD, y, WORD, stride), build

    return row


def _function(module: Any, name: str, title: str, step: Any, stride: int) -> Any:
    """The loop over a row's vectors."""
    if title in module.globals:
        return module.globals[title]
    pointer = stored(name).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [I64, I64, I64, pointer, pointer])
    function = ir.Function(module, kind, title)
    function.linkage = "internal"
    function.attributes.add("alwaysinline")
    count, start, stop, x, y = function.args
    bd = ir.IRBuilder(function.append_basic_block("entry"))
    head, body, end = (function.append_basic_block(n) for n in ("head", "body", "end"))
    entry = bd.block
    bd.branch(head)
    bd.position_at_end(head)
    i = bd.phi(I64)
    i.add_incoming(ir.Constant(I64, 0), entry)
    bd.cbranch(bd.icmp_signed("<", i, count), body, end)
    bd.position_at_end(body)
    step(VectorPrinter(bd, name), i, [bd.sub(w, i) for w in (count, start, stop)], x, y, stride)
    i.add_incoming(bd.add(i, ir.Constant(I64, LANES_PER_VECTOR[name])), body)
    bd.branch(head)
    bd.position_at_end(end)
    bd.ret_void()
    return function


def _window(v: VectorPrinter, i: Any, left: Any, x: Any, y: Any, stride: int) -> None:
    """One vector of y[i] = x[i * stride] in [start, stop), else 0."""
    count, start, stop = left
    bd, none = v.bd, ir.Constant(I64, 0)
    value = _strided(v, bd.gep(x, [bd.mul(i, ir.Constant(I64, stride))]), start, stop, stride)
    v.store(value, bd.gep(y, [i]), v.mask(none, count))


def _strided(v: VectorPrinter, place: Any, start: Any, stop: Any, stride: int) -> Any:
    """The elements `place[i * stride]` for the lanes in [start, stop): every stride-th of as many
    vectors."""
    bd, lanes = v.bd, v.lanes
    every, one = ir.Constant(I64, stride), ir.Constant(I64, 1)
    first = bd.mul(start, every)
    behind = bd.add(bd.mul(bd.sub(stop, one), every), one)
    joined = None
    for part in range(stride):
        low = ir.Constant(I64, part * lanes)
        mask = v.mask(bd.sub(first, low), bd.sub(behind, low))
        loaded = v.load(bd.gep(place, [low]), mask)
        if stride == 1:
            return loaded
        joined = loaded if joined is None else _join(v, joined, loaded, part, stride)
    return joined


def _join(v: VectorPrinter, joined: Any, loaded: Any, part: int, stride: int) -> Any:
    """`joined`, with the lanes whose element lies in vector number `part` taken from `loaded`; the
    first call also moves the lanes of part 0 to their places."""
    indices = []
    for lane in range(v.lanes):
        at = lane * stride
        inside = at // v.lanes == part
        before = at % v.lanes if part == 1 and at < v.lanes else lane
        indices.append(v.lanes + at % v.lanes if inside else before)
    mask = ir.Constant(ir.VectorType(I32, v.lanes), indices)
    return v.bd.shuffle_vector(joined, loaded, mask)


def _spread(v: VectorPrinter, i: Any, left: Any, x: Any, y: Any, stride: int) -> None:
    """One vector of y[i] += x[i] in [start, stop)."""
    assert stride == 1
    _, start, stop = left
    bd, mask = v.bd, v.mask(start, stop)
    place = bd.gep(y, [i])
    v.store(bd.fadd(v.load(place, mask), v.load(bd.gep(x, [i]), mask)), place, mask)


ROW_CALLS: dict[str, Any] = {
    **{f"{t}_window": _row(t.name, "window", _window) for t in TILED_FLOATS},
    **{f"{t}_spread": _row(t.name, "spread", _spread) for t in TILED_FLOATS},
}
