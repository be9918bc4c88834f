"""Arguments of functions of sliding windows: one value for each spatial axis."""

from __future__ import annotations

from typing import Any

from graphc.errors import DTypeError, ShapeError, user_location
from graphc.frontend.arguments import integer, tensor
from graphc.frontend.tensor import Tensor
from graphc.functions.shaping import reshape
from graphc.ir.dim import Dim, Size


def images(what: str, x: Any, axes: int, numbers: bool = False) -> tuple[Tensor, bool]:
    """A tensor of floats (or of any numbers) [n, c, *spatial], and whether the batch was missing.

    Raises `DTypeError` and `ShapeError`.
    """
    t = tensor(what, x)
    if not (t.dtype.is_float or (numbers and t.dtype.kind != "bool")):
        raise DTypeError(f"{what}: input {t.type} holds no floats; use gc.astype", user_location())
    if t.ndim not in (axes + 1, axes + 2):
        raise ShapeError(
            f"{what}: input {t.type} has rank {t.ndim}; expected {axes + 2}, [n, c, and {axes} "
            f"spatial sizes], or {axes + 1} without n",
            user_location(),
        )
    if t.ndim == axes + 2:
        return t, False
    return reshape(t, (1, *t.shape)), True


def unbatched(x: Tensor, missing: bool) -> Tensor:
    """The result for an input that had no batch."""
    return reshape(x, x.shape[1:]) if missing else x


def per_axis(what: str, argument: str, value: Any, axes: int, least: int = 0) -> tuple[int, ...]:
    """An int for each spatial axis, from one int or a sequence.  Raises `ShapeError`."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    numbers = [integer(what, argument, v) for v in given]
    if len(numbers) == 1:
        numbers = numbers * axes
    if len(numbers) != axes:
        raise ShapeError(
            f"{what}: {argument} {value} has {len(numbers)} values; expected one, or "
            f"one for each of {axes} axes",
            user_location(),
        )
    if min(numbers) < least:
        raise ShapeError(
            f"{what}: {argument} is {value}; expected at least {least}", user_location()
        )
    if max(numbers) >= 1 << 31:
        raise ShapeError(f"{what}: {argument} is {value}, too large", user_location())
    return tuple(numbers)


def sizes_per_axis(what: str, argument: str, value: Any, axes: int) -> tuple[Size, ...]:
    """A size above 0, perhaps symbolic, for each spatial axis.  Raises `ShapeError`."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    if len(given) == 1:
        given = given * axes
    if len(given) != axes:
        raise ShapeError(
            f"{what}: {argument} {value} has {len(given)} sizes; expected {axes}", user_location()
        )
    return tuple(
        v if isinstance(v, Dim) else per_axis(what, argument, v, 1, least=1)[0] for v in given
    )
