"""Functions of one natural number that are straight between some places: the normal form of sizes
that are made of `min` and `max`.

    f(p) = constant + slope * p + the sum of weight * min(place, p)        for p = 0, 1, 2, ...

Each function has one such form, with the fewest places, so that a slice of a slice of a slice is no
longer than one slice: `n - min(1, n)` less its first is `n - min(2, n)`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Piecewise:
    """A function; `weights` are by place, from 1 on."""

    constant: int
    slope: int = 0
    weights: Mapping[int, int] = field(default_factory=dict)

    def __call__(self, p: int) -> int:
        return self.constant + self.slope * p + sum(w * min(b, p) for b, w in self.weights.items())


def choose(f: Piecewise, g: Piecewise, choice: Callable[[int, int], int]) -> Piecewise:
    """`choice(f(p), g(p))` for each p, where the choice is `min` or `max`."""
    places, met = sorted({0, *f.weights, *g.weights}), list[int]()
    for left, right in itertools.zip_longest(places, places[1:]):
        gap = f(left) - g(left)
        step = f(left + 1) - g(left + 1) - gap
        if gap * step < 0:  # they meet, between two numbers or at one
            meeting = left + abs(gap) // abs(step)
            met += [p for p in (meeting, meeting + 1) if right is None or p < right]
    places = sorted({*places, *met})
    values = [choice(f(p), g(p)) for p in (*places, places[-1] + 1)]
    ends = (*places, places[-1] + 1)
    slopes = [
        (v - u) // (q - p)
        for (p, q), (u, v) in zip(itertools.pairwise(ends), itertools.pairwise(values), strict=True)
    ]
    turns = zip(places[1:], itertools.pairwise(slopes), strict=True)
    weights = {p: before - after for p, (before, after) in turns if before != after}
    return Piecewise(values[0], slopes[-1], weights)
