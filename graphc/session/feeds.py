"""Feeds: converts fed values to arrays of their tensors' types, and reads sizes off shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import FeedError, GraphError, user_location
from graphc.frontend.plain_array import plain_array
from graphc.frontend.tensor import Tensor
from graphc.ir import dim

if TYPE_CHECKING:
    from graphc.ir.op import Array
    from graphc.passes.graph.unify_sizes import Unified
    from graphc.session.engine import Signature

Shape = tuple[int, ...]
Formulas = list[tuple[str, dim.Size, int]]  # an axis, the formula of its size, the fed size


def convert(what: str, tensor: Tensor, value: Any) -> Array:
    """A value as an aligned, contiguous array of the tensor's element type.  Raises `FeedError`."""
    dtype = tensor.dtype.numpy
    if isinstance(value, Tensor):
        raise FeedError(f"{what}: {tensor.name!r} is fed a tensor; feed an array", user_location())
    try:
        array = plain_array(value)
    except (TypeError, ValueError, GraphError) as error:
        raise FeedError(f"{what}: {tensor.name!r}: {error}", user_location()) from None
    if array.dtype != dtype and array.size and not _converts(array, dtype, value):
        raise FeedError(
            f"{what}: {tensor.name!r} is {tensor.type}, got elements of type {array.dtype} that "
            f"do not fit; "
            f"convert them with .astype({dtype.name!r})",
            user_location(),
        )
    return np.require(array.astype(dtype, copy=False), requirements=["C", "A"])


def _converts(array: Array, dtype: np.dtype[Any], value: Any) -> bool:
    """Whether NumPy's rule `same_kind` allows it, or the values are Python's own integers; all
    integers must keep their values."""
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        return False
    if array.dtype.kind not in "iu" or dtype.kind not in "iu":
        return np.can_cast(array.dtype, dtype, "same_kind")
    if isinstance(value, np.ndarray | np.generic) and not (
        np.can_cast(array.dtype, dtype, "same_kind")
    ):
        return False
    bounds = np.iinfo(dtype)
    return int(array.min()) >= bounds.min and int(array.max()) <= bounds.max


def sizes_of_feeds(
    signature: Signature, unified: Unified, shapes: Sequence[Shape]
) -> dict[str, int]:
    """The values of symbols.  Raises `FeedError` for shapes that do not fit what was declared."""
    sizes: dict[str, int] = {}
    where: dict[str, str] = {}
    formulas: Formulas = []
    for tensor, place, shape in zip(signature.fed, signature.places, shapes, strict=True):
        declared = unified.graph.inputs[place].type.shape if place >= 0 else tensor.shape
        if len(shape) != len(declared):
            raise FeedError(
                f"feed_dict: {tensor.name!r} is {tensor.type}, got shape {list(shape)}",
                user_location(),
            )
        for axis, (size, got) in enumerate(zip(declared, shape, strict=True)):
            label = f"axis {axis} of {tensor.name!r}"
            if isinstance(size, int):
                if size != got:
                    raise FeedError(
                        f"feed_dict: {tensor.name!r} is {tensor.type}: {label} must be "
                        f"{size}, got {got}",
                        user_location(),
                    )
            elif str(size).isidentifier() and str(size) not in sizes:
                sizes[str(size)], where[str(size)] = got, label
            else:
                formulas.append((label, size, got))
    _solve(sizes, where, formulas)
    _check_sizes(unified, sizes, where, formulas)
    return sizes


def _solve(sizes: dict[str, int], where: dict[str, str], formulas: Formulas) -> None:
    """Solves formulas for their only unknown symbol: from `2*n` = 6 follows n = 3."""
    for label, size, got in formulas:
        unknown = dim.symbols(size) - sizes.keys()
        if len(unknown) != 1 or not dim.is_linear(size, unknown):
            continue
        (name,) = unknown
        factor = dim.evaluate(dim.coefficient(size, name), sizes)
        remainder = got - dim.evaluate(dim.substitute(size, {name: 0}), sizes)
        if factor == 0 or remainder % factor or remainder // factor < 0:
            raise FeedError(
                f"feed_dict: {label} is {got}, which is not {size} for any {name}", user_location()
            )
        sizes[name], where[name] = remainder // factor, label


def _check_sizes(
    unified: Unified, sizes: dict[str, int], where: dict[str, str], formulas: Formulas
) -> None:
    missing = {
        s for v in unified.graph.inputs for size in v.type.shape for s in dim.symbols(size)
    } - sizes.keys()
    if missing:
        raise FeedError(
            f"feed_dict: nothing that is fed tells the size {min(missing)}", user_location()
        )
    for label, size, got in formulas:
        wanted = dim.evaluate(size, sizes)
        if wanted != got:
            first = where.get(str(size), "other feeds")
            raise FeedError(
                f"feed_dict: {label} is {got}, but {size} is {wanted} by {first}; "
                "the graph needs them equal",
                user_location(),
            )
    for check in unified.checks:
        if check.elsewhere and check.requirement.symbols() - sizes.keys():
            continue
        if not check.requirement.holds_for(sizes):
            name = f"{check.origin.op}: " if not check.requirement.reason else ""
            raise FeedError(
                f"feed_dict: {name}{check.requirement.failure(sizes)}",
                check.loc or user_location(),
            )
