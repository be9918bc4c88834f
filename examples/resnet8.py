"""A residual network with batch normalisation learns handwritten digits.

    python examples/resnet8.py [--epochs N] [--quick]

It learns the 8 x 8 digits that scikit-learn brings along.  Training normalises by the statistics of
each batch and keeps running ones, which `model.eval()` uses: 99.44 % after 20 epochs, 37 s.
"""

import argparse
import time

import numpy as np

import graphc as gc
from graphc import data, nn


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs, outputs, stride=1):
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = nn.functional.relu(self.bn1(self.conv1(x)))
        return nn.functional.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


def resnet8(width=16):
    """Eight layers with weights: a convolution, three blocks of two, a dense one."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        Block(width, width), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs, digits = options.epochs or (4 if options.quick else 20), data.digits()
    train_images, test_images = (
        images.reshape(-1, 1, 8, 8) for images in (digits.train_images, digits.test_images))

    model = resnet8()
    x = gc.placeholder(gc.float32, [None, 1, 8, 8], name="x")
    y = gc.placeholder(gc.int64, [None], name="y")
    rate = gc.placeholder(gc.float32, [], name="rate")
    loss = nn.functional.cross_entropy(model.train()(x), y)
    train = gc.optim.Adam(rate).minimize(loss)
    guess = gc.argmax(model.eval()(x), axis=1)

    start = time.perf_counter()
    with gc.Session() as sess:
        for epoch in range(epochs):
            slower = np.float32(5e-3 * (1 - epoch / epochs))
            losses = [
                sess.run([loss, train], {x: images, y: labels, rate: slower})[0]
                for images, labels in data.batches(train_images, digits.train_labels, 64, epoch)]
            accuracy = np.mean(sess.run(guess, {x: test_images}) == digits.test_labels)
            print(f"epoch {epoch + 1:2}  loss {np.mean(losses):.4f}  test accuracy {accuracy:.4f}  "
                  f"{time.perf_counter() - start:.1f} s", flush=True)
        counted = sess.value(model[1].num_batches_tracked)
    assert counted == epochs * 23, "the running statistics have seen every batch"
    assert accuracy >= (0.97 if options.quick else 0.985), f"test accuracy {accuracy:.4f}"
    print(f"test accuracy {accuracy:.4f} after {epochs} epochs")


if __name__ == "__main__":
    main()
