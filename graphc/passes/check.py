"""The oracle judges passes: a graph means the same before and after, on random feeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphcError, VerifyError
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array
from graphc.ir.text import print_graph
from graphc.ir.types import TensorType

TOLERANCE = {"f16": 2e-2, "bf16": 1e-1, "f32": 1e-3, "f64": 1e-8}


def draw(rng: np.random.Generator, type: TensorType, sizes: dict[str, int], top: int = 3) -> Array:
    """A random array of a type: floats in [-2, 2), whole numbers in [0, top)."""
    shape = tuple(dim.evaluate(s, sizes) for s in type.shape)
    if type.dtype.is_float:
        return np.asarray(rng.uniform(-2.0, 2.0, shape)).astype(type.dtype.numpy)
    return np.asarray(rng.integers(0, 2 if type.dtype.kind == "bool" else top, shape)).astype(
        type.dtype.numpy
    )


class Checker:
    """Compares what passes make of a graph with the graph; `watch` is called after each pass.

    Floats may differ by rounding: a pass may choose another order of summation.
    """

    def __init__(self, graph: Graph, seed: int = 0) -> None:
        self.before = graph
        self.arrays: list[Array] = []
        self.wanted: tuple[Array, ...] | None = None
        symbols = sorted(
            {s for v in graph.inputs for size in v.type.shape for s in dim.symbols(size)}
        )
        sizes = {name: 5 + i for i, name in enumerate(symbols)}
        for top in (3, 1):  # indices of small tables may all have to be 0
            rng = np.random.default_rng(seed)
            self.arrays = [draw(rng, v.type, sizes, top) for v in graph.inputs]
            self.wanted = self._meaning(graph)
            if self.wanted is not None:
                break

    def _meaning(self, graph: Graph) -> tuple[Array, ...] | None:
        """The results; None where the feeds are outside what the graph accepts."""
        try:
            with np.errstate(all="ignore"):
                return interpret(graph, *self.arrays)
        except (GraphcError, IndexError, ValueError) as error:
            if isinstance(error, VerifyError):
                raise
            return None

    def watch(self, name: str, graph: Graph) -> None:
        """Raises `VerifyError` if pass `name` changed what the graph means."""
        if self.wanted is None:
            return
        found = self._meaning(graph)
        if found is None:
            raise VerifyError(
                f"pass `{name}` made a graph that rejects feeds:\n{print_graph(graph)}"
            )
        for v, a, b in zip(graph.results, self.wanted, found, strict=True):
            if not _close(a, b, v.type.dtype.name):
                raise VerifyError(
                    f"pass `{name}` changed the meaning of %{v.name or v.op.name}: {v.type}; "
                    "before:\n"
                    f"{print_graph(self.before)}after:\n{print_graph(graph)}"
                )
        self.before = graph


def _close(a: Any, b: Any, dtype: str) -> bool:
    if dtype not in TOLERANCE:
        return bool(np.array_equal(a, b))
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    finite = np.abs(a[np.isfinite(a)])
    scale = float(finite.max()) if finite.size else 1.0
    with np.errstate(invalid="ignore"):
        return bool(
            np.allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale, equal_nan=True)
        )
