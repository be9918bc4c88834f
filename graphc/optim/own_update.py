"""What an author's optimizer gives graphc, checked: the assigns of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import GraphError, defined_at
from graphc.frontend.boundary import short
from graphc.frontend.tensor import Tensor
from graphc.ir.ops.state import Assign

REMEDY = "expected a list of the assigns of a step, such as [var.assign(...)]"


def assigns_of(what: str, method: Callable[..., Any], given: Any) -> list[Tensor]:
    """The assigns that a method gave.  Raises `GraphError`, at the method, for anything else."""
    name, line = f"{what}: {method.__name__}", defined_at(method)
    if isinstance(given, Tensor):
        raise GraphError(f"{name} gave one tensor; {REMEDY}", line)
    if not isinstance(given, list | tuple):
        raise GraphError(f"{name} gave {short(given)}; {REMEDY}", line)
    for item in given:
        if not isinstance(item, Tensor) or not isinstance(item.op, Assign):
            raise GraphError(
                f"{name} gave a list with {short(item)}, which assigns nothing; {REMEDY}", line
            )
    return list(given)


def prepared(what: str, method: Callable[..., Any], given: Any) -> tuple[Any, list[Tensor]]:
    """What `prepare` gave: a value for all variables, and assigns.  Raises `GraphError`."""
    if not isinstance(given, tuple) or len(given) != 2:
        raise GraphError(
            f"{what}: prepare gave {short(given)}; expected a pair: the value that update gets, "
            "and a list of assigns",
            defined_at(method),
        )
    return given[0], assigns_of(what, method, given[1])
