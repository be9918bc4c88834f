"""Attention over blocks of queries: the same numbers as the plain form, without all the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.nn import functional as F  # noqa: N812
from graphc.nn.functional import attention
from graphc.session.hooks import Hooks

RNG = np.random.default_rng(7)
L, S, E = 9, 7, 4  # 9 queries in blocks of 3
SOME = RNG.integers(0, 2, (L, S)).astype(bool)
SOME[4] = False  # sees nothing
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"is_causal": True},
    "scaled": {"scale": 0.3},
    "truth": {"attn_mask": SOME},
    "added": {"attn_mask": RNG.normal(size=(2, 1, L, S))},
    "keys": {"attn_mask": RNG.normal(size=S)},
}
CASES = [(name, False, True) for name in OPTIONS]
CASES += [("causal", True, False), ("truth", True, False), ("plain", False, False)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 24 scores are a long sequence."""
    monkeypatch.setattr(attention, "MAX_SCORES", 24)
    monkeypatch.setattr(attention, "MIN_QUERIES_PER_BLOCK", 1)


def derived(options: dict[str, Any], arrays: list[Any], symbolic: bool) -> tuple[Any, Any]:
    """Value, gradients and gradients of gradients; and the tensor."""
    with gc.Graph().as_default(), gc.Session() as sess:
        sizes = [("l",), ("s",), ("s",)] if symbolic else [(L,), (S,), (S,)]
        given = [
            gc.placeholder(gc.float64, (*a.shape[:-2], *size, a.shape[-1]))
            for a, size in zip(arrays, sizes, strict=True)
        ]
        out = F.scaled_dot_product_attention(*given, **options)
        first = gc.gradients(gc.sum(gc.sin(out)), given)
        second = gc.gradients(sum(gc.sum(gc.cos(g)) for g in first), given)
        return sess.run([out, *first, *second], dict(zip(given, arrays, strict=True))), out


@pytest.mark.parametrize(("name", "flat", "symbolic"), CASES)
def test_blocks_are_equal_to_the_plain_form(
    name: str, flat: bool, symbolic: bool, request: pytest.FixtureRequest
) -> None:
    batch = () if flat else (2, 3)
    arrays = [RNG.normal(size=(*batch, *size)) for size in ((L, E), (S, E), (S, 5))]
    plain, _ = derived(OPTIONS[name], arrays, False)
    request.getfixturevalue("small")
    blocks, out = derived(OPTIONS[name], arrays, symbolic)
    for a, b in zip(blocks, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert out.shape[-1] == 5 and len(out.shape) == len(batch) + 2


@pytest.mark.parametrize("length", [0, 1, 3, 600])
def test_symbolic_lengths(length: int) -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["n", "l", 2, 4])
        heads = gc.swapaxes(x, 1, 2)
        out = F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
        grad = gc.gradients(gc.sum(out * out), [x])[0]
        array = RNG.normal(size=(2, length, 2, 4)).astype(np.float32)
        fixed = gc.swapaxes(gc.asarray(array), 1, 2)
        same = F.scaled_dot_product_attention(
            fixed, fixed, fixed, gc.asarray(np.tri(length, dtype=bool))
        )
        got, slope, wanted = sess.run([out, grad, same], {x: array})
        np.testing.assert_allclose(got, wanted, atol=1e-5)
        assert slope.shape == array.shape and np.isfinite(slope).all()


@pytest.mark.parametrize("symbolic", [False, True])
def test_long_sequences_never_hold_all_scores(symbolic: bool) -> None:
    length, scores = 4096, 4 * 4096 * 4096
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ("l" if symbolic else length, 16))
        out = F.scaled_dot_product_attention(x, x, x, is_causal=True)
        first = gc.gradients(gc.sum(out * out), [x])
        second = gc.gradients(gc.sum(first[0] * first[0]), [x])
        array = RNG.normal(size=(length, 16)).astype(np.float32)
        got = sess.run([out, *first], {x: array})
        assert 0 < sess.stats.arena_allocated < scores // 6
        sess.run(second, {x: array})
        assert sess.stats.arena_allocated < scores // 3
    weights = array[-1] @ array.T / 4
    weights = np.exp(weights - weights.max())
    np.testing.assert_allclose(got[0][-1], weights @ array / weights.sum(), rtol=1e-4, atol=1e-5)


def test_dropout_in_blocks(small: None) -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        q, v = gc.placeholder(gc.float32, (64, 4)), gc.placeholder(gc.float32, (32, 200))
        k = gc.zeros((32, 4))
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
        grad = gc.gradients(gc.sum(out), [v])[0]
        feed = {q: np.zeros((64, 4), np.float32), v: np.ones((32, 200), np.float32)}
        value, slope = sess.run([out, grad], feed)
        assert len(np.unique(value[:, 0])) > 5 and abs(value.mean() - 1) < 0.1
        # the gradient draws what the value drew
        np.testing.assert_allclose(slope[:, 0].sum(), value[:, 0].sum(), rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_a_short_one_is_three_kernels(causal: bool) -> None:
    with gc.Graph().as_default():
        q = gc.placeholder(gc.float32, ("n", 4, 16, 8))
        out = F.scaled_dot_product_attention(q, q, q, is_causal=causal)
        programs: list[Any] = []
        sess = gc.Session(hooks=Hooks(observe=programs.append))
        sess.run(out, {q: np.zeros((2, 4, 16, 8), np.float32)})
        kernels = programs[0].program.kernels
        # which positions see which is computed where it is needed: it costs a comparison
        assert [k.kind.name for k in kernels] == ["MATMUL", "LOOPS", "MATMUL"]
