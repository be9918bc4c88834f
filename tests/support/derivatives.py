"""First and second derivatives at single points, interpreted and compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from support.oracle import run

import graphc as gc

Case = tuple[Callable[[Any], Any], Any, Any, Any]  # function, x, first and second derivative


def derivatives(function: Callable[[Any], Any], x: Any) -> list[Any]:
    """The first derivative of the sum of function(x), and that of the sum of the first."""
    t, first, second = differentiated(function, np.shape(x))
    return list(run([first, second], {t: np.asarray(x, np.float64)}))


def differentiated(function: Callable[[Any], Any], shape: Any) -> tuple[Any, Any, Any]:
    """A placeholder, and the tensors of the two derivatives."""
    t = gc.placeholder(gc.float64, shape)
    (first,) = gc.gradients(function(t), [t])
    (second,) = gc.gradients(first, [t], allow_unused=True)
    return t, first, gc.zeros(shape, gc.float64) if second is None else second


def compiled_together(cases: Mapping[str, Case]) -> dict[str, list[Any]]:
    """The derivatives of all cases by one compiled program: one compilation for a table."""
    with gc.Graph().as_default(), gc.Session() as session:
        made = {n: differentiated(f, np.shape(x)) for n, (f, x, *_) in cases.items()}
        feeds = {made[n][0]: np.asarray(case[1], np.float64) for n, case in cases.items()}
        return session.run({n: list(d) for n, (_, *d) in made.items()}, feeds)


def assert_stated(case: Case, found: list[Any]) -> None:
    """The derivatives are those of the case."""
    _, _, *expected = case
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
