"""Linear regression with L2 and L1 regularisation, on scikit-learn's diabetes data.

    python examples/linear_regression.py [--epochs N] [--quick]

A penalty is a term of the loss.  With L2 (ridge), gradient descent ends at the closed form.  With
L1 (lasso), whose penalty has a kink at 0, a step of the loss is followed by a step towards 0 that
does not pass it: an optimizer of a few lines, which gives weights that are exactly 0.
"""

import argparse

import numpy as np
from sklearn.datasets import load_diabetes

import graphc as gc


class Lasso(gc.optim.Optimizer):
    """w -= lr * g, then towards 0 by lr * alpha: what minimises loss + alpha * sum(|w|)."""

    def __init__(self, lr, alpha):
        super().__init__(lr)
        self.alpha = alpha

    def update(self, var, gradient, shared):
        lr = self.rate(var.dtype)
        moved = var - lr * gradient
        return [var.assign(gc.sign(moved) * gc.maximum(gc.abs(moved) - lr * self.alpha, 0.0))]


def fit(x, y, loss_function, optimizer, epochs):
    """The weights that `optimizer` finds for `loss_function(w, error)`."""
    with gc.Graph().as_default() as graph:
        rows = gc.placeholder(gc.float64, [None, x.shape[1]], name="rows")
        target = gc.placeholder(gc.float64, [None], name="target")
        w = gc.variable(np.zeros(x.shape[1]), name="w")
        loss = loss_function(w, rows @ w - target)
        step = optimizer.minimize(loss)
    with gc.Session(graph) as sess:
        run = sess.make_callable([loss, step], [rows, target])
        for _ in range(epochs):
            run(x, y)
        return sess.value(w)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6000)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs = min(options.epochs, 4000) if options.quick else options.epochs
    x, y = load_diabetes(return_X_y=True)
    x, y = (x - x.mean(0)) / x.std(0), y - y.mean()
    n, features = x.shape

    strength = 0.05
    ridge = fit(x, y, lambda w, e: gc.mean(e * e) + strength * gc.sum(w * w),
                gc.optim.SGD(0.1, momentum=0.5), epochs)
    closed = np.linalg.solve(x.T @ x / n + strength * np.eye(features), x.T @ y / n)
    np.testing.assert_allclose(ridge, closed, rtol=1e-6)

    alpha = 4.0
    lasso = fit(x, y, lambda w, e: 0.5 * gc.mean(e * e), Lasso(0.2, alpha), epochs)
    slope = x.T @ (x @ lasso - y) / n  # at the optimum it is -alpha * sign(w), or within alpha
    zero = lasso == 0
    np.testing.assert_allclose(slope[~zero], -alpha * np.sign(lasso[~zero]), rtol=1e-6)
    assert (np.abs(slope[zero]) <= alpha).all() and 3 <= zero.sum() < features, lasso
    print(f"L2: {np.round(ridge, 1).tolist()}, the closed form to 1e-6")
    print(f"L1: {(np.round(lasso, 1) + 0.0).tolist()}, {zero.sum()} of {features} weights are 0")


if __name__ == "__main__":
    main()
