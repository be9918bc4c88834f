"""Scalars of the simulator: `emulate.SCALARS`, with faster types and what only GPUs have.

Types are NumPy's, so u32 arithmetic wraps at 32 bits as a GPU's does once `u32(...)` is round it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.codegen.cpu import emulate_scalars
from graphc.codegen.cuda.simulator.memory import Pointer
from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.ir.ops.philox import MULTIPLIERS, WEYL
from graphc.ir.types import BY_NAME


def _integer(dtype: Any) -> Callable[[Any], Any]:
    """Conversion to an integer type, which wraps."""
    kind, mask = dtype.type, (1 << 8 * dtype.itemsize) - 1
    over = mask + 1 if dtype.kind == "i" else 0
    half = mask >> 1

    def convert(x: Any) -> Any:
        if type(x) is kind:
            return x
        bits = int(x) & mask
        return kind(bits - over if bits > half else bits)

    return convert


TYPES: dict[str, Callable[[Any], Any]] = {
    name: BY_NAME[name].numpy.type if name[0] == "f" else _integer(BY_NAME[name].numpy)
    for name in emulate_scalars.TYPES
}
DTYPES = {convert: BY_NAME[name].numpy for name, convert in TYPES.items()}  # by conversion


def to_tf32(x: Any) -> Any:
    """The bits of an f32 that a tensor core reads as tf32: 10 bits of fraction, ties away from
    zero."""
    bits = int(np.float32(x).view(np.uint32))
    special = bits & 0x7F800000 == 0x7F800000
    return np.uint32(bits if special else (bits + 0x1000) & 0xFFFFE000)


def check_index(i: Any, size: Any, status: Pointer) -> Any:
    """The index made non-negative; out of range, the first one is noted in `status` and 0 is
    returned."""
    moved = int(i) + int(size) if i < 0 else int(i)
    if 0 <= moved < size:
        return np.int64(moved)
    if status.elements[0] == 0:
        status.elements[:3] = 1, np.uint64(int(i) & 0xFFFFFFFFFFFFFFFF).astype(np.int64), size
    return np.int64(0)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), with a good tail."""
    one, near = type(x)(1), np.exp(-abs(x))
    return (near if x < 0 else one) / (one + near)


def power(x: Any, y: Any) -> Any:
    """x to the y: C's for floats."""
    if not isinstance(x, np.floating):
        return emulate_scalars.power(x, y)
    if x == -np.inf and y % 1:  # NumPy takes square roots; C says what lies beyond
        return type(x)(np.inf if y > 0 else 0.0)
    return np.power(x, y)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return type(x)(1) / np.sqrt(x)


def random_bits(key: Any, counter: Any, position: Any) -> Any:
    """The first word of Philox4x32-10.  In Python's integers, which are ten times as fast as
    NumPy's for a single number."""
    place, count, keys, low = int(position), int(counter), int(key), 0xFFFFFFFF
    x0, x1, x2, x3 = place & low, place >> 32 & low, count & low, count >> 32
    k0, k1 = keys & low, keys >> 32
    for _ in range(10):
        p0, p1 = x0 * MULTIPLIERS[0], x2 * MULTIPLIERS[1]
        x0, x1, x2, x3 = p1 >> 32 ^ x1 ^ k0, p1 & low, p0 >> 32 ^ x3 ^ k1, p0 & low
        k0, k1 = k0 + WEYL[0] & low, k1 + WEYL[1] & low
    return np.uint32(x0)


SCALARS: dict[str, Any] = {
    **emulate_scalars.SCALARS,
    # What follows is the same, but faster: a simulation calls it for each of many threads.
    **{name: row.numpy for name, row in FUNCTIONS.items() if row.numpy is not None},
    **TYPES,
    "sigmoid": sigmoid,
    "rsqrt": rsqrt,
    "power": power,
    "erf": lambda x: type(x)(math.erf(x)),
    "erfc": lambda x: type(x)(math.erfc(x)),
    "fold_add": operator.add,
    "fold_multiply": operator.mul,
    "random_bits": random_bits,
    # What only GPUs have.
    **{f"from_{name}": narrow.value for name, narrow in emulate_scalars.NARROW_CONVERSIONS.items()},
    **{f"to_{name}": narrow.bits for name, narrow in emulate_scalars.NARROW_CONVERSIONS.items()},
    "to_tf32": to_tf32,
    "check_index": check_index,
}
