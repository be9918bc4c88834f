"""The oracle judges passes: a graph means the same before and after, on random feeds."""

from __future__ import annotations

import bisect
import hashlib
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import GraphcError, VerifyError
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Array
from graphc.ir.text.graph import print_graph
from graphc.ir.types import TensorType
from graphc.passes.base import Context, GraphPass
from graphc.passes.graph.simplify import Simplify
from graphc.passes.oracle.shrink import neighbourhood, shrink
from graphc.passes.pipeline import PASSES
from graphc.passes.rewrite.engine import Rewriter

# relative error, and absolute error as a part of the largest element, by element type
TOLERANCE = {"f16": 2e-2, "bf16": 1e-1, "f32": 1e-3, "f64": 1e-8}


def draw(rng: np.random.Generator, type: TensorType, sizes: dict[str, int], top: int = 3) -> Array:
    """A random array of a type: floats in [-2, 2), whole numbers in [0, top)."""
    shape = dim.numbers(type.shape, sizes)
    if type.dtype.is_float:
        return np.asarray(rng.uniform(-2.0, 2.0, shape)).astype(type.dtype.numpy)
    return np.asarray(rng.integers(0, 2 if type.dtype.kind == "bool" else top, shape)).astype(
        type.dtype.numpy
    )


@dataclass(frozen=True)
class Feeds:
    """Random arrays for a graph, and what it makes of them (None: it rejects them)."""

    arrays: list[Array]
    wanted: tuple[Array, ...] | None

    @classmethod
    def of(cls, graph: Graph, seed: int = 0) -> Feeds:
        """Feeds that the graph accepts, if they are easily found."""
        symbols = sorted(
            {s for v in graph.inputs for size in v.type.shape for s in dim.symbols(size)}
        )
        sizes = {name: 5 + i for i, name in enumerate(symbols)}
        for top in (3, 1):  # indices of small tables may all have to be 0
            rng = np.random.default_rng(seed)
            feeds = cls([draw(rng, v.type, sizes, top) for v in graph.inputs], None)
            wanted = feeds.meaning(graph)
            if wanted is not None:
                return cls(feeds.arrays, wanted)
        return feeds

    def meaning(self, graph: Graph) -> tuple[Array, ...] | None:
        """The results; None where the feeds are outside what the graph accepts."""
        try:
            with np.errstate(all="ignore"):
                return interpret(graph, *self.arrays)
        except (GraphcError, LookupError, ValueError) as error:
            if isinstance(error, VerifyError):
                raise
            return None

    def difference(self, graph: Graph) -> str:
        """How the results of a graph that should mean the same differ; "" if they do not."""
        if self.wanted is None:
            return ""
        results = self.meaning(graph)
        if results is None:
            return "it rejects feeds that were fine"
        for v, a, b in zip(graph.results, self.wanted, results, strict=True):
            if not _close(a, b, v.type.dtype.name):
                return f"%{v.name or v.op.name}: {v.type} is another"
        return ""


class Checker:
    """Compares what passes make of a graph with the graph; `watch` is called after each pass.

    Floats may differ by rounding: a pass may choose another order of summation.  A difference is
    traced to the first wrong rewrite, and a small graph that shows it is written to `folder`
    (default: where we are).
    """

    def __init__(self, graph: Graph, fast_math: bool = False, folder: Path | None = None) -> None:
        self.before, self.fast_math, self.folder = graph, fast_math, folder
        self.feeds = Feeds.of(graph)

    def watch(self, p: GraphPass, graph: Graph) -> None:
        """Raises `VerifyError` if a pass changed what the graph means."""
        difference = self.feeds.difference(graph)
        if difference:
            raise VerifyError(self._report(p, graph, difference))
        self.before = graph

    def _report(self, p: GraphPass, made: Graph, difference: str) -> str:
        head = f"pass `{p}` changed the meaning of the graph: {difference}"
        if not self.feeds.difference(self._again(p, self.before)):
            head += "; called again, it gives another graph, so it is no pure function"
            return self._shown(p, head, self.before, made)
        wrong_rewrite = self._first_wrong_rewrite(p) if isinstance(p, Simplify) else None
        small = self.before
        if wrong_rewrite is not None:
            rule, small = wrong_rewrite
            head += f"; the first wrong rewrite is by rule `{rule}`"
        small = shrink(small, lambda g: bool(Feeds.of(g).difference(self._again(p, g))))
        return self._shown(p, head, small, self._again(p, small))

    def _shown(self, p: GraphPass, head: str, small: Graph, made: Graph) -> str:
        """The report: what is wrong, where the graph is kept, the graph before and after."""
        where = self._write(p, head, small)
        return f"{head}\n{where}{print_graph(small)}becomes\n{print_graph(made)}"

    def _again(self, p: GraphPass, graph: Graph) -> Graph:
        """What a pass makes of another graph."""
        return p.run_deeply(graph, Context(fast_math=self.fast_math))

    def _first_wrong_rewrite(self, p: Simplify) -> tuple[str, Graph] | None:
        """Its rule and a graph that shows it, by bisection of how many rewrites are allowed."""

        def limited(fuel: float) -> tuple[Rewriter, Graph]:
            rewriter = p.rewriter(self.fast_math)
            rewriter.fuel = fuel
            return rewriter, p.rewrite(self.before, rewriter)

        rewriter, _ = limited(math.inf)
        count = bisect.bisect_left(
            range(rewriter.fired.total() + 1),
            True,
            key=lambda k: bool(self.feeds.difference(limited(k)[1])),
        )
        rewriter, _ = limited(count)
        if rewriter.last is None:
            return None
        rule, value = rewriter.last
        for depth in range(1, 8):
            small = neighbourhood(value, depth)
            if Feeds.of(small).difference(self._again(p, small)):
                return rule, small
        return rule, self.before

    def _write(self, p: GraphPass, head: str, small: Graph) -> str:
        """Writes the small graph; the line of the report that names the file, "" if it cannot be
        written."""
        command = f"graphc opt --check --passes {shlex.quote(str(p))}"
        ours = type(p) in map(type, PASSES)  # the command line knows no other
        again = f"// {command} THIS_FILE\n" if ours else ""
        text = f"// {head}\n{again}{print_graph(small)}"
        folder = self.folder or Path()
        path = folder / f"{p.name}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}.gir"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError:
            return ""
        if ours:
            return f"see it with: {command} {path}\n"
        return f"see {path}: graphc.extend.parse_graph reads its text, which the pass takes\n"


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
