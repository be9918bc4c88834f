"""What makes a result wrong, and a small graph that shows it on arrays that are known to do so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.graph import Graph, Value, closed, placeholder
from graphc.ir.interpret import evaluate
from graphc.ir.op import Array, Foreign
from graphc.ir.text.graph import print_graph
from graphc.ir.types import TupleType
from graphc.testing.shrinker import shrink, without_unused

DEPTHS = range(1, 6)  # operands behind a value that a window shows
SHOWN_ELEMENTS = 12  # of an array; more are left out in the middle

Fails = Callable[[Graph, list[Array]], bool]


@dataclass(frozen=True)
class Culprit:
    """The pass, rewrite or kernel that makes results wrong: `what` says which and how.  `small` is
    a graph that shows it when it is fed `arrays`."""

    what: str
    small: Graph
    arrays: Sequence[Array]
    expected: Sequence[Array]
    got: Sequence[Array]

    def __str__(self) -> str:
        """A text that reads back as the small graph; all else are comments."""
        lines = [self.what]
        lines += [_shown("fed", v, a) for v, a in zip(self.small.inputs, self.arrays, strict=True)]
        for v, wanted, got in zip(self.small.results, self.expected, self.got, strict=True):
            lines += [_shown("expected", v, wanted), _shown("got", v, got)]
        comments = "\n".join(lines).splitlines()
        return "".join(f"// {line}\n" for line in comments) + print_graph(self.small)


def _shown(word: str, v: Value, array: Array) -> str:
    text = np.array2string(
        np.asarray(array), threshold=SHOWN_ELEMENTS, edgeitems=3, separator=", ", precision=9
    )
    return f"{word:8} %{v.name or v.op.name}: {v.type} = {text}"


class Shrinker:
    """Makes a failing graph smaller.  What is cut off is fed with the values that it had, so that a
    fault that only some values show is not lost."""

    def __init__(self, fails: Fails, graph: Graph, arrays: Sequence[Array]) -> None:
        self.judge = fails
        self.graph = graph
        self.fed: dict[Value, Array] = dict(zip(graph.inputs, arrays, strict=True))
        self._of: Graph | None = None
        self._values: dict[Value, Array] = {}

    def smallest(self, budget: int, suspects: Sequence[Value] = ()) -> tuple[Graph, list[Array]]:
        """A small graph that fails, and its arrays; windows around the `suspects` are tried
        first."""
        start = next((g for v in suspects for g in self._windows(v) if self.fails(g)), self.graph)
        small = shrink(start, self.fails, budget, self._cut)
        return small, self.arrays(small)

    def arrays(self, graph: Graph) -> list[Array]:
        """The arrays of a graph's inputs."""
        return [self.fed[v] for v in graph.inputs]

    def fails(self, graph: Graph) -> bool:
        """Whether a graph shows the fault.  One that cannot be computed does not."""
        try:
            with np.errstate(all="ignore"):
                return self.judge(graph, self.arrays(graph))
        except (GraphcError, LookupError, ValueError):
            return False

    def _windows(self, v: Value) -> Iterator[Graph]:
        """What computes a value from what lies so many operands behind it, in rising depth."""
        values = self._computed(self.graph)
        if v not in values or isinstance(v.type, TupleType):
            return
        for depth in DEPTHS:
            level, seen = [v], {v}
            for _ in range(depth):
                behind = [a for w in level for a in w.args]
                level = list(dict.fromkeys(a for a in _stored(behind) if a not in seen))
                seen.update(level)
            inputs = {i: i for i in self.graph.inputs}
            for a in (a for a in level if a.args):
                inputs[a] = placeholder(a.type, f"cut{len(inputs)}")
                self.fed[inputs[a]] = values[a]
            yield without_unused(closed("wrong", (v,), inputs))

    def _cut(self, graph: Graph, v: Value, new: Value) -> None:
        """Feeds a new input with the value in whose place it stands."""
        self.fed[new] = self._computed(graph)[v]

    def _computed(self, graph: Graph) -> Mapping[Value, Array]:
        """The values of a graph; those of the graph asked for last are kept."""
        if graph is not self._of:
            self._of, self._values = graph, dict(self.fed)
            with np.errstate(all="ignore"):
                evaluate(graph, self.arrays(graph), self._values.__setitem__)
        return self._values


def _stored(values: Sequence[Value]) -> list[Value]:
    """The values; for several results in one, what these are computed from."""
    return [b for a in values for b in (_stored(a.args) if isinstance(a.type, TupleType) else [a])]


def calls_python(graph: Graph) -> bool:
    """Whether a user's Python is among the ops."""
    return any(isinstance(v.op, Foreign) for v in graph.every())
