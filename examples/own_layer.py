"""A layer of your own: a dense layer that starts as the identity and learns how far to leave it.

    python examples/own_layer.py [--epochs N] [--quick]

A highway layer (Srivastava et al., 2015) is y = g * relu(W x + b) + (1 - g) * x with a learned gate
g.  As a `Module` it is a constructor and a formula; its parameters are named, saved and trained as
those of built-in layers are.  Twenty of them in a row learn scikit-learn's handwritten digits,
which twenty plain layers do not.
"""

import argparse

import numpy as np

import graphc as gc
from graphc import data, nn


class Highway(nn.Module):
    """y = g * relu(W x + b) + (1 - g) * x, the gate g nearly closed at first."""

    def __init__(self, features):
        super().__init__()
        self.change, self.gate = nn.Linear(features, features), nn.Linear(features, features)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x):
        g = gc.nn.functional.sigmoid(self.gate(x))
        return g * nn.functional.relu(self.change(x)) + (1.0 - g) * x


class Plain(nn.Module):
    """A dense layer and relu."""

    def __init__(self, features):
        super().__init__()
        self.change = nn.Linear(features, features)

    def forward(self, x):
        return nn.functional.relu(self.change(x))


def accuracy(layer, digits, epochs, depth=20, width=32):
    """The share of test images that a deep net of such layers gets right."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, [None, digits.features], name="x")
        y = gc.placeholder(gc.int64, [None], name="y")
        middle = [layer(width) for _ in range(depth)]
        net = nn.Sequential(nn.Linear(digits.features, width), *middle, nn.Linear(width, 10))
        scores = net(x)
        train = gc.optim.Adam(5e-3).minimize(nn.functional.cross_entropy(scores, y))
        with gc.Session(seed=1) as sess:
            for epoch in range(epochs):
                shuffled = data.batches(digits.train_images, digits.train_labels, 64, seed=epoch)
                for images, labels in shuffled:
                    sess.run(train, {x: images, y: labels})
            guess = sess.run(scores, {x: digits.test_images}).argmax(1)
            return float(np.mean(guess == digits.test_labels))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    args = parser.parse_args()
    epochs = min(args.epochs, 6) if args.quick else args.epochs
    digits = data.digits()
    plain, highway = (accuracy(kind, digits, epochs) for kind in (Plain, Highway))
    assert highway > 0.9, highway
    print(f"twenty layers: plain {plain:.3f}, highway {highway:.3f}")


if __name__ == "__main__":
    main()
