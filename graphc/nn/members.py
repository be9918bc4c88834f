"""The two ways to lose a module's members in silence, each made an error: another thing put in the
place of one, and members held by a plain list.

`module.py` calls these with its own class, `base`, which is a floor above.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.boundary import short
from graphc.frontend.tensor import Tensor, Variable

CONTAINERS = (list, tuple, dict, set, frozenset)  # which a module does not look into


def require_kept(what: str, name: str, held: Any, value: Any, base: type) -> None:
    """Raises `GraphError` for a value that would take the place of a member and is none."""
    if value is None or not isinstance(held, Variable | base):
        return
    if isinstance(value, Variable if isinstance(held, Variable) else base):
        return
    kind = "a module"
    remedy = "modules are replaced by modules, or by None"
    if isinstance(held, Variable) and held.trainable:
        kind = "a parameter"
        remedy = (
            f"optimizers change parameters, {name}.start_from(...) where they start; delete it "
            "first to hold something else"
        )
    elif isinstance(held, Variable):
        kind = "a buffer"
        remedy = (
            "attach the new value to the result: "
            f"return gc.with_update(result, self.{name}, lambda old: ...)"
        )
    lost = "a tensor, which runs would not keep" if type(value) is Tensor else short(value)
    raise GraphError(f"{what}.{name} is {kind} and is set to {lost}; {remedy}", user_location())


def require_registered(
    what: str, members: Mapping[str, Any], known: Collection[int], base: type
) -> None:
    """Raises `GraphError` for a list, tuple, set or dict among `members` that holds a module or a
    variable whose `id` is not `known`: its parameters would be no parameters of the module."""
    for name, value in members.items():
        for item in _items(value):
            if isinstance(item, Variable | base) and id(item) not in known:
                thing, holder = (
                    ("a parameter", "ParameterList")
                    if isinstance(item, Variable)
                    else ("a module", "ModuleDict" if isinstance(value, dict) else "ModuleList")
                )
                raise GraphError(
                    f"{what}.{name} is a {type(value).__name__} that holds {thing}, which "
                    f"{what} would not train, save or load; use gc.nn.{holder}",
                    user_location(),
                )


def _items(value: Any) -> Iterator[Any]:
    """What is in a nest of plain containers."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, CONTAINERS):
        for item in value:
            yield item
            yield from _items(item)
