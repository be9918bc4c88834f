"""The graph of one kernel, at sizes that are numbers: by it the interpreter judges the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphc.ir.graph import Graph, Value, closed, placeholder
from graphc.ir.substitute import substitute_graph


def kernel_graph(
    operands: Iterable[Value], results: Iterable[Value], sizes: Mapping[str, int]
) -> Graph:
    """What computes `results` from `operands`, which are its inputs.  Nodes keep names and lines.

    >>> from graphc.ir.text.graph import parse_graph, print_graph
    >>> g = parse_graph('''graph @f(%x: f32[n]) {
    ...   %a = exp %x : f32[n]
    ...   %b = log %a : f32[n]
    ...   return %b
    ... }''')
    >>> a, b = g.nodes()
    >>> print(print_graph(kernel_graph([a], [b], {"n": 3})), end="")
    graph @kernel(%a: f32[3]) {
      %b = log %a : f32[3]
      return %b
    }
    """
    inputs = {v: placeholder(v.type, v.name or v.op.name) for v in dict.fromkeys(operands)}
    return substitute_graph(closed("kernel", results, inputs), sizes)
