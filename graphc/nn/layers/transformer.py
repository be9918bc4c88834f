"""The transformer's layers (Vaswani et al. 2017), with PyTorch's arguments and state dict."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from graphc import init
from graphc.errors import GraphError, user_location
from graphc.frontend.tensor import Tensor
from graphc.functions.creation import full, triu
from graphc.ir.types import f32
from graphc.nn import functional
from graphc.nn.containers import ModuleList, module_of
from graphc.nn.functional.activation import floats
from graphc.nn.layers.attention import MultiheadAttention
from graphc.nn.layers.dropout import Dropout
from graphc.nn.layers.linear import Linear, positive
from graphc.nn.layers.norm import LayerNorm
from graphc.nn.module import Module, Parameter

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


class TransformerBlock(Module):
    """The base of encoder and decoder layers: self-attention, then two affine maps."""

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention
    activation: Callable[..., Any]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: Any,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        dtype: Any,
        attentions: tuple[str, ...],
    ) -> None:
        if isinstance(activation, str) and activation not in ("relu", "gelu"):
            raise GraphError(
                f"{type(self).__name__}: activation {activation!r}: expected 'relu', "
                "'gelu' or a function",
                user_location(),
            )
        for name in attentions:
            setattr(
                self,
                name,
                MultiheadAttention(
                    d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
                ),
            )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype)
        self.norm_first = norm_first
        for i in range(1, len(attentions) + 2):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        for i in range(1, len(attentions) + 2):
            setattr(self, f"dropout{i}", Dropout(dropout))
        named: dict[str, Any] = {"relu": functional.relu, "gelu": functional.gelu}
        self.activation = named[activation] if isinstance(activation, str) else activation

    def _part(self, x: Any, i: int, inner: Any) -> Any:
        """x plus a part of the layer, normalised before or after."""
        norm, drop = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        return x + drop(inner(norm(x))) if self.norm_first else norm(x + drop(inner(x)))

    def _feed_forward(self, x: Any) -> Tensor:
        made: Tensor = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return made


class TransformerEncoderLayer(TransformerBlock):
    """Attention of the input to itself, then two affine maps with an activation between.

    >>> import graphc as gc
    >>> layer = gc.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> layer(gc.zeros((5, 3, 8))).type
    f32[5,3,8]
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = f32,
    ) -> None:
        super().__init__(
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            dtype,
            ("self_attn",),
        )

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )[0]

        x = self._part(floats("TransformerEncoderLayer", src), 1, attend)
        out: Tensor = self._part(x, 2, self._feed_forward)
        return out


class TransformerDecoderLayer(TransformerBlock):
    """Attention of the target to itself and to a memory, then two affine maps."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = f32,
    ) -> None:
        super().__init__(
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            dtype,
            ("self_attn", "multihead_attn"),
        )

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]

        def look(x: Any) -> Any:
            return self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                False,
                memory_mask,
                is_causal=memory_is_causal,
            )[0]

        x = self._part(floats("TransformerDecoderLayer", tgt), 1, attend)
        out: Tensor = self._part(self._part(x, 2, look), 3, self._feed_forward)
        return out


class Stack(Module):
    """Copies of a layer, one after the other; the copies start from equal values, as PyTorch's."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        what = type(self).__name__
        module_of(what, layer)
        count = positive(what, "num_layers", num_layers)
        self.layers = ModuleList(copy.deepcopy(layer) for _ in range(count))
        self.num_layers, self.norm = num_layers, norm

    def _run(self, x: Any, *args: Any, **kwargs: Any) -> Tensor:
        for layer in self.layers:
            x = layer(x, *args, **kwargs)
        made: Tensor = x if self.norm is None else self.norm(x)
        return made


class TransformerEncoder(Stack):
    """`num_layers` copies of an encoder layer, and a norm after the last.

    >>> import graphc as gc
    >>> layer = gc.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> gc.nn.TransformerEncoder(layer, 2)(gc.zeros((5, 3, 8))).type
    f32[5,3,8]
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        return self._run(src, mask, src_key_padding_mask, bool(is_causal))


class TransformerDecoder(Stack):
    """`num_layers` copies of a decoder layer, and a norm after the last."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        return self._run(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            bool(tgt_is_causal),
            memory_is_causal,
        )


class Transformer(Module):
    """An encoder and a decoder, all matrices xavier_uniform."""

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = f32,
    ) -> None:
        options = (
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            dtype,
        )
        norms = [LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype) for _ in range(2)]
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*options), num_encoder_layers, norms[0]
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*options), num_decoder_layers, norms[1]
        )
        for p in self.parameters():
            if isinstance(p, Parameter) and p.ndim > 1:
                p.start_from(init.xavier_uniform(p.shape, dtype=dtype))

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        made: Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )
        return made

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = f32) -> Tensor:
        """The float mask that hides what comes later: 0 on and below the diagonal, else -inf.

        >>> import graphc as gc
        >>> with gc.Session() as sess:
        ...     print(sess.run(gc.nn.Transformer.generate_square_subsequent_mask(2)))
        [[  0. -inf]
         [  0.   0.]]
        """
        hidden = full((sz, sz), -math.inf, dtype)
        return triu(hidden, 1)
