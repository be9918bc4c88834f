"""Random tensors.  Every run draws anew; a draw depends only on the session's seed, the number of
the run, the position, and the op's unique name and `seed`: no pass changes it (semantics 11).

Invariant: two ops of one graph never share a stream, because names are unique in a graph.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

from graphc.errors import DTypeError, user_location
from graphc.frontend.arguments import converted, element_type, integer, shape_of, size_of, tensor
from graphc.frontend.boundary import guard
from graphc.frontend.plain_array import require_fits
from graphc.frontend.scope import current, frames
from graphc.frontend.tensor import Tensor, build
from graphc.functions import elementary as el, pointwise as pw
from graphc.functions.indexing import take
from graphc.ir.dim import Dim, Shape
from graphc.ir.ops.random import RandomBits, RandomPermutation
from graphc.ir.ops.state import RunCounter
from graphc.ir.types import DType, bool_, f32, f64, u64
from graphc.public import publish

__all__ = [
    "bernoulli",
    "integers",
    "normal",
    "permutation",
    "uniform",
]

COUNTER = "//run_counter"  # no name of a user's tensor holds an empty part
STRIDE = 0x9E3779B97F4A7C15  # odd, far from small multiples of itself modulo 2**64


def counter() -> Tensor:
    """The run counter of the current graph."""
    names = current().by_name
    if COUNTER not in names:
        names.setdefault(COUNTER, build(RunCounter(), (), name="run_counter"))
    found: Tensor = names[COUNTER]
    return found


def key(path: str, seed: int | None) -> int:
    """64 bits that identify a stream."""
    text = f"{path}\n{seed}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def moment() -> Tensor:
    """The run counter, mixed with the steps of the loops around: each step draws anew."""
    now = counter()
    for frame in frames():
        if frame.step is not None:
            frame.stepped = True
            now = pw.add(now, pw.multiply(pw.astype(frame.step, u64), STRIDE))
    return now


def bits(shape: Shape, path: str, seed: int | None) -> Tensor:
    """32 random bits an element (u32)."""
    return build(RandomBits(key(path, seed), shape), (moment(),))


def uniform(
    shape: Any = (),
    low: Any = 0.0,
    high: Any = 1.0,
    dtype: Any = f32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Floats spread evenly over [low, high): multiples of 2**-24 of the range (f64: 2**-53).

    >>> import graphc as gc
    >>> gc.random.uniform((2, 3), -1.0, 1.0).type
    f32[2,3]
    """
    sizes, element, path = _arguments("uniform", shape, dtype, name)
    unit = _unit(sizes, element, path, seed)
    if isinstance(low, int | float) and isinstance(high, int | float):
        unit = unit if high - low == 1 else pw.multiply(unit, float(high - low))
        return unit if low == 0 else pw.add(unit, float(low))
    return pw.add(pw.multiply(unit, pw.subtract(high, low)), low)


def _arguments(what: str, shape: Any, dtype: Any, name: str | None) -> tuple[Shape, DType, str]:
    """The shape, the float type and the unique name of a draw."""
    sizes, element = shape_of(f"random.{what}", shape), element_type(f"random.{what}", dtype)
    if not element.is_float:
        raise DTypeError(f"random.{what}: dtype {element} is no float type", user_location())
    return sizes, element, current().unique(name or what, user_location())


def _unit(shape: Shape, dtype: DType, path: str, seed: int | None) -> Tensor:
    """Uniform over [0, 1), exact multiples of the type's resolution."""
    first = bits(shape, path, seed)
    if dtype == f64:
        low = converted(pw.bitwise_right_shift(bits(shape, path + "/low", seed), 6), f64)
        high = converted(pw.bitwise_right_shift(first, 5), f64)
        return pw.multiply(pw.add(pw.multiply(high, 2.0**26), low), 2.0**-53)
    kept = dtype.significand
    return converted(_scaled(pw.bitwise_right_shift(first, 32 - kept), kept), dtype)


def _scaled(whole: Tensor, precision: int) -> Tensor:
    return pw.multiply(converted(whole, f32), 2.0**-precision)


def normal(
    shape: Any = (),
    mean: Any = 0.0,
    std: Any = 1.0,
    dtype: Any = f32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Normally distributed floats, by Box and Muller's transform of two uniform draws.

    >>> import graphc as gc
    >>> gc.random.normal((2, 3), std=0.1).type
    f32[2,3]
    """
    sizes, element, path = _arguments("normal", shape, dtype, name)
    work = f64 if element == f64 else f32
    above_zero = pw.subtract(1.0, _unit(sizes, work, path, seed))  # in (0, 1]: log is finite
    angle = pw.multiply(_unit(sizes, work, path + "/angle", seed), 2 * math.pi)
    radius = el.sqrt(pw.multiply(el.log(above_zero), -2.0))
    out = pw.multiply(radius, el.cos(angle))
    out = out if isinstance(std, int | float) and std == 1 else pw.multiply(out, std)
    out = out if isinstance(mean, int | float) and mean == 0 else pw.add(out, mean)
    return converted(out, element)


def bernoulli(
    shape: Any = (),
    p: Any = 0.5,
    dtype: Any = bool_,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """True (or 1) with probability `p`, to 2**-24.

    >>> import graphc as gc
    >>> gc.random.bernoulli((4,), 0.2).type
    bool[4]
    """
    sizes, _, path = _arguments("bernoulli", shape, f32, name)
    hit = pw.less(_unit(sizes, f32, path, seed), p)
    return converted(hit, element_type("random.bernoulli", dtype))


def integers(
    low: int,
    high: int | None = None,
    shape: Any = (),
    dtype: Any = "i64",
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Integers in [low, high); of one bound, in [0, low).  The range is at most 2**32 wide.

    Raises `DTypeError` for an empty or wider range, `ShapeError` for a bound that is no int.
    """
    if high is None:
        first, last = 0, integer("random.integers", "low", low)
    else:
        first = integer("random.integers", "low", low)
        last = integer("random.integers", "high", high)
    element = element_type("random.integers", dtype)
    if not 0 < last - first <= 1 << 32 or not element.is_integer:
        raise DTypeError(
            f"random.integers: [{first}, {last}) as {element} is no range of 1 to 2**32 integers",
            user_location(),
        )
    require_fits("random.integers: ", element, first, last - 1)
    sizes = shape_of("random.integers", shape)
    path = current().unique(name or "integers", user_location())
    wide = converted(bits(sizes, path, seed), u64)
    offset = pw.bitwise_right_shift(pw.multiply(wide, last - first), 32)
    return pw.add(converted(offset, element), first)


def permutation(x: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """A random order of 0 .. x - 1 (a size), or the slices of a tensor in random order.

    >>> import graphc as gc
    >>> gc.random.permutation(5).type
    i64[5]
    """
    path = current().unique(name or "permutation", user_location())
    if isinstance(x, int | Dim):
        size = size_of("random.permutation", "x", x)
        return build(RandomPermutation(key(path, seed), size), (moment(),))
    t = tensor("random.permutation", x)
    if t.ndim == 0:
        size_of("random.permutation", "x", t)
    order = build(RandomPermutation(key(path, seed), t.shape[0]), (moment(),))
    return take(t, order, axis=0)


guard(globals(), __name__, "random.")
publish(globals())
