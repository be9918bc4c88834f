"""Initial values of variables: `gc.variable(gc.init.xavier_uniform((784, 10)))`.

Fans follow PyTorch: a weight is [out, in, *kernel], its fan-in is `in` times the kernel's size and
its fan-out is `out` times it.  For a matrix laid out [in, out], say `mode="fan_out"`.
Raises `ShapeError` where a fan is asked of fewer than two axes.
"""

from __future__ import annotations

import math
from typing import Any

from graphc import random
from graphc.door import guard
from graphc.errors import GraphError, ShapeError, user_location
from graphc.functions import creation
from graphc.functions.common import integer
from graphc.ir.types import f32
from graphc.tensor import Tensor

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def zeros(shape: Any, dtype: Any = f32) -> Tensor:
    """Zeros."""
    return creation.zeros(shape, dtype)


def ones(shape: Any, dtype: Any = f32) -> Tensor:
    """Ones."""
    return creation.ones(shape, dtype)


def constant(shape: Any, value: float, dtype: Any = f32) -> Tensor:
    """One number."""
    return creation.full(shape, value, dtype)


def uniform(shape: Any, a: float = 0.0, b: float = 1.0, dtype: Any = f32,
            seed: int | None = None) -> Tensor:
    """Uniform over [a, b)."""
    return random.uniform(shape, a, b, dtype, seed, "init")


def normal(shape: Any, mean: float = 0.0, std: float = 1.0, dtype: Any = f32,
           seed: int | None = None) -> Tensor:
    """Normally distributed."""
    return random.normal(shape, mean, std, dtype, seed, "init")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What a nonlinearity's weights are scaled by (PyTorch's table)."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope * slope))
    if nonlinearity not in GAINS:
        names = ", ".join([*GAINS, "leaky_relu"])
        raise GraphError(
            f"init: nonlinearity {nonlinearity!r} is unknown; expected one of {names}",
            user_location(),
        )
    return GAINS[nonlinearity]


def fans(shape: Any) -> tuple[int, int]:
    """(fan-in, fan-out) of a weight's shape."""
    sizes = [integer("init", "shape", s) for s in shape] if hasattr(shape, "__iter__") else [shape]
    if len(sizes) < 2:
        raise ShapeError(f"init: shape {shape} has no fans; expected two axes or more",
                         user_location())
    kernel = math.prod(sizes[2:])
    return sizes[1] * kernel, sizes[0] * kernel


def xavier_uniform(shape: Any, gain: float = 1.0, dtype: Any = f32,
                   seed: int | None = None) -> Tensor:
    """Uniform with standard deviation gain * sqrt(2 / (fan-in + fan-out)) (Glorot and Bengio 2010).

    >>> xavier_uniform((784, 10)).type
    f32[784,10]
    """
    bound = gain * math.sqrt(6 / sum(fans(shape)))
    return uniform(shape, -bound, bound, dtype, seed)


def xavier_normal(shape: Any, gain: float = 1.0, dtype: Any = f32,
                  seed: int | None = None) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan-in + fan-out))."""
    return normal(shape, 0.0, gain * math.sqrt(2 / sum(fans(shape))), dtype, seed)


def kaiming_uniform(shape: Any, a: float = 0.0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu", dtype: Any = f32,
                    seed: int | None = None) -> Tensor:
    """Uniform with standard deviation gain / sqrt(fan) (He et al. 2015)."""
    bound = math.sqrt(3) * _deviation(shape, a, mode, nonlinearity)
    return uniform(shape, -bound, bound, dtype, seed)


def kaiming_normal(shape: Any, a: float = 0.0, mode: str = "fan_in",
                   nonlinearity: str = "leaky_relu", dtype: Any = f32,
                   seed: int | None = None) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan)."""
    return normal(shape, 0.0, _deviation(shape, a, mode, nonlinearity), dtype, seed)


def _deviation(shape: Any, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise GraphError(f"init: mode {mode!r}: expected 'fan_in' or 'fan_out'", user_location())
    fan = fans(shape)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


he_uniform, he_normal = kaiming_uniform, kaiming_normal
glorot_uniform, glorot_normal = xavier_uniform, xavier_normal


guard(globals(), __name__, "init.")
