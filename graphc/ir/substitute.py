"""Replaces sizes in graphs: symbols by other symbols, or by numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, make
from graphc.ir.op import Op
from graphc.ir.ops.state import Placeholder

Known = Mapping[str, Size]


def substitute_graph(graph: Graph, known: Known) -> Graph:
    """The graph with symbols replaced in all types and fields, those of inner graphs too."""
    done: dict[Value, Value] = {}
    for v in graph.inputs:
        op = substitute_fields(v.op, known)
        shape = tuple(dim.substitute(s, known) for s in v.type.shape)
        has_shape = isinstance(op, Placeholder)
        done[v] = Value(op, (), v.type.with_shape(shape) if has_shape else v.type, v.name, v.loc)
    for v in graph.nodes():
        args = tuple(done[a] for a in v.args)
        done[v] = make(substitute_fields(v.op, known), args, v.name, v.loc)
    return graph.replace(done)


def substitute_fields(op: Op, known: Known) -> Op:
    """The op with symbols in its fields replaced."""
    if not known:
        return op
    changed = {}
    for f in op.fields():
        old = getattr(op, f.name)
        new = _field(old, known)
        if new is not old:
            changed[f.name] = new
    return dataclasses.replace(op, **changed) if changed else op  # type: ignore[type-var]


def _field(x: Any, known: Known) -> Any:
    match x:
        case dim.Dim():
            return dim.substitute(x, known)
        case Graph():
            return substitute_graph(x, known)
        case tuple() if any(isinstance(e, dim.Dim | Graph) for e in x):
            return tuple(_field(e, known) for e in x)
    return x
