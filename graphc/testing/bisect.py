"""Which pass, which rewrite or which kernel makes a graph's results differ from the oracle's."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.config import Options
from graphc.ir.graph import Graph
from graphc.ir.op import Array
from graphc.passes.oracle.check_passes import Feeds
from graphc.testing.bisect_kernels import wrong_kernel
from graphc.testing.bisect_passes import wrong_pass
from graphc.testing.culprit import Culprit


def bisect_graph(
    graph: Graph, cases: Iterable[list[Array]], options: Options
) -> tuple[Culprit | None, int]:
    """The first culprit on some cases, each an array for every input of the graph, and how many of
    them the graph accepts.  All passes are judged before any kernel.

    >>> import numpy as np
    >>> from graphc.ir.text.graph import parse_graph
    >>> g = parse_graph('''graph @f(%x: f32[n]) {
    ...   %y = exp %x : f32[n]
    ...   return %y
    ... }''')
    >>> bisect_graph(g, [[np.ones(3, np.float32)]], Options(progress=False))
    (None, 1)
    """
    accepted = [c for c in cases if Feeds(c, None).meaning(graph) is not None]
    for judge in (wrong_pass, wrong_kernel):
        for arrays in accepted:
            culprit = judge(graph, arrays, options)
            if culprit is not None:
                return culprit, len(accepted)
    return None, len(accepted)
