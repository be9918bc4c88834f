"""Helpers that print all microkernels: vectors of a CPU, the tile for its registers, loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.ir.types import TILED_FLOATS

VECTORS_PER_TILE = 2  # side by side, so a tile has two vectors of columns
LLVM_TYPES = {"f32": "float", "f64": "double"}
ELEMENT_BYTES = {t.name: t.size for t in TILED_FLOATS}


@dataclass(frozen=True)
class Shape:
    """The largest tile of a CPU: its rows, and the elements of a vector."""

    rows: int
    lanes: int

    @property
    def columns(self) -> int:
        """The columns of a full tile."""
        return VECTORS_PER_TILE * self.lanes


def shape_for(features: Mapping[str, bool], dtype: str) -> Shape:
    """The tile for a CPU, from the width and the number of its vector registers."""
    if features.get("avx512f"):
        return Shape(14, 64 // ELEMENT_BYTES[dtype])
    if features.get("avx"):
        return Shape(6, 32 // ELEMENT_BYTES[dtype])
    if features.get("neon"):
        return Shape(12, 16 // ELEMENT_BYTES[dtype])
    return Shape(6, 16 // ELEMENT_BYTES[dtype])


class VectorNames:
    """LLVM's names for vectors of a type, and instructions on them."""

    def __init__(self, shape: Shape, dtype: str) -> None:
        self.shape, self.dtype, self.lanes = shape, dtype, shape.lanes
        self.element = LLVM_TYPES[dtype]
        self.type = f"<{self.lanes} x {self.element}>"
        self.bits = f"<{self.lanes} x i1>"
        self.suffix = f"v{self.lanes}{dtype}"

    def declarations(self) -> str:
        """Declarations of the functions that the text calls."""
        v, mask = self.type, self.bits
        return "\n".join(
            [
                f"declare {v} @llvm.fmuladd.{self.suffix}({v}, {v}, {v})",
                f"declare {v} @llvm.masked.load.{self.suffix}.p0(ptr, i32, {mask}, {v})",
                f"declare void @llvm.masked.store.{self.suffix}.p0({v}, ptr, i32, {mask})",
                "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
                "declare i64 @llvm.smin.i64(i64, i64)",
            ]
        )

    def splat(self, to: str, element: str, kind: str) -> list[str]:
        """Defines `to` as a vector with one element in every lane."""
        vector = f"<{self.lanes} x {kind}>"
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return [
            f"  %{to}.1 = insertelement {vector} poison, {kind} {element}, i32 0",
            f"  %{to} = shufflevector {vector} %{to}.1, {vector} poison, {zeros}",
        ]

    def first(self, to: str, count: str) -> list[str]:
        """Defines `to` as a mask of the first `count` lanes."""
        numbers = ", ".join(f"i32 {i}" for i in range(self.lanes))
        return [
            f"  %{to}.c = trunc i64 {count} to i32",
            *self.splat(f"{to}.l", f"%{to}.c", "i32"),
            f"  %{to} = icmp slt <{self.lanes} x i32> <{numbers}>, %{to}.l",
        ]

    def at(self, to: str, base: str, offset: str) -> str:
        return f"  %{to} = getelementptr {self.element}, ptr {base}, i64 {offset}"

    def load(self, to: str, place: str, last: bool) -> str:
        """Loads a vector; the last of a row only in the lanes of `%mask`."""
        if not last:
            return f"  %{to} = load {self.type}, ptr {place}, align {ELEMENT_BYTES[self.dtype]}"
        call = f"call {self.type} @llvm.masked.load.{self.suffix}.p0"
        operands = (
            f"i32 {ELEMENT_BYTES[self.dtype]}, {self.bits} %mask, {self.type} zeroinitializer"
        )
        return f"  %{to} = {call}(ptr {place}, {operands})"

    def store(self, value: str, place: str, last: bool) -> str:
        """Stores a vector; the last of a row only in the lanes of `%mask`."""
        if not last:
            return f"  store {self.type} {value}, ptr {place}, align {ELEMENT_BYTES[self.dtype]}"
        call = f"call void @llvm.masked.store.{self.suffix}.p0"
        operands = f"i32 {ELEMENT_BYTES[self.dtype]}, {self.bits} %mask"
        return f"  {call}({self.type} {value}, ptr {place}, {operands})"


def nest(var: str, low: str, high: str, step: int, body: list[str]) -> list[str]:
    """A loop in LLVM IR; the names of its blocks come from its variable."""
    return [
        f"  br label %{var}.from",
        f"{var}.from:",
        f"  br label %{var}.head",
        f"{var}.head:",
        f"  %{var} = phi i64 [{low}, %{var}.from], [%{var}.next, %{var}.latch]",
        f"  %{var}.more = icmp slt i64 %{var}, {high}",
        f"  br i1 %{var}.more, label %{var}.body, label %{var}.end",
        f"{var}.body:",
        *body,
        f"  br label %{var}.latch",
        f"{var}.latch:",
        f"  %{var}.next = add i64 %{var}, {step}",
        f"  br label %{var}.head",
        f"{var}.end:",
    ]
