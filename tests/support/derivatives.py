"""First and second derivatives at single points, by the oracle; that compiled gradients are those
of the oracle, ties included, is the promise of a row of the proof (proof/gradients.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from support.oracle import run

import graphc as gc

Case = tuple[Callable[[Any], Any], Any, Any, Any]  # function, x, first and second derivative


def derivatives(function: Callable[[Any], Any], x: Any) -> list[Any]:
    """The first derivative of the sum of function(x), and that of the sum of the first."""
    a = np.asarray(x, np.float64)
    t = gc.placeholder(gc.float64, a.shape)
    (first,) = gc.gradients(function(t), [t])
    (second,) = gc.gradients(first, [t], allow_unused=True)
    second = gc.zeros(a.shape, gc.float64) if second is None else second
    return list(run([first, second], {t: a}))


def assert_stated(case: Case, found: list[Any]) -> None:
    """The derivatives are those of the case."""
    _, _, *expected = case
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
