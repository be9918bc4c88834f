"""Products and convolutions for tensor cores: in the simulator against NumPy in f64; as machine
code, by what it consists of."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from graphc.codegen.cuda_gemm import gemm_source
from graphc.codegen.cuda_tile import TileShape
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.simt import simulate
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Contraction
from graphc.ir.ops.linalg import Matmul
from graphc.ir.program import Kernel, Kind, holds, storage
from graphc.ir.text import parse_graph

pytest.importorskip("greenlet", reason="the simulator needs greenlet")

SMALL = TileShape(16, 16, 1, 1, stages=3)  # one warp
PAIRS = TileShape(32, 32, 2, 1, stages=2)
TOLERANCE = {"f32": 3e-6, "f16": 2e-3, "bf16": 1.6e-2}


def kernel_of(graph: Graph) -> Kernel:
    """One kernel of a graph: its contraction and all that follows it."""
    inputs = list(graph.inputs)
    members = [v for v in graph.nodes() if v not in inputs]
    out = next(v for v in members if isinstance(v.op, Contraction))
    writes = tuple(dict.fromkeys(storage(v) for v in graph.outputs))
    if not any(holds(w, out) for w in writes):
        writes = (out, *writes)
    kind = Kind.MATMUL if isinstance(out.op, Matmul) else Kind.CONVOLUTION
    last = writes[-1]
    return Kernel("k", kind, tuple(inputs), writes, tuple(members), last.type.shape)


def stored(array: Any, name: str) -> Any:
    """An array as it lies in memory."""
    flat = np.ascontiguousarray(array).reshape(-1).copy()
    return flat.view(np.uint16) if name in ("f16", "bf16") else flat


def simulated(kernel: Kernel, source: DeviceSource, feeds: Sequence[Any],
              sizes: Mapping[str, int] | None = None) -> list[Any]:
    """The results of a kernel that the simulator ran."""
    known = sizes or {}
    results = [
        np.full(tuple(dim.evaluate(n, known) for n in v.type.shape), 7, v.type.dtype.numpy)
        for v in kernel.writes
    ]
    values = (*kernel.reads, *kernel.writes)
    memory = [stored(a, v.type.dtype.name)
              for a, v in zip((*feeds, *results), values, strict=True)]
    numbers = [dim.evaluate(n, known) for n in source.sizes]
    x, y, z = (dim.evaluate(n, known) for n in source.grid)
    simulate(source, (x, y, z), dim.evaluate(source.shared, known), [*memory, *numbers])
    return [m.view(r.dtype).reshape(r.shape)
            for m, r in zip(memory[len(kernel.reads):], results, strict=True)]


def check(text: str, make: Any, seed: int = 0) -> DeviceSource:
    """The simulated kernel of a graph against the graph's meaning in f64."""
    graph = parse_graph(text)
    rng = np.random.default_rng(seed)
    feeds = [rng.uniform(-1, 1, v.type.shape).astype(v.type.dtype.numpy) for v in graph.inputs]
    wide = parse_graph(re.sub(r"\b(f16|bf16|f32)\b", "f64", text))
    want = interpret(wide, *(x.astype("f8") for x in feeds))
    kernel = kernel_of(graph)
    source = make(kernel)
    found = dict(zip(kernel.writes, simulated(kernel, source, feeds), strict=True))
    for v, expected in zip(graph.outputs, want, strict=True):
        error = np.abs(found[v].astype("f8") - expected).max(initial=0)
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        assert error <= TOLERANCE[v.type.dtype.name] * scale, (error, scale)
    return source


def product(m: int, n: int, k: int, ta: bool, tb: bool, dtype: str, batch: str = "") -> str:
    """A graph of one product."""
    a, b = (k, m) if ta else (m, k), (n, k) if tb else (k, n)
    fields = [f"{name}=true" for name, on in (("ta", ta), ("tb", tb)) if on]
    given = f" {{{', '.join(fields)}}}" if fields else ""
    return f"""graph @k(%a: {dtype}[{batch}{a[0]},{a[1]}], %b: {dtype}[{batch}{b[0]},{b[1]}]) {{
      %y = matmul %a, %b{given} : {dtype}[{batch}{m},{n}]
      return %y
    }}"""


def small(kernel: Kernel) -> DeviceSource | None:
    """One warp's tile."""
    return gemm_source(kernel, SMALL)


SIZES = ((16, 16, 16), (17, 33, 5), (1, 1, 1), (40, 7, 35), (5, 40, 70), (24, 24, 0), (20, 16, 64))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_products_of_every_layout(sizes: tuple[int, int, int], dtype: str) -> None:
    for ta, tb in itertools.product((False, True), repeat=2):
        check(product(*sizes, ta, tb, dtype), small)
