"""Attention as a function: softmax(query @ key.T) @ value, masked."""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.functions import pointwise as pw, reductions
from graphc.functions.common import require_equal, tensor
from graphc.functions.creation import iota, size_tensor
from graphc.functions.elementary import sqrt
from graphc.functions.joining import repeat
from graphc.functions.linear import matmul
from graphc.functions.shaping import matrix_transpose
from graphc.ir import dim as dims
from graphc.ir.types import bool_
from graphc.nn.activations import floats, real
from graphc.nn.dropouts import dropout
from graphc.nn.softmax import softmax
from graphc.shapes import broadcast_shapes
from graphc.tensor import Tensor, broadcast_to


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value (Vaswani et al. 2017), for a query [..., l, e],
    a key [..., s, e] and a value [..., s, v]; the result is [..., l, v].

    `attn_mask` broadcasts to [..., l, s]: a truth value says whether the position takes part, a
    float is added.  `is_causal`: position i sees positions up to i.  A row that sees nothing is 0.
    `scale`: default 1 / sqrt(e).  `enable_gqa`: axis -3 of key and value is repeated to the
    query's.

    >>> import graphc as gc
    >>> q = gc.zeros((2, 4, 5, 8))
    >>> scaled_dot_product_attention(q, q, q, is_causal=True).type
    f32[2,4,5,8]
    """
    what = "scaled_dot_product_attention"
    q, k, v = (floats(what, t) for t in (query, key, value))
    _check(what, q, k, v)
    if attn_mask is not None and is_causal:
        raise GraphError(f"{what}: attn_mask and is_causal exclude each other", user_location())
    if enable_gqa:
        k, v = _grown(what, k, q), _grown(what, v, q)
    weights = attention_weights(what, q, k, attn_mask, is_causal, scale)
    return matmul(dropout(weights, dropout_p), v)


def _check(what: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(f"{what}: query {q.type}, key {k.type}, value {v.type}: expected "
                         "[..., length, size]", user_location())
    require_equal(what, q.shape[-1], k.shape[-1], f"of query {q.type} and key {k.type}")
    require_equal(what, k.shape[-2], v.shape[-2], f"of key {k.type} and value {v.type}")


def _grown(what: str, t: Tensor, query: Tensor) -> Tensor:
    """The heads of a key or value repeated to those of the query."""
    if min(t.ndim, query.ndim) < 3:
        raise ShapeError(f"{what}: enable_gqa: expected [..., heads, length, size]",
                         user_location())
    times = dims.floordiv(query.shape[-3], t.shape[-3])
    if dims.differ(times * t.shape[-3], query.shape[-3]):
        raise ShapeError(f"{what}: enable_gqa: {t.shape[-3]} heads of {t.type} do not divide the "
                         f"{query.shape[-3]} of query {query.type}", user_location())
    return repeat(t, times, axis=t.ndim - 3)


def attention_weights(
    what: str, q: Tensor, k: Tensor, mask: Any, is_causal: bool, scale: float | None
) -> Tensor:
    """softmax(q @ k.T * scale + mask); 0 in rows that see nothing."""
    size = q.shape[-1]
    if scale is not None:
        factor: Any = real(what, "scale", scale)
    elif isinstance(size, int):
        factor = 1.0 / math.sqrt(max(size, 1))
    else:
        factor = pw.divide(1.0, sqrt(size_tensor(size, q.dtype)))
    scores = matmul(pw.multiply(q, factor), matrix_transpose(k))
    if is_causal:
        row, col = (iota(scores.shape[-2:], axis) for axis in (0, 1))
        return softmax(pw.where(pw.less_equal(col, row), scores, -math.inf))
    if mask is None:
        return softmax(scores)
    scores = masked(what, scores, mask)
    seen = pw.not_equal(reductions.max(pw.stop_gradient(scores), -1, keepdims=True), -math.inf)
    return pw.where(seen, softmax(pw.where(seen, scores, 0.0)), 0.0)


def masked(what: str, scores: Tensor, mask: Any) -> Tensor:
    """Scores with a mask of truth values (what stays) or of floats (added)."""
    m = tensor(what, mask)
    if m.dtype != bool_ and not m.dtype.is_float:
        raise DTypeError(f"{what}: attn_mask {m.type}: expected truth values or floats; use "
                         "gc.astype", user_location())
    shape = broadcast_shapes(what, [scores.shape, m.shape])
    scores = broadcast_to(scores, shape)
    return pw.where(m, scores, -math.inf) if m.dtype == bool_ else pw.add(scores, m)
