"""Multi-head attention as a module, with PyTorch's arguments and state dict."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphc import init
from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import require_equal, tensor
from graphc.frontend.tensor import Tensor
from graphc.functions import pointwise as pw, reductions
from graphc.functions.creation import iota, zeros
from graphc.functions.joining import concat, pad, split
from graphc.functions.linear import matmul
from graphc.functions.shaping import broadcast_to, permute_dims, reshape, swapaxes
from graphc.ir.types import bool_, f32
from graphc.nn import functional
from graphc.nn.functional.activation import floats
from graphc.nn.functional.attention import attention_weights
from graphc.nn.functional.dropout import probability
from graphc.nn.layers.linear import Linear, positive
from graphc.nn.module import Module, Parameter

__all__ = ["MultiheadAttention"]

LAYER_NAME = "MultiheadAttention"


class MultiheadAttention(Module):
    """Attention of several heads (Vaswani et al. 2017), between maps of query, key and value.

    Inputs are [length, n, size], with `batch_first` [n, length, size], or without n.  In masks, as
    PyTorch has it here, truth says what is *left out*; floats are added to the scores.

    >>> import graphc as gc
    >>> attention = gc.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = gc.zeros((5, 3, 8))
    >>> [t.type for t in attention(x, x, x)]
    [f32[5,3,8], f32[5,3,3]]
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: Any = f32,
    ) -> None:
        e = self.embed_dim = positive(LAYER_NAME, "embed_dim", embed_dim)
        self.num_heads = positive(LAYER_NAME, "num_heads", num_heads)
        if e % num_heads:
            raise ShapeError(
                f"{LAYER_NAME}: embed_dim = {e} does not divide into num_heads = {num_heads}",
                user_location(),
            )
        self.head_dim, self.dropout = e // num_heads, probability(LAYER_NAME, dropout)
        self.kdim = e if kdim is None else positive(LAYER_NAME, "kdim", kdim)
        self.vdim = e if vdim is None else positive(LAYER_NAME, "vdim", vdim)
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == e:
            self.in_proj_weight = Parameter(init.xavier_uniform((3 * e, e), dtype=dtype))
        else:
            for name, size in (("q", e), ("k", self.kdim), ("v", self.vdim)):
                start = init.xavier_uniform((e, size), dtype=dtype)
                setattr(self, f"{name}_proj_weight", Parameter(start))
        self.in_proj_bias = Parameter(init.zeros((3 * e,), dtype)) if bias else None
        self.out_proj = Linear(e, e, bias, dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.start_from(init.zeros((e,), dtype))
        self.bias_k = self._extra(add_bias_kv, dtype)
        self.bias_v = self._extra(add_bias_kv, dtype)

    def _extra(self, wanted: bool, dtype: Any) -> Parameter | None:
        """A key or value that every query sees."""
        if not wanted:
            return None
        e = self.embed_dim  # xavier_normal_ of [1, 1, e]: both fans are e
        return Parameter(init.normal((1, 1, e), 0.0, math.sqrt(1 / e), dtype))

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(the result, the weights of each head or their mean; None unless `need_weights`).

        `key_padding_mask` is [n, s], `attn_mask` [l, s] or [n * heads, l, s].  `is_causal` without
        `attn_mask` masks the future; with it, it says what the mask does and changes nothing.
        """
        q, k, v = (floats(LAYER_NAME, t) for t in (query, key, value))
        batched = q.ndim == 3
        if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim:
            raise ShapeError(
                f"{LAYER_NAME}: query {q.type}, key {k.type}, value {v.type}: expected rank "
                "3, or 2 without a batch",
                user_location(),
            )
        if not batched:
            q, k, v = _each(lambda t: t[None], q, k, v)
        elif not self.batch_first:
            q, k, v = _each(lambda t: swapaxes(t, 0, 1), q, k, v)
        q, k, v = self._projected(q, k, v)
        q, k, v = (self._heads(t) for t in (q, k, v))
        grown = k.shape[2]
        k, v = self._with_extras(k, v)
        extra = k.shape[2] - grown
        mask = self._mask(q, k, key_padding_mask, attn_mask, extra if isinstance(extra, int) else 0)
        causal = is_causal and attn_mask is None
        made, weights = self._attended(q, k, v, mask, causal, need_weights)
        out = permute_dims(made, (0, 2, 1, 3))
        out = self.out_proj(reshape(out, (*out.shape[:2], self.embed_dim)))
        if weights is not None and average_attn_weights:
            weights = reductions.mean(weights, 1)
        if not batched:
            return out[0], None if weights is None else weights[0]
        return out if self.batch_first else swapaxes(out, 0, 1), weights

    def _attended(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, shown: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The output of each head, and its weights if they are wanted."""
        if causal and (shown or mask is not None):
            mask, causal = _both(mask, past(q.shape[2], k.shape[2])), False
        p = self.dropout if self.training else 0.0
        if not shown:
            return functional.scaled_dot_product_attention(q, k, v, mask, p, causal), None
        weights = functional.dropout(attention_weights(LAYER_NAME, q, k, mask, False, None), p)
        return matmul(weights, v), weights

    def _projected(self, q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
        """The maps of [n, length, size] to embed_dim."""
        for name, t, size in (
            ("query", q, self.embed_dim),
            ("key", k, self.kdim),
            ("value", v, self.vdim),
        ):
            require_equal(LAYER_NAME, t.shape[-1], size, f"of the last axis of {name} {t.type}")
        biases = (None,) * 3 if self.in_proj_bias is None else split(self.in_proj_bias, 3)
        e = self.embed_dim
        if self.in_proj_weight is None:
            weights: tuple[Any, ...] = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        elif q is k and k is v and not self.training:  # its gradient is slow to put together
            whole = functional.linear(q, self.in_proj_weight, self.in_proj_bias)
            return [whole[:, :, i * e : (i + 1) * e] for i in range(3)]
        else:
            weights = split(self.in_proj_weight, 3)
        return [
            functional.linear(t, w, b) for t, w, b in zip((q, k, v), weights, biases, strict=True)
        ]

    def _heads(self, t: Tensor) -> Tensor:
        """[n, length, heads * size] as [n, heads, length, size]."""
        split_up = reshape(t, (*t.shape[:2], self.num_heads, self.head_dim))
        return permute_dims(split_up, (0, 2, 1, 3))

    def _with_extras(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [n, heads, s, size] with the learned one, and with a zero."""
        extended = []
        for t, bias in ((k, self.bias_k), (v, self.bias_v)):
            shape = (t.shape[0], self.num_heads, 1, self.head_dim)
            parts = [t]
            if bias is not None:
                own = reshape(bias, (1, self.num_heads, 1, self.head_dim))
                parts.append(broadcast_to(own, shape))
            if self.add_zero_attn:
                parts.append(zeros(shape, t.dtype))
            extended.append(concat(parts, 2))
        return extended[0], extended[1]

    def _mask(self, q: Tensor, k: Tensor, padding: Any, mask: Any, extra: int) -> Tensor | None:
        """Both masks as one that broadcasts to [n, heads, l, s]: what stays, or what is added."""
        n, heads, rows, s = *q.shape[:3], k.shape[2] - extra
        merged: Tensor | None = None
        if mask is not None:
            m = _masking("attn_mask", mask)
            if m.ndim not in (2, 3):
                raise ShapeError(
                    f"{LAYER_NAME}: attn_mask {m.type}: expected [l, s] or [n * heads, l, s]",
                    user_location(),
                )
            for axis, size in ((-2, rows), (-1, s)):
                require_equal(
                    LAYER_NAME, m.shape[axis], size, f"along axis {axis} of attn_mask {m.type}"
                )
            m = m if m.ndim == 2 else reshape(m, (n, heads, rows, s))
            merged = _stays(_padded(m, extra))
        if padding is not None:
            p = _masking("key_padding_mask", padding)
            p = p[None] if p.ndim == 1 else p
            if p.ndim != 2:
                raise ShapeError(
                    f"{LAYER_NAME}: key_padding_mask {p.type}: expected [n, s]", user_location()
                )
            for axis, size in ((0, n), (1, s)):
                require_equal(LAYER_NAME, p.shape[axis], size, f"of key_padding_mask {p.type}")
            merged = _both(merged, _stays(_padded(p, extra))[:, None, None, :])
        return merged


def _each(f: Callable[[Tensor], Tensor], *tensors: Tensor) -> list[Tensor]:
    """f of each tensor; equal tensors share one result."""
    made = {t: f(t) for t in tensors}
    return [made[t] for t in tensors]


def _masking(name: str, mask: Any) -> Tensor:
    m = tensor(LAYER_NAME, mask)
    if m.dtype != bool_ and not m.dtype.is_float:
        raise GraphError(
            f"{LAYER_NAME}: {name} {m.type}: expected truth values or floats; use gc.astype",
            user_location(),
        )
    return m


def _padded(m: Tensor, extra: int) -> Tensor:
    """The mask with a column for each extra key at the end, which every query sees."""
    widths = [(0, 0)] * (m.ndim - 1) + [(0, extra)]
    return pad(m, widths, constant_values=False if m.dtype == bool_ else 0.0) if extra else m


def _stays(m: Tensor) -> Tensor:
    """The mask with True for what stays, from one with True for what goes; floats unchanged."""
    return pw.logical_not(m) if m.dtype == bool_ else m


def _both(a: Tensor | None, b: Tensor) -> Tensor:
    """Two masks as one."""
    if a is None:
        return b
    if a.dtype == b.dtype == bool_:
        return pw.logical_and(a, b)
    added = (pw.where(m, 0.0, -math.inf) if m.dtype == bool_ else m for m in (a, b))
    return pw.add(*added)


def past(rows: Any, columns: Any) -> Tensor:
    """The causal mask, True for what stays: position i sees positions up to i."""
    row, col = (iota((rows, columns), axis) for axis in (0, 1))
    return pw.less_equal(col, row)
