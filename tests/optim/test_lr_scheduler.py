"""Schedules: PyTorch's rate at every step, the optimizer's own count of steps, wrong arguments."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from support.torch_cases import torch_case

import graphc as gc
from graphc.errors import GraphError, ShapeError

STEPS = 60
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "constant": ("ConstantLR", {"factor": 0.25, "total_iters": 7}),
    "constant_default": ("ConstantLR", {}),
    "linear": ("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 9}),
    "linear_default": ("LinearLR", {}),
    "step": ("StepLR", {"step_size": 7}),
    "step_gamma": ("StepLR", {"step_size": 13, "gamma": 0.5}),
    "multi_step": ("MultiStepLR", {"milestones": [5, 20, 21], "gamma": 0.3}),
    "multi_step_twice": ("MultiStepLR", {"milestones": [5, 5, 30]}),
    "exponential": ("ExponentialLR", {"gamma": 0.9}),
    "polynomial": ("PolynomialLR", {"total_iters": 25, "power": 2.0}),
    "polynomial_default": ("PolynomialLR", {}),
    "cosine": ("CosineAnnealingLR", {"T_max": 25, "eta_min": 0.01}),
    "cosine_long": ("CosineAnnealingLR", {"T_max": 100}),
    "restarts": ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    "restarts_growing": ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    "restarts_tripling": ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}),
    "one_cycle": ("OneCycleLR", {"total_steps": STEPS}),
    "one_cycle_linear": (
        "OneCycleLR",
        {
            "total_steps": STEPS,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "div_factor": 10.0,
            "final_div_factor": 100.0,
        },
    ),
    "one_cycle_three_phase": ("OneCycleLR", {"total_steps": STEPS, "three_phase": True}),
}


def torch_rates(torch: Any, make: Any) -> list[Any]:
    optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64)], 0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR calls PyTorch's own deprecated form
        schedule = make(torch.optim.lr_scheduler, optimizer)
        rates = []
        for number in range(STEPS):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            if number < STEPS - 1:
                schedule.step()
    return [np.array(rates)]


def our_rates(schedule: Any) -> Any:
    with gc.Graph().as_default():
        step = gc.placeholder(gc.int64, ())
        rate = schedule(step)
        assert rate.type == gc.ones((), gc.float64).type
        with gc.Session() as sess:
            run = sess.make_callable(rate, [step])
            return np.array([run(i) for i in range(STEPS)])


@pytest.mark.parametrize("name", CASES)
def test_every_rate(name: str) -> None:
    kind, options = CASES[name]
    first = "max_lr" if kind == "OneCycleLR" else "lr"
    given = {"max_lr": 0.1, **options} if kind == "OneCycleLR" else options
    (wanted,) = torch_case(
        name,
        lambda torch: torch_rates(torch, lambda schedules, o: getattr(schedules, kind)(o, **given)),
    )
    ours = getattr(gc.optim.lr_scheduler, kind)(**{first: 0.1}, **options)
    np.testing.assert_allclose(our_rates(ours), wanted, rtol=1e-9, atol=1e-12)


def test_one_schedule_after_the_other() -> None:
    def torchs(schedules: Any, o: Any) -> Any:
        parts = [
            schedules.LinearLR(o, 0.1, total_iters=10),
            schedules.CosineAnnealingLR(o, 30),
            schedules.ExponentialLR(o, 0.9),
        ]
        return schedules.SequentialLR(o, parts, milestones=[10, 40])

    (wanted,) = torch_case("sequential", lambda torch: torch_rates(torch, torchs))
    ours = gc.optim.SequentialLR(
        [
            gc.optim.LinearLR(0.1, 0.1, total_iters=10),
            gc.optim.CosineAnnealingLR(0.1, 30),
            gc.optim.ExponentialLR(0.1, 0.9),
        ],
        milestones=[10, 40],
    )
    np.testing.assert_allclose(our_rates(ours), wanted, rtol=1e-9, atol=1e-12)


def test_warm_up_before_any_schedule() -> None:
    rates = our_rates(gc.optim.WarmupLR(gc.optim.CosineAnnealingLR(0.1, T_max=50), 10))
    rest = our_rates(gc.optim.CosineAnnealingLR(0.1, T_max=50))
    np.testing.assert_allclose(rates[:11], np.linspace(0, 0.1, 11), atol=1e-12)
    np.testing.assert_allclose(rates[10:], rest[:50], rtol=1e-12)


def test_restarts_are_exact_at_late_steps() -> None:
    schedule = gc.optim.CosineAnnealingWarmRestarts(0.1, 3, 2)
    starts = [3 * (2**k - 1) for k in range(1, 31)]
    with gc.Graph().as_default(), gc.Session() as sess:
        step = gc.placeholder(gc.int64, ())
        run = sess.make_callable(schedule(step), [step])
        assert [float(run(s)) for s in starts] == [0.1] * 30
        assert all(run(s - 1) < 0.05 for s in starts)


def test_an_optimizer_counts_its_own_steps() -> None:
    for grouped in (False, True):
        with gc.Graph().as_default():
            w = gc.variable(0.0, name="w", dtype=gc.float64)
            schedule = gc.optim.StepLR(1.0, 2, 0.5)
            groups = [{"params": w, "lr": schedule}] if grouped else []
            step = gc.optim.SGD(9.0 if grouped else schedule, groups=groups).minimize(w)
            other = gc.optim.SGD(gc.optim.ExponentialLR(1.0, 0.5)).minimize(w)
            with gc.Session() as sess:
                seen = [0.0]
                for _ in range(5):
                    sess.run(step)
                    seen.append(float(sess.value(w)))
                np.testing.assert_allclose(np.diff(seen), [-1, -1, -0.5, -0.5, -0.25])
                before = float(sess.value(w))
                sess.run(other)
                assert float(sess.value(w)) == before - 1.0


def test_a_schedule_of_ones_own_and_of_a_tensor() -> None:
    with gc.Graph().as_default():
        w = gc.variable(0.0, name="w")
        epoch = gc.placeholder(gc.int32, (), name="epoch")
        by_epoch = gc.optim.SGD(gc.optim.LambdaLR(1.0, lambda t: 0.5**t)(epoch)).minimize(w)
        with gc.Session() as sess:
            for e in (0, 0, 3):
                sess.run(by_epoch, {epoch: e})
            assert float(sess.value(w)) == -2.125


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.ConstantLR(-1.0), GraphError, "ConstantLR: lr is -1.0"),
        (lambda s: s.ConstantLR(0.1, factor=1.5), GraphError, "factor is 1.5"),
        (lambda s: s.StepLR(0.1, 0), GraphError, "StepLR: step_size is 0"),
        (lambda s: s.StepLR(0.1, 1.5), GraphError, "step_size is 1.5; expected an int"),
        (
            lambda s: s.MultiStepLR(0.1, [5, 3]),
            GraphError,
            "MultiStepLR: milestones .* do not rise",
        ),
        (lambda s: s.MultiStepLR(0.1, 5), GraphError, "milestones is 5"),
        (lambda s: s.LambdaLR(0.1, 5), GraphError, "LambdaLR: lr_lambda is 5"),
        (
            lambda s: s.OneCycleLR(0.1, 10, anneal_strategy="up"),
            GraphError,
            "anneal_strategy is 'up'",
        ),
        (lambda s: s.OneCycleLR(0.1, 10, pct_start=2), GraphError, "pct_start is 2"),
        (lambda s: s.CosineAnnealingWarmRestarts(0.1, 5, 0), GraphError, "T_mult is 0"),
        (lambda s: s.SequentialLR([], []), GraphError, "SequentialLR: schedulers"),
        (
            lambda s: s.SequentialLR([s.StepLR(0.1, 2)], [1]),
            GraphError,
            "1 schedulers and 1 milest",
        ),
        (lambda s: s.WarmupLR(0.1, 5), GraphError, "WarmupLR: schedule is 0.1"),
        (lambda s: s.StepLR(0.1, 2)([1, 2]), ShapeError, "StepLR: step is i64.2.; expected a 0-d"),
    ],
)
def test_wrong_arguments(call: Any, error: Any, message: str) -> None:
    with gc.Graph().as_default(), pytest.raises(error, match=message) as caught:
        call(gc.optim.lr_scheduler)
    assert caught.value.location.file == __file__
