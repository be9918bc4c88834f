"""A network of 784-500-10 units learns handwritten digits.

    python examples/mnist_mlp.py [--data DIR_OF_MNIST] [--optimizer adam|sgd] [--epochs N] [--quick]

Without MNIST (--data or GRAPHC_DATA) it learns the small digits that scikit-learn brings along.
"""

import argparse
import time

import numpy as np

import graphc as gc
from graphc import data

WANTED = {"MNIST": 0.98, "digits": 0.95}  # test accuracy


def model(features, optimizer):
    """Images, labels, learning rate, guesses, loss, and one step of training."""
    x = gc.placeholder(gc.float32, [None, features], name="x")
    y = gc.placeholder(gc.int64, [None], name="y")
    w1 = gc.variable(gc.init.xavier_uniform((features, 500), seed=1), name="w1")
    b1 = gc.variable(gc.zeros((500,)), name="b1")
    w2 = gc.variable(gc.init.xavier_uniform((500, 10), seed=2), name="w2")
    b2 = gc.variable(gc.zeros((10,)), name="b2")
    hidden = gc.nn.functional.relu(x @ w1 + b1)
    logits = hidden @ w2 + b2
    loss = gc.nn.functional.cross_entropy(logits, y)
    rate = gc.placeholder(gc.float32, [], name="rate")
    chosen = gc.optim.Adam(rate) if optimizer == "adam" else gc.optim.SGD(rate, momentum=0.9)
    return x, y, rate, gc.argmax(logits, axis=1), loss, chosen.minimize(loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where MNIST's idx files are")
    parser.add_argument("--epochs", type=int, help="default: 10 on MNIST, 80 on digits")
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    digits = data.find(options.data)
    epochs = options.epochs or (10 if digits.name == "MNIST" else 40 if options.quick else 80)
    x, y, rate, guess, loss, train = model(digits.features, options.optimizer)
    first_rate = 1e-3 if options.optimizer == "adam" else 0.1

    print(f"{digits.name}: {len(digits.train_images)} images to learn, "
          f"{len(digits.test_images)} to be tested on; {options.optimizer}")
    training = digits.train_images, digits.train_labels
    accuracy, total = 0.0, time.perf_counter()
    with gc.Session() as sess:
        for epoch in range(epochs):
            start, losses = time.perf_counter(), []
            slower = np.float32(first_rate * (1 - epoch / epochs))  # falls to a last small step
            for images, labels in data.batches(*training, 128, seed=epoch):
                feeds = {x: images, y: labels, rate: slower}
                losses.append(sess.run([train, loss], feed_dict=feeds)[1])
            if (epochs - 1 - epoch) % max(1, epochs // 10):  # the last epoch is tested, too
                continue
            guesses = sess.run(guess, {x: digits.test_images})
            accuracy = float(np.mean(guesses == digits.test_labels))
            print(f"epoch {epoch + 1:2}  loss {np.mean(losses):.4f}  test accuracy {accuracy:.4f}  "
                  f"{time.perf_counter() - start:.2f} s", flush=True)

    wanted = WANTED[digits.name]
    assert accuracy >= wanted, f"test accuracy {accuracy:.4f}, expected at least {wanted}"
    seconds = time.perf_counter() - total
    print(f"test accuracy {accuracy:.4f} after {epochs} epochs, {seconds:.1f} s")


if __name__ == "__main__":
    main()
