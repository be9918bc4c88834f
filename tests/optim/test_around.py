"""What goes around an optimizer: accumulation, Lookahead, averages of variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.errors import GraphError

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(24, 4)), RNG.normal(size=24)
START = RNG.normal(size=4)
BATCH, RUNS = 4, 6


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def problem() -> tuple[Any, Any, Any, Any]:
    """Squared errors of a linear model in f64: loss, w, x, y."""
    w = gc.variable(START, name="w")
    x, y = gc.placeholder(gc.float64, [None, 4]), gc.placeholder(gc.float64, [None])
    return gc.mean((x @ w - y) ** 2), w, x, y


def train(step: Any, w: Any, x: Any, y: Any, size: int = BATCH) -> list[Any]:
    """The weights after each batch, twice through the data."""
    seen = []
    with gc.Session() as sess:
        for _ in range(2):
            for i in range(0, len(X), size):
                sess.run(step, {x: X[i : i + size], y: Y[i : i + size]})
                seen.append(sess.value(w))
    return seen


@pytest.mark.parametrize(
    "make",
    [
        lambda: gc.optim.SGD(0.1, 0.9),
        lambda: gc.optim.AdamW(0.1),
        lambda: gc.optim.NAdam(0.1),
        lambda: gc.optim.Adam(gc.optim.ExponentialLR(0.1, 0.5), clip_grad_norm=0.5),
        lambda: gc.optim.RMSprop(0.1, centered=True, momentum=0.5),
    ],
)
def test_accumulating_is_a_larger_batch(make: Any) -> None:
    """semantics 12.4"""
    loss, w, x, y = problem()
    small = train(gc.optim.Accumulate(make(), 3).minimize(loss), w, x, y)
    large = train(make().minimize(loss), w, x, y, 3 * BATCH)
    for number, value in enumerate(small):
        steps = (number + 1) // 3
        wanted = large[steps - 1] if steps else START
        np.testing.assert_allclose(value, wanted, rtol=1e-9, err_msg=f"run {number}")


def test_accumulating_gates_assigns_that_are_not_returned() -> None:
    class Chained(gc.optim.Optimizer):
        """Its buffer is assigned on the way to the variable's new value only."""

        def update(self, var: Any, gradient: Any, shared: Any) -> Any:
            moved = self.state(var, "sum").assign_add(gradient)
            return [var.assign_sub(moved * self.rate(var.dtype))]

    w = gc.variable(0.0, name="w")
    step = gc.optim.Accumulate(Chained(1.0), 2).minimize(w)
    (buffer,) = [v for v in w.graph.variables if v.name.endswith("w.sum")]
    with gc.Session() as sess:
        seen = []
        for _ in range(4):
            sess.run(step)
            seen.append((float(sess.value(w)), float(sess.value(buffer))))
    assert seen == [(0, 0), (-1, 1), (-1, 1), (-3, 2)]


def test_lookahead() -> None:
    """Zhang et al. 2019, algorithm 1, in NumPy."""
    loss, w, x, y = problem()
    optimizer = gc.optim.Lookahead(gc.optim.SGD(0.05, 0.9), k=3, alpha=0.25)
    found = train(optimizer.minimize(loss), w, x, y)
    fast, slow, buffer = START.copy(), START.copy(), np.zeros(4)
    for number, value in enumerate(found, 1):
        i = (number - 1) * BATCH % len(X)
        a, b = X[i : i + BATCH], Y[i : i + BATCH]
        buffer = 0.9 * buffer + 2 * a.T @ (a @ fast - b) / BATCH
        fast = fast - 0.05 * buffer
        if number % 3 == 0:
            slow = slow + 0.25 * (fast - slow)
            fast = slow.copy()
        np.testing.assert_allclose(value, fast, rtol=1e-9, err_msg=f"run {number}")


@pytest.mark.parametrize("kind", ["EMA", "SWA"])
def test_averages(kind: str) -> None:
    """semantics 12.4"""

    def torchs(torch: Any) -> list[Any]:
        w = tensor(torch, START, grad=True)
        optimizer = torch.optim.SGD([w], 0.1)
        if kind == "SWA":
            average = torch.optim.swa_utils.AveragedModel(_Holder(torch, w))
        rows, ema = [], START.copy()
        for i in range(0, len(X), BATCH):
            optimizer.zero_grad()
            x, y = tensor(torch, X[i : i + BATCH]), tensor(torch, Y[i : i + BATCH])
            ((x @ w - y) ** 2).mean().backward()
            optimizer.step()
            ema = 0.75 * ema + 0.25 * w.detach().numpy()
            if kind == "SWA":
                average.update_parameters(_Holder(torch, w))
                ema = next(average.parameters()).detach().numpy().copy()
            rows.append(ema.copy())
        return [np.stack(rows)]

    (wanted,) = torch_case(kind, torchs)
    loss, w, x, y = problem()
    averages = gc.optim.EMA(0.75) if kind == "EMA" else gc.optim.SWA()
    step = averages.apply(after=gc.optim.SGD(0.1).minimize(loss))
    with gc.Session() as sess:
        for i, row in zip(range(0, len(X), BATCH), wanted, strict=True):
            sess.run(step, {x: X[i : i + BATCH], y: Y[i : i + BATCH]})
            np.testing.assert_allclose(sess.value(averages.average(w)), row, rtol=1e-9)
        trained, mean = sess.value(w), sess.value(averages.average(w))
        swap = averages.swap()
        sess.run(swap)
        np.testing.assert_array_equal(sess.value(w), mean)
        sess.run(swap)
        np.testing.assert_array_equal(sess.value(w), trained)
        np.testing.assert_array_equal(sess.value(averages.average(w)), mean)


def _Holder(torch: Any, w: Any) -> Any:
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(w.detach().clone())
    return module


def test_an_average_by_itself_takes_the_values_at_the_start_of_the_run() -> None:
    w = gc.variable(1.0, name="w")
    ema = gc.optim.EMA(0.5)
    step = gc.optim.SGD(1.0).minimize(w)
    update = ema.apply([w])
    with gc.Session() as sess:
        for expected in (1.0, 0.5, -0.25):
            sess.run([step, update])
            assert float(sess.value(ema.average(w))) == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gc.optim.Accumulate(gc.optim.SGD(), 0), "Accumulate: steps is 0"),
        (
            lambda: gc.optim.Accumulate(gc.optim.SGD(), 1.5),
            "Accumulate: steps is 1.5; expected an int",
        ),
        (
            lambda: gc.optim.Accumulate(0.1, 2),
            "Accumulate: optimizer is 0.1; expected an optimizer",
        ),
        (lambda: gc.optim.Lookahead(gc.optim.SGD(), 5, 1.5), "Lookahead: alpha is 1.5"),
        (lambda: gc.optim.EMA(1.5), "EMA: decay is 1.5"),
        (lambda: gc.optim.EMA().apply(), "EMA: no variables to average"),
        (lambda: gc.optim.EMA().apply(after=3), "EMA: after is 3; expected what minimize gives"),
        (lambda: gc.optim.EMA().apply([gc.ones(())]), "EMA: var_list holds"),
        (lambda: gc.optim.SWA().average(gc.variable(0.0)), "SWA: .* has no average"),
        (lambda: gc.optim.SWA().swap(), "SWA: no averages yet"),
    ],
)
def test_wrong_arguments(call: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        call()
    assert caught.value.location.file == __file__
