"""Arguments of `graphc.linalg`: matrices of f32 or f64, and batches that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import DTypeError, ShapeError, user_location
from graphc.frontend.arguments import require_equal, same_type, tensor
from graphc.frontend.broadcasting import broadcast_shapes
from graphc.frontend.tensor import Tensor, broadcast_to
from graphc.functions.shaping import moveaxis, reshape
from graphc.ir import dim
from graphc.ir.types import f32, f64


def matrix(what: str, argument: str, x: Any) -> Tensor:
    """A tensor of rank 2 or more of type f32 or f64.  Raises `ShapeError`, `DTypeError`."""
    t = tensor(f"linalg.{what}", x)
    if t.ndim < 2:
        raise ShapeError(
            f"linalg.{what}: {argument} is {t.type}, no matrix; expected rank 2 or more",
            user_location(),
        )
    precise(what, argument, t)
    return t


def precise(what: str, argument: str, t: Tensor) -> None:
    """Raises `DTypeError` for a tensor that is neither f32 nor f64."""
    if t.dtype not in (f32, f64):
        raise DTypeError(
            f"linalg.{what}: {argument} is {t.type}; expected element type f32 or f64. "
            "Use gc.astype to convert it",
            user_location(),
        )


def square(what: str, argument: str, x: Any) -> Tensor:
    """Square matrices."""
    t = matrix(what, argument, x)
    require_equal(
        f"linalg.{what}",
        t.shape[-2],
        t.shape[-1],
        f"of {argument}, which is {t.type} and must be square",
    )
    return t


Restore = Callable[[Tensor], Tensor]


def system(what: str, a: Any, b: Any) -> tuple[Tensor, Tensor, Restore]:
    """Square matrices and right-hand sides of one batch, and what brings a solution into the shape
    that the user expects."""
    left = square(what, "a", a)
    right = tensor(f"linalg.{what}", b)
    precise(what, "b", right)
    left, right = same_type(f"linalg.{what}", left, right)
    if right.ndim == 0:
        raise ShapeError(
            f"linalg.{what}: b is {right.type}; expected a vector or matrices", user_location()
        )
    vector = right.ndim == 1
    right = reshape(right, (*right.shape, 1)) if vector else right
    require_equal(
        f"linalg.{what}",
        left.shape[-1],
        right.shape[-2],
        f"of a, which is {left.type}, and b, which is {right.type}, along its axis of rows",
    )
    if vector:
        return *_batched(what, left, right), lambda x: reshape(x, x.shape[:-1])
    if left.ndim == 2 and right.ndim > 2:  # one matrix for all: its factors too
        rows = moveaxis(right, -2, 0)
        flat = reshape(rows, (rows.shape[0], dim.product(rows.shape[1:])))
        return left, flat, lambda x: moveaxis(reshape(x, rows.shape), 0, -2)
    return *_batched(what, left, right), lambda x: x


def _batched(what: str, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    batch = broadcast_shapes(f"linalg.{what}", [left.shape[:-2], right.shape[:-2]])
    left = broadcast_to(left, (*batch, *left.shape[-2:]))
    return left, broadcast_to(right, (*batch, *right.shape[-2:]))
