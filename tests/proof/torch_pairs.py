"""A pair: one function as an expression of graphc and as one of PyTorch.

An expression is text over names of tensors, so a program of pairs can be printed and run by
anybody.  In both texts `F` is the library's `nn.functional`; what both libraries spell alike is
written once.  A size of `SYMBOLIC` or more is never written as a number: it may be n, which graphc
does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SYMBOLIC = 10  # from this size on
N = 11  # what n is while a program is built; no other size of a symbolic program is
OTHER_N = 14  # built for this n beside it, to see which sizes depend on n
FLOATS = ("float64", "float32")


class UnfitError(Exception):
    """The supply has no operand for a call."""


@dataclass(frozen=True)
class Var:
    """A tensor of a program: how it is written, and what is known of it."""

    text: str
    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float

    def __str__(self) -> str:
        return self.text

    @property
    def rank(self) -> int:
        return len(self.shape)

    def size(self, axis: int) -> str:
        """The size of an axis, as it is written."""
        n = self.shape[axis]
        return str(n) if n < SYMBOLIC else f"{self.text}.shape[{axis}]"


@dataclass(frozen=True, eq=False)
class Input:
    """What a program is fed: uniform between `low` and `high`, or of a style; or `value`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float
    style: str = "uniform"
    value: Any = None  # an array that the shrinker wrote in


@dataclass(frozen=True)
class Call:
    """One call: its text for graphc and for PyTorch."""

    graphc: str
    torch: str


Draw = Callable[["Supply"], Call]


@dataclass(frozen=True)
class Pair:
    """A function that both libraries have; `draw` makes a call of it.

    `kinks` says why its gradients at ties are not compared, with the section of docs/semantics.md,
    `bends` why its second gradients there are not; `first` why there are no second derivatives to
    compare; `known` that it needs known sizes.
    """

    name: str
    draw: Draw
    kinks: str = ""
    bends: str = ""
    first: str = ""
    known: str = ""


class Supply:
    """The operands of calls: those that a program has, and new inputs."""

    def __init__(
        self,
        rng: np.random.Generator,
        floating: str,
        style: str = "uniform",
        symbolic: bool = False,
    ) -> None:
        self.rng, self.floating, self.style, self.symbolic = rng, floating, style, symbolic
        self.pool: list[Var] = []
        self.inputs: list[Input] = []
        self.fresh = 0.3  # how often a new input is made though there is an operand

    # ---- choices

    def flip(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def number(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def axis(self, x: Var, least: int = 0) -> int:
        """An axis of x that has at least so many elements, from the start or from the end."""
        fitting = [k for k, n in enumerate(x.shape) if n >= least]
        if not fitting:
            raise UnfitError
        k = fitting[self.number(0, len(fitting) - 1)]
        return k - x.rank if self.flip(0.3) else k

    def axes(self, x: Var) -> list[int]:
        """One or more axes of x."""
        if not x.rank:
            raise UnfitError
        count = self.number(1, x.rank)
        return sorted(int(k) for k in self.rng.choice(x.rank, count, replace=False))

    def shape(self, rank: int | None = None, least: int = 0, most: int = 400) -> tuple[int, ...]:
        """The shape of a new input: 0, 1, primes, powers of two and their neighbours."""
        rank = int(self.rng.choice([0, 1, 2, 2, 3, 3, 4])) if rank is None else rank
        sizes = [1, 2, 3, 3, 4, 5, 5, 7, 8, 9]
        sizes += [] if self.symbolic else [13, 16, 17]
        if least == 0 and self.flip(0.06):
            sizes = [0, 1, 2]
        found = [int(self.rng.choice([s for s in sizes if s >= least])) for _ in range(rank)]
        if self.symbolic and rank and self.flip(0.8):
            found[self.number(0, rank - 1)] = N
        while np.prod(found, dtype=int) > most:
            found[int(np.argmax(found))] = max(least, 2)
        return tuple(found)

    # ---- operands

    def floats(
        self,
        shape: Sequence[int] | None = None,
        rank: int | None = None,
        low: float | None = None,
        high: float | None = None,
        least: int = 0,
        ranks: Sequence[int] = (),
    ) -> Var:
        """A float operand within bounds, whose axes have at least so many elements."""
        bounds = (-np.inf if low is None else low, np.inf if high is None else high)

        def fits(v: Var) -> bool:
            return (
                v.dtype == self.floating
                and (shape is None or v.shape == tuple(shape))
                and (rank is None or v.rank == rank)
                and (not ranks or v.rank in ranks)
                and all(n >= least for n in v.shape)
            )

        likely = [v for v in self.pool if fits(v)]
        if likely and not self.flip(self.fresh):
            v = likely[-1 - min(int(self.rng.exponential(2.5)), len(likely) - 1)]
            return v if v.low >= bounds[0] and v.high <= bounds[1] else squeezed(v, low, high)
        if ranks and rank is None:
            rank = int(self.rng.choice(list(ranks)))
        made = self.shape(rank, least) if shape is None else tuple(shape)
        if self.style == "uniform" or low is not None or high is not None:
            return self.new(self.floating, made, *inner(low, high))
        return self.new(self.floating, made, -2, 2)

    def ints(
        self,
        low: int,
        high: int,
        shape: Sequence[int] | None = None,
        rank: int | None = None,
        dtype: str = "int64",
    ) -> Var:
        """An integer operand from low to high, both included."""
        likely = [
            v
            for v in self.pool
            if v.dtype == dtype
            and (shape is None or v.shape == tuple(shape))
            and (rank is None or v.rank == rank)
            and (low <= v.low and v.high <= high)
        ]
        if likely and not self.flip(self.fresh):
            return likely[self.number(0, len(likely) - 1)]
        made = self.shape(rank, most=60) if shape is None else tuple(shape)
        return self.new(dtype, made, low, high)

    def bools(self, shape: Sequence[int] | None = None) -> Var:
        """An operand of truths: an input, or the comparison of a tensor of the program."""
        shaped = [v for v in self.pool if shape is None or v.shape == tuple(shape)]
        truths = [v for v in shaped if v.dtype == "bool"]
        floats = [v for v in shaped if v.dtype == self.floating]
        if truths and self.flip():
            return truths[self.number(0, len(truths) - 1)]
        if floats and not self.flip(self.fresh):
            v = floats[self.number(0, len(floats) - 1)]
            return Var(f"({v} > 0.1)", v.shape, "bool", 0, 1)
        return self.new("bool", self.shape() if shape is None else tuple(shape), 0, 1)

    def like(self, x: Var, low: float | None = None, high: float | None = None) -> Var:
        """A float operand that broadcasts with x."""
        if self.flip(0.5):
            return self.floats(x.shape, low=low, high=high)
        shape = [1 if self.flip(0.3) else n for n in x.shape]
        return self.floats(shape[self.number(0, x.rank) :], low=low, high=high)

    def new(self, dtype: str, shape: Sequence[int], low: float, high: float) -> Var:
        """A new input."""
        if any(n >= SYMBOLIC and n != N for n in shape) and self.symbolic:
            raise UnfitError  # a size that has no name
        style = self.style if dtype in FLOATS else "uniform"
        made = Input(f"x{len(self.inputs)}", dtype, tuple(shape), low, high, style)
        self.inputs.append(made)
        return Var(made.name, made.shape, dtype, low, high)


def inner(low: float | None, high: float | None) -> tuple[float, float]:
    """Bounds for a new input, a little inside those that are given."""
    if low is None and high is None:
        return -2.0, 2.0
    if high is None:
        assert low is not None
        return low, low + 3.0
    return (high - 3.0 if low is None else low), high


def squeezed(v: Var, low: float | None, high: float | None) -> Var:
    """v brought within bounds, by arithmetic that both libraries spell alike."""
    small = f"1 / (1 + {v} * {v})"
    if low is None:
        text, bounds = f"({high} - {v} * {v})", (-np.inf, high)
    elif high is None:
        text, bounds = f"({low} + {v} * {v})", (low, np.inf)
    else:
        text, bounds = f"({low} + {high - low} * ({small}))", (low, high)
    return Var(text, v.shape, v.dtype, float(bounds[0] or 0), float(bounds[1] or 0))


class Table:
    """The pairs of a family."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []

    def add(self, name: str, draw: Draw, **said: str) -> None:
        self.pairs.append(Pair(name, draw, **said))

    def __call__(self, **said: str) -> Callable[[Draw], Draw]:
        """Adds the function below under its name."""

        def note(draw: Draw) -> Draw:
            self.add(draw.__name__, draw, **said)
            return draw

        return note


def same(text: str) -> Call:
    """A call that both libraries spell alike."""
    return Call(text, text)


def either(text: str) -> Call:
    """A call that differs by the name of the module: `lib.exp(x)`."""
    return Call(text.replace("lib.", "gc."), text.replace("lib.", "torch."))
