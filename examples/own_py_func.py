"""Python in the middle of a graph: a sort that learns, by `gc.py_func`.

    python examples/own_py_func.py [--steps N] [--quick]

NumPy sorts, in the middle of the run.  The gradient is graph code: the cotangent goes back where
each number came from.  Here points learn to have the distribution of others: the sorted numbers are
compared (the Wasserstein distance in one dimension).
"""

import argparse

import numpy as np

import graphc as gc


def sort(x):
    """The sorted elements of a vector, with a gradient."""

    def argsort_and_sort(array):
        order = np.argsort(array, kind="stable")
        return order, array[order]

    def gradient(ct, out, x):
        order, _ = out  # the cotangent of the integers is None
        return gc.scatter_add(gc.zeros_like(x), order, ct[1])

    _, found = gc.py_func(
        argsort_and_sort, [x], [gc.int64[x.shape[0]], x.type], gradient=gradient, name="sort")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="fewer steps, for the tests")
    options = parser.parse_args()
    steps = min(options.steps, 150) if options.quick else options.steps
    rng = np.random.default_rng(0)

    start = rng.uniform(-1, 1, 200).astype(np.float32)
    points = gc.variable(start, name="points")
    target = gc.placeholder(gc.float32, [200], name="target")
    distance = gc.mean((sort(points) - sort(target)) ** 2.0)
    step = gc.optim.Adam(0.05).minimize(distance)
    (slope,) = gc.gradients(distance, [points])

    wanted = (rng.normal(size=200) * 0.5 + rng.choice([-2.0, 2.0], 200)).astype(np.float32)
    with gc.Session() as sess:
        found = sess.run(slope, {target: wanted})
        by_hand = np.empty_like(start)
        by_hand[np.argsort(start)] = (np.sort(start) - np.sort(wanted)) / 100
        np.testing.assert_allclose(found, by_hand, rtol=1e-5, atol=1e-7)
        before = float(sess.run(distance, {target: wanted}))
        for _ in range(steps):
            sess.run(step, {target: wanted})
        after = float(sess.run(distance, {target: wanted}))
        learnt = sess.value(points)
    assert after < 0.01 * before, (before, after)
    np.testing.assert_allclose(np.sort(learnt), np.sort(wanted), atol=0.3)
    print(f"distance {before:.4f} -> {after:.6f} in {steps} steps")


if __name__ == "__main__":
    main()
