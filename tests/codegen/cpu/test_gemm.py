"""Matrix products of graphc's own: every edge of tiles, strips and blocks, against NumPy in f64."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import numpy as np
import pytest
from support.run import options

from graphc.codegen.cache import Cache
from graphc.codegen.cpu import emulate, gemm_library
from graphc.codegen.cpu.microkernels.tiles import tiles_ir
from graphc.codegen.cpu.microkernels.vectors import VECTORS_PER_TILE, Shape, shape_for
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu

ADDRESS, INT = ctypes.c_void_p, ctypes.c_int
NUMPY = {"f32": np.float32, "f64": np.float64}
SIZES = (
    (1, 1, 1),
    (3, 5, 2),
    (14, 32, 7),
    (15, 33, 9),
    (29, 65, 800),
    (64, 17, 300),
    (7, 100, 0),
    (50, 40, 1000),
    (100, 16, 16),
    (31, 48, 33),
    (0, 4, 5),
    (4, 0, 5),
    (45, 300, 60),
    (20, 8, 512),
    (32, 100, 64),
    (33, 90, 100),
    (1, 60, 70),
    (5, 40, 1024),
    (2, 100, 7),
    (1, 33, 3),
)
KEPT: list[Any] = []  # an engine that goes takes the process's target machine with it
FLAGS = tuple(itertools.product((False, True), repeat=3))


def operands(m: int, n: int, k: int, ta: bool, tb: bool, dtype: str) -> list[Any]:
    rng = np.random.default_rng(m + 7 * n + 31 * k)
    shapes = ((k, m) if ta else (m, k), (n, k) if tb else (k, n), (m, n))
    return [rng.uniform(-1, 1, s).astype(NUMPY[dtype]) for s in shapes]


def expected(a: Any, b: Any, c: Any, ta: bool, tb: bool, adds: bool) -> Any:
    left, right = (a.T if ta else a).astype("f8"), (b.T if tb else b).astype("f8")
    return left @ right + (c if adds else 0)


def product(dtype: str) -> Any:
    return typed(dtype, gemm_library.library(dtype, Cache(options().cache_dir))[f"gc_gemm_{dtype}"])


def typed(dtype: str, address: int) -> Any:
    real = ctypes.c_float if dtype == "f32" else ctypes.c_double
    words = (INT,) * 6 + (real, ADDRESS, INT, ADDRESS, INT, real, ADDRESS, INT)
    return ctypes.CFUNCTYPE(None, *words)(address)


def check(run: Any, dtype: str, sizes: tuple[int, int, int]) -> None:
    m, n, k = sizes
    for ta, tb, adds in FLAGS:
        a, b, c = operands(m, n, k, ta, tb, dtype)
        want = expected(a, b, c, ta, tb, adds)
        guarded = np.full((m + 2, n), 7, NUMPY[dtype])  # rows before and behind must stay
        guarded[1 : m + 1] = c
        run(
            101,
            111 + ta,
            111 + tb,
            m,
            n,
            k,
            1.0,
            a.ctypes.data,
            max(1, a.shape[1]),
            b.ctypes.data,
            max(1, b.shape[1]),
            float(adds),
            guarded[1:].ctypes.data,
            max(1, n),
        )
        tolerance = (1e-5 if dtype == "f32" else 1e-14) * max(1, k)
        assert np.allclose(guarded[1 : m + 1], want, rtol=0, atol=tolerance), (ta, tb, adds)
        assert (guarded[[0, -1]] == 7).all()


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("sizes", SIZES)
def test_product(dtype: str, sizes: tuple[int, int, int]) -> None:
    check(product(dtype), dtype, sizes)


@pytest.mark.parametrize("features", [{"avx": True}, {"neon": True}, {}])
def test_products_of_other_machines(features: dict[str, bool]) -> None:
    """Tiles of narrower vectors and fewer registers, compiled for this machine."""
    for dtype in ("f32", "f64"):
        name = f"gc_other_{dtype}_{'_'.join(features)}"
        data = gemm_library.compiled(dtype, shape_for(features, dtype), host_cpu(), name)
        KEPT.append(jit.Loader())  # of its own: the tiles' names are this machine's library's too
        run = typed(dtype, KEPT[-1].load(name, data))
        for sizes in SIZES:
            check(run, dtype, sizes)


def test_rows_and_columns_may_have_gaps() -> None:
    big = np.random.default_rng(0).uniform(-1, 1, (3, 50, 90)).astype("f4")
    a, b, c = big[0, :20, :30], big[1, :30, :40], big[2, :20, :40]
    want = a.astype("f8") @ b.astype("f8")
    rest = big[2].copy()
    product("f32")(
        101, 111, 111, 20, 40, 30, 1.0, a.ctypes.data, 90, b.ctypes.data, 90, 0.0, c.ctypes.data, 90
    )
    assert np.allclose(c, want, rtol=0, atol=1e-5)
    rest[:20, :40] = c
    assert (big[2] == rest).all()


def test_special_values_stay_in_their_row_and_column() -> None:
    a, b, c = operands(17, 37, 5, False, False, "f32")
    a[3, 2], b[1, 36] = np.nan, np.inf
    product("f32")(
        101, 111, 111, 17, 37, 5, 1.0, a.ctypes.data, 5, b.ctypes.data, 37, 0.0, c.ctypes.data, 37
    )
    wrong = ~np.isfinite(c)
    assert wrong[3].all()
    assert wrong[:, 36].all()
    assert wrong.sum() == 37 + 16


@pytest.mark.parametrize("flags", FLAGS)
def test_loops_as_plain_python(flags: tuple[bool, bool, bool]) -> None:
    """The same source through the twins, which check every index."""
    (ta, tb, adds), (m, n, k) = flags, (9, 35, 6)
    a, b, c = operands(m, n, k, ta, tb, "f32")
    want = expected(a, b, c, ta, tb, adds)
    rs, cs = (1, m) if ta else (k, 1)
    words = [x.ctypes.data for x in (a, b, c)] + [m, n, k, rs, cs, tb, b.shape[1], n, adds, 0, 0]
    source = gemm_library.source("f32", gemm_library.host_shape("f32"))
    emulate.run_in_python(source, words, 0, 1, [a.size, b.size, c.size])
    assert np.allclose(c, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("features", "shape"),
    [
        ({"avx512f": True, "avx": True}, Shape(14, 16)),
        ({"avx": True}, Shape(6, 8)),
        ({"neon": True}, Shape(12, 4)),
        ({}, Shape(6, 4)),
    ],
)
def test_tiles_of_other_machines(features: dict[str, bool], shape: Shape) -> None:
    """The text is valid LLVM IR for each vector width; sums fill the registers, not more."""
    assert shape_for(features, "f32") == shape
    assert shape_for(features, "f64").lanes == shape.lanes // 2
    for dtype in ("f32", "f64"):
        jit.parsed(tiles_ir(shape_for(features, dtype), dtype), host_cpu())
    registers = 32 if "avx512f" in features or "neon" in features else 16
    assert VECTORS_PER_TILE * shape.rows + VECTORS_PER_TILE + 1 <= registers
