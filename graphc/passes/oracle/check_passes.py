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
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.op import Array
from graphc.ir.text.graph import print_graph
from graphc.ir.types import TensorType
from graphc.passes.base import Context, GraphPass
from graphc.passes.graph.simplify import Simplify
from graphc.passes.oracle.shrink import neighbourhood, shrink
from graphc.passes.pipeline import PASSES
from graphc.passes.rewrite.engine import Rewriter
from graphc.passes.rewrite.inner_graphs import deeply

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


@dataclass(frozen=True)
class WrongRewrite:
    """A rule that changed what a graph means, the value as it was, and which of the rule's firings
    it is."""

    rule: str
    value: Value
    firing: int
    firings: int


@dataclass(frozen=True)
class WrongPass:
    """A pass that changed what the graph `before` means.  A pass that is not `pure` does so only
    now and then."""

    graph_pass: GraphPass
    before: Graph
    difference: str
    pure: bool
    rewrite: WrongRewrite | None


class Checker:
    """Compares what passes make of a graph with the graph; `watch` is called after each pass.

    Floats may differ by rounding: a pass may choose another order of summation.  A difference is
    traced to the first wrong rewrite, and a small graph that shows it is written to `folder`
    (default: where we are).
    """

    def __init__(
        self,
        graph: Graph,
        fast_math: bool = False,
        folder: Path | None = None,
        feeds: Feeds | None = None,
    ) -> None:
        self.before, self.fast_math, self.folder = graph, fast_math, folder
        self.feeds = Feeds.of(graph) if feeds is None else feeds

    def watch(self, p: GraphPass, graph: Graph) -> None:
        """Raises `VerifyError` if a pass changed what the graph means."""
        wrong = self.wrong(p, graph)
        if wrong is not None:
            raise VerifyError(self._report(wrong, graph))

    def wrong(self, p: GraphPass, graph: Graph) -> WrongPass | None:
        """What is wrong with a pass that made `graph`; None if nothing is."""
        difference = self.feeds.difference(graph)
        if not difference:
            self.before = graph
            return None
        pure = bool(self.feeds.difference(self.again(p, self.before)))
        rewrite = self._first_wrong_rewrite(p) if pure and isinstance(p, Simplify) else None
        return WrongPass(p, self.before, difference, pure, rewrite)

    def _report(self, wrong: WrongPass, made: Graph) -> str:
        p, small = wrong.graph_pass, wrong.before
        head = f"pass `{p}` changed the meaning of the graph: {wrong.difference}"
        if not wrong.pure:
            head += "; called again, it gives another graph, so it is no pure function"
            return self._shown(p, head, small, made)
        if wrong.rewrite is not None:
            small = self._around(p, wrong.rewrite.value)
            head += f"; the first wrong rewrite is by rule `{wrong.rewrite.rule}`"
        small = shrink(small, lambda g: bool(Feeds.of(g).difference(self.again(p, g))))
        return self._shown(p, head, small, self.again(p, small))

    def _around(self, p: GraphPass, value: Value) -> Graph:
        """The smallest neighbourhood of a value that shows the fault of a pass; else the graph."""
        for depth in range(1, 8):
            small = neighbourhood(value, depth)
            if Feeds.of(small).difference(self.again(p, small)):
                return small
        return self.before

    def _shown(self, p: GraphPass, head: str, small: Graph, made: Graph) -> str:
        """The report: what is wrong, where the graph is kept, the graph before and after."""
        where = self._write(p, head, small)
        return f"{head}\n{where}{print_graph(small)}becomes\n{print_graph(made)}"

    def again(self, p: GraphPass, graph: Graph) -> Graph:
        """What a pass makes of another graph."""
        return p.run_deeply(graph, Context(fast_math=self.fast_math))

    def _first_wrong_rewrite(self, p: Simplify) -> WrongRewrite | None:
        """The first wrong rewrite, by bisection of how many are allowed."""

        def limited(fuel: float) -> tuple[Rewriter, Graph]:
            rewriter = p.rewriter(self.fast_math)
            rewriter.fuel = fuel
            return rewriter, deeply(self.before, lambda g: p.rewrite(g, rewriter))

        everything, _ = limited(math.inf)
        count = bisect.bisect_left(
            range(everything.fired.total() + 1),
            True,
            key=lambda k: bool(self.feeds.difference(limited(k)[1])),
        )
        rewriter, _ = limited(count)
        if rewriter.last is None:
            return None
        rule, value = rewriter.last
        return WrongRewrite(rule, value, rewriter.fired[rule], everything.fired[rule])

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
