"""What the last passes do for GPUs: folds are cut so that many blocks share each."""

from __future__ import annotations

import numpy as np
import pytest
from support.device import SimulatedGraph

from graphc.codegen.cpu.target import HOST_TARGET
from graphc.config import Options
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Reduction
from graphc.ir.text.graph import parse_graph
from graphc.passes.graph.cut_folds import CutFolds
from graphc.passes.placement.per_device import tailored
from graphc.passes.trace import Trace


def graph_of(dtype: str, shape: str, op: str, axes: str, out: str) -> Graph:
    return parse_graph(f"""graph @f(%x: {dtype}[{shape}]) {{
  %r = {op} %x {{axes=[{axes}]}} : {out}
  return %r
}}""")


def folds(graph: Graph) -> list[tuple[int, ...]]:
    """The shapes that a graph folds."""
    return [
        v.args[0].type.shape
        for v in graph.nodes()  # type: ignore[misc]
        if isinstance(v.op, Reduction)
    ]


CASES = {
    "a channel's sum": (
        graph_of("f32", "6,3,5,7", "reduce_sum", "0,2,3", "f32[3]"),
        [(6, 3, 5, 7), (6, 3)],
    ),
    "of f16": (graph_of("f16", "6,3,5", "reduce_sum", "0,2", "f16[3]"), [(6, 3, 5), (6, 3)]),
    "few long rows": (
        graph_of("f32", "2,16384", "reduce_max", "1", "f32[2]"),
        [(2, 16, 1024), (2, 16)],
    ),
    "of images": (
        graph_of("f32", "2,3,16384", "reduce_sum", "1,2", "f32[2]"),
        [(2, 3, 16, 1024), (2, 16)],
    ),
    "rows": (graph_of("f32", "9,33", "reduce_sum", "1", "f32[9]"), [(9, 33)]),
    "an odd length": (graph_of("f32", "2,16385", "reduce_sum", "1", "f32[2]"), [(2, 16385)]),
    "a position": (graph_of("f32", "2,16384", "reduce_argmax", "1", "i64[2]"), [(2, 16384)]),
    "columns": (graph_of("f32", "300,3", "reduce_sum", "0", "f32[3]"), [(300, 3)]),
    "many rows": (graph_of("f32", "4096,3", "reduce_sum", "0", "f32[3]"), [(4096, 3), (128, 3)]),
}


@pytest.mark.parametrize("name", CASES)
def test_folds_are_cut(name: str) -> None:
    graph, shapes = CASES[name]
    made = CutFolds()(graph)
    assert folds(made) == shapes
    assert folds(tailored(graph, HOST_TARGET, Options(), Trace()))[0] == graph.inputs[0].type.shape
    (x,) = graph.inputs
    array = np.random.default_rng(3).integers(-4, 5, x.type.shape).astype(x.type.dtype.numpy)  # type: ignore[arg-type]
    (want,), (got,) = interpret(graph, array), interpret(made, array)
    assert got.dtype == want.dtype and np.array_equal(got, want)  # sums of whole numbers are exact
    if array.size < 3000:
        assert np.array_equal(SimulatedGraph(graph)([array])[0], want)


def test_chunks_repay_their_rows() -> None:
    rows = (0, 1, 512, 513, 4096, 1 << 20)
    assert list(map(CutFolds().chunks_of, rows)) == [1, 1, 1, 16, 128, 1024]
