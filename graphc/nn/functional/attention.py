"""Attention as a function: softmax(query @ key.T) @ value, masked.

Short sequences need three kernels: product, masked softmax of rows, product.  Long ones loop over
blocks of queries and never hold all scores; their gradient computes the scores again.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import require_equal, tensor
from graphc.frontend.boundary import require
from graphc.frontend.broadcasting import broadcast_shapes
from graphc.frontend.tensor import Tensor
from graphc.functions import pointwise as pw, reductions
from graphc.functions.control import scan
from graphc.functions.creation import iota, size_tensor
from graphc.functions.elementary import exp, sqrt
from graphc.functions.joining import pad, repeat
from graphc.functions.linear import matmul
from graphc.functions.shaping import expand_dims, matrix_transpose, moveaxis, part, reshape
from graphc.ir import dim as dims
from graphc.ir.dim import Size
from graphc.ir.requirement import multiple
from graphc.ir.types import bool_, i64
from graphc.nn.functional.activation import floats, real
from graphc.nn.functional.dropout import dropout
from graphc.nn.functional.softmax import softmax

__all__ = ["scaled_dot_product_attention"]

MAX_SCORES = 1 << 18  # elements that one head holds at once
MIN_QUERIES_PER_BLOCK = 16
LOWEST_SCORE = {"f16": -65504.0, "f32": -3.3e38, "f64": -1.79e308}  # finite: masked scores


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value (Vaswani et al. 2017), for a query [..., l, e],
    a key [..., s, e] and a value [..., s, v]; the result is [..., l, v].

    `attn_mask` broadcasts to [..., l, s]: a truth value says whether the position takes part, a
    float is added.  `is_causal`: position i sees positions up to i.  A row that sees nothing is 0.
    `scale`: default 1 / sqrt(e).  `enable_gqa`: axis -3 of key and value is repeated to the
    query's.

    Up to 2**18 scores, l * s, are held at once for each of the leading axes.  If there are more, or
    if l or s is symbolic, blocks of queries come one after the other, and the gradient computes
    their scores again (Rabe and Staats 2021).

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
    m = None if attn_mask is None else _mask(what, q, k, attn_mask)
    scores = q.shape[-2] * k.shape[-2]
    if isinstance(scores, int) and scores <= MAX_SCORES:
        weights = attention_weights(what, q, k, m, is_causal, scale)
        return matmul(dropout(weights, dropout_p), v)
    return _blockwise(what, q, k, v, m, is_causal, scale, dropout_p)


def _blockwise(
    what: str,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
) -> Tensor:
    """Attention in a loop over blocks of queries."""
    flat = q.ndim == k.ndim == 2
    if flat:  # with a batch axis, the gradient sums block by block
        q, k, v = (expand_dims(t, 0) for t in (q, k, v))
    length = q.shape[-2]
    rows, blocks = _blocks(length, k.shape[-2])
    xs = [iota((blocks,), 0), _cut(q, rows, blocks)]
    sliced = mask is not None and mask.ndim > 1 and mask.shape[-2] != 1
    if mask is not None and sliced:
        xs.append(_cut(mask, rows, blocks))

    def attend(carry: Any, x: Any) -> Any:
        first = pw.multiply(x[0], size_tensor(rows, i64))
        part_of_mask = x[2] if sliced else mask
        weights = attention_weights(what, x[1], k, part_of_mask, is_causal, scale, first)
        return carry, matmul(dropout(weights, dropout_p), v)

    out = moveaxis(scan(attend, (), xs, tape_bytes=0)[1], 0, -3)
    out = reshape(out, (*out.shape[:-3], rows * blocks, out.shape[-1]))
    out = part(out, out.ndim - 2, 0, length)
    return out[0] if flat and (mask is None or mask.ndim < 3) else out


def _blocks(length: Size, size: Size) -> tuple[Size, Size]:
    """The number of queries in a block, and the number of blocks."""
    limit = dims.maximum(MAX_SCORES // dims.maximum(size, 1), MIN_QUERIES_PER_BLOCK)
    rows = dims.maximum(dims.minimum(length, limit), 1)
    blocks = (length + rows - 1) // rows
    if isinstance(length, int) and isinstance(blocks, int):
        rows = -(-length // blocks) if blocks else 1  # equal blocks, so that `_cut` pads little
    return rows, blocks


def _cut(t: Tensor, rows: Size, blocks: Size) -> Tensor:
    """[..., l, s] as [blocks, ..., rows, s]; padding beyond l changes no result."""
    added = rows * blocks - t.shape[-2]
    if added != 0:
        widths = [(0, 0)] * (t.ndim - 2) + [(0, added), (0, 0)]
        t = pad(t, widths, constant_values=t.dtype == bool_)
    return moveaxis(reshape(t, (*t.shape[:-2], blocks, rows, t.shape[-1])), -3, 0)


def _check(what: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(
            f"{what}: query {q.type}, key {k.type}, value {v.type}: expected [..., length, size]",
            user_location(),
        )
    require_equal(what, q.shape[-1], k.shape[-1], f"of query {q.type} and key {k.type}")
    require_equal(what, k.shape[-2], v.shape[-2], f"of key {k.type} and value {v.type}")


def _grown(what: str, t: Tensor, query: Tensor) -> Tensor:
    """The heads of a key or value repeated to those of the query."""
    if min(t.ndim, query.ndim) < 3:
        raise ShapeError(
            f"{what}: enable_gqa: expected [..., heads, length, size]", user_location()
        )
    times = dims.floordiv(query.shape[-3], t.shape[-3])
    problem = f"enable_gqa: {t.shape[-3]} heads of {t.type} do not divide the {query.shape[-3]}"
    require(what, multiple(query.shape[-3], t.shape[-3], f"{problem} of query {query.type}"))
    return repeat(t, times, axis=t.ndim - 3)


def attention_weights(
    what: str,
    q: Tensor,
    k: Tensor,
    mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    first: Any = 0,
) -> Tensor:
    """softmax(q @ k.T * scale + mask); 0 in rows that see nothing.  `first` is the position of the
    first query."""
    size = q.shape[-1]
    if scale is not None:
        factor: Any = real(what, "scale", scale)
    elif isinstance(size, int):
        factor = 1.0 / math.sqrt(max(size, 1))
    else:
        factor = pw.divide(1.0, sqrt(pw.maximum(size_tensor(size, q.dtype), 1.0)))
    scores = pw.multiply(matmul(q, matrix_transpose(k)), factor)
    if is_causal:
        row, col = (iota(scores.shape[-2:], axis) for axis in (0, 1))
        return _softmax(scores, pw.less_equal(col, pw.add(row, first)))
    if mask is None:
        return softmax(scores)
    if mask.dtype == bool_:
        return _softmax(scores, mask)
    return _softmax(pw.add(scores, mask), None)


def _softmax(scores: Tensor, stays: Tensor | None) -> Tensor:
    """softmax over the scores of each row that stay; 0 in rows where none does, or only -inf.

    Masked scores count as the lowest finite number, not -inf: LLVM does not vectorise a maximum
    over a choice between x and -inf.
    """
    least = LOWEST_SCORE.get(scores.dtype.name, LOWEST_SCORE["f32"])
    seen = pw.stop_gradient(scores)
    seen = seen if stays is None else pw.where(stays, seen, least)
    shifted = pw.subtract(scores, pw.maximum(reductions.max(seen, -1, keepdims=True), least))
    e = exp(shifted if stays is None else pw.where(stays, shifted, least))
    total = reductions.sum(e, -1, keepdims=True)
    return pw.divide(e, pw.where(pw.equal(total, 0.0), 1.0, total))


def _mask(what: str, q: Tensor, k: Tensor, mask: Any) -> Tensor:
    """The mask as a tensor: truth values (True stays) or floats (added to scores)."""
    m = tensor(what, mask)
    if m.dtype != bool_ and not m.dtype.is_float:
        raise DTypeError(
            f"{what}: attn_mask {m.type}: expected truth values or floats; use gc.astype",
            user_location(),
        )
    batch = broadcast_shapes(what, [q.shape[:-2], k.shape[:-2]])
    broadcast_shapes(what, [(*batch, q.shape[-2], k.shape[-2]), m.shape])
    return m
