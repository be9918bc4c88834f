"""Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
1, 2, 3", SC 2011).

A draw is a pure function of (key, counter, position): the key is the op's identity, the counter the
session's seed and run number.  So no optimisation changes a draw, and no two ops share one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.dim import Shape, Size
from graphc.ir.op import Generator, Opaque, sample
from graphc.ir.ops.layout import ints
from graphc.ir.types import TensorType, i64, u32, u64

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(key: int, counter: int, position: Any) -> Any:
    """The first word of Philox4x32-10 at positions (u64 array)."""
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    x0, x1 = position & low, position >> shift
    x2 = np.full_like(x0, counter & 0xFFFFFFFF)
    x3 = np.full_like(x0, counter >> 32)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = x0 * np.uint64(MULTIPLIERS[0]), x2 * np.uint64(MULTIPLIERS[1])
        x0, x2 = (p1 >> shift) ^ x1 ^ np.uint64(k0), (p0 >> shift) ^ x3 ^ np.uint64(k1)
        x1, x3 = p1 & low, p0 & low
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return x0.astype(np.uint32)


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
