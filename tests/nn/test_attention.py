"""Attention and transformers against PyTorch: values, gradients, state dicts, masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.nn import compare, in_f64, layer
from support.oracle import run

import graphc as gc
from graphc import nn
from graphc.errors import DTypeError, GraphcError, GraphError, ShapeError
from graphc.nn import functional as F  # noqa: N812

RNG = np.random.default_rng(6)


def draw(*shape: int) -> Any:
    return RNG.uniform(-2, 2, shape)


Q, K, V = draw(2, 3, 5, 4), draw(2, 3, 6, 4), draw(2, 3, 6, 2)
SOME = RNG.integers(0, 2, (5, 6)).astype(bool)
SOME[:, 0] = True
BLIND = SOME.copy()
BLIND[2] = False  # sees nothing
ADDED = np.where(SOME, draw(5, 6), -np.inf)

MASKS: list[tuple[str, dict[str, Any]]] = [
    ("plain", {}),
    ("causal", {"is_causal": True}),
    ("scaled", {"scale": 0.3}),
    ("truth", {"attn_mask": SOME}),
    ("blind", {"attn_mask": BLIND}),
    ("added", {"attn_mask": ADDED}),
    ("batched", {"attn_mask": np.stack([SOME, ~SOME])[:, None]}),
]


@pytest.mark.parametrize(("name", "options"), MASKS, ids=[m[0] for m in MASKS])
def test_scaled_dot_product_attention(name: str, options: Any) -> None:
    def with_torch(torch: Any, *t: Any) -> Any:
        given = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        return torch.nn.functional.scaled_dot_product_attention(*t, **given)

    compare(
        name, (Q, K, V), with_torch, lambda *t: F.scaled_dot_product_attention(*t, **options), 3
    )


def test_grouped_queries_and_unbatched() -> None:
    arrays = (draw(2, 6, 5, 4), draw(2, 2, 5, 4), draw(2, 2, 5, 4))
    compare(
        "gqa",
        arrays,
        lambda torch, *t: torch.nn.functional.scaled_dot_product_attention(*t, enable_gqa=True),
        lambda *t: F.scaled_dot_product_attention(*t, enable_gqa=True),
        3,
    )
    compare(
        "flat",
        (Q[0, 0], K[0, 0], V[0, 0]),
        lambda torch, *t: torch.nn.functional.scaled_dot_product_attention(*t),
        F.scaled_dot_product_attention,
        3,
    )


def test_attention_of_symbolic_lengths() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        q, k = (gc.placeholder(gc.float64, ["n", 3, size, 4]) for size in ("l", "s"))
        out = [F.scaled_dot_product_attention(q, k, k, is_causal=causal) for causal in (0, 1)]
        attention = in_f64(nn.MultiheadAttention(4, 2, batch_first=True))
        out += attention(q[:, 0], k[:, 0], k[:, 0])
        same = [F.scaled_dot_product_attention(Q, K, K, is_causal=causal) for causal in (0, 1)]
        same += attention(Q[:, 0], K[:, 0], K[:, 0])
        for a, b in zip(sess.run(out, {q: Q, k: K}), sess.run(same), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_attention_of_a_symbolic_head_size() -> None:
    """The scale is 1 / sqrt(e), and e is known when arrays are fed."""
    with gc.Graph().as_default():
        q, k = (gc.placeholder(gc.float64, [2, size, "e"]) for size in ("l", "s"))
        out = F.scaled_dot_product_attention(q, k, k)
        for e in (1, 4, 9):
            a, b = (RNG.normal(size=(2, length, e)) for length in (3, 5))
            scores = a @ b.swapaxes(1, 2) / np.sqrt(e)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            wanted = weights / weights.sum(-1, keepdims=True) @ b
            np.testing.assert_allclose(run(out, {q: a, k: b}), wanted, rtol=1e-10)


def test_heads_of_size_0() -> None:
    """Scores are sums of nothing, so all that is seen weighs the same; known and symbolic alike."""
    v = np.array([[[1.0], [3.0]]])
    with gc.Graph().as_default(), gc.Session() as sess:
        known = gc.placeholder(gc.float64, [1, 2, 0])
        symbolic = gc.placeholder(gc.float64, [1, 2, "e"])
        feeds = {x: np.zeros((1, 2, 0)) for x in (known, symbolic)}
        for x in (known, symbolic):
            out = F.scaled_dot_product_attention(x, x, v)
            np.testing.assert_array_equal(sess.run(out, feeds), [[[2.0], [2.0]]])


def test_dropout_of_attention() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        out = F.scaled_dot_product_attention(Q, K, gc.ones((2, 3, 6, 400)), dropout_p=0.5)
        values = sess.run(out)
        assert np.unique(np.round(values, 5)).size > 10 and abs(values.mean() - 1) < 0.3


X, Y = draw(4, 2, 6), draw(5, 2, 6)  # [length, n, size]
PADDING = np.array([[False, False, False, True, True], [False] * 5])
LEFT_OUT = ~np.tril(np.ones((4, 4), bool))
# name, constructor's options, inputs, options of the call
HEADS: list[tuple[str, dict[str, Any], tuple[Any, ...], dict[str, Any]]] = [
    ("self", {}, (X, X, X), {}),
    ("cross", {}, (X, Y, Y), {"average_attn_weights": False}),
    ("no-weights", {}, (X, Y, Y), {"need_weights": False}),
    ("batch-first", {"batch_first": True}, (X, X, X), {"need_weights": False}),
    ("sizes", {"kdim": 3, "vdim": 2}, (X, draw(5, 2, 3), draw(5, 2, 2)), {}),
    ("padding", {}, (X, Y, Y), {"key_padding_mask": PADDING}),
    ("mask", {}, (X, X, X), {"attn_mask": LEFT_OUT}),
    ("mask-float", {}, (X, X, X), {"attn_mask": draw(4, 4), "need_weights": False}),
    ("mask-heads", {}, (X, X, X), {"attn_mask": draw(4, 4, 4)}),
    (
        "both",
        {},
        (X, Y, Y),
        {"attn_mask": draw(4, 5), "key_padding_mask": np.where(PADDING, -np.inf, 0.0)},
    ),
    ("extras", {"bias": False, "add_bias_kv": True, "add_zero_attn": True}, (X, Y, Y), {}),
    ("extras-masked", {"add_zero_attn": True}, (X, Y, Y), {"key_padding_mask": PADDING}),
    ("single", {}, (X[:, 0], Y[:, 0], Y[:, 0]), {}),
]


@pytest.mark.parametrize(("name", "made", "inputs", "options"), HEADS, ids=[h[0] for h in HEADS])
def test_multihead_attention(name: str, made: Any, inputs: Any, options: Any) -> None:
    layer(
        f"heads-{name}",
        inputs,
        lambda nn: nn.MultiheadAttention(6, 2, **made),
        lambda: in_f64(nn.MultiheadAttention(6, 2, **made)),
        3,
        call=masked(options),
    )


def masked(options: dict[str, Any]) -> Callable[..., Any]:
    """Calls a module with masks, of torch if the module is torch's."""

    def call(module: Any, *inputs: Any) -> Any:
        if isinstance(module, nn.Module):
            return module(*inputs, **options)
        import torch

        return module(
            *inputs,
            **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()},
        )

    return call


SIZES = {"dim_feedforward": 7, "dropout": 0.0}
BLOCKS: list[tuple[str, Callable[[Any], Any], tuple[Any, ...], dict[str, Any]]] = [
    ("encoder-layer", lambda nn: nn.TransformerEncoderLayer(6, 2, **SIZES), (X,), {}),
    (
        "encoder-first",
        lambda nn: nn.TransformerEncoderLayer(
            6, 3, norm_first=True, activation="gelu", batch_first=True, **SIZES
        ),
        (X,),
        {},
    ),
    (
        "encoder-masked",
        lambda nn: nn.TransformerEncoderLayer(6, 2, bias=False, **SIZES),
        (X,),
        {"src_mask": LEFT_OUT, "src_key_padding_mask": PADDING[:, 1:]},
    ),
    ("decoder-layer", lambda nn: nn.TransformerDecoderLayer(6, 2, **SIZES), (X, Y), {}),
    (
        "decoder-masked",
        lambda nn: nn.TransformerDecoderLayer(6, 2, norm_first=True, **SIZES),
        (X, Y),
        {"tgt_mask": LEFT_OUT, "memory_key_padding_mask": PADDING},
    ),
    (
        "encoder",
        lambda nn: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, **SIZES), 2, nn.LayerNorm(6)
        ),
        (X,),
        {"mask": LEFT_OUT},
    ),
    (
        "decoder",
        lambda nn: nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, **SIZES), 2),
        (X, Y),
        {"tgt_mask": LEFT_OUT},
    ),
    ("whole", lambda nn: nn.Transformer(6, 2, 1, 1, **SIZES), (X, Y), {}),
]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")
@pytest.mark.parametrize(("name", "make", "inputs", "options"), BLOCKS, ids=[b[0] for b in BLOCKS])
def test_transformers(name: str, make: Any, inputs: Any, options: Any) -> None:
    layer(name, inputs, make, lambda: in_f64(make(gc.nn)), len(inputs), call=masked(options))


def test_initial_values_of_attention() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        made = nn.MultiheadAttention(64, 4, add_bias_kv=True)
        state = made.state_dict(sess)
        bound = (6 / (4 * 64)) ** 0.5
        assert 0.97 * bound < np.abs(state["in_proj_weight"]).max() <= bound
        assert not state["in_proj_bias"].any() and not state["out_proj.bias"].any()
        stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)
        state = stack.state_dict(sess)
        np.testing.assert_array_equal(  # copies start equal, as PyTorch's
            state["layers.0.linear1.weight"], state["layers.1.linear1.weight"]
        )
        names = [v.name for v in stack.parameters()]
        assert "layers.1.self_attn.in_proj_weight" in names


WRONG: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: nn.MultiheadAttention(6, 4), ShapeError, "does not divide into num_heads"),
    (lambda: nn.MultiheadAttention(6, 2, dropout=2.0), GraphError, "p is 2"),
    (lambda: nn.MultiheadAttention(4, 2)(X, X, X), ShapeError, "of the last axis of query"),
    (lambda: nn.MultiheadAttention(6, 2)(X, X[0], X), ShapeError, "expected rank 3"),
    (lambda: nn.MultiheadAttention(6, 2)(X, Y, Y, attn_mask=LEFT_OUT), ShapeError, "attn_mask"),
    (
        lambda: nn.MultiheadAttention(6, 2)(X, X, X, attn_mask=LEFT_OUT.astype(int)),
        GraphError,
        "expected truth values or floats",
    ),
    (lambda: nn.MultiheadAttention(6, 2)(X, X, X, PADDING), ShapeError, "key_padding_mask"),
    (lambda: F.scaled_dot_product_attention(Q, V, V), ShapeError, "of query .* and key"),
    (lambda: F.scaled_dot_product_attention(Q, K, Q), ShapeError, "of key .* and value"),
    (lambda: F.scaled_dot_product_attention(Q, K, V, SOME[:4]), ShapeError, "do not broadcast"),
    (lambda: F.scaled_dot_product_attention(Q, K, V, SOME.astype(int)), DTypeError, "attn_mask"),
    (lambda: F.scaled_dot_product_attention(Q, K, V, SOME, is_causal=True), GraphError, "exclude"),
    (lambda: F.scaled_dot_product_attention(Q[0, 0, 0], K, V), ShapeError, "length, size"),
    (
        lambda: F.scaled_dot_product_attention(
            Q, draw(2, 2, 6, 4), draw(2, 2, 6, 4), enable_gqa=True
        ),
        ShapeError,
        "do not divide",
    ),
    (lambda: nn.TransformerEncoderLayer(6, 2, activation="swoosh"), GraphError, "'swoosh'"),
    (lambda: nn.TransformerEncoder(3, 2), GraphError, "3 is no Module"),
    (lambda: nn.TransformerEncoder(nn.ReLU(), 0), ShapeError, "num_layers is 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None and caught.value.location.file == __file__
