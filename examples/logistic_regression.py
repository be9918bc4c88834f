"""Logistic regression with L1 and L2 regularisation, on scikit-learn's breast cancer data.

    python examples/logistic_regression.py [--epochs N] [--quick]

Both penalties are terms of the loss; L2 is weight_decay as well, for the group of parameters that
it is meant for: the weights, not the bias.  L1 leaves most weights near 0: a few measurements
suffice.
"""

import argparse

import numpy as np
from sklearn.datasets import load_breast_cancer

import graphc as gc


def train(x, y, penalty, epochs, decay=0.0):
    """Weights, bias and last loss of a model for labels 0 and 1."""
    with gc.Graph().as_default() as graph:
        rows = gc.placeholder(gc.float32, ["n", x.shape[1]], name="rows")
        labels = gc.placeholder(gc.float32, ["n"], name="labels")
        w = gc.variable(gc.zeros((x.shape[1],)), name="w")
        b = gc.variable(0.0, name="b")
        fit = gc.nn.functional.binary_cross_entropy_with_logits(rows @ w + b, labels)
        schedule = gc.optim.CosineAnnealingLR(0.05, T_max=epochs)
        optimizer = gc.optim.Adam(schedule, groups=[{"params": [w], "weight_decay": decay}])
        step = optimizer.minimize(fit + penalty(w))
    with gc.Session(graph) as sess:
        run = sess.make_callable([fit, step], [rows, labels])
        losses = [float(run(x, y)[0]) for _ in range(epochs)]
        assert abs(losses[0] - np.log(2)) < 1e-5  # nothing learnt yet
        return sess.value(w), float(sess.value(b)), losses[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs = min(options.epochs, 500) if options.quick else options.epochs
    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    learn, test = order[:400], order[400:]
    x = ((x - x[learn].mean(0)) / x[learn].std(0)).astype(np.float32)
    y = y.astype(np.float32)

    def accuracy(w, b):
        return float(np.mean((x[test] @ w + b > 0) == y[test]))

    nothing = train(x[learn], y[learn], lambda w: 0.0, epochs)
    ridge = train(x[learn], y[learn], lambda w: 0.01 * gc.sum(w * w), epochs)
    decayed = train(x[learn], y[learn], lambda w: 0.0, epochs, decay=0.02)
    lasso = train(x[learn], y[learn], lambda w: 0.02 * gc.sum(gc.abs(w)), epochs)
    np.testing.assert_allclose(ridge[0], decayed[0], atol=1e-3)  # the same penalty, said twice
    assert np.abs(ridge[0]).sum() < np.abs(nothing[0]).sum(), "a penalty keeps weights small"
    used = int((np.abs(lasso[0]) > 0.02).sum())
    assert used <= 15 < (np.abs(ridge[0]) > 0.02).sum(), (used, ridge[0])
    for name, (w, b, loss) in {"no penalty": nothing, "L2": ridge, "L1": lasso}.items():
        print(f"{name}: loss {loss:.4f}, sum of |w| {np.abs(w).sum():.2f}")
        assert accuracy(w, b) >= 0.94, (name, accuracy(w, b))
    print(f"L1 uses {used} of {x.shape[1]} measurements: test accuracy {accuracy(*lasso[:2]):.4f}")


if __name__ == "__main__":
    main()
