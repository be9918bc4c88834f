"""A gradient of your own: a network whose hidden units are on or off, and a reversal of gradients.

    python examples/own_gradient.py [--epochs N] [--quick]

A step function has no useful derivative, so nothing before it would learn.  The straight-through
estimator (Bengio et al. 2013) uses the derivative of a clipped line instead.  Both ways to say so
give the same network: `gc.op(gradient=...)` for a function of scalars, `gc.custom_gradient` for any
function of tensors.
"""

import argparse

import numpy as np

import graphc as gc
from graphc import data


@gc.op(gradient=lambda ct, out, x: (gc.where(gc.abs(x) <= 1.0, ct, 0.0),))
def binary(x):
    """1 where x > 0, else 0; its gradient is that of a line between -1 and 1."""
    return gc.where(x > 0.0, 1.0, 0.0)


@gc.custom_gradient(lambda ct, out, x: gc.where(gc.abs(x) <= 1.0, ct, 0.0))
def binary_of_tensors(x):
    """The same."""
    return gc.astype(x > 0.0, x.dtype)


@gc.custom_gradient(lambda ct, out, x: -ct)
def reversed_gradient(x):
    """x; but what minimises a loss of it maximises it (Ganin and Lempitsky 2015)."""
    return x


def train(activation, digits, epochs):
    """The losses of all epochs, and the accuracy on the test images."""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, digits.features], name="x")
        y = gc.placeholder(gc.int64, [None], name="y")
        w1 = gc.variable(gc.init.normal((digits.features, 64), std=0.1, seed=1), name="w1")
        w2 = gc.variable(gc.init.normal((64, 10), std=0.1, seed=2), name="w2")
        logits = activation(x @ w1) @ w2
        loss = gc.nn.functional.cross_entropy(logits, y)
        step = gc.optim.Adam(0.01).minimize(loss, [w1, w2])
        guess = gc.argmax(logits, axis=1)
    with gc.Session(graph) as sess:
        run = sess.make_callable([loss, step], [x, y])
        losses = [float(run(digits.train_images, digits.train_labels)[0]) for _ in range(epochs)]
        accuracy = np.mean(sess.run(guess, {x: digits.test_images}) == digits.test_labels)
    return losses, float(accuracy)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs = min(options.epochs, 150) if options.quick else options.epochs
    digits = data.digits()
    losses, accuracy = train(binary, digits, epochs)
    again, _ = train(binary_of_tensors, digits, epochs)
    np.testing.assert_allclose(losses[:20], again[:20], rtol=1e-4)
    reversed_losses, _ = train(lambda h: reversed_gradient(binary(h)), digits, 10)
    assert losses[-1] < 0.3 < losses[0] and accuracy >= 0.9, (losses[-1], accuracy)
    assert reversed_losses[9] > losses[9]  # the first layer works against the second
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}; {reversed_losses[9]:.4f} against "
          f"{losses[9]:.4f} after ten steps with the first layer's gradient reversed")
    print(f"test accuracy {accuracy:.4f} with hidden units of one bit")


if __name__ == "__main__":
    main()
