"""An optimizer of your own: steps of one size, in the direction that a moving mean points to.

    python examples/own_optimizer.py [--epochs N] [--quick]

`update` returns the assigns of one step for one variable; `self.state` makes a variable to remember
things in, `self.rate` gives the learning rate, be it a number, a tensor or a schedule.  All of it
fuses into one kernel for each variable.  It learns scikit-learn's handwritten digits, and so does
gc.optim.Lion, which it becomes with betas=(0.9, 0.9).
"""

import argparse

import numpy as np

import graphc as gc
from graphc import data


class SignMomentum(gc.optim.Optimizer):
    """m = beta * m + (1 - beta) * g; w -= lr * sign(m)."""

    def __init__(self, lr, beta=0.9, **shared):
        super().__init__(lr, **shared)
        self.beta = beta

    def update(self, var, gradient, shared):
        mean = self.state(var, "mean")
        now = mean.assign(self.beta * mean + (1 - self.beta) * gradient)
        return [now, var.assign_sub(self.rate(var.dtype) * gc.sign(now))]


def train(optimizer, digits, epochs):
    """The losses of all epochs, and the accuracy on the test images."""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, digits.features], name="x")
        y = gc.placeholder(gc.int64, [None], name="y")
        w1 = gc.variable(gc.init.normal((digits.features, 32), std=0.2, seed=1), name="w1")
        b1 = gc.variable(gc.zeros((32,)), name="b1")
        w2 = gc.variable(gc.init.normal((32, 10), std=0.2, seed=2), name="w2")
        b2 = gc.variable(gc.zeros((10,)), name="b2")
        logits = gc.nn.functional.relu(x @ w1 + b1) @ w2 + b2
        loss = gc.nn.functional.cross_entropy(logits, y)
        step = optimizer.minimize(loss)
        guess = gc.argmax(logits, axis=1)
    losses = []
    with gc.Session(graph) as sess:
        for epoch in range(epochs):
            for images, labels in data.batches(digits.train_images, digits.train_labels, 64, epoch):
                sess.run(step, {x: images, y: labels})
            losses.append(sess.run(loss, {x: digits.train_images, y: digits.train_labels}))
        accuracy = np.mean(sess.run(guess, {x: digits.test_images}) == digits.test_labels)
    return losses, float(accuracy)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs = min(options.epochs, 15) if options.quick else options.epochs
    digits = data.digits()
    schedule = gc.optim.WarmupLR(gc.optim.ExponentialLR(0.005, 0.998), warmup_steps=20)

    losses, accuracy = train(SignMomentum(schedule), digits, epochs)
    as_lion, _ = train(gc.optim.Lion(schedule, betas=(0.9, 0.9)), digits, epochs)
    np.testing.assert_allclose(losses, as_lion, rtol=1e-3)
    assert losses[-1] < losses[0] / 4, losses
    assert accuracy >= 0.94, f"accuracy {accuracy:.4f}, expected at least 0.94"
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f} in {epochs} epochs, as Lion's")
    print(f"test accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
