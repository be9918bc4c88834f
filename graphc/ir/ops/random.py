"""Counter-based random numbers: ops whose bits are Philox's (`philox.py`).

A draw is a pure function of (key, counter, position): the key is the op's identity, the counter the
session's seed and run number.  So no optimisation changes a draw, and no two ops share one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.dim import Shape, Size
from graphc.ir.op import Generator, Opaque, sample
from graphc.ir.ops.index_math import ints
from graphc.ir.ops.philox import philox
from graphc.ir.types import TensorType, i64, u32, u64


class RandomBits(Generator):
    """32 random bits an element; the operand is the run counter (u64, 0-d)."""

    key: int
    shape: Shape
    cost, differentiable = 40, False
    samples = (sample(u64[()], key=7, shape=(3, 5), special=False),)

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(u32, self.shape)

    def element(self, index: tuple[Any, ...], out: TensorType, *args: Any) -> Any:
        return index[0].call("random_bits", u32, self.key, args[0], *index[1:])

    def reference(self, *arrays: Any) -> Any:
        shape = ints(self.shape)
        bits = philox(self.key, int(arrays[0]), np.arange(math.prod(shape), dtype=np.uint64))
        return bits.reshape(shape)


class RandomPermutation(Opaque):
    """A random order of 0 .. size-1: Fisher-Yates over Philox; the operand is the run counter."""

    key: int
    size: Size
    differentiable = False
    samples = (sample(u64[()], key=3, size=9, special=False),)

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(i64, (self.size,))

    def reference(self, *arrays: Any) -> Any:
        (size,) = ints((self.size,))
        order = np.arange(size)
        bits = philox(self.key, int(arrays[0]), np.arange(size, dtype=np.uint64))
        for i in range(size - 1, 0, -1):
            j = int(bits[i]) * (i + 1) >> 32
            order[i], order[j] = order[j], order[i]
        return order

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (self.size,)

    def source(self, out: TensorType, *types: TensorType) -> str:
        return f"""\
    for i in range(n0):
        out[i] = i
    for k in range(1, n0):
        i = n0 - k
        j = (i64(random_bits(u64({self.key}), a0[0], i)) * (i + 1)) >> 32
        moved = out[i]
        out[i] = out[j]
        out[j] = moved
"""
