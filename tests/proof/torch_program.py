"""Random programs of pairs: inputs, calls one after another, results.

An `Engine` runs each call while the program is built, so that its shape and values are known and no
call overflows.  What an engine cannot run is drawn anew.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from proof.torch_pairs import (
    FLOATS,
    OTHER_N,
    SYMBOLIC,
    Call,
    Input,
    N,
    Pair,
    Supply,
    UnfitError,
    Var,
)

LARGEST = 1e3  # absolute value of a result that others may use
ELEMENTS = 500
TRIES = 40
GRID = np.array([-2.0, -1.0, -0.5, 0.0, 0.0, 0.5, 1.0, 2.0])  # where kinks and ties are
FAR = np.array(
    [-700.0, -90.0, -30.0, -8.0, 0.0, 8.0, 30.0, 90.0, 700.0]
)  # where functions saturate


@dataclass(frozen=True)
class Step:
    """A named call."""

    name: str
    call: Call
    pair: Pair


@dataclass(frozen=True)
class Program:
    """Inputs, steps, and the names of results; `sizes` are the values of n that are tried."""

    seed: int
    floating: str
    sizes: tuple[int, ...]
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]

    def declared(self, made: Input) -> list[Any]:
        """The shape of an input's placeholder."""
        symbolic = bool(self.sizes) and made.value is None
        return ["n" if symbolic and s == N else s for s in made.shape]

    def arrays(self, n: int) -> dict[str, Any]:
        """What the inputs are fed where n has this value."""
        return {i.name: filled(i, n, self.seed) for i in self.inputs}

    def pruned(self) -> Program:
        """The program without what its outputs do not need."""
        needed, steps = set(self.outputs), []
        for step in reversed(self.steps):
            if step.name in needed:
                steps.append(step)
                needed |= names(step.call.graphc) | names(step.call.torch)
        inputs = tuple(i for i in self.inputs if i.name in needed)
        return replace(self, inputs=inputs, steps=tuple(reversed(steps)))


class Engine(Protocol):
    """Runs one of the two texts of calls at once; `refusals` are what it raises if it cannot."""

    refusals: tuple[type[Exception], ...]

    def bind(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The tensors of arrays."""

    def call(self, call: Call, known: Mapping[str, Any]) -> Any:
        """The value of a call, or an exception if it has none."""

    def array(self, value: Any) -> Any:
        """A value as an array."""


def names(text: str) -> set[str]:
    """The names of tensors in a text."""
    return set(re.findall(r"\b[xv]\d+\b", text))


def filled(made: Input, n: int, seed: int) -> Any:
    """The array of an input."""
    if made.value is not None:
        return made.value
    shape = tuple(n if s == N else s for s in made.shape)
    rng = np.random.default_rng([seed, zlib.crc32(made.name.encode())])
    if made.dtype == "bool":
        return rng.random(shape) < 0.5
    if made.dtype not in FLOATS:
        return rng.integers(int(made.low), int(made.high) + 1, shape).astype(made.dtype)
    values = rng.uniform(made.low, made.high, shape)
    if made.style != "uniform":
        near = GRID if made.style == "ties" else FAR
        given = near[(near >= made.low) & (near <= made.high)]
        values = rng.choice(given, shape) if len(given) else values
    return values.astype(made.dtype)


def described(name: str, array: Any) -> Var:
    """What is known of a value."""
    numbers = array.astype(np.float64) if array.size else np.zeros(1)
    return Var(name, array.shape, array.dtype.name, float(numbers.min()), float(numbers.max()))


@dataclass
class Builder:
    """Adds calls that an engine can run to a program."""

    supply: Supply
    engine: Engine
    seed: int

    def __post_init__(self) -> None:
        self.known: dict[int, dict[str, Any]] = {n: {} for n in self.values_of_n()}
        self.steps: list[Step] = []

    def values_of_n(self) -> tuple[int, ...]:
        return (N, OTHER_N) if self.supply.symbolic else (N,)

    def add(self, pair: Pair, large: bool = False) -> bool:
        """Adds a call of a pair; whether one was found."""
        supply, before = self.supply, len(self.supply.inputs)
        name, bound = f"v{len(self.steps)}", {}
        try:
            call = pair.draw(supply)
            for n, known in self.known.items():
                arrays = {i.name: filled(i, n, self.seed) for i in supply.inputs[before:]}
                bound[n] = {**known, **self.engine.bind(arrays)}
                bound[n][name] = self.engine.call(call, bound[n])
        except (UnfitError, *self.engine.refusals):
            bound = {}
        made = [self.engine.array(known[name]) for known in bound.values()]
        if not made or not self.named(made) or not (large or self.fits(made[0])):
            del supply.inputs[before:]
            return False
        self.known = bound
        self.steps.append(Step(name, call, pair))
        for new in (*(i.name for i in supply.inputs[before:]), name):
            supply.pool.append(described(new, self.engine.array(bound[N][new])))
        return True

    def named(self, made: Sequence[Any]) -> bool:
        """Whether sizes that depend on n are so large that they are not written as numbers."""
        array, other = made[0], made[-1]
        return array.ndim == other.ndim and all(
            a == b or a >= SYMBOLIC for a, b in zip(array.shape, other.shape, strict=True)
        )

    def fits(self, array: Any) -> bool:
        """Whether other calls may use a value."""
        kind = array.dtype.name
        floats = kind in FLOATS
        if floats and kind != self.supply.floating:
            return False
        finite = not floats or bool(np.all(np.abs(array) <= LARGEST))
        return array.size <= ELEMENTS and array.ndim <= 4 and finite


def build(
    seed: int,
    pairs: Sequence[Pair],
    engine: Engine,
    floating: str,
    sizes: Iterable[int] = (),
    calls: int = 0,
) -> Program:
    """A random program of 5 to 20 calls."""
    rng = np.random.default_rng([seed, 20])
    sizes = tuple(sizes)
    supply = Supply(rng, floating, symbolic=bool(sizes))
    builder = Builder(supply, engine, seed)
    wanted = calls or int(rng.integers(5, 21))
    for _ in range(wanted * TRIES):
        if len(builder.steps) == wanted:
            break
        builder.add(pairs[int(rng.integers(len(pairs)))])
    used = {n for s in builder.steps for n in names(s.call.graphc)}
    outputs = tuple(s.name for s in builder.steps if s.name not in used)
    steps = tuple(builder.steps)
    return Program(seed, floating, sizes, tuple(supply.inputs), steps, outputs).pruned()


def alone(
    seed: int, pair: Pair, engine: Engine, floating: str, style: str, sizes: Iterable[int] = ()
) -> Program | None:
    """A program of one call, of new inputs; None if there is none of the kind."""
    sizes = tuple(sizes)
    for attempt in range(TRIES):
        rng = np.random.default_rng([seed, attempt])
        builder = Builder(Supply(rng, floating, style, bool(sizes)), engine, seed)
        builder.supply.fresh = 1.0
        if builder.add(pair, large=True):
            inputs = tuple(builder.supply.inputs)
            steps = tuple(builder.steps)
            return Program(seed, floating, sizes, inputs, steps, ("v0",)).pruned()
    return None
