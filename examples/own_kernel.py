"""A kernel by hand: a recurrence that no composition of ops describes well, by `gc.kernel`.

    python examples/own_kernel.py [--steps N] [--quick]

Two leaky integrators (1 - a) * s[t-1] + a * x[t] with rates `a` of their own filter a noisy signal
each.  The loop is compiled by numba; its gradient is a loop backwards, written the same way.  The
rates that generated the data are found again from the outputs.
"""

import argparse

import numpy as np

import graphc as gc


def backward(ct, out, x, rate):
    """ds[t] = ct[t] + (1 - a) * ds[t+1]; from it the cotangents of x and of a."""
    adjoint = unleak(ct, rate)
    before = gc.pad(out[:, :-1], ((0, 0), (1, 0)))  # s[t-1], starting from 0
    return adjoint * rate[:, None], gc.sum(adjoint * (x - before), axis=1)


@gc.kernel(parallel=True, gradient=backward, requires=lambda x, a: [(x.shape[0], a.shape[0])])
def leak(rows, out, x, rate):
    """s[i, t] = (1 - rate[i]) * s[i, t-1] + rate[i] * x[i, t], along the rows of x."""
    for i in rows:
        state = 0.0
        for t in range(x.shape[1]):
            state = (1 - rate[i]) * state + rate[i] * x[i, t]
            out[i, t] = state


@gc.kernel(parallel=True, requires=lambda ct, a: [(ct.shape[0], a.shape[0])])
def unleak(rows, out, ct, rate):
    """The same recurrence from the end to the start."""
    for i in rows:
        total = 0.0
        for back in range(ct.shape[1]):
            t = ct.shape[1] - 1 - back
            total = ct[i, t] + (1 - rate[i]) * total
            out[i, t] = total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="fewer steps, for the tests")
    options = parser.parse_args()
    steps = min(options.steps, 250) if options.quick else options.steps
    truth = np.array([0.1, 0.6], np.float32)
    signal = np.random.default_rng(0).normal(size=(2, 500)).astype(np.float32)

    x = gc.placeholder(gc.float32, [2, None], name="x")
    y = gc.placeholder(gc.float32, [2, None], name="y")
    rate = gc.variable([0.3, 0.3], name="rate")
    loss = gc.mean((leak(x, rate) - y) ** 2.0)
    step = gc.optim.Adam(0.02).minimize(loss)
    with gc.Session() as sess:
        observed = sess.run(leak(x, gc.asarray(truth)), {x: signal})
        assert abs(observed[0, 2] - (0.9 * observed[0, 1] + 0.1 * signal[0, 2])) < 1e-6
        for _ in range(steps):
            sess.run(step, {x: signal, y: observed})
        found = sess.value(rate)
    np.testing.assert_allclose(found, truth, atol=0.01)
    print(f"rates {found[0]:.3f} and {found[1]:.3f}; the truth: 0.1 and 0.6")


if __name__ == "__main__":
    main()
