"""Initial values of variables: `gc.variable(gc.init.xavier_uniform((784, 10)))`.

Fans follow PyTorch: a weight is [out, in, *kernel], its fan-in is `in` times the kernel's size and
its fan-out is `out` times it.  For a matrix laid out [in, out], say `mode="fan_out"`.
Raises `ShapeError` where a fan is asked of fewer than two axes.
"""

from __future__ import annotations

import math
from typing import Any

from graphc import random
from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import converted, element_type, integer
from graphc.frontend.boundary import guard
from graphc.frontend.tensor import Tensor
from graphc.functions import creation, elementary as el, pointwise as pw, reductions
from graphc.functions.shaping import matrix_transpose, reshape
from graphc.ir.types import f32, f64, i64
from graphc.linalg import qr
from graphc.public import publish

__all__ = [
    "calculate_gain",
    "constant",
    "dirac",
    "eye",
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "trunc_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 0.75,
}


def zeros(shape: Any, dtype: Any = f32) -> Tensor:
    """Zeros."""
    return creation.zeros(shape, dtype)


def ones(shape: Any, dtype: Any = f32) -> Tensor:
    """Ones."""
    return creation.ones(shape, dtype)


def constant(shape: Any, value: float, dtype: Any = f32) -> Tensor:
    """One number."""
    return creation.full(shape, value, dtype)


def uniform(
    shape: Any, a: float = 0.0, b: float = 1.0, dtype: Any = f32, seed: int | None = None
) -> Tensor:
    """Uniform over [a, b)."""
    return random.uniform(shape, a, b, dtype, seed, "init")


def normal(
    shape: Any, mean: float = 0.0, std: float = 1.0, dtype: Any = f32, seed: int | None = None
) -> Tensor:
    """Normally distributed."""
    return random.normal(shape, mean, std, dtype, seed, "init")


def trunc_normal(
    shape: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    dtype: Any = f32,
    seed: int | None = None,
) -> Tensor:
    """Normally distributed within [a, b]: the inverse distribution function of uniform draws.

    `a` and `b` are values, as in PyTorch, not deviations.

    >>> trunc_normal((4, 3), std=0.02).type
    f32[4,3]
    """
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in (mean, std, a, b)):
        raise GraphError(
            f"init: mean {mean!r}, std {std!r}, a {a!r}, b {b!r}: expected numbers", user_location()
        )
    if not a < b or not std > 0:
        raise GraphError(
            f"init: a = {a}, b = {b}, std = {std}: expected a < b and std above 0", user_location()
        )
    low, high = (0.5 * (1.0 + math.erf((x - mean) / std / math.sqrt(2.0))) for x in (a, b))
    unit = random.uniform(shape, low, high, f64, seed, "init")
    out = pw.add(pw.multiply(_inverse_normal(unit), float(std)), float(mean))
    return converted(pw.clip(out, float(a), float(b)), element_type("init", dtype))


def _inverse_normal(p: Tensor) -> Tensor:
    """The inverse of the normal distribution function: Acklam's rational approximations, which are
    right to 1.2e-9, and one step of Halley's method."""
    p = pw.clip(p, 1e-300, 1.0 - 2.0**-53)
    q = pw.subtract(p, 0.5)
    r = pw.multiply(q, q)
    middle = pw.divide(pw.multiply(_polynomial(MIDDLE[0], r), q), _polynomial(MIDDLE[1], r))
    less = pw.less(p, 0.5)
    t = el.sqrt(pw.multiply(el.log(pw.where(less, p, pw.subtract(1.0, p))), -2.0))
    tail = pw.divide(_polynomial(TAIL[0], t), _polynomial(TAIL[1], t))
    tail = pw.where(less, tail, pw.negative(tail))
    x = pw.where(pw.less(pw.abs(q), 0.5 - 0.02425), middle, tail)
    error = pw.subtract(pw.multiply(el.erfc(pw.multiply(x, -math.sqrt(0.5))), 0.5), p)
    u = pw.multiply(
        pw.multiply(error, math.sqrt(2 * math.pi)), el.exp(pw.multiply(pw.square(x), 0.5))
    )
    return pw.subtract(x, pw.divide(u, pw.add(pw.multiply(pw.multiply(x, u), 0.5), 1.0)))


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """Horner's scheme, from the highest power."""
    out = pw.add(pw.multiply(x, coefficients[0]), coefficients[1])
    for c in coefficients[2:]:
        out = pw.add(pw.multiply(out, x), c)
    return out


MIDDLE = (
    (
        -3.969683028665376e01,
        2.209460984245205e02,
        -2.759285104469687e02,
        1.383577518672690e02,
        -3.066479806614716e01,
        2.506628277459239e00,
    ),
    (
        -5.447609879822406e01,
        1.615858368580409e02,
        -1.556989798598866e02,
        6.680131188771972e01,
        -1.328068155288572e01,
        1.0,
    ),
)
TAIL = (
    (
        -7.784894002430293e-03,
        -3.223964580411365e-01,
        -2.400758277161838e00,
        -2.549732539343734e00,
        4.374664141464968e00,
        2.938163982698783e00,
    ),
    (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00, 3.754408661907416e00, 1.0),
)


def eye(n: int, m: int | None = None, dtype: Any = f32) -> Tensor:
    """Ones on the diagonal, zeros elsewhere: a linear layer that keeps its input."""
    return creation.eye(n, m, dtype=dtype)


def dirac(shape: Any, groups: int = 1, dtype: Any = f32) -> Tensor:
    """A convolution's weight [out, in, *kernel] that keeps as many channels as it can, within each
    of `groups`.

    >>> dirac((4, 2, 3, 3), groups=2).type
    f32[4,2,3,3]
    """
    sizes = _known(shape)
    if not 3 <= len(sizes) <= 5:
        raise ShapeError(
            f"init: shape {shape}: expected [out, in, *kernel], one to three axes of a kernel",
            user_location(),
        )
    if groups < 1 or sizes[0] % groups:
        raise ShapeError(
            f"init: {sizes[0]} out channels do not divide into groups = {groups}", user_location()
        )
    row = pw.remainder(creation.iota(sizes, 0), sizes[0] // groups if sizes[0] else 1)
    hit = pw.equal(row, creation.iota(sizes, 1))
    for axis in range(2, len(sizes)):
        hit = pw.logical_and(hit, pw.equal(creation.iota(sizes, axis), sizes[axis] // 2))
    return converted(hit, element_type("init", dtype))


def sparse(
    shape: Any, sparsity: float, std: float = 0.01, dtype: Any = f32, seed: int | None = None
) -> Tensor:
    """A normally distributed matrix of which ceil(sparsity * rows) elements of each column are 0
    (Martens 2010)."""
    sizes = _known(shape)
    if len(sizes) != 2 or not 0.0 <= sparsity <= 1.0:
        raise ShapeError(
            f"init: shape {shape}, sparsity {sparsity}: expected a matrix and a share in [0, 1]",
            user_location(),
        )
    score = random.uniform(sizes, 0.0, 1.0, f64, seed, "init")
    beaten = reductions.sum(pw.astype(pw.less(score[None, :, :], score[:, None, :]), i64), axis=1)
    kept = pw.greater_equal(beaten, math.ceil(sparsity * sizes[0]))
    return pw.where(kept, normal(sizes, 0.0, std, dtype, seed), 0.0)


def orthogonal(shape: Any, gain: float = 1.0, dtype: Any = f32, seed: int | None = None) -> Tensor:
    """`gain` times a random matrix whose rows (or columns, if those are fewer) are orthonormal;
    further axes count as columns (Saxe et al. 2013).

    It is the Q of a normally distributed matrix, where R's diagonal is positive: spread evenly over
    such matrices (Mezzadri 2007).

    >>> orthogonal((4, 2, 3)).type
    f32[4,2,3]
    """
    sizes = _known(shape)
    if len(sizes) < 2:
        raise ShapeError(f"init: shape {shape}: expected two axes or more", user_location())
    rows, columns = sizes[0], math.prod(sizes[1:])
    tall = (max(rows, columns), min(rows, columns))
    q, _ = qr(random.normal(tall, 0.0, 1.0, f64, seed, "init"))
    x = q if rows >= columns else matrix_transpose(q)
    return reshape(converted(pw.multiply(x, float(gain)), element_type("init", dtype)), sizes)


def _known(shape: Any) -> tuple[int, ...]:
    given = shape if hasattr(shape, "__iter__") else (shape,)
    return tuple(integer("init", "shape", s) for s in given)


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
        raise ShapeError(
            f"init: shape {shape} has no fans; expected two axes or more", user_location()
        )
    kernel = math.prod(sizes[2:])
    return sizes[1] * kernel, sizes[0] * kernel


def xavier_uniform(
    shape: Any, gain: float = 1.0, dtype: Any = f32, seed: int | None = None
) -> Tensor:
    """Uniform with standard deviation gain * sqrt(2 / (fan-in + fan-out)) (Glorot and Bengio 2010).

    >>> xavier_uniform((784, 10)).type
    f32[784,10]
    """
    bound = gain * math.sqrt(6 / sum(fans(shape)))
    return uniform(shape, -bound, bound, dtype, seed)


def xavier_normal(
    shape: Any, gain: float = 1.0, dtype: Any = f32, seed: int | None = None
) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan-in + fan-out))."""
    return normal(shape, 0.0, gain * math.sqrt(2 / sum(fans(shape))), dtype, seed)


def kaiming_uniform(
    shape: Any,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    dtype: Any = f32,
    seed: int | None = None,
) -> Tensor:
    """Uniform with standard deviation gain / sqrt(fan), for the weight [out, in, *kernel] of
    `x @ w.T` (He et al. 2015).  For [in, out], the weight of `x @ w`, mode="fan_out" counts what
    comes in.
    """
    bound = math.sqrt(3) * _deviation(shape, a, mode, nonlinearity)
    return uniform(shape, -bound, bound, dtype, seed)


def kaiming_normal(
    shape: Any,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    dtype: Any = f32,
    seed: int | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan), for the weight [out, in, *kernel] of
    `x @ w.T` (He et al. 2015).  For [in, out], the weight of `x @ w`, mode="fan_out" counts what
    comes in.
    """
    return normal(shape, 0.0, _deviation(shape, a, mode, nonlinearity), dtype, seed)


def _deviation(shape: Any, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise GraphError(f"init: mode {mode!r}: expected 'fan_in' or 'fan_out'", user_location())
    fan = fans(shape)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


he_uniform, he_normal = kaiming_uniform, kaiming_normal
glorot_uniform, glorot_normal = xavier_uniform, xavier_normal


guard(globals(), __name__, "init.")
publish(globals())
