"""The networks of the training steps: those of the examples mnist_mlp, simple_cnn and mnist_cnn, on
images of 28 x 28 pixels.  `nn` is graphc's or PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.networks import deep, simple


def mlp(nn: Any) -> Any:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10))


NETS = {"mlp": mlp, "simple_cnn": simple, "mnist_cnn": deep}
BATCHES = {"mlp": 128, "simple_cnn": 32, "mnist_cnn": 64}


def batch_of(size: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images and labels, drawn at random."""
    rng = np.random.default_rng(0)
    return rng.random((size, 1, 28, 28), np.float32), rng.integers(0, 10, size)
