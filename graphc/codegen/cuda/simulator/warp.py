"""What the 32 threads of a warp do together, in NumPy: shuffles, ldmatrix, matrix products.

Each function takes the arguments of all lanes, in order, and returns the result of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.codegen.cuda.simulator import mma
from graphc.codegen.cuda.simulator.memory import SimulatedBlock
from graphc.ir.op import Array

WARP_THREADS = 32
LANES = np.arange(WARP_THREADS)
LANE_GROUP = LANES // 4  # the fragment row that a lane holds
LANE_IN_GROUP = LANES % 4  # which of that row's columns it holds


def _shuffle(
    source: Callable[[int, int], int],
) -> Callable[[Sequence[Any], SimulatedBlock], list[Any]]:
    """Lane i gets the value of lane `source(i, operand)`, or its own if there is no such lane."""

    def exchange(arguments: Sequence[Any], block: SimulatedBlock) -> list[Any]:
        values = []
        for lane, (value, operand) in enumerate(arguments):
            other = source(lane, int(operand))
            values.append(arguments[other][0] if 0 <= other < WARP_THREADS else value)
        return values

    return exchange


def _rows(addresses: Sequence[Any], block: SimulatedBlock) -> Array:
    """Four 8x8 matrices of 16-bit elements; each lane gives the address of a row."""
    rows = []
    for at in map(block.row, addresses):
        block.note(block.races.read, at, 16)
        rows.append(block.bytes[at : at + 16].view(np.uint16))
    return np.array(rows).reshape(4, 8, 8)


def _fragments(matrices: Array) -> list[tuple[Any, ...]]:
    """Each lane's two neighbours of every matrix, as one u32."""
    low, high = (
        matrices[:, LANE_GROUP, 2 * LANE_IN_GROUP],
        matrices[:, LANE_GROUP, 2 * LANE_IN_GROUP + 1],
    )
    packed = low.astype(np.uint32) | high.astype(np.uint32) << np.uint32(16)
    return [tuple(packed[:, lane]) for lane in range(WARP_THREADS)]


def ldmatrix(addresses: Sequence[Any], block: SimulatedBlock) -> list[tuple[Any, ...]]:
    """ldmatrix.x4: matrix k is in register k."""
    return _fragments(_rows(addresses, block))


def ldmatrix_trans(addresses: Sequence[Any], block: SimulatedBlock) -> list[tuple[Any, ...]]:
    """ldmatrix.x4.trans: the matrices transposed."""
    return _fragments(_rows(addresses, block).transpose(0, 2, 1))


def _matrix(registers: Array, decode: Callable[[Array], Array], columns: int) -> Array:
    """The rows, of `columns` elements, that fragments make.  Where there are four registers, they
    count first down by 8 rows, then to the right."""
    values = decode(registers)  # lane, register, element
    count, width = values.shape[1:]
    down = count // 2
    rows = np.zeros((8 * down, columns), np.float32)
    for register in range(count):
        for each in range(width):
            row = LANE_GROUP + 8 * (register % down)
            column = width * LANE_IN_GROUP + each + 4 * width * (register // down)
            rows[row, column] = values[:, register, each]
    return rows


def _halves(registers: Array) -> Array:
    return np.ascontiguousarray(registers).view(np.uint16).reshape(WARP_THREADS, -1, 2)


def _f16(registers: Array) -> Array:
    return _halves(registers).view(np.float16).astype(np.float32)


def _bf16(registers: Array) -> Array:
    return (_halves(registers).astype(np.uint32) << np.uint32(16)).view(np.float32)


def _tf32(registers: Array) -> Array:
    return (registers & np.uint32(0xFFFFE000)).view(np.float32).reshape(WARP_THREADS, -1, 1)


def _product(decode: Callable[[Array], Array], depth: int) -> Any:
    """mma.m16n8: a (16 x depth) @ b (depth x 8) + c."""

    def multiply(arguments: Sequence[Any], block: SimulatedBlock) -> list[tuple[Any, ...]]:
        a = _matrix(np.array([g[0] for g in arguments], np.uint32), decode, depth)
        b = _matrix(np.array([g[1] for g in arguments], np.uint32), decode, depth)
        total = a @ b.T
        c = np.array([g[2] for g in arguments], np.float32).reshape(WARP_THREADS, 2, 2)
        result = np.stack(
            [
                total[LANE_GROUP[:, None] + 8 * down, 2 * LANE_IN_GROUP[:, None] + [0, 1]]
                for down in (0, 1)
            ],
            1,
        )
        return [tuple(row) for row in (result + c).reshape(WARP_THREADS, 4)]

    return multiply


COLLECTIVES: dict[str, Callable[[Sequence[Any], SimulatedBlock], Sequence[Any]]] = {
    "shuffle_xor": _shuffle(lambda lane, mask: lane ^ mask),
    "shuffle_down": _shuffle(lambda lane, distance: lane + distance),
    "shuffle_up": _shuffle(lambda lane, distance: lane - distance),
    "shuffle": _shuffle(lambda lane, source: source % WARP_THREADS),
    "syncwarp": lambda given, block: given,
    "ldmatrix_x4": ldmatrix,
    "ldmatrix_x4_trans": ldmatrix_trans,
    "mma_bf16": _product(_bf16, 16),
    "mma_f16": _product(_f16, 16),
    "mma_tf32": _product(_tf32, 8),
    **mma.COLLECTIVES,
}
