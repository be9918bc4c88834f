"""Fifty steps of training give PyTorch's losses, from the same weights on the same batches.

The networks are those of examples/simple_cnn.py and examples/mnist_cnn.py (without dropout, which
draws other numbers there), narrower; and one with batch normalisation, strides and padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.nn import in_f64
from support.torch_cases import tensor, torch_case

import graphc as gc

STEPS = 50


def simple(nn: Any, channels: int = 6, hidden: int = 12) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * 169, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )


def mnist(nn: Any, first: int = 4, second: int = 6, hidden: int = 12) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, first, 3),
        nn.ReLU(),
        nn.Conv2d(first, second, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * 144, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )


def normed(nn: Any, channels: int = 4) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 6, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AvgPool2d(7),
        nn.Flatten(),
        nn.Linear(24, 10),
    )


NETWORKS: dict[str, Callable[[Any], Any]] = {"simple": simple, "mnist": mnist, "normed": normed}


def batches(size: int = 16) -> Iterator[tuple[Any, Any]]:
    """Images of ten classes: a pattern for each, below noise."""
    rng = np.random.default_rng(3)
    patterns = np.repeat(np.repeat(rng.normal(size=(10, 1, 7, 7)), 4, 2), 4, 3)
    for _ in range(STEPS):
        labels = rng.integers(0, 10, size)
        noise = rng.normal(size=(size, 1, 28, 28))
        yield (patterns[labels] + 0.5 * noise).astype(np.float32), labels


def start(shapes: list[tuple[int, ...]]) -> list[Any]:
    """Weights as PyTorch spreads them; a normalisation's weight is about 1."""
    rng = np.random.default_rng(4)
    spread = [np.prod(s[1:], dtype=int) ** -0.5 if len(s) > 1 else 0.1 for s in shapes]
    return [rng.uniform(-r, r, s) for s, r in zip(shapes, spread, strict=True)]


def losses_of_torch(torch: Any, make: Any, size: int, dtype: Any) -> list[Any]:
    model = make(torch.nn).to(getattr(torch, dtype))
    weights = list(model.parameters())
    with torch.no_grad():
        for p, value in zip(weights, start([tuple(p.shape) for p in weights]), strict=True):
            p.copy_(tensor(torch, value))
    optimizer, losses = torch.optim.Adam(weights, 3e-3), []
    for images, labels in batches(size):
        optimizer.zero_grad()
        x, y = tensor(torch, images.astype(dtype)), tensor(torch, labels)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return [np.array(losses)]


def losses_of_graphc(make: Any, size: int, dtype: Any) -> Any:
    with gc.Graph().as_default():
        model = make(gc.nn) if dtype == "float32" else in_f64(make(gc.nn))
        x = gc.placeholder(dtype, [None, 1, 28, 28], name="x")
        y = gc.placeholder(gc.int64, [None], name="y")
        loss = gc.nn.functional.cross_entropy(model(x), y)
        train = gc.optim.Adam(3e-3).minimize(loss)
        weights = dict(model.named_parameters())
        values = start([p.shape for p in weights.values()])
        with gc.Session() as sess:
            model.load_state_dict(sess, dict(zip(weights, values, strict=True)), strict=False)
            return np.array(
                [
                    sess.run([loss, train], {x: images.astype(dtype), y: labels})[0]
                    for images, labels in batches(size)
                ]
            )


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_in_f64(name: str) -> None:
    make = NETWORKS[name]
    (wanted,) = torch_case(name, lambda torch: losses_of_torch(torch, make, 16, "float64"))
    assert wanted[-1] < 0.97 * wanted[0]  # it learns
    np.testing.assert_allclose(losses_of_graphc(make, 16, "float64"), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_in_f32(name: str) -> None:
    """Adam divides by the size of a gradient, so a rounding error of a tiny one counts in full."""
    make = NETWORKS[name]
    (wanted,) = torch_case(f"{name}-f32", lambda torch: losses_of_torch(torch, make, 16, "float32"))
    np.testing.assert_allclose(losses_of_graphc(make, 16, "float32"), wanted, rtol=1e-4, atol=2e-5)
