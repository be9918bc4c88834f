"""Chunks of a matrix product: together they are the product, each element once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.codegen.cpu.schedules import gemm
from graphc.codegen.loops.ir import For, Gemm, IndexValue, Let, Loops
from graphc.ir import dim
from graphc.ir.interpret import interpret
from graphc.ir.text.graph import parse_graph
from graphc.passes.pipeline import schedule
from graphc.testing.closeness import same_bits
from graphc.testing.compiled import CompiledGraph, small_chunks

SHAPES = (  # m, n, k of the type; the sizes of a run
    ("4", "1000", "3000", {}),
    ("4", "1001", "3000", {}),
    ("4", "1023", "3000", {}),
    ("4", "65", "900000", {}),
    ("1000", "4", "3000", {}),
    ("1003", "4", "3000", {}),
    ("n", "130", "9000", {"n": 77}),
    ("n", "159", "90000", {"n": 77}),
    ("n", "10", "3000", {"n": 1007}),
    ("n", "10", "k", {"n": 1007, "k": 4000}),
    ("n", "n", "n", {"n": 461}),
    ("n", "200", "9000", {"n": 0}),
)
FLAGS = ((False, False), (True, False), (False, True), (True, True))


def lowered(m: str, n: str, k: str, ta: bool, tb: bool) -> Loops:
    left, right = (f"{k},{m}" if ta else f"{m},{k}"), (f"{n},{k}" if tb else f"{k},{n}")
    graph = parse_graph(f"""graph @f(%a: f32[{left}], %b: f32[{right}]) {{
  %c = matmul %a, %b {{ta={str(ta).lower()}, tb={str(tb).lower()}}} : f32[{m},{n}]
  %e = exp %c : f32[{m},{n}]
  return %e
}}""")
    (kernel,) = schedule(graph).kernels
    return gemm.lower_gemm(kernel)


def chunk(loops: Loops, sizes: dict[str, int], c: int, chunks: int) -> tuple[int, int, Gemm]:
    """First row or column, their count, and the product, in one chunk."""
    (body,) = (s for s in loops.body if isinstance(s, For) and s.var == "c.")
    at = {**sizes, "c.": c, "chunks.": chunks}
    for let in (s for s in body.body if isinstance(s, Let)):
        assert isinstance(let.value, IndexValue)
        at[f"{let.name}."] = dim.evaluate(let.value.size, at)
    (product,) = (s for s in body.body if isinstance(s, Gemm))
    places = tuple(dim.evaluate(x, at) for x in product.offsets)
    known = tuple(dim.evaluate(x, at) for x in product.sizes)
    return (
        at["first."],
        at["count."],
        Gemm(product.ta, product.tb, known, product.buffers, places, product.strides),
    )


@pytest.mark.parametrize(("ta", "tb"), FLAGS)
@pytest.mark.parametrize(("m", "n", "k", "sizes"), SHAPES)
def test_chunks_cover_a_product_once(
    m: str, n: str, k: str, sizes: dict[str, int], ta: bool, tb: bool
) -> None:
    loops = lowered(m, n, k, ta, tb)
    rows, columns, depth = (int(s) if s.isdecimal() else sizes[s] for s in (m, n, k))
    chunks = dim.evaluate(loops.extent, sizes)
    assert 1 <= chunks <= gemm.MAX_CHUNKS_PER_PRODUCT
    by_columns = gemm._columns(dim.parse(m), dim.parse(n))
    whole, at = (columns if by_columns else rows), 0
    for c in range(chunks):
        first, count, product = chunk(loops, sizes, c, chunks)
        assert count <= 0 or first == at
        assert count >= 0 or first >= whole
        count = max(count, 0)
        at += count
        assert at <= whole
        if not count:
            continue
        if by_columns:
            assert first % gemm.COLUMNS_PER_STRIP == 0
            assert product.sizes == (rows, count, depth)
            assert product.offsets == (0, first * depth if tb else first, first)
        else:
            assert product.sizes == (count, columns, depth)
            assert product.offsets == (first if ta else first * depth, 0, first * columns)
    assert at == whole


@pytest.mark.parametrize("columns", [129, 150, 161])
def test_a_product_cut_by_ragged_columns(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one chunk and as several, to the bit; nothing behind the result is written to."""
    graph = parse_graph(f"""graph @f(%a: f32[n,6], %b: f32[6,{columns}]) {{
  %c = matmul %a, %b : f32[n,{columns}]
  %e = add %c, 1.0f32 : f32[n,{columns}]
  return %e, %c
}}""")
    monkeypatch.setattr(gemm, "MULTIPLICATIONS_PER_CHUNK", 100)
    monkeypatch.setattr(gemm, "MIN_ROWS_PER_CHUNK", 32)
    rng = np.random.default_rng(columns)
    arrays: list[Any] = [rng.uniform(-1, 1, s).astype(np.float32) for s in ((7, 6), (6, columns))]
    compiled = CompiledGraph(graph)
    with small_chunks():
        found, threaded = compiled(arrays, 1, poison=0xFF), compiled(arrays, 2)
    for a, b, want in zip(found, threaded, interpret(graph, *arrays), strict=True):
        np.testing.assert_allclose(a, want, rtol=1e-5, atol=1e-6)
        assert same_bits(a, b)
