"""Initial values: the functions of `gc.init`, and PyTorch's functions ending in `_`, which give a
parameter another initial value.

The latter affect sessions that have not used the parameter yet; other sessions keep its value.

>>> import graphc as gc
>>> def start(module):
...     if isinstance(module, gc.nn.Linear):
...         gc.nn.init.orthogonal_(module.weight)
...         gc.nn.init.zeros_(module.bias)
>>> net = gc.nn.Sequential(gc.nn.Linear(4, 8), gc.nn.ReLU(), gc.nn.Linear(8, 2)).apply(start)
"""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.boundary import guard
from graphc.init import (
    calculate_gain,
    constant,
    dirac,
    eye,
    kaiming_normal,
    kaiming_uniform,
    normal,
    ones,
    orthogonal,
    sparse,
    trunc_normal,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from graphc.nn.module import Owned
from graphc.public import publish

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros",
    "zeros_",
]


def _owned(what: str, tensor: Any) -> Owned:
    if not isinstance(tensor, Owned):
        raise GraphError(f"{what}: {tensor!r} is no gc.nn.Parameter", user_location())
    return tensor


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0) -> Owned:
    """The parameter, which starts from `uniform`."""
    p = _owned("uniform_", tensor)
    p.start_from(uniform(p.shape, a, b, dtype=p.dtype))
    return p


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0) -> Owned:
    """The parameter, which starts from `normal`."""
    p = _owned("normal_", tensor)
    p.start_from(normal(p.shape, mean, std, dtype=p.dtype))
    return p


def trunc_normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Owned:
    """The parameter, which starts from `trunc_normal`."""
    p = _owned("trunc_normal_", tensor)
    p.start_from(trunc_normal(p.shape, mean, std, a, b, dtype=p.dtype))
    return p


def constant_(tensor: Any, val: float) -> Owned:
    """The parameter, which starts from `constant`."""
    p = _owned("constant_", tensor)
    p.start_from(constant(p.shape, val, dtype=p.dtype))
    return p


def ones_(tensor: Any) -> Owned:
    """The parameter, which starts from `ones`."""
    p = _owned("ones_", tensor)
    p.start_from(ones(p.shape, dtype=p.dtype))
    return p


def zeros_(tensor: Any) -> Owned:
    """The parameter, which starts from `zeros`."""
    p = _owned("zeros_", tensor)
    p.start_from(zeros(p.shape, dtype=p.dtype))
    return p


def dirac_(tensor: Any, groups: int = 1) -> Owned:
    """The parameter, which starts from `dirac`."""
    p = _owned("dirac_", tensor)
    p.start_from(dirac(p.shape, groups, dtype=p.dtype))
    return p


def xavier_uniform_(tensor: Any, gain: float = 1.0) -> Owned:
    """The parameter, which starts from `xavier_uniform`."""
    p = _owned("xavier_uniform_", tensor)
    p.start_from(xavier_uniform(p.shape, gain, dtype=p.dtype))
    return p


def xavier_normal_(tensor: Any, gain: float = 1.0) -> Owned:
    """The parameter, which starts from `xavier_normal`."""
    p = _owned("xavier_normal_", tensor)
    p.start_from(xavier_normal(p.shape, gain, dtype=p.dtype))
    return p


def kaiming_uniform_(
    tensor: Any, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Owned:
    """The parameter, which starts from `kaiming_uniform`."""
    p = _owned("kaiming_uniform_", tensor)
    p.start_from(kaiming_uniform(p.shape, a, mode, nonlinearity, dtype=p.dtype))
    return p


def kaiming_normal_(
    tensor: Any, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Owned:
    """The parameter, which starts from `kaiming_normal`."""
    p = _owned("kaiming_normal_", tensor)
    p.start_from(kaiming_normal(p.shape, a, mode, nonlinearity, dtype=p.dtype))
    return p


def orthogonal_(tensor: Any, gain: float = 1.0) -> Owned:
    """The parameter, which starts from `orthogonal`."""
    p = _owned("orthogonal_", tensor)
    p.start_from(orthogonal(p.shape, gain, dtype=p.dtype))
    return p


def sparse_(tensor: Any, sparsity: float, std: float = 0.01) -> Owned:
    """The parameter, which starts from `sparse`."""
    p = _owned("sparse_", tensor)
    p.start_from(sparse(p.shape, sparsity, std, dtype=p.dtype))
    return p


def eye_(tensor: Any) -> Owned:
    """The parameter, a matrix, which starts from `eye`."""
    p = _owned("eye_", tensor)
    if p.ndim != 2:
        raise ShapeError(f"eye_: {p.type} is no matrix", user_location())
    rows, columns = (int(s) for s in p.shape if isinstance(s, int))
    p.start_from(eye(rows, columns, p.dtype))
    return p


guard(globals(), __name__, "init.")
publish(globals())
