"""A convolution, a pooling and two dense layers learn handwritten digits.

    python examples/simple_cnn.py [--data DIR_OF_MNIST] [--epochs N] [--quick]

Without MNIST (--data or GRAPHC_DATA) it learns the small digits that scikit-learn brings along.
MNIST, on two cores: 98.94 % after 3 epochs, 17 s.
"""

import argparse
import math
import time

import numpy as np

import graphc as gc
from graphc import data, nn

WANTED = {"MNIST": 0.988, "digits": 0.97}  # test accuracy
BATCH = 32


class SimpleCNN(nn.Module):
    def __init__(self, side):
        self.conv = nn.Conv2d(1, 32, 3)
        self.fc1 = nn.Linear(32 * ((side - 2) // 2) ** 2, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, images):
        x = nn.functional.relu(self.conv(images))
        x = nn.Flatten()(nn.functional.max_pool2d(x, 2))
        return self.fc2(nn.functional.relu(self.fc1(x)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where MNIST's idx files are")
    parser.add_argument("--epochs", type=int, help="default: 3 on MNIST, 40 on digits")
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    digits = data.find(options.data)
    epochs = options.epochs or (3 if digits.name == "MNIST" else 25 if options.quick else 40)
    side = math.isqrt(digits.features)
    mean, deviation = digits.train_images.mean(), digits.train_images.std()
    train_images, test_images = (((images - mean) / deviation).reshape(-1, 1, side, side)
                                 for images in (digits.train_images, digits.test_images))

    model = SimpleCNN(side)
    x = gc.placeholder(gc.float32, [None, 1, side, side], name="x")
    y = gc.placeholder(gc.int64, [None], name="y")
    rate = gc.placeholder(gc.float32, [], name="rate")
    scores = model(x)
    loss = nn.functional.cross_entropy(scores, y, label_smoothing=0.1)  # it is soon too sure
    train = gc.optim.Adam(rate).minimize(loss)
    hits = gc.sum(gc.equal(gc.argmax(scores, axis=1), y))

    print(f"{digits.name}: {len(train_images)} images to learn, {len(test_images)} to be tested on")
    start, steps = time.perf_counter(), epochs * math.ceil(len(train_images) / BATCH)
    rates = iter(np.linspace(1e-3, 0, steps, dtype=np.float32))
    with gc.Session() as sess:
        for epoch in range(epochs):
            losses = [sess.run([train, loss], {x: images, y: labels, rate: next(rates)})[1]
                      for images, labels in data.batches(
                          train_images, digits.train_labels, BATCH, seed=epoch)]
            right = sum(int(sess.run(hits, {x: images, y: labels}))
                        for images, labels in data.batches(
                            test_images, digits.test_labels, 1000, seed=0))
            accuracy = right / len(test_images)
            print(f"epoch {epoch + 1:2}  loss {np.mean(losses):.4f}  test accuracy {accuracy:.4f}  "
                  f"{time.perf_counter() - start:.1f} s", flush=True)

    wanted = WANTED[digits.name]
    assert accuracy >= wanted, f"test accuracy {accuracy:.4f}, expected at least {wanted}"
    print(f"test accuracy {accuracy:.4f} after {epochs} epochs")


if __name__ == "__main__":
    main()
