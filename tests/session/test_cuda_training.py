"""Models train on a simulated device as they do on the host: a few steps, at tiny sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.device import compile_for, few_chunks

import graphc as gc
from graphc import nn

pytest.importorskip("greenlet", reason="threads that meet are simulated by greenlets")

F32 = np.float32
Model = tuple[Any, dict[Any, Any]]  # a loss, and what to feed
STEPS = 2


@pytest.fixture(autouse=True)
def own_graph(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Rows are folded in few chunks, for a simulator has few threads."""
    compile_for(monkeypatch, few_chunks(2))
    with gc.Graph().as_default() as graph:
        yield graph


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(F32)


def labels(count: int, classes: int) -> Any:
    return np.random.default_rng(1).integers(0, classes, count)


def softmax_regression() -> Model:
    x = gc.placeholder(gc.float32, [None, 9])
    y = gc.placeholder(gc.int64, [None])
    w, b = gc.variable(data(9, 4), name="w"), gc.variable(np.zeros(4, F32), name="b")
    return nn.functional.cross_entropy(x @ w + b, y), {x: data(6, 9), y: labels(6, 4)}


@gc.op
def bent(x: Any) -> Any:
    """x, bent at 0."""
    return gc.where(x > 0.0, x * gc.tanh(x), 0.1 * x)


def mlp() -> Model:
    x = gc.placeholder(gc.float32, [None, 5])
    y = gc.placeholder(gc.float32, [None, 2])
    first, second = nn.Linear(5, 8), nn.Linear(8, 2)
    return nn.functional.mse_loss(second(bent(first(x))), y), {x: data(4, 5), y: data(4, 2)}


def cnn() -> Model:
    x = gc.placeholder(gc.float32, [None, 1, 8, 8])
    y = gc.placeholder(gc.int64, [None])
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 3)
    )
    return nn.functional.cross_entropy(model(x), y), {x: data(2, 1, 8, 8), y: labels(2, 3)}


def block() -> Model:
    """An embedding, layer norm and attention."""
    x = gc.placeholder(gc.int64, [None, 4])
    table, norm = nn.Embedding(7, 8), nn.LayerNorm(8)
    attention, out = nn.MultiheadAttention(8, 2), nn.Linear(8, 3)
    h = table(x)
    mixed = attention(norm(h), norm(h), norm(h))
    h = h + (mixed[0] if isinstance(mixed, tuple) else mixed)
    target = gc.placeholder(gc.float32, [None, 4, 3])
    return nn.functional.mse_loss(out(h), target), {
        x: labels(8, 7).reshape(2, 4),
        target: data(2, 4, 3),
    }


OPTIMIZERS = {"SGD": lambda: gc.optim.SGD(0.02, momentum=0.9), "Adam": lambda: gc.optim.Adam(0.01)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", [softmax_regression, mlp, cnn])
def test_training(model: Any, optimizer: str, own_graph: Any) -> None:
    train(*model(), optimizer, own_graph)


def test_training_a_block(own_graph: Any) -> None:
    """By SGD: Adam would make steps of the noise in the gradient of a key's bias, which is 0."""
    train(*block(), "SGD", own_graph)


def train(loss: Any, fed: dict[Any, Any], optimizer: str, graph: Any) -> None:
    """Trains on the host and on a device, and compares."""
    step = OPTIMIZERS[optimizer]().minimize(loss)
    curves = []
    for device in (None, "cuda:sim"):
        with gc.Session(device=device, strict=device is not None, seed=5) as sess:
            losses = [sess.run([step, loss], fed)[1] for _ in range(STEPS)]
            curves.append((losses, [sess.value(v) for v in graph.variables]))
    (wanted, values), (got, found) = curves
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    for a, b in zip(found, values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert wanted[-1] < wanted[0] and len(values) > 1
