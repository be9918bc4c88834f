"""A loss of your own for rare cases: find the eights among handwritten digits.

    python examples/own_loss.py [--epochs N] [--quick]

Nine of ten images are no eight, and most of those are easy.  The focal loss (Lin et al. 2017)
weighs each image by (1 - p)^gamma, p being the probability that the model gives to what is true, so
that easy images hardly count.  It is written as in the paper; graphc derives the gradient, and
rewrites log(sigmoid(z)) so that no digits are lost where z is large.
"""

import argparse

import numpy as np

import graphc as gc
from graphc import data


def focal_loss(logits, target, gamma=2.0, alpha=0.9):
    """The mean of -alpha_t * (1 - p_t)^gamma * log(p_t), for targets 0 and 1."""
    signed = gc.where(target > 0.5, logits, -logits)
    weight = gc.where(target > 0.5, alpha, 1.0 - alpha)
    return -gc.mean(weight * gc.nn.functional.sigmoid(-signed) ** gamma
                    * gc.log(gc.nn.functional.sigmoid(signed)))


def train(loss_function, digits, epochs):
    """How many of the eights among the test images are found, and how many of the found are one;
    and the gradient of the loss where the model is as sure as can be, and right."""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, ["n", digits.features], name="x")
        y = gc.placeholder(gc.float32, ["n"], name="y")
        w = gc.variable(gc.zeros((digits.features,)), name="w")
        b = gc.variable(0.0, name="b")
        logits = x @ w + b
        loss = loss_function(logits, y)
        step = gc.optim.Adam(0.02).minimize(loss)
        (slope,) = gc.gradients(loss, [logits])
    with gc.Session(graph) as sess:
        for epoch in range(epochs):
            for images, labels in data.batches(digits.train_images, digits.train_labels, 64, epoch):
                sess.run(step, {x: images, y: labels == 8})
        found = sess.run(logits, {x: digits.test_images}) > 0
        certain = sess.run(slope, {logits: [100.0, -100.0], y: [1.0, 0.0]})
    truth = digits.test_labels == 8
    return np.mean(found[truth]), np.mean(truth[found]), certain


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs = min(options.epochs, 30) if options.quick else options.epochs
    digits = data.digits()

    plain, _, _ = train(gc.nn.functional.binary_cross_entropy_with_logits, digits, epochs)
    recall, precision, certain = train(focal_loss, digits, epochs)
    assert np.isfinite(certain).all() and np.abs(certain).max() < 1e-6, certain
    assert recall > plain + 0.05, (recall, plain)
    assert recall >= 0.75 and precision >= 0.7, (recall, precision)
    print(f"eights found: {plain:.3f} with cross entropy, {recall:.3f} with the focal loss")
    print(f"recall {recall:.3f}, precision {precision:.3f}")


if __name__ == "__main__":
    main()
