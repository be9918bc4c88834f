"""`gc.group`: several tensors, fetched together for their effects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graphc.errors import GraphError, user_location
from graphc.frontend.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """Tensors that a session computes together; fetching the group gives None.

    >>> import graphc as gc
    >>> with gc.Graph().as_default():
    ...     w = gc.variable(0.0, name="w")
    ...     step = gc.group(w.assign_add(1.0))
    >>> len(step.tensors)
    1
    """

    tensors: tuple[Tensor, ...]


def group(*items: Tensor | Group | Iterable[Tensor | Group]) -> Group:
    """A group of tensors, groups and sequences of them.  Raises `GraphError` for anything else."""
    tensors: list[Tensor] = []
    for item in items:
        if isinstance(item, Tensor):
            tensors.append(item)
        elif isinstance(item, Group):
            tensors.extend(item.tensors)
        elif isinstance(item, list | tuple):
            tensors.extend(group(*item).tensors)
        else:
            raise GraphError(f"group: {item!r} is no tensor and no group", user_location())
    return Group(tuple(tensors))
