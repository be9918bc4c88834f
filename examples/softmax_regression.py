"""Softmax regression as a TensorFlow 1 tutorial writes it: placeholders, a naive loss, updates.

    python examples/softmax_regression.py [--data DIR_OF_MNIST] [--epochs N] [--quick]

The loss is the textbook formula; graphc rewrites log(softmax(z)) so that it neither overflows nor
loses digits, and fuses what is left.
"""

import argparse
import time

import numpy as np

import graphc as gc
from graphc import data


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where MNIST's idx files are")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    digits = data.find(options.data)
    epochs = min(options.epochs, 20) if options.quick else options.epochs
    labels = np.eye(10, dtype=np.float32)[digits.train_labels]

    x = gc.placeholder(gc.float32, [None, digits.features], name="x")
    y = gc.placeholder(gc.float32, [None, 10], name="y")
    w = gc.variable(gc.zeros((digits.features, 10)), name="w")
    b = gc.variable(gc.zeros((10,)), name="b")
    prediction = gc.nn.functional.softmax(x @ w + b, dim=1)
    loss = gc.mean(-gc.sum(y * gc.log(prediction), axis=1))
    dw, db = gc.gradients(loss, [w, b])
    train = gc.group(w.assign_sub(0.1 * dw), b.assign_sub(0.1 * db))
    guess = gc.argmax(prediction, axis=1)

    start = time.perf_counter()
    with gc.Session() as sess:
        first = sess.run(loss, {x: digits.train_images, y: labels})
        for epoch in range(epochs):
            for rows, answers in data.batches(digits.train_images, labels, 32, seed=epoch):
                sess.run(train, feed_dict={x: rows, y: answers})
        last = sess.run(loss, {x: digits.train_images, y: labels})
        accuracy = np.mean(sess.run(guess, {x: digits.test_images}) == digits.test_labels)
    seconds = time.perf_counter() - start

    wanted = 0.90
    assert abs(first - np.log(10)) < 1e-4, first  # ten classes, nothing learnt yet
    assert last < 0.4, last
    assert accuracy >= wanted, f"accuracy {accuracy:.4f}, expected at least {wanted}"
    print(f"{digits.name}: loss {first:.3f} -> {last:.3f} in {epochs} epochs, {seconds:.1f} s")
    print(f"test accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
