"""Training steps of convolutional networks: graphc, and PyTorch where it is installed, on one
thread each.  The networks are those of `examples/simple_cnn.py` and `examples/mnist_cnn.py`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc

Contestants = dict[str, Callable[[], Any]]


def simple(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 169, 128),
        nn.ReLU(), nn.Linear(128, 10))


def deep(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(128, 10))


def step(make: Callable[[Any], Any], batch: int) -> Contestants:
    """A step of Adam on images of 28 x 28 pixels."""
    rng = np.random.default_rng(0)
    images = rng.random((batch, 1, 28, 28), dtype=np.float32)
    labels = rng.integers(0, 10, batch)
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, 1, 28, 28], name="x")
        y = gc.placeholder(gc.int64, [None], name="y")
        loss = gc.nn.functional.cross_entropy(make(gc.nn)(x), y)
        train = gc.optim.Adam(1e-3).minimize(loss)
    call = gc.Session(graph, threads=1).make_callable([loss, train], [x, y])
    return {"graphc": lambda: call(images, labels), **_torch(make, images, labels)}


def _torch(make: Callable[[Any], Any], images: Any, labels: Any) -> Contestants:
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch

    torch.set_num_threads(1)
    model = make(torch.nn)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    x, y = torch.tensor(images), torch.tensor(labels)

    def by_torch() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return {"torch": by_torch}


def cnn_step() -> Contestants:
    """A step of conv 32, max-pool, dense 128-10 at batch 64, Adam."""
    return step(simple, 64)


def cnn_step_128() -> Contestants:
    """The same at batch 128."""
    return step(simple, 128)


def deep_cnn_step() -> Contestants:
    """A step of conv 32, conv 64, max-pool, dropout, dense 128-10 at batch 64, Adam."""
    return step(deep, 64)


def deep_cnn_step_128() -> Contestants:
    """The same at batch 128."""
    return step(deep, 128)


NETWORKS = {f.__name__: f for f in (cnn_step, cnn_step_128, deep_cnn_step, deep_cnn_step_128)}
