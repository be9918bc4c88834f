"""Values that go from device to device."""

from __future__ import annotations

from typing import Any

from graphc.ir.op import Piece, View, sample
from graphc.ir.ops.index_math import Index
from graphc.ir.types import TensorType, f32, i32


class Transfer(View):
    """The operand, on another device.  Placement puts them in; segments are cut where they are."""

    device: str
    proved = True
    samples = (sample(f32[3, 4], device="cuda:0"), sample(i32[()], device="cpu:0"))

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]

    def pieces(self, index: Index, *types: TensorType) -> tuple[Piece, ...]:
        return (Piece(0, index),)

    def reference(self, *arrays: Any) -> Any:
        return arrays[0]

    def vjp(self, ct: Any, out: Any, x: Any) -> tuple[Any, ...]:
        return (ct,)
