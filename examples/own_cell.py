"""A recurrent layer of one's own in a few lines of `gc.scan`: the adding problem.

    python examples/own_cell.py [--steps N] [--time N] [--quick]

Of a sequence of numbers two are marked; their sum is wanted at the end.  Always saying 1 gives a
mean squared error of 0.167.  In an IndRNN (Li et al. 2018) a unit sees only its own past, so a step
of the loop is one kernel and no matrix product.  The full setting reached an error of 0.0007.
"""

import argparse

import numpy as np

import graphc as gc


class IndRNN(gc.nn.Module):
    """h' = relu(W x + b + u * h), for x [time, n, inputs]."""

    def __init__(self, inputs, units):
        self.project = gc.nn.Linear(inputs, units)
        self.u = gc.nn.Parameter(gc.init.uniform((units,), 0.0, 1.0))

    def forward(self, x):
        def step(h, row):
            h = gc.nn.functional.relu(row + self.u * h)
            return h, h

        rows = self.project(x)  # of all times: one product
        return gc.scan(step, gc.zeros(rows.shape[1:]), rows)[1]


def sequences(rng, time, n):
    """[time, n, 2], numbers and marks, and the sums [n]."""
    numbers, marks = rng.random((time, n)), np.zeros((time, n))
    for half in (range(time // 2), range(time // 2, time)):
        marks[rng.choice(half, n), np.arange(n)] = 1.0
    return np.stack([numbers, marks], 2).astype("f4"), (numbers * marks).sum(0).astype("f4")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, help="of training (default: 4000)")
    parser.add_argument("--time", type=int, help="length of a sequence (default: 100)")
    parser.add_argument("--quick", action="store_true", help="short sequences, for the tests")
    options = parser.parse_args()
    steps = options.steps or (800 if options.quick else 4000)
    time = options.time or (20 if options.quick else 100)

    x = gc.placeholder(gc.float32, [None, None, 2], name="x")
    y = gc.placeholder(gc.float32, [None], name="y")
    net = gc.nn.Sequential(IndRNN(2, 64), IndRNN(64, 64), gc.nn.Linear(64, 1))
    loss = gc.nn.functional.mse_loss(net(x)[-1, :, 0], y)
    train = gc.optim.Adam(gc.optim.lr_scheduler.CosineAnnealingLR(3e-3, steps),
                          clip_grad_norm=1.0).minimize(loss)
    rng = np.random.default_rng(1)
    with gc.Session(seed=1) as sess:
        for step in range(steps):
            found, _ = sess.run([loss, train], dict(zip((x, y), sequences(rng, time, 50))))
            if step % (steps // 10) == 0:
                print(f"step {step:5}  error {found:.4f}", flush=True)
        error = sess.run(loss, dict(zip((x, y), sequences(rng, time, 2000))))
    assert error < 0.02, error
    print(f"{time} steps of time: mean squared error {error:.4f}, always saying 1: 0.167")


if __name__ == "__main__":
    main()
