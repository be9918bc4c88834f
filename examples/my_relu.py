"""An activation of your own: max(0, x) + a, with an `a` that is learnt.

    python examples/my_relu.py [--epochs N] [--quick]

It is declared twice, once with the gradient derived from its definition and once with a gradient
written by hand.  Both train a 2-10-2 network to tell the inside of a ring from the outside, and
take the same path.
"""

import argparse

import numpy as np

import graphc as gc


@gc.op
def my_relu(x, a):
    """max(0, x) + a."""
    return gc.maximum(x, 0.0) + a


def by_hand(ct, out, x, a):
    """The cotangents of x and of a, given the cotangent of the result."""
    return gc.where(x > 0.0, ct, 0.0), ct


@gc.op(gradient=by_hand)
def my_relu_by_hand(x, a):
    """max(0, x) + a, with the gradient above."""
    return gc.maximum(x, 0.0) + a


def train(activation, points, labels, epochs):
    """Losses of all epochs, the learnt `a`, the accuracy, and the gradients at the start."""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, 2], name="x")
        y = gc.placeholder(gc.int64, [None], name="y")
        w1 = gc.variable(gc.init.normal((2, 10), seed=1), name="w1")
        b1 = gc.variable(gc.zeros((10,)), name="b1")
        a = gc.variable(0.5, name="a")
        w2 = gc.variable(gc.init.normal((10, 2), std=0.3, seed=2), name="w2")
        b2 = gc.variable(gc.zeros((2,)), name="b2")
        logits = activation(x @ w1 + b1, a) @ w2 + b2
        loss = gc.nn.functional.cross_entropy(logits, y)
        step = gc.optim.Adam(0.03).minimize(loss)
        gradients = gc.gradients(loss, [w1, b1, a, w2, b2])
    with gc.Session(graph) as sess:
        feed = {x: points, y: labels}
        first = sess.run(gradients, feed)
        losses = [float(sess.run([loss, step], feed)[0]) for _ in range(epochs)]
        accuracy = np.mean(sess.run(gc.argmax(logits, axis=1), feed) == labels)
        return losses, float(sess.value(a)), float(accuracy), first


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs = min(options.epochs, 200) if options.quick else options.epochs
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (512, 2)).astype(np.float32)
    labels = (np.hypot(*points.T) < 1.0).astype(np.int64)

    losses, a, accuracy, derived = train(my_relu, points, labels, epochs)
    losses_by_hand, a_by_hand, _, written = train(my_relu_by_hand, points, labels, epochs)
    for one, other in zip(derived, written, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(losses, losses_by_hand, rtol=1e-4)
    assert abs(a - 0.5) > 0.01 and abs(a - a_by_hand) < 1e-3, (a, a_by_hand)
    assert accuracy >= 0.95, f"accuracy {accuracy:.4f}, expected at least 0.95"
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}, a: 0.5 -> {a:.4f}, by either gradient")
    print(f"accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
