"""Routines on rows and matrices in plain Python, an element at a time: the twins of
`intrinsics/tile_calls.py` and `intrinsics/row_copies.py`.  `emulate.py` runs kernels with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.codegen.cpu.microkernels.winograd_transforms import MATRICES


def tile(
    function: int,
    rows: int,
    cols: int,
    k: int,
    a: Any,
    a_at: int,
    rs: int,
    cs: int,
    b: Any,
    b_at: int,
    ldb: int,
    c: Any,
    c_at: int,
    ldc: int,
    adds: int,
    taps: int,
    table: Any,
    table_at: int,
) -> None:
    """C = A B, or C += A B if `adds` is not 0; A and B are sums over the taps' places."""
    places = [(table[table_at + 2 * t], table[table_at + 2 * t + 1]) for t in range(taps)]
    for i in range(rows):
        for j in range(cols):
            total = c.stored.type(0)
            for ja, jb in places:
                for s in range(k):
                    total += a[a_at + ja + i * rs + s * cs] * b[b_at + jb + s * ldb + j]
            at = c_at + i * ldc + j
            c[at] = c[at] + total if adds else total


def transpose(
    function: int, rows: int, cols: int, x: Any, x_at: int, ldx: int, y: Any, y_at: int, ldy: int
) -> None:
    """y becomes x transposed."""
    for i in range(rows):
        for j in range(cols):
            y[y_at + j * ldy + i] = x[x_at + i * ldx + j]


def window(
    count: int, start: int, stop: int, x: Any, x_at: int, y: Any, y_at: int, stride: int
) -> None:
    """Elements of x in [start, stop), zeros elsewhere."""
    for i in range(count):
        y[y_at + i] = x[x_at + i * stride] if start <= i < stop else y.stored.type(0)


def spread(
    count: int, start: int, stop: int, x: Any, x_at: int, y: Any, y_at: int, stride: int
) -> None:
    """Elements of x in [start, stop), added to y."""
    for i in range(max(start, 0), min(stop, count)):
        y[y_at + i * stride] = y[y_at + i * stride] + x[x_at + i]


def transform(name: str) -> Callable[..., None]:
    """M v M^T for the matrix of a name."""
    matrix = np.array(MATRICES[name])

    def run(
        function: int,
        channels: int,
        squares: int,
        x: Any,
        x_at: int,
        xi: int,
        xj: int,
        xs: int,
        y: Any,
        y_at: int,
        yi: int,
        yj: int,
        ys: int,
    ) -> None:
        size, outputs = range(matrix.shape[1]), range(matrix.shape[0])
        for s in range(squares):
            for c in range(channels):
                v = np.array([[x[x_at + s * xs + i * xi + j * xj + c] for j in size] for i in size])
                square = (matrix @ v @ matrix.T).astype(v.dtype)
                for i in outputs:
                    for j in outputs:
                        y[y_at + s * ys + i * yi + j * yj + c] = square[i, j]

    return run


TILE_TWINS: dict[str, Any] = {
    f"{t}_{twin.__name__}": twin
    for t in ("f32", "f64")
    for twin in (tile, transpose, window, spread)
} | {f"{t}_{name}": transform(name) for t in ("f32", "f64") for name in MATRICES}
