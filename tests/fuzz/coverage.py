"""What random graphs have to cover: every op but those named here, every element type."""

from __future__ import annotations

from collections.abc import Collection

from graphc.ir.graph import Graph
from graphc.ir.op import OPS
from graphc.ir.types import ALL
from graphc.testing.random_control import deep_nodes

# Not in random graphs, and why.
INPUTS = {"placeholder", "variable", "run_counter"}
OUTSIDE = {
    "inputs": INPUTS,
    "markers that staging takes away": {
        "assign",
        "with_gradient",
        "before_update",
        "with_update",
    },
    "made by no function alone; gathers have it inside": {"check_index"},
    "hold Python code, which text cannot (tests/extend/test_py_func.py)": {
        "py_func",
        "py_func_packed",
        "unpack",
    },
    "need operands of a kind, through LAPACK (tests/functions/test_linalg.py)": {
        "cholesky",
        "eigh",
        "lu",
        "lu_solve",
        "qr",
        "svd",
        "triangular_solve",
    },
    "made by split_reductions, a target's late pass (tests/passes/test_pipeline.py)": {
        "partial_all",
        "partial_any",
        "partial_max",
        "partial_min",
        "partial_prod",
        "partial_sum",
    },
    "made by placement (tests/passes/test_segments.py)": {"transfer"},
    "takes roots of unity as an operand (tests/functions/test_fft.py)": {"fft"},
}


def covered(graph: Graph) -> frozenset[str]:
    """The names of the ops of a graph, and those of its element types."""
    nodes = deep_nodes(graph)
    types = {v.type.dtype.name for v in graph.inputs}
    return frozenset({v.op.name for v in nodes} | types)


def built_in_ops() -> set[str]:
    """The names of the ops that random graphs may hold."""
    names = {n for n, c in OPS.items() if c.__module__.startswith("graphc.ir.ops")}
    return names | {"item", "loop", "switch"}


def uncovered(seen: Collection[str]) -> list[str]:
    """The ops and element types that no graph had."""
    wanted = built_in_ops() - set().union(*OUTSIDE.values()) | {t.name for t in ALL}
    return sorted(wanted - set(seen))
