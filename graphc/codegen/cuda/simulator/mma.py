"""Twins of `toolchain/mma.py` for the simulator: a warp's work on tiles in shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.codegen.cuda.simulator.memory import LaunchState, Pointer, SimulatedBlock
from graphc.ir.op import Array

WARP_THREADS = 32
LANES = np.arange(WARP_THREADS)
LANE_GROUP = LANES // 4  # the fragment row that a lane holds
LANE_IN_GROUP = LANES % 4  # which of that row's columns it holds
Decode = Callable[[Array], Array]


def _bf16(stored: Array) -> Array:
    return (stored.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)


def _f16(stored: Array) -> Array:
    return stored.view(np.float16).astype(np.float32)


def _f32(stored: Array) -> Array:
    return stored.view(np.float32)


def _cut(x: Array, add: int) -> Array:
    """f32 elements plus `add` (to their bits), cut to the 10 bits of fraction of a tf32."""
    bits = (x.view(np.uint32) + np.uint32(add)) & np.uint32(0xFFFFE000)
    return bits.view(np.float32)


def rounded(x: Array) -> Array:
    """f32 rounded to tf32, ties away from zero; NaN and infinities stay."""
    return np.where(np.isfinite(x), _cut(x, 0x1000), x)


def plain(a: Array, b: Array) -> Array:
    """A product of 16-bit elements."""
    return np.asarray(a @ b)


def single(a: Array, b: Array) -> Array:
    """A product of f32 elements as tf32."""
    return np.asarray(rounded(a) @ rounded(b))


def triple(a: Array, b: Array) -> Array:
    """A product of f32 elements as three products of tf32."""
    a_high, b_high = _cut(a, 0x1000), _cut(b, 0x1000)
    a_low, b_low = _cut(a - a_high, 0), _cut(b - b_high, 0)
    return np.asarray(a_low @ b_high + a_high @ b_low + a_high @ b_high)


def tile(block: SimulatedBlock, at: int, lines: int, nbytes: int, pitch: int) -> Array:
    """Rows of bytes in shared memory."""
    rows = []
    for line in range(lines):
        for here in range(at + line * pitch, at + line * pitch + nbytes, 16):
            block.note(block.races.read, block.row(here), 16)
        rows.append(block.bytes[at + line * pitch : at + line * pitch + nbytes])
    return np.array(rows)


def _places(rows: int, columns: int) -> tuple[Array, Array]:
    """The row and the column of each lane's sums."""
    down, across = np.meshgrid(np.arange(rows // 16), np.arange(columns // 8), indexing="ij")
    row = 16 * down[None, ..., None] + LANE_GROUP[:, None, None, None] + np.array([0, 0, 8, 8])
    column = (
        8 * across[None, ..., None]
        + 2 * LANE_IN_GROUP[:, None, None, None]
        + np.array([0, 1, 0, 1])
    )
    return row.reshape(WARP_THREADS, -1), column.reshape(WARP_THREADS, -1)


def multiply_tiles(decode: Decode, size: int, product: Callable[[Array, Array], Array]) -> Any:
    """A collective that adds the product of two tiles to the sums."""

    def multiply(arguments: Sequence[Any], block: SimulatedBlock) -> list[tuple[Any, ...]]:
        _, a, b, _, rows, columns, depth, a_pitch, b_pitch, ta, tb = arguments[0]
        left = tile(block, int(a), depth if ta else rows, (rows if ta else depth) * size, a_pitch)
        right = tile(
            block, int(b), columns if tb else depth, (depth if tb else columns) * size, b_pitch
        )
        x, y = decode(left), decode(right)
        products = product(x.T if ta else x, y.T if tb else y)
        row, column = _places(rows, columns)
        sums = np.array([own[0] for own in arguments], np.float32) + products[row, column]
        return [tuple(lane) for lane in sums]

    return multiply


COLLECTIVES: dict[str, Callable[[Sequence[Any], SimulatedBlock], Sequence[Any]]] = {
    "multiply_tiles_bf16": multiply_tiles(_bf16, 2, plain),
    "multiply_tiles_f16": multiply_tiles(_f16, 2, plain),
    "multiply_tiles_f32": multiply_tiles(_f32, 4, triple),
    "multiply_tiles_tf32": multiply_tiles(_f32, 4, single),
}


class Copies:
    """What one thread does with tiles: zero sums, stored sums, copies."""

    def __init__(self, machine: Any) -> None:
        self.machine: LaunchState = machine
        self.memory: Callable[[], SimulatedBlock] = lambda: machine.memory

    def functions(self) -> dict[str, Any]:
        """The functions, by their names in kernel text."""
        return {
            "zero_sums": self.zero_sums,
            "store_sums": self.store_sums,
            "copy_tile": self.copy_tile,
            "copy_one": self.copy_one,
        }

    def zero_sums(self, count: int) -> tuple[Any, ...]:
        """Sums before the first product."""
        return (np.float32(0),) * count

    def store_sums(
        self, sums: tuple[Any, ...], address: Any, lane: Any, rows: int, columns: int, pitch: int
    ) -> None:
        """A thread's sums to rows of f32."""
        row, column = (x[int(lane)] for x in _places(rows, columns))
        memory = self.memory()
        for value, i, j in zip(sums, row, column, strict=True):
            at = int(address) + int(i) * pitch + 4 * int(j)
            memory.row(at // 16 * 16)
            memory.note(memory.races.write, at, 4)
            memory.bytes[at : at + 4] = np.float32(value).reshape(1).view(np.uint8)

    def copy_tile(
        self,
        address: Any,
        pointer: Pointer,
        start: Any,
        length: Any,
        rows_left: Any,
        columns_left: Any,
        thread: Any,
        rows: int,
        columns: int,
        pitch: int,
        threads: int,
        width: int,
    ) -> None:
        """Starts a thread's copies of a tile."""
        line = columns // width
        for piece in range(int(thread), rows * line, threads):
            row, column = piece // line, piece % line * width
            inside = row < rows_left and column < columns_left
            count = min(int(columns_left) - column, width) if inside else 0
            at = int(start) + row * int(length) + column
            to = int(address) + row * pitch + column * pointer.size
            self.copy(to, pointer, at, count, width)

    def copy_one(self, address: Any, pointer: Pointer, index: Any, inside: Any) -> None:
        """Starts the copy of one element."""
        self.copy(int(address), pointer, int(index), int(bool(inside)), 1)

    def copy(self, to: int, pointer: Pointer, at: int, count: int, width: int) -> None:
        """Copies `count` elements, and zeros up to `width` elements.  Copies of 2 bytes are done at
        once, larger ones when they are waited for."""
        nbytes, memory = width * pointer.size, self.memory()
        memory.row(to // 16 * 16)
        if to % nbytes or (count and (pointer.address + at * pointer.size) % nbytes):
            raise self.machine.fail(
                f"copies {nbytes} bytes from {pointer.name}[{at}] to byte {to} "
                "of shared memory: not at a multiple of so many"
            )
        data = np.zeros(width, pointer.elements.dtype)
        data[:count] = [pointer[at + i] for i in range(count)]
        memory.note(memory.races.write, to, nbytes)

        def land() -> None:
            memory.note(memory.races.write, to, nbytes)
            memory.bytes[to : to + nbytes] = data.view(np.uint8)

        if nbytes < 4:
            land()
        else:
            self.machine.thread.copies[-1].append(land)
