"""The Python twins of `tile_calls.py`: what each name does to two or three buffers, an element at a
time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def tile(
    rows: int, cols: int, k: int, a: Any, a_at: int, rs: int, cs: int, b: Any, b_at: int, ldb: int,
    c: Any, c_at: int, ldc: int, adds: int,
) -> None:
    """C = A B, or C += A B if `adds` is not 0."""
    for i in range(rows):
        for j in range(cols):
            total = c.stored.type(0)
            for s in range(k):
                total += a[a_at + i * rs + s * cs] * b[b_at + s * ldb + j]
            at = c_at + i * ldc + j
            c[at] = c[at] + total if adds else total


def transpose(
    rows: int, cols: int, x: Any, x_at: int, ldx: int, y: Any, y_at: int, ldy: int
) -> None:
    """y becomes x transposed."""
    for i in range(rows):
        for j in range(cols):
            y[y_at + j * ldy + i] = x[x_at + i * ldx + j]


def row(adds: bool) -> Callable[[int, Any, int, Any, int], None]:
    """The copy of n elements, or their sum with what is there."""

    def move(n: int, x: Any, x_at: int, to: Any, to_at: int) -> None:
        for i in range(n):
            to[to_at + i] = to[to_at + i] + x[x_at + i] if adds else x[x_at + i]

    return move


TILE_TWINS: dict[str, Any] = {
    f"{t}_{name}": twin
    for t in ("f32", "f64")
    for name, twin in (
        ("tile", tile), ("transpose", transpose), ("copy", row(False)), ("add", row(True)))
}
