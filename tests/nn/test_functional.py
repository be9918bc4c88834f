"""Activations, losses and layers against NumPy spellings of PyTorch's definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.oracle import run

import graphc as gc
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.nn import functional as F  # noqa: N812

RNG = np.random.default_rng(2)
X = RNG.uniform(-4, 4, (5, 7)).astype(np.float32)
LABELS = np.array([0, 6, 3, 3, 1])


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    global RNG  # each test draws the same, whatever ran before it
    RNG = np.random.default_rng(2)
    with gc.Graph().as_default() as graph:
        yield graph


def close(actual: Any, expected: Any) -> None:
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)


def erf(x: Any) -> Any:
    return np.vectorize(math.erf)(x.astype(np.float64))


def softmax(x: Any, axis: int) -> Any:
    e = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


ACTIVATIONS = [
    (F.relu, lambda x: np.maximum(x, 0)),
    (F.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    (F.elu, lambda x: np.where(x > 0, x, np.expm1(x))),
    (F.gelu, lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2)))),
    (
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    (F.silu, lambda x: x / (1 + np.exp(-x))),
    (F.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    (F.logsigmoid, lambda x: -np.log1p(np.exp(-x))),
    (F.softplus, lambda x: np.log1p(np.exp(x))),
    (lambda x: F.softplus(x, beta=3.0), lambda x: np.log1p(np.exp(3 * x)) / 3),
    (F.tanh, np.tanh),
    (F.softmax, lambda x: softmax(x, -1)),
    (lambda x: F.softmax(x, dim=0), lambda x: softmax(x, 0)),
    (lambda x: F.log_softmax(x, dim=1), lambda x: np.log(softmax(x, 1))),
    (lambda x: F.normalize(x), lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)),
    (lambda x: F.normalize(x, p=1.0), lambda x: x / np.abs(x).sum(1, keepdims=True)),
]


@pytest.mark.parametrize(("function", "numpy"), ACTIVATIONS)
def test_activations(function: Any, numpy: Any) -> None:
    close(run(function(X)), numpy(X))


def test_softmax_of_large_inputs() -> None:
    x = np.array([[1e4, 0.0, -1e4]], np.float32)
    close(run(F.softmax(x)), [[1, 0, 0]])
    close(run(F.log_softmax(x)), [[0, -1e4, -2e4]])


def test_relu_keeps_nan_and_drops_the_sign_of_zero() -> None:
    """semantics 2.1, 2.3"""
    out = run(F.relu(np.array([np.nan, -0.0, -1.0], np.float32)))
    assert np.isnan(out[0])
    assert not np.signbit(out[1:]).any()


def reference_loss(x: Any, labels: Any) -> Any:
    return -np.log(softmax(x, 1))[np.arange(len(labels)), labels]


def test_cross_entropy() -> None:
    losses = reference_loss(X, LABELS)
    close(run(F.cross_entropy(X, LABELS)), losses.mean())
    close(run(F.cross_entropy(X, LABELS, reduction="sum")), losses.sum())
    close(run(F.cross_entropy(X, LABELS, reduction="none")), losses)
    close(run(F.cross_entropy(X, LABELS.astype(np.uint8))), losses.mean())
    close(run(F.cross_entropy(X[0], LABELS[0])), losses[0])


def test_cross_entropy_of_symbolic_batches() -> None:
    x = gc.placeholder(gc.float32, ["n", 7])
    y = gc.placeholder(gc.int64, ["n"])
    loss = F.cross_entropy(x, y)
    for n in (1, 5):
        close(run(loss, {x: X[:n], y: LABELS[:n]}), reference_loss(X[:n], LABELS[:n]).mean())


def test_cross_entropy_with_ignored_labels_and_smoothing() -> None:
    labels = LABELS.copy()
    labels[2] = -100
    kept = labels >= 0
    losses = reference_loss(X[kept], labels[kept])
    close(run(F.cross_entropy(X, labels, ignore_index=-100)), losses.mean())
    even = -np.log(softmax(X, 1)).mean(1)
    smooth = 0.9 * reference_loss(X, LABELS) + 0.1 * even
    close(run(F.cross_entropy(X, LABELS, label_smoothing=0.1)), smooth.mean())


def test_cross_entropy_of_images() -> None:
    x = RNG.uniform(-1, 1, (2, 3, 4, 5)).astype(np.float32)
    labels = RNG.integers(0, 3, (2, 4, 5))
    picked = np.take_along_axis(np.log(softmax(x, 1)), labels[:, None], 1)
    close(run(F.cross_entropy(x, labels)), -picked.mean())


@pytest.mark.parametrize("label", [7, -1, -7, 2**40])
def test_a_label_out_of_range_fails_the_run(label: int) -> None:
    """semantics 7.2: labels do not count from the end."""
    y = gc.placeholder(gc.int64, [None])
    loss = F.cross_entropy(X[:1], y)
    with pytest.raises(GraphError, match="is out of range for a size of 7"):
        run(loss, {y: np.array([label])})


def test_nll_loss() -> None:
    logp = np.log(softmax(X, 1)).astype(np.float32)
    close(run(F.nll_loss(logp, LABELS)), reference_loss(X, LABELS).mean())


def test_regression_losses() -> None:
    y = X[::-1].copy()
    gap = np.abs(X - y)
    close(run(F.mse_loss(X, y)), (gap**2).mean())
    close(run(F.l1_loss(X, y, reduction="sum")), gap.sum())
    smooth = np.where(gap < 0.5, gap**2, gap - 0.25)
    close(run(F.smooth_l1_loss(X, y, reduction="none", beta=0.5)), smooth)


def test_binary_cross_entropy() -> None:
    y = (X > 1).astype(np.float32)
    p = 1 / (1 + np.exp(-X.astype(np.float64)))
    plain = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    close(run(F.binary_cross_entropy_with_logits(X, y)), plain.mean())
    weighted = -(3 * y * np.log(p) + (1 - y) * np.log(1 - p))
    close(run(F.binary_cross_entropy_with_logits(X, y, pos_weight=3.0)), weighted.mean())
    far = np.array([1000.0, -1000.0], np.float32)
    close(run(F.binary_cross_entropy_with_logits(far, np.zeros(2, np.float32))), 500)


def test_layer_norm() -> None:
    g, b = RNG.uniform(0.5, 1, 7).astype(np.float32), np.ones(7, np.float32)
    wide = X.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    close(run(F.layer_norm(X, 7, g, b)), expected * g + b)
    close(run(F.layer_norm(X, (5, 7))), (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5))


def test_linear_and_one_hot() -> None:
    w, b = X[:3], np.ones(3, np.float32)
    close(run(F.linear(X, w, b)), X @ w.T + b)
    assert run(F.one_hot(np.array([1, 0]), 3)).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_dropout() -> None:
    x = gc.ones((4000,))
    out = run(F.dropout(x, 0.25))
    assert set(np.unique(out)) == {0.0, np.float32(1 / 0.75)}
    assert abs((out == 0).mean() - 0.25) < 0.03
    assert F.dropout(x, 0.5, training=False) is x
    assert not run(F.dropout(x, 1.0)).any()


WRONG = [
    (lambda: F.cross_entropy(X, LABELS.astype(np.float32)), DTypeError, "no integer labels"),
    (lambda: F.cross_entropy(LABELS, LABELS), DTypeError, "holds no floats"),
    (lambda: F.cross_entropy(X, LABELS[:, None]), ShapeError, "expected a target of rank 1"),
    (lambda: F.cross_entropy(X, LABELS[:4]), ShapeError, "sizes differ .*: 5 and 4"),
    (lambda: F.cross_entropy(X, LABELS, reduction="avg"), GraphError, "reduction 'avg'"),
    (lambda: F.mse_loss(X, X[0]), ShapeError, "different ranks"),
    (lambda: F.softmax(X, dim=2), ShapeError, "softmax: dim 2 is out of range"),
    (lambda: F.softmax(LABELS), DTypeError, "softmax: input"),
    (lambda: F.gelu(X, "fast"), GraphError, "approximate 'fast'"),
    (lambda: F.layer_norm(X, 6), ShapeError, "layer_norm: sizes differ"),
    (lambda: F.linear(X, X.T), ShapeError, "linear: sizes differ"),
    (lambda: F.dropout(X, 1.5), GraphError, "p is 1.5"),
    (lambda: gc.init.xavier_uniform((3,)), ShapeError, "has no fans"),
    (lambda: gc.init.he_normal((3, 3), mode="both"), GraphError, "mode 'both'"),
    (lambda: gc.init.calculate_gain("swoosh"), GraphError, "'swoosh' is unknown"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location.file == __file__


# ---- initial values ----


@pytest.mark.parametrize(
    ("initial", "deviation"),
    [
        (gc.init.xavier_uniform, math.sqrt(2 / 300)),
        (gc.init.xavier_normal, math.sqrt(2 / 300)),
        (gc.init.he_uniform, math.sqrt(2 / 100)),
        (gc.init.he_normal, math.sqrt(2 / 100)),
        (
            lambda s: gc.init.kaiming_normal(s, mode="fan_out", nonlinearity="relu"),
            math.sqrt(2 / 200),
        ),
        (lambda s: gc.init.normal(s, 0.0, 0.3), 0.3),
        (lambda s: gc.init.uniform(s, -1.0, 1.0), math.sqrt(1 / 3)),
    ],
)
def test_spread_of_initial_values(initial: Any, deviation: float) -> None:
    w = gc.variable(initial((200, 100)))
    value = run(w)
    assert value.shape == (200, 100)
    assert abs(value.mean()) < deviation * 0.05
    assert abs(value.std() / deviation - 1) < 0.03


def test_fans_of_both_layouts() -> None:
    """[out, in], as of x @ w.T, unless the mode says the other: what comes in counts."""
    for shape, mode in (((100, 784), "fan_in"), ((784, 100), "fan_out")):
        w = run(gc.init.kaiming_normal(shape, mode=mode, nonlinearity="relu"))
        assert abs(w.std() - math.sqrt(2 / 784)) < 1e-3


def test_plain_initial_values_and_fans() -> None:
    assert run(gc.variable(gc.init.zeros((2,)))).tolist() == [0, 0]
    assert run(gc.variable(gc.init.ones((2,)))).tolist() == [1, 1]
    assert run(gc.variable(gc.init.constant((2,), 3.0))).tolist() == [3, 3]
    assert gc.init.fans((8, 4, 3, 3)) == (36, 72)


def test_cosine_similarity_of_vectors_that_repeat() -> None:
    """PyTorch's: an operand is broadcast before its norm is taken, along `dim` too."""
    ones = gc.ones
    for a, b, dim in (((5, 1), (5, 2), 1), ((2,), (5, 2), 0), ((2,), (5, 2), 1), ((), (4,), 0)):
        found = run(F.cosine_similarity(ones(a), ones(b), dim=dim))
        np.testing.assert_allclose(
            found, np.ones(np.delete((5, 2), dim) if b != (4,) else ()), 1e-6
        )
    rows = gc.placeholder(gc.float32, ["n", 1])
    found = run(F.cosine_similarity(rows, ones((1, 3))), {rows: np.full((2, 1), -2, np.float32)})
    np.testing.assert_allclose(found, [-1, -1], rtol=1e-6)


def test_normalize_by_extreme_norms() -> None:
    x = np.array([[1.0, -2.0, 4.0]], np.float32)
    for p, norm in ((-math.inf, 1.0), (math.inf, 4.0), (-1.0, 1 / 1.75), (1.0, 7.0)):
        close(run(F.normalize(x, p=p)), x / norm)


def test_binary_cross_entropy_of_a_certain_sigmoid() -> None:
    """In f32 sigmoid(17.5) is 1: log(1 - 1) counts as -100 times 0, and has gradient 0."""
    x = gc.placeholder(gc.float32, [2])
    p = gc.minimum(F.sigmoid(x), 1.0)  # keeps the rule for log(sigmoid(x)) away
    loss = F.binary_cross_entropy(p, np.array([1.0, 0.0], np.float32), reduction="sum")
    (slope,) = gc.gradients(loss, [x])
    np.testing.assert_allclose(run(slope, {x: np.float32([17.5, -90])}), [0, 0], atol=1e-7)


def test_a_padding_row_counts_from_the_end_of_a_symbolic_size() -> None:
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    with gc.Graph().as_default(), gc.Session() as sess:
        w = gc.placeholder(gc.float32, ["n", 2], name="w")
        found = F.embedding(np.array([4, 1, 1]), w, padding_idx=-1)
        slope = gc.gradients(gc.sum(found), [w])[0]
        rows, ct = sess.run([found, slope], {w: table})
    assert rows.tolist() == [[8, 9], [2, 3], [2, 3]]
    assert ct.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0], [0, 0]]
