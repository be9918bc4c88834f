"""Finds the op that met an index out of range, after a run has failed.

A kernel reports the index and the size, not the op.  Where several ops check against that size, the
oracle computes their indices again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.codegen.cpu.kernels import site_of
from graphc.errors import GraphcError, GraphError, user_location
from graphc.ir import dim
from graphc.ir.graph import Graph, Value, topological
from graphc.ir.interpret import bind_sizes, interpret
from graphc.ir.op import Array, Foreign, Gather, Scatter
from graphc.ir.ops.gather import CheckIndex, outside
from graphc.ir.program import Program

CHECKING = (Gather, Scatter, CheckIndex)  # what has indices that are data


def out_of_range(graph: Graph, arrays: Sequence[Array | None], index: int, size: int) -> GraphError:
    """The error for an index that is out of range of a size; `arrays` are the graph's inputs."""
    if not any(isinstance(v.op, CHECKING) for v in graph.every()):
        return GraphError(
            f"a kernel was stopped at element {index} of a buffer of {size}: an op of this graph "
            "reads or writes outside of its operands; no variable has changed. "
            'Options(check="passes") finds the pass, gc.testing.check_op judges an op',
            user_location(),
        )
    culprit = guilty(graph, arrays, size)
    fault = f"index {index} is out of range for a size of {size}"
    if culprit is None:
        return GraphError(f"index: {fault}; no variable has changed", user_location())
    name = (culprit.loc.call if culprit.loc is not None else "") or culprit.op.name
    operands = ", ".join(f"{v.name or v.op.name}: {v.type}" for v in culprit.args)
    return GraphError(
        f"{name}: {fault}, in {culprit.op.name}({operands}); no variable has changed", culprit.loc
    )


def broken_kernel(program: Program, note: Sequence[int], sizes: Mapping[str, int]) -> GraphError:
    """The error for what a checked kernel, written by hand, has noted: an index, a size, the code
    of a `Site`."""
    index, size, code = map(int, note)
    out, site = site_of(program, code)
    try:
        shape = dim.numbers(out.type.shape, sizes)
        element = str([int(i) for i in np.unravel_index(index, shape)])
    except (KeyError, ValueError):  # a size of a loop's body; no element of the result
        element = str(index)
    operands = ", ".join(f"{v.name or v.op.name}: {v.type}" for v in out.args)
    below = "; only an index that is a literal counts from the end" if index < 0 else ""
    fault = site.fault.format(index=index, size=size, element=element, below=below)
    return GraphError(
        f"{site.kernel}: {fault}, in {site.kernel}({operands}); no variable has changed",
        site.loc or out.loc,
    )


def guilty(graph: Graph, arrays: Sequence[Array | None], size: int) -> Value | None:
    """The first value of `graph` whose index is out of range for `size`, given its inputs."""
    checking = [v for v in graph.every() if isinstance(v.op, CHECKING)]
    # errors prefer the op that the user called
    checking.sort(key=lambda v: isinstance(v.op, CheckIndex))
    given = [(v, a) for v, a in zip(graph.inputs, arrays, strict=True) if a is not None]
    sizes = bind_sizes([v for v, _ in given], [a for _, a in given])
    suspects = [v for v in checking if _extent(v, sizes) in (size, None)]
    if len(suspects) == 1:
        return suspects[0]
    outer = set(graph.nodes())
    # a value inside a loop comes last: the steps at which to check it are not known
    inside = next((v for v in suspects if v not in outer), None)
    return next((v for v in suspects if v in outer and _fails(graph, v, arrays, sizes)), inside)


def _extent(v: Value, sizes: dict[str, int]) -> int | None:
    op: Any = v.op
    try:
        return dim.evaluate(
            op.size if isinstance(op, CheckIndex) else op.extent(v.args[0].type), sizes
        )
    except KeyError:
        return None


def _fails(graph: Graph, v: Value, arrays: Sequence[Array | None], sizes: dict[str, int]) -> bool:
    """Whether v's indices are out of range while everything that v needs computes."""
    index = v.args[0] if isinstance(v.op, CheckIndex) else v.args[1]
    extent = _extent(v, sizes)
    if any(isinstance(u.op, Foreign) for u in topological([index])):
        return False  # a user's Python is never called a second time
    try:
        (indices,) = interpret(Graph(graph.name, graph.inputs, (index,)), *arrays)  # type: ignore[arg-type]
    except (GraphcError, KeyError):
        return False
    return extent is not None and bool(np.any(outside(indices, extent)))
