"""Checks the arguments of optimizers and schedules; a number out of range raises a typed error."""

from __future__ import annotations

import bisect
import math
from numbers import Real
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.boundary import short


def number(
    what: str,
    argument: str,
    value: Any,
    low: float = 0.0,
    high: float = math.inf,
    strict: bool = False,
) -> float:
    """A float in [low, high]; with `strict`, in [low, high).  Raises `GraphError`."""
    inside = _is_number(value) and low <= value <= high and not (strict and value == high)
    if not inside:
        end = ")" if strict else "]"
        wanted = f"in [{low:g}, {high:g}{end}" if high < math.inf else f"of at least {low:g}"
        raise GraphError(
            f"{what}: {argument} is {short(value)}; expected a number {wanted}", user_location()
        )
    return float(value)


def finite(what: str, argument: str, value: Any) -> float:
    """A float that is neither infinite nor NaN.  Raises `GraphError`."""
    if not _is_number(value) or not math.isfinite(value):
        raise GraphError(
            f"{what}: {argument} is {short(value)}; expected a finite number", user_location()
        )
    return float(value)


def _is_number(value: Any) -> bool:
    """A real number that a float can hold, but no truth value."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return not isinstance(value, int) or abs(value) < 1 << 1023


def whole(what: str, argument: str, value: Any, least: int = 1) -> int:
    """An int of at least `least`.  Raises `GraphError`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise GraphError(f"{what}: {argument} is {short(value)}; expected an int", user_location())
    if int(value) < least:
        raise GraphError(
            f"{what}: {argument} is {short(value)}; expected an int of at least {least}",
            user_location(),
        )
    return int(value)


def flag(what: str, argument: str, value: Any) -> bool:
    """True or False.  Raises `GraphError`."""
    if not isinstance(value, bool):
        raise GraphError(
            f"{what}: {argument} is {short(value)}; expected True or False", user_location()
        )
    return value


def pair(what: str, argument: str, value: Any) -> tuple[float, float]:
    """Two numbers in [0, 1): the decays of two moving means.  Raises `GraphError`."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise GraphError(
            f"{what}: {argument} is {short(value)}; expected two numbers in [0, 1)", user_location()
        )
    first, second = (
        number(what, f"{argument}[{i}]", b, 0.0, 1.0, strict=True) for i, b in enumerate(value)
    )
    return first, second


def rising_steps(what: str, given: Any) -> tuple[int, ...]:
    """Rising steps.  Raises `GraphError`."""
    if not isinstance(given, list | tuple):
        raise GraphError(
            f"{what}: milestones is {short(given)}; expected a list of steps", user_location()
        )
    milestones = tuple(whole(what, "milestones", m, 0) for m in given)
    if any(bisect.bisect(milestones[:i], m) != i for i, m in enumerate(milestones)):
        raise GraphError(f"{what}: milestones {short(given)} do not rise", user_location())
    return milestones
