"""Training: the losses of the first steps are the CPU's, the networks learn, and a step is faster
than that of others on the same card."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from benchmarks.gpu.kernels import per_call, session, wait_for
from benchmarks.gpu.nets import BATCHES, NETS, batch_of
from benchmarks.gpu.report import Figures
from graphc import data

TOLERANCE = 2e-3  # of a loss, after a few steps in f32 in another order
LEARNT = {"MNIST": 0.97, "digits": 0.9}  # test accuracy after EPOCHS
EPOCHS = {"MNIST": 1, "digits": 20}


def graph_of(net: Any, batch: int) -> tuple[Any, Any, Any]:
    """A graph whose batch is in variables, a step of Adam, and the loss."""
    images, labels = batch_of(batch)
    with gc.Graph().as_default() as graph:
        x, y = gc.variable(images, trainable=False), gc.variable(labels, trainable=False)
        loss = gc.nn.functional.cross_entropy(net(gc.nn)(x), y)
        return graph, gc.optim.Adam(1e-3).minimize(loss), loss


def tiny(nn: Any) -> Any:
    """A network that a simulator can train."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10))


def losses(net: Any, device: str, batch: int, steps: int) -> list[float]:
    """The losses of the first steps."""
    graph, train, loss = graph_of(net, batch)
    with session(device, graph) as sess:
        return [float(sess.run([train, loss])[1]) for _ in range(steps)]


def like_the_cpu(net: Any, device: str, batch: int, steps: int) -> Figures:
    """The first losses on the device and on the CPU, which draw the same weights and dropouts."""
    here, there = losses(net, "cpu:0", batch, steps), losses(net, device, batch, steps)
    worst = max(abs(a - b) / abs(a) for a, b in zip(here, there, strict=True))
    assert worst <= TOLERANCE, f"losses {there}, on the CPU {here}"
    return {"worst": worst, "losses": there}


def seconds(net: str, device: str) -> float:
    """Seconds of a training step."""
    graph, train, _ = graph_of(NETS[net], BATCHES[net])
    with session(device, graph) as sess:
        return per_call(sess.make_callable(gc.group(train)), wait_for(sess, graph))


def learns(device: str) -> Figures:
    """The digits, fed from the host as in examples/mnist_mlp.py: the test accuracy."""
    digits = data.find()
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, digits.features])
        y = gc.placeholder(gc.int64, [None])
        net = gc.nn.Sequential(
            gc.nn.Linear(digits.features, 500), gc.nn.ReLU(), gc.nn.Linear(500, 10)
        )
        scores = net(x)
        loss = gc.nn.functional.cross_entropy(scores, y)
        train, guess = gc.optim.Adam(1e-3).minimize(loss), gc.argmax(scores, axis=1)
    with session(device, graph) as sess:
        for epoch in range(EPOCHS[digits.name]):
            for images, labels in data.batches(
                digits.train_images, digits.train_labels, 128, seed=epoch
            ):
                sess.run(train, {x: images, y: labels})
        right = np.asarray(sess.run(guess, {x: digits.test_images})) == digits.test_labels
    accuracy, wanted = float(np.mean(right)), LEARNT[digits.name]
    assert accuracy >= wanted, f"{digits.name}: accuracy {accuracy:.4f}, wanted {wanted}"
    return {"others": {f"accuracy on {digits.name}": accuracy}}
