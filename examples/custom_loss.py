"""A loss of your own: fit a line through points of which a fifth are wildly wrong.

    python examples/custom_loss.py [--epochs N] [--quick]

The squared error follows the outliers; the Cauchy loss, log(1 + (error / width)^2), hardly hears
them.  It is a plain function of tensors: graphc derives its gradient, computes both in one pass
over the points, and turns log(1 + x) into log1p(x), which keeps the digits of small errors.
"""

import argparse

import numpy as np

import graphc as gc

SLOPE, OFFSET = 2.0, -1.0  # the truth


def cauchy_loss(input, target, width=0.1):
    """The mean of log(1 + (error / width)^2)."""
    error = (input - target) / width
    return gc.mean(gc.log(1.0 + error * error))


def fit(loss_function, xs, ys, epochs):
    """Slope and offset found by gradient descent, and the loss before and after."""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, ["n"], name="x")
        y = gc.placeholder(gc.float32, ["n"], name="y")
        slope = gc.variable(0.0, name="slope")
        offset = gc.variable(0.0, name="offset")
        loss = loss_function(slope * x + offset, y)
        step = gc.optim.Adam(0.05).minimize(loss)
    with gc.Session(graph) as sess:
        run = sess.make_callable([loss, step], [x, y])
        losses = [float(run(xs, ys)[0]) for _ in range(epochs)]
        return float(sess.value(slope)), float(sess.value(offset)), losses[0], losses[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=600)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs = min(options.epochs, 300) if options.quick else options.epochs
    rng = np.random.default_rng(0)
    xs = rng.uniform(-1, 1, 500).astype(np.float32)
    ys = SLOPE * xs + OFFSET + rng.normal(0, 0.05, 500).astype(np.float32)
    ys[::5] = rng.uniform(5, 20, 100)

    wrong = fit(gc.nn.functional.mse_loss, xs, ys, epochs)
    slope, offset, first, last = fit(cauchy_loss, xs, ys, epochs)
    print(f"squared error: y = {wrong[0]:.3f} x + {wrong[1]:.3f}")
    assert abs(wrong[1] - OFFSET) > 1.0, "the squared error should follow the outliers"
    assert last < first / 2, (first, last)
    assert abs(slope - SLOPE) < 0.05 and abs(offset - OFFSET) < 0.05, (slope, offset)
    print(f"Cauchy loss: y = {slope:.3f} x + {offset:.3f}; the truth: y = {SLOPE} x + {OFFSET}")


if __name__ == "__main__":
    main()
