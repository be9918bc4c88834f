"""Flattens nested fetches into a list of tensors, and makes the key under which a session finds
their runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import FetchError, user_location
from graphc.frontend.group import Group
from graphc.frontend.tensor import Tensor


def key_of(fetches: Any) -> Any:
    """A hashable stand-in for a nest of fetches."""
    if isinstance(fetches, list | tuple):
        return (type(fetches), *[f if isinstance(f, Tensor) else key_of(f) for f in fetches])
    if isinstance(fetches, dict):
        return (dict, *((k, key_of(v)) for k, v in fetches.items()))
    try:
        hash(fetches)
    except TypeError:
        raise FetchError(f"fetch: {fetches!r} is no tensor", user_location()) from None
    return fetches


def flatten(
    fetches: Any, flat: list[Tensor], effects: list[Tensor], tensor: Callable[[Any], Tensor]
) -> Callable[[list[Any]], Any]:
    """Appends the tensors of a nest to `flat`, those of groups to `effects`; returns a function
    that nests the values of `flat` like the fetches.  `tensor` finds a fetch's tensor."""
    match fetches:
        case list() | tuple():
            parts = [flatten(f, flat, effects, tensor) for f in fetches]
            if hasattr(fetches, "_fields"):
                kind = type(fetches)
                return lambda values: kind(*[p(values) for p in parts])
            if isinstance(fetches, tuple):
                return lambda values: tuple([p(values) for p in parts])
            return lambda values: [p(values) for p in parts]
        case dict():
            named = {k: flatten(f, flat, effects, tensor) for k, f in fetches.items()}
            return lambda values: {k: p(values) for k, p in named.items()}
        case Group():
            effects += [tensor(t) for t in fetches.tensors]
            return lambda values: None
    position = len(flat)
    flat.append(tensor(fetches))
    return lambda values: values[position]
