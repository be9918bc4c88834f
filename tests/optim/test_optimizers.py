"""Optimizers step by step against PyTorch's formulas, spelled in NumPy in f64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.oracle import Machine

import graphc as gc
from graphc.errors import GradientError, GraphError, ShapeError
from graphc.session.hooks import Hooks

START = np.array([1.0, -2.0, 0.5, 4.0])
STEPS = 12


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def gradient(w: Any, t: int) -> Any:
    """Of sum(t * w^2 / 2 + sin(w))."""
    return t * w + np.cos(w)


def sgd(lr: float, momentum: float, nesterov: bool, decay: float) -> Iterator[Any]:
    w, buffer = START.copy(), None
    for t in range(1, STEPS + 1):
        g = gradient(w, t) + decay * w
        if momentum:
            buffer = g if buffer is None else momentum * buffer + g
            g = g + momentum * buffer if nesterov else buffer
        w = w - lr * g
        yield w


def adam(lr: float, b1: float, b2: float, eps: float, decay: float, apart: bool) -> Iterator[Any]:
    w = START.copy()
    m, v = np.zeros(4), np.zeros(4)
    for t in range(1, STEPS + 1):
        g = gradient(w, t)
        if apart:
            w = w - lr * decay * w
        else:
            g = g + decay * w
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        w = w - lr / (1 - b1**t) * m / (np.sqrt(v) / np.sqrt(1 - b2**t) + eps)
        yield w


CASES: list[tuple[Callable[[], Any], Callable[[], Iterator[Any]]]] = [
    (lambda: gc.optim.SGD(0.01), lambda: sgd(0.01, 0, False, 0)),
    (lambda: gc.optim.SGD(0.01, weight_decay=0.1), lambda: sgd(0.01, 0, False, 0.1)),
    (lambda: gc.optim.SGD(0.01, momentum=0.9), lambda: sgd(0.01, 0.9, False, 0)),
    (lambda: gc.optim.SGD(0.01, 0.9, 0.0, 0.1, nesterov=True), lambda: sgd(0.01, 0.9, True, 0.1)),
    (lambda: gc.optim.Adam(0.1), lambda: adam(0.1, 0.9, 0.999, 1e-8, 0, False)),
    (
        lambda: gc.optim.Adam(0.1, (0.8, 0.99), 1e-3, 0.2),
        lambda: adam(0.1, 0.8, 0.99, 1e-3, 0.2, False),
    ),
    (lambda: gc.optim.AdamW(0.1), lambda: adam(0.1, 0.9, 0.999, 1e-8, 0.01, True)),
]


@pytest.mark.parametrize(("make", "expected"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(gc.float64, 1e-12), (gc.float32, 2e-5)])
def test_steps(make: Any, expected: Any, dtype: Any, tolerance: float) -> None:
    w = gc.variable(START.astype(dtype.numpy), name="w")
    t = gc.placeholder(dtype, ())
    loss = gc.sum(t * w * w * 0.5 + gc.sin(w))
    step = make().minimize(loss)
    machine = Machine()
    for number, value in enumerate(expected(), 1):
        machine.run(step.tensors, {t: number})
        np.testing.assert_allclose(machine.values[w], value, rtol=tolerance, atol=tolerance)


def test_reads_of_a_run_see_the_values_at_its_start() -> None:
    """semantics 10.1"""
    w = gc.variable(1.0, name="w")
    new = w.assign(w + 1.0)
    machine = Machine()
    for start in (1.0, 2.0, 3.0):
        assert machine.run([new, w * 10.0, new * 10.0], {}) == [
            start + 1,
            start * 10,
            (start + 1) * 10,
        ]


def test_a_run_that_fails_changes_nothing() -> None:
    """semantics 10.1"""
    w = gc.variable(np.zeros(3, np.float32), name="w")
    i = gc.placeholder(gc.int64, ())
    machine = Machine()
    fetches = [w.assign_add(1.0), gc.take(w, i, axis=0)]
    with pytest.raises(GraphError, match="index 3 is out of range"):
        machine.run(fetches, {i: 3})
    assert machine.run([w], {})[0].tolist() == [0, 0, 0]


def test_a_tensor_for_the_learning_rate() -> None:
    lr = gc.placeholder(gc.float32, (), name="lr")
    for make in (gc.optim.SGD, gc.optim.Adam, gc.optim.AdamW):
        w = gc.variable(np.ones(2, np.float32))
        step = make(lr).minimize(gc.sum(w * w), [w])
        machine = Machine()
        machine.run(step.tensors, {lr: 0.0})
        np.testing.assert_array_equal(machine.values[w], [1, 1])
        machine.run(step.tensors, {lr: 0.1})
        assert (machine.values[w] < 1).all()


def test_minimize_changes_what_the_loss_depends_on() -> None:
    a, b = gc.variable(1.0, name="a"), gc.variable(1.0, name="b")
    frozen = gc.variable(1.0, name="frozen", trainable=False)
    step = gc.optim.SGD(0.5).minimize(a * a * frozen)
    assert [t.args[0] for t in step.tensors] == [a]
    with pytest.raises(GradientError, match="does not depend on %b"):
        gc.optim.SGD(0.5).minimize(a * a, [b])
    with pytest.raises(GraphError, match="SGD: the loss depends on no trainable variable"):
        gc.optim.SGD(0.5).minimize(frozen * 2.0)


def test_gradients_can_be_changed_on_their_way() -> None:
    w = gc.variable(np.full(2, 10.0), name="w")
    optimizer = gc.optim.SGD(1.0)
    pairs = optimizer.compute_gradients(gc.sum(w * w))
    step = optimizer.apply_gradients([(gc.clip(g, -1.0, 1.0), v) for g, v in pairs])
    machine = Machine()
    machine.run(step.tensors, {})
    np.testing.assert_array_equal(machine.values[w], [9, 9])


def test_state_variables_have_names_and_are_not_trained() -> None:
    w = gc.variable(1.0, name="w")
    gc.optim.Adam().minimize(w * w)
    states = [v for v in w.graph.variables if v is not w]
    assert sorted(v.name for v in states) == ["Adam/step", "Adam/w.mean", "Adam/w.square"]
    assert not any(v.trainable for v in states)


def test_an_optimizer_of_ones_own() -> None:
    class Signs(gc.optim.Optimizer):
        def update(self, var: Any, gradient: Any, shared: Any) -> Any:
            return [var.assign_sub(self.rate(var.dtype) * gc.sign(gradient))]

    w = gc.variable(np.array([3.0, -3.0]), name="w")
    step = Signs(0.5).minimize(gc.sum(w * w))
    machine = Machine()
    machine.run(step.tensors, {})
    np.testing.assert_array_equal(machine.values[w], [2.5, -2.5])


def test_groups_have_options_of_their_own() -> None:
    a, b, c = (gc.variable(1.0, name=n) for n in "abc")
    groups = [{"params": [a], "lr": 0.5}, {"params": b, "maximize": True}]
    step = gc.optim.SGD(0.25, groups=groups).minimize(a + b + c)
    machine = Machine()
    machine.run(step.tensors, {})
    assert [float(machine.values[v]) for v in (a, b, c)] == [0.5, 1.25, 0.75]


def test_groups_of_an_optimizer_of_ones_own() -> None:
    class Signs(gc.optim.Optimizer):
        def __init__(self, lr: float, scale: float, **shared: Any) -> None:
            super().__init__(lr, **shared)
            self.scale = scale

        def update(self, var: Any, gradient: Any, shared: Any) -> Any:
            return [var.assign_sub(self.rate(var.dtype) * self.scale * gc.sign(gradient))]

    a, b = gc.variable(1.0, name="a"), gc.variable(1.0, name="b")
    step = Signs(0.25, 1.0, groups=[{"params": [b], "scale": 2.0}]).minimize(a + b)
    machine = Machine()
    machine.run(step.tensors, {})
    assert [float(machine.values[v]) for v in (a, b)] == [0.75, 0.5]
    wrong = Signs(0.25, 1.0, groups=[{"params": [b], "size": 2.0}])
    with pytest.raises(GraphError, match=r"Signs: no option 'size'; there are lr, .*scale"):
        wrong.minimize(a + b)


def test_the_number_of_the_step() -> None:
    class Slower(gc.optim.Optimizer):
        def update(self, var: Any, gradient: Any, shared: Any) -> Any:
            return [var.assign_sub(gc.astype(self.rate(gc.float64) / self.time, var.dtype))]

    w = gc.variable(0.0, name="w")
    step = Slower(1.0).minimize(w)
    machine = Machine()
    for _ in range(3):
        machine.run(step.tensors, {})
    np.testing.assert_allclose(machine.values[w], -(1 + 1 / 2 + 1 / 3), rtol=1e-6)
    with pytest.raises(GraphError, match="time is known in `update`"):
        _ = Slower(1.0).time


def test_lion() -> None:
    """Chen et al. 2023, algorithm 2: PyTorch has none."""
    w = gc.variable(START, name="w")
    t = gc.placeholder(gc.float64, ())
    step = gc.optim.Lion(0.1, (0.8, 0.95), 0.3).minimize(gc.sum(t * w * w * 0.5 + gc.sin(w)))
    machine, expected, m = Machine(), START.copy(), np.zeros(4)
    for number in range(1, STEPS + 1):
        machine.run(step.tensors, {t: number})
        g = gradient(expected, number)
        expected = expected - 0.1 * (np.sign(0.8 * m + 0.2 * g) + 0.3 * expected)
        m = 0.95 * m + 0.05 * g
        np.testing.assert_allclose(machine.values[w], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [
        gc.optim.SGD(0.1, 0.9),
        gc.optim.AdamW(amsgrad=True),
        gc.optim.NAdam(),
        gc.optim.Lion(),
        gc.optim.RMSprop(centered=True),
    ],
    ids=lambda o: type(o).__name__,
)
def test_a_step_is_few_kernels(optimizer: Any) -> None:
    """One launch updates a variable and all its state; at most two are for what variables share.
    Equal ranks share machine code."""
    pairs = [
        (gc.placeholder(gc.float32, s), gc.variable(gc.zeros(s), name=f"w{i}"))
        for i, s in enumerate([(40, 40), (40, 50), (60, 40), (70, 70), (40,), (80,), (90,)])
    ]
    seen: list[Any] = []
    with gc.Session(hooks=Hooks(observe=seen.append)) as sess:
        feeds = {g: np.ones(g.shape, np.float32) for g, _ in pairs}
        sess.run(optimizer.apply_gradients(pairs), feeds)
        assert sess.stats.launches <= len(pairs) + 2
    assert len({source.text for source in seen[0].sources.values()}) <= 3


def number_is(name: str, value: Any) -> str:
    return rf"^\w+: {name} is {value}; expected a number"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gc.optim.SGD(0.1, -0.9), number_is("momentum", -0.9)),
        (lambda: gc.optim.SGD(0.1, weight_decay=-1), number_is("weight_decay", -1)),
        (lambda: gc.optim.SGD(0.1, 0.9, 0.1, nesterov=True), "nesterov needs .* no dampening"),
        (lambda: gc.optim.SGD("fast"), number_is("lr", "'fast'")),
        (lambda: gc.optim.SGD(True), number_is("lr", True)),
        (lambda: gc.optim.SGD(maximize=1), "SGD: maximize is 1; expected True or False"),
        (lambda: gc.optim.SGD(clip_grad_norm=-1), number_is("clip_grad_norm", -1)),
        (lambda: gc.optim.SGD(clip_grad_norm=1, clip_grad_value=1), "expected one of them"),
        (lambda: gc.optim.Adam(betas=(0.9, -0.1)), r"Adam: betas\[1\] is -0.1; .* in \[0, 1\)"),
        (lambda: gc.optim.Adam(betas=0.9), "Adam: betas is 0.9; expected two numbers"),
        (lambda: gc.optim.Adam(eps=-1e-8), number_is("eps", "-1e-08")),
        (lambda: gc.optim.AdamW(weight_decay=-1), "AdamW: weight_decay is -1"),
        (lambda: gc.optim.RMSprop(alpha=-1), number_is("alpha", -1)),
        (lambda: gc.optim.RMSprop(centered=None), "RMSprop: centered is None"),
        (lambda: gc.optim.Adagrad(lr_decay=-1), number_is("lr_decay", -1)),
        (lambda: gc.optim.Adadelta(rho=1.5), r"Adadelta: rho is 1.5; .* in \[0, 1\]"),
        (lambda: gc.optim.NAdam(momentum_decay=-1), number_is("momentum_decay", -1)),
        (lambda: gc.optim.Lion(betas=(0.9,)), "Lion: betas is"),
        (lambda: gc.optim.Rprop(etas=(1.5, 2)), r"Rprop: etas\[0\] is 1.5; .* in \[0, 1\)"),
        (lambda: gc.optim.Rprop(step_sizes=1), "Rprop: step_sizes is 1; expected two numbers"),
        (lambda: gc.optim.ASGD(lambd=-1), number_is("lambd", -1)),
        (lambda: gc.optim.SparseAdam(eps=-1), number_is("eps", -1)),
        (lambda: gc.optim.SGD(groups={"params": []}), "groups is .*; expected a list of dicts"),
        (lambda: gc.optim.SGD(groups=[{"lr": 1.0}]), "expected a dict with 'params'"),
        (
            lambda: gc.optim.SGD(groups=[{"params": [], "beta": 1.0}]),
            "SGD: no option 'beta'; there",
        ),
        (lambda: gc.optim.SGD(groups=[{"params": [], "lr": -1.0}]), number_is("lr", -1.0)),
        (lambda: gc.optim.SGD(groups=[{"params": [3]}]), "params holds 3, which is no variable"),
        (
            lambda: gc.optim.SGD(groups=[{"params": [], "clip_grad_norm": 1.0}]),
            "no option of a group",
        ),
        (lambda: gc.optim.SGD().minimize(gc.ones(()), [{"params": []}]), "the argument `groups`"),
        (lambda: gc.optim.SGD().minimize(3.0), "SGD: the loss is 3.0; expected a tensor"),
        (lambda: gc.optim.SGD().apply_gradients(3), "grads_and_vars is 3"),
        (lambda: gc.optim.SGD().apply_gradients([3]), "grads_and_vars holds 3"),
        (lambda: gc.optim.SGD(-1.0), number_is("lr", -1.0)),
        (lambda: gc.optim.SGD(float("nan")), number_is("lr", "nan")),
        (lambda: gc.optim.SGD(0.1, nesterov=True), "nesterov needs a momentum"),
        (lambda: gc.optim.Adam(betas=(1.0, 0.9)), "Adam: betas"),
        (lambda: gc.optim.SGD(0.1).apply_gradients([]), "no variable has a gradient"),
        (lambda: gc.optim.SGD(0.1).apply_gradients([(gc.ones(()), gc.ones(()))]), "is no variable"),
    ],
)
def test_wrong_arguments(call: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        call()
    assert caught.value.location.file == __file__


def test_wrong_gradients() -> None:
    w = gc.variable(np.zeros((2, 3), np.float32), name="w")
    optimizer = gc.optim.SGD(0.1)
    with pytest.raises(ShapeError, match=r"gradient of 'w' is f32\[3\]; expected f32\[2,3\]"):
        optimizer.apply_gradients([(gc.zeros((3,)), w)])
    with pytest.raises(GraphError, match="'w' has two gradients"):
        optimizer.apply_gradients([(gc.zeros((2, 3)), w)] * 2)
    with pytest.raises(GraphError, match="'w' is in two groups"):
        gc.optim.SGD(groups=[{"params": [w]}, {"params": [w]}])
    with pytest.raises(ShapeError, match=r"SGD: lr is f32\[2\]; expected a 0-d tensor"):
        gc.optim.SGD(gc.zeros((2,)))
