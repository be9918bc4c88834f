"""How far results may be from the exact ones, where functions are tried, and the distance in units
in the last place (ULP)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.codegen.mathlib.function_table import FUNCTIONS

# The most ULP that a function may be off, as measured over 4 million operands and rounded up a
# little, so that a lost correction shows: (f32, f64).
BARS: Mapping[str, tuple[float, float]] = {
    "exp": (0.9, 0.9),
    "exp2": (0.85, 0.85),
    "expm1": (1.5, 1.84),
    "log": (0.85, 0.83),
    "log2": (0.51, 0.51),
    "log10": (0.51, 0.51),
    "log1p": (1.4, 1.4),
    "sinh": (1.65, 1.6),
    "cosh": (1.4, 1.34),
    "tanh": (1.58, 1.55),
    "asinh": (0.51, 1.75),
    "acosh": (0.51, 2.21),
    "atanh": (0.51, 1.9),
    "sigmoid": (1.7, 1.84),
    "erf": (1.01, 1.1),
    "erfc": (0.51, 4),
    "cbrt": (0.51, 0.75),
    "rsqrt": (1.52, 1.52),
    "power": (0.51, 1.05),
    "hypot": (0.51, 1.25),
    "sin": (1.6, 0.8),
    "cos": (1.6, 0.8),
    "tan": (0.51, 2.1),
    "asin": (2.01, 2),
    "acos": (1.2, 1.2),
    "atan": (1.9, 1.9),
    "atan2": (0.51, 2.2),
}
# Where a function is interesting, besides everywhere: (f32, f64).
RANGES: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "exp": ((-105, 90), (-746, 711)),
    "exp2": ((-151, 129), (-1076, 1025)),
    "expm1": ((-20, 90), (-40, 711)),
    "sinh": ((-91, 91), (-712, 712)),
    "cosh": ((-91, 91), (-712, 712)),
    "tanh": ((-10, 10), (-20, 20)),
    "sigmoid": ((-105, 20), (-746, 40)),
    "erf": ((-4.5, 4.5), (-6.5, 6.5)),
    "erfc": ((-4, 10.5), (-6, 26.5)),
    "sin": ((-1e3, 1e3), (-1e6, 1e6)),
    "cos": ((-1e3, 1e3), (-1e6, 1e6)),
    "tan": ((-1e3, 1e3), (-1e6, 1e6)),
    "asin": ((-1, 1), (-1, 1)),
    "acos": ((-1, 1), (-1, 1)),
    "atanh": ((-1, 1), (-1, 1)),
    "log1p": ((-1, 3), (-1, 3)),
    "acosh": ((1, 9), (1, 9)),
    "power": ((-20, 20), (-60, 60)),
}
EVERYWHERE = ((-5.0, 5.0), (-5.0, 5.0))  # of other functions
SPECIAL = (
    0.0,
    -0.0,
    0.5,
    -0.5,
    1,
    -1,
    2,
    -2,
    2.5,
    -2.5,
    3,
    -3,
    30,
    -30,
    100,
    -100,
    720,
    -720,
    2**30,
    -(2**31 + 1),
    1e-45,
    -1e-45,
    5e-324,
    -5e-324,
    3e-39,
    -3e-39,
    1e-310,
    -1e-310,
    3.4e38,
    -3.4e38,
    1.79e308,
    -1.79e308,
    math.inf,
    -math.inf,
    math.nan,
)


def unit(rounded: Any, wide: Any = np.longdouble) -> Any:
    """The distance of the floats about `rounded`, which is 0, finite or counts as the largest."""
    info = limits(rounded.dtype)
    size = np.minimum(abs(np.nan_to_num(rounded.astype(wide))), float(info.max))
    _, exponent = np.frexp(size)
    least = int(info.minexp) - int(info.nmant)
    return np.ldexp(wide(1), np.maximum(exponent - 1 - int(info.nmant), least))


def limits(dtype: Any) -> Any:
    """`np.finfo`, of bf16 too."""
    if dtype.kind == "f":
        return np.finfo(dtype)
    import ml_dtypes

    return ml_dtypes.finfo(dtype)


def ulps(got: Any, exact: Any, scale: Any = 0.0) -> Any:
    """The distance in ULP, of `exact` or of `scale` if that is larger; 0 where both are nan or the
    same infinity, inf where one alone is.

    At the edge of overflow the largest float and infinity count as neighbours.
    """
    wide = np.float64 if got.dtype.itemsize < 8 else np.longdouble
    exact = exact.astype(wide)
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        near, found = rounded.astype(wide), got.astype(wide)
        largest = np.fmax(abs(exact), scale).astype(got.dtype)
        distance = abs(found - exact) / unit(largest, wide)
        same = (found == near) | (np.isnan(found) & np.isnan(near))
        edge = np.fmin(abs(found), abs(near)) == float(limits(got.dtype).max)
    finite = np.where(np.isfinite(distance), distance, np.where(edge, 1, np.inf))
    return np.where(same & ~np.isfinite(near), 0, finite)


def stratified(
    arity: int,
    span: tuple[float, float],
    dtype: Any,
    count: int,
    seed: Any,
    more: Any = (),
) -> list[Any]:
    """For each operand random bits (every exponent), the interesting range, numbers near 0 and 1,
    and `more`; `count` of each kind."""
    rng, real = np.random.default_rng(seed), np.dtype(dtype)
    word = {4: np.uint32, 8: np.uint64}[real.itemsize]
    columns = []
    for _ in range(arity):
        bits = rng.integers(0, np.iinfo(word).max, count, word, endpoint=True).view(real)
        small = rng.standard_normal(count) * 2.0 ** rng.integers(-30, 2, count)
        parts = (bits, rng.uniform(*span, count), small, 1 + small, *more)
        columns.append(np.concatenate([part.astype(real) for part in parts]))
    columns[1:] = [rng.permuted(column) for column in columns[1:]]
    return columns


def half_turns(count: int, seed: Any) -> Any:
    """Multiples of pi / 2, of all sizes."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 2 ** rng.integers(2, 62, count)) * (np.pi / 2)


def specials(arity: int, dtype: Any) -> list[Any]:
    """All combinations of special values."""
    with np.errstate(over="ignore", under="ignore"):
        values = np.array(SPECIAL).astype(dtype)
    return [column.flatten() for column in np.meshgrid(*[values] * arity)]


def exact(name: str, *wide: Any) -> Any:
    """The function of the table in the floats of its operands, by NumPy or (erf, erfc) by the C
    library."""
    with np.errstate(all="ignore"):
        match name:
            case "erf" | "erfc":
                return np.array([getattr(math, name)(float(x)) for x in wide[0]])
            case "sigmoid":
                e = np.exp(-abs(wide[0]))
                return np.where(wide[0] < 0, e, 1) / (1 + e)
            case "rsqrt":
                return 1 / np.sqrt(wide[0])
            case _:
                function = FUNCTIONS[name].numpy
                assert function is not None
                return function(*wide)
