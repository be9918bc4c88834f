"""Errors for what does not fit: into 64 bits, or into the machine's memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from graphc.errors import GraphcError, OutOfMemoryError, ShapeError, user_location
from graphc.ir import dim

if TYPE_CHECKING:
    from graphc.ir.graph import Graph

MAX_BYTES = 2**63 - 1  # of one tensor: kernels count in 64 bits
TOO_LARGE_ERRORS = (MemoryError, OverflowError, ValueError)  # what Python and NumPy raise then


def explained(error: Exception, graph: Graph, sizes: dict[str, int]) -> Exception:
    """The error to raise for one that was met while a graph was bound or run at these sizes: as it
    is, unless a tensor or the memory was too large."""
    if isinstance(error, GraphcError) and not isinstance(error, OverflowError):
        return error
    for v in graph.every():
        with contextlib.suppress(KeyError):  # a size that only a loop knows
            nbytes = dim.evaluate(v.type.nbytes, sizes)
            if nbytes > MAX_BYTES:
                shown = v.type.with_shape(dim.numbers(v.type.shape, sizes))
                return ShapeError(
                    f"{v.op.name}: {v.name or 'a tensor'!r} would be {shown}, {nbytes} bytes; "
                    f"one tensor may have {MAX_BYTES}",
                    v.loc or user_location(),
                )
    if not isinstance(error, MemoryError):
        return error
    return OutOfMemoryError(
        f"Session: there is not enough memory: {str(error) or 'none is left'}; no variable has "
        "changed; feed smaller batches, or set a memory_limit",
        user_location(),
    )


@contextlib.contextmanager
def explaining(graph: Graph, sizes: Callable[[], dict[str, int]]) -> Iterator[None]:
    """Within the block, errors are those of `explained`."""
    try:
        yield
    except TOO_LARGE_ERRORS as error:
        better = explained(error, graph, sizes())
        if better is error:
            raise
        raise better from error
