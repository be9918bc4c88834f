"""The values on which promises break first, and what "the same bits" means."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.ops.logic import is_float, widened
from graphc.ir.types import DType


def special_values(dtype: DType) -> Any:
    """±0, ±1, ±inf, nan, the least denormal, huge and tiny; or the extremes of an integer type."""
    if dtype.kind == "bool":
        return np.array([False, True])
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        some = {0, 1, 2, 7, int(info.min), int(info.max), int(info.max) - 1}
        return np.array(sorted(some | ({-1, -2, -7} if info.min else set())), dtype.numpy)
    tiny = {"f16": 6e-8, "bf16": 1e-40, "f32": 1e-45, "f64": 5e-324}[dtype.name]
    huge = {"f16": 6e4, "bf16": 3e38, "f32": 3e38, "f64": 1e308}[dtype.name]
    plain = [0.0, 1.0, 0.5, 2.5, 1e-3, 100.0, tiny, huge, np.inf]
    return np.array([*plain, *(-v for v in plain), np.nan]).astype(dtype.numpy)


def equal_bits(a: Any, b: Any) -> Any:
    """Where two arrays have the same bits, all NaNs alike."""
    if not is_float(a):
        return a == b
    a, b = widened(a), widened(b)
    with np.errstate(invalid="ignore"):
        nan = np.isnan(a) & np.isnan(b)
        return nan | ((a == b) & (np.signbit(a) == np.signbit(b)))
