"""The material of random graphs: choices, sizes, and values of wanted types, found or new."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from graphc.ir import dim
from graphc.ir.dim import Size, symbol
from graphc.ir.graph import Value, full, make
from graphc.ir.op import Op
from graphc.ir.ops.pointwise import Cast
from graphc.ir.ops.reduction import (
    Broadcast,
)
from graphc.ir.ops.state import Placeholder, RunCounter, Variable
from graphc.ir.types import (
    INTS,
    DType,
    TensorType,
    bf16,
    bool_,
    f16,
    f32,
    f64,
    i32,
    i64,
    u8,
)
from graphc.testing.samples import special_values

Rng = np.random.Generator
T = TypeVar("T")
FIXED_SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33)
SIZES_OF_N = (0, 1, 2, 7, 16, 33)
MAX_ELEMENTS = 3000
LITERALS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -3.0, 7.0, float("inf"), float("nan"))

N, M = symbol("n"), symbol("m")  # two names for one size, as users have them


class ValuePool:
    """The values of a random graph so far, and a random source of more."""

    def __init__(self, seed: int, nodes: int, exact: bool, symbolic: bool, square: bool) -> None:
        self.rng: Rng = np.random.default_rng([seed, 77])
        self.nodes, self.exact = nodes, exact
        self.names = itertools.count()
        self.inputs: list[Value] = []
        self.pool: list[Value] = []
        self.symbolic = symbolic
        self.ops: Sequence[type[Op]] = ()  # the user's ops
        self.counter: Value | None = None
        ranks = self.rng.choice([1, 2, 2, 3, 3], 2)
        self.shapes = [self.random_shape(int(r)) for r in ranks]
        common = [f32, f32, f64, i32, i64, bool_]
        rare = [f16, bf16, u8, *INTS]
        self.dtypes = [self.pick(common), self.pick(common), self.pick(rare)]
        self.square = square
        if square:  # many values of one type and many kernels exercise the memory planner
            k = N if symbolic else int(self.pick([2, 3, 5, 8, 17]))
            self.shapes = [(k, k), (k, k), (k,)]
            self.dtypes = [self.pick([i32, i64] if exact else [f32, f32, f64])] * 3

    # -- choices

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def random_size(self) -> Size:
        if self.symbolic and self.chance(0.35):
            return self.pick([N, N, N, N + 1, 2 * N])
        return int(self.pick(FIXED_SIZES[1:] if self.chance(0.9) else FIXED_SIZES))

    def random_shape(self, rank: int) -> tuple[Size, ...]:
        shape = tuple(self.random_size() for _ in range(rank))
        if self.chance(0.25):
            shape = shape[:1] * rank
        while count(shape) > MAX_ELEMENTS:
            shape = tuple(s if self.chance(0.5) else 2 for s in shape)
        return shape

    def name(self) -> str:
        return f"v{next(self.names)}" if self.chance(0.6) else ""

    def keep(self, v: Value) -> Value:
        """The value, put in the pool unless it is too large."""
        if count(v.type.shape) <= 2 * MAX_ELEMENTS:
            self.pool.append(v)
        return v

    def value(self, accept: Callable[[Value], bool] = lambda v: True) -> Value | None:
        """A value of the pool; late ones more often."""
        accepted = [v for v in self.pool if accept(v)]
        if not accepted:
            return None
        at = len(accepted) - 1 - int(len(accepted) * self.rng.random() ** 2)
        return accepted[max(at, 0)]

    def any_value(self) -> Value:
        return self.value() or self.input(
            TensorType(self.pick(self.dtypes), self.pick(self.shapes))
        )

    def of_dtype(self, dtypes: Sequence[DType]) -> Value:
        """A value with one of these element types: found, cast or new."""
        value = self.value(lambda v: v.type.dtype in dtypes)
        if value is not None and self.chance(0.85):
            return value
        wanted = [d for d in self.dtypes if d in dtypes] or list(dtypes)
        base = self.any_value()
        if self.chance(0.5):
            return self.keep(make(Cast(self.pick(wanted)), (base,), self.name()))
        return self.input(TensorType(self.pick(wanted), self.pick(self.shapes)))

    # -- leaves

    def input(self, t: TensorType, twin: bool = True) -> Value:
        fixed = not any(dim.symbols(s) for s in t.shape)
        kind = Variable if fixed and self.chance(0.5 if self.square else 0.25) else Placeholder
        v = make(kind(t.dtype, t.shape), (), f"in{len(self.inputs)}")
        self.inputs.append(v)
        if kind is Variable and twin and self.chance(0.4):
            self.input(t, twin=False)
        return self.keep(v)

    def literal(self, t: TensorType) -> Value:
        value = self.pick(LITERALS) if self.chance(0.8) else float(self.rng.integers(-9, 9)) / 4
        if not t.dtype.is_float:
            value = 1.0 if value != value or abs(value) > 100 else value
            value = abs(value) if t.dtype.kind == "uint" else value
        return full(value, t)

    def run_counter(self) -> Value:
        if self.counter is None:
            self.counter = make(RunCounter(), (), "counter")
            self.inputs.append(self.counter)
        return self.counter

    def like(self, t: TensorType) -> Value:
        """A value of exactly this type."""
        roll = self.rng.random()
        if roll < 0.45:
            value = self.value(lambda v: v.type == t)
            if value is not None:
                return value
        if roll < 0.6:
            return self.literal(t)
        if roll < 0.75:
            value = self.value(lambda v: v.type.shape == t.shape and v.type.dtype != t.dtype)
            if value is not None:
                return self.keep(make(Cast(t.dtype), (value,), self.name()))
        if roll < 0.9 and t.rank:
            axes = tuple(a for a in range(t.rank) if self.chance(0.5))
            small = TensorType(t.dtype, tuple(t.shape[a] for a in axes))
            if small != t:
                value = self.value(lambda v: v.type == small) or self.input(small)
                return self.keep(make(Broadcast(axes, t.shape), (value,), self.name()))
        return self.input(t)


def count(shape: Sequence[Size]) -> int:
    """Elements at the largest n."""
    return dim.evaluate(dim.product(tuple(shape)), sizes_of(SIZES_OF_N[-1]))


def sizes_of(n: int) -> dict[str, int]:
    """The numbers that the names of sizes stand for."""
    return {"n": n, "m": n}


def draw(rng: Rng, t: TensorType, sizes: dict[str, int], special: bool) -> Any:
    """An array: moderate numbers, or special values."""
    shape = tuple(dim.evaluate(s, sizes) for s in t.shape)
    if special:
        return rng.choice(special_values(t.dtype), shape)
    if t.dtype == bool_:
        return rng.integers(0, 2, shape).astype(bool)
    if t.dtype.is_integer:
        return rng.integers(0 if t.dtype.kind == "uint" else -9, 10, shape).astype(t.dtype.numpy)
    return (rng.normal(0, 2, shape) if rng.random() < 0.7 else rng.integers(-4, 5, shape)).astype(
        t.dtype.numpy
    )
