"""Nests (lists, tuples and dicts) of tensors: control flow takes and returns them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Pack = Callable[[list[Any]], Any]


def flatten(nest: Any) -> tuple[list[Any], Pack]:
    """The leaves of a nest, and a function that puts other leaves in their places.

    >>> leaves, pack = flatten((1, {"a": 2, "b": [3]}))
    >>> leaves, pack([10, 20, 30])
    ([1, 2, 3], (10, {'a': 20, 'b': [30]}))
    """
    if isinstance(nest, dict):
        keys, children = list(nest), list(nest.values())
    elif isinstance(nest, list | tuple):
        keys, children = [], list(nest)
    elif nest is None:
        return [], lambda leaves: None
    else:
        return [nest], lambda leaves: leaves[0]
    parts = [flatten(c) for c in children]
    all_leaves = [leaf for leaves, _ in parts for leaf in leaves]

    def pack(leaves: list[Any]) -> Any:
        packed, at = [], 0
        for inner, repack in parts:
            packed.append(repack(leaves[at : at + len(inner)]))
            at += len(inner)
        if isinstance(nest, dict):
            return dict(zip(keys, packed, strict=True))
        if hasattr(nest, "_fields"):
            return type(nest)(*packed)
        return type(nest)(packed)

    return all_leaves, pack


def shape_of(nest: Any) -> Any:
    """The nest with None for every leaf, for comparing structures."""
    leaves, pack = flatten(nest)
    return pack([None] * len(leaves))
