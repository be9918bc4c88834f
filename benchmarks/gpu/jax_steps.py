"""The training steps in JAX: the whole step is one compiled function that reuses its memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.gpu.nets import batch_of

SHAPES = {  # weights; each has a bias as long as its last (dense) or first (convolution) size
    "mlp": [(784, 500), (500, 10)],
    "simple_cnn": [(32, 1, 3, 3), (32 * 169, 128), (128, 10)],
    "mnist_cnn": [(32, 1, 3, 3), (64, 32, 3, 3), (9216, 128), (128, 10)],
}


def step(net: str, batch: int) -> Callable[[], Any]:
    """A step of Adam on a batch that lies on the GPU; it yields the loss."""
    import jax

    images, labels = (jax.device_put(a) for a in batch_of(batch))
    rng = np.random.default_rng(0)
    weights = [
        (
            jax.device_put(rng.standard_normal(s, np.float32) * np.float32(0.05)),
            jax.device_put(np.zeros(s[0] if len(s) == 4 else s[-1], np.float32)),
        )
        for s in SHAPES[net]
    ]
    zeros = jax.tree.map(lambda w: w * 0, weights)
    state = (weights, zeros, jax.tree.map(lambda w: w * 0, weights), np.float32(0))
    update = jax.jit(partial(_update, net), donate_argnums=(0,))

    def call() -> Any:
        nonlocal state
        state, loss = update(state, images, labels)
        return loss

    return call


def _update(net: str, state: Any, images: Any, labels: Any) -> Any:
    """Adam, with PyTorch's defaults."""
    import jax
    import jax.numpy as jnp

    weights, first, second, count = state
    key = jax.random.fold_in(jax.random.key(0), count.astype(jnp.int32))
    loss, slope = jax.value_and_grad(partial(_loss, net))(weights, images, labels, key)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slope)
    weights = jax.tree.map(
        lambda w, m, v: (
            w - 1e-3 * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
        ),
        weights,
        first,
        second,
    )
    return (weights, first, second, count), loss


def _loss(net: str, weights: Any, images: Any, labels: Any, key: Any) -> Any:
    import jax
    import jax.numpy as jnp

    x, dropping = images, net == "mnist_cnn"
    convolutions = [pair for pair in weights if pair[0].ndim == 4]
    for w, b in convolutions:
        x = jax.nn.relu(jax.lax.conv_general_dilated(x, w, (1, 1), "VALID") + b[:, None, None])
    if convolutions:
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = _dropped(x, 0.25, key) if dropping else x
    (w1, b1), (w2, b2) = weights[len(convolutions) :]
    x = jax.nn.relu(x.reshape(len(x), -1) @ w1 + b1)
    x = _dropped(x, 0.5, jax.random.fold_in(key, 1)) if dropping else x
    scores = jax.nn.log_softmax(x @ w2 + b2)
    return -jnp.mean(scores[jnp.arange(len(labels)), labels])


def _dropped(x: Any, share: float, key: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jnp.where(jax.random.bernoulli(key, 1 - share, x.shape), x / (1 - share), 0)
