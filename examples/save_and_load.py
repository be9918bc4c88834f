"""Weights in a safetensors file: train, save, load into a new session, go on training.

    python examples/save_and_load.py [--file PATH] [--epochs N] [--quick]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import graphc as gc

x = gc.placeholder(gc.float32, [None, 8], name="x")
y = gc.placeholder(gc.float32, [None], name="y")
w1 = gc.variable(gc.init.xavier_uniform((8, 32), seed=1), name="w1")
b1 = gc.variable(gc.zeros((32,)), name="b1")
w2 = gc.variable(gc.init.xavier_uniform((32, 1), seed=2), name="w2")
guess = (gc.tanh(x @ w1 + b1) @ w2)[:, 0]
loss = gc.nn.functional.mse_loss(guess, y)
train = gc.optim.Adam(0.01).minimize(loss)


def save(session, path):
    """Every variable, the optimizer's too, under its name."""
    save_file({v.name: session.value(v) for v in session.graph.variables}, path)


def load(session, path):
    """The other way round."""
    for name, value in load_file(path).items():
        session.load(name, value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, help="default: a temporary file")
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs = min(options.epochs, 100) if options.quick else options.epochs
    points = np.random.default_rng(0).normal(size=(256, 8)).astype(np.float32)
    feed = {x: points, y: np.sin(points.sum(axis=1))}

    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "weights.safetensors"
        with gc.Session() as sess:
            for _ in range(epochs):
                sess.run(train, feed)
            save(sess, path)
            expected = sess.run(guess, feed)
            later = [sess.run([loss, train], feed)[0] for _ in range(10)]
        with gc.Session() as sess:
            load(sess, path)
            np.testing.assert_array_equal(sess.run(guess, {x: points}), expected)
            again = [sess.run([loss, train], feed)[0] for _ in range(10)]
            size = path.stat().st_size

    np.testing.assert_array_equal(later, again)  # the optimizer's state came back as well
    print(f"saved {size} bytes; ten more steps after loading give the same losses, bit for bit")


if __name__ == "__main__":
    main()
