"""The first ten steps of every optimizer on a small network are PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.torch_cases import tensor, torch_case

import graphc as gc

STEPS = 10
RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2))
START = [RNG.normal(size=shape) for shape in ((3, 4), (4,), (4, 2), (2,))]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_default": ("SGD", {}),
    "sgd_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    "sgd_dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    "sgd_maximize": ("SGD", {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.1, "maximize": True}),
    "adam": ("Adam", {"lr": 0.1}),
    "adam_default": ("Adam", {}),
    "adam_options": ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    "adam_amsgrad": ("Adam", {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True}),
    "adam_maximize": ("Adam", {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    "adamw": ("AdamW", {"lr": 0.1}),
    "adamw_amsgrad": ("AdamW", {"lr": 0.1, "weight_decay": 0.2, "amsgrad": True}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_options": ("RMSprop", {"lr": 0.05, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.9}),
    "rmsprop_centered": ("RMSprop", {"centered": True, "momentum": 0.5, "maximize": True}),
    "adagrad": ("Adagrad", {}),
    "adagrad_options": (
        "Adagrad",
        {
            "lr": 0.1,
            "lr_decay": 0.1,
            "weight_decay": 0.1,
            "initial_accumulator_value": 0.5,
            "eps": 1e-6,
        },
    ),
    "adagrad_maximize": ("Adagrad", {"lr": 0.1, "maximize": True}),
    "adadelta": ("Adadelta", {}),
    "adadelta_options": ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1}),
    "nadam": ("NAdam", {}),
    "nadam_options": (
        "NAdam",
        {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1, "momentum_decay": 0.1},
    ),
    "nadam_decoupled": ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "radam": ("RAdam", {"lr": 0.05}),
    "radam_decay": ("RAdam", {"lr": 0.05, "betas": (0.7, 0.9), "weight_decay": 0.1}),
    "radam_decoupled": ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "radam_never_known": ("RAdam", {"lr": 0.05, "betas": (0.5, 0.5)}),
    "asgd": ("ASGD", {}),
    "asgd_options": (
        "ASGD",
        {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 3, "weight_decay": 0.1, "maximize": True},
    ),
    "rprop": ("Rprop", {}),
    "rprop_options": ("Rprop", {"lr": 0.05, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.1)}),
    "adamax": ("Adamax", {}),
    "adamax_options": ("Adamax", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1}),
}


def torch_steps(torch: Any, make: Any) -> list[Any]:
    """The weights after each step, as one row."""
    w1, b1, w2, b2 = weights = [tensor(torch, w, grad=True) for w in START]
    x, y = tensor(torch, X), tensor(torch, Y)
    optimizer, after = make(torch, weights)
    rows = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = ((torch.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2).mean()
        loss.backward()
        after(optimizer)
        rows.append(np.concatenate([w.detach().numpy().ravel() for w in weights]))
    return [np.stack(rows)]


def network(dtype: Any) -> tuple[Any, list[Any]]:
    """The loss and the weights."""
    w1, b1, w2, b2 = weights = [
        gc.variable(w.astype(dtype.numpy), name=f"w{i}") for i, w in enumerate(START)
    ]
    x, y = gc.asarray(X, dtype), gc.asarray(Y, dtype)
    return gc.mean((gc.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2), weights


def our_steps(optimizer: Any, dtype: Any) -> Iterator[Any]:
    with gc.Graph().as_default():
        loss, weights = network(dtype)
        made = optimizer(weights) if callable(optimizer) else optimizer
        step = made.minimize(loss)
        with gc.Session() as sess:
            for _ in range(STEPS):
                sess.run(step)
                yield np.concatenate([sess.value(w).ravel() for w in weights])


def compare(name: str, torchs: Any, ours: Any, dtype: Any) -> None:
    (expected,) = torch_case(name, lambda torch: torch_steps(torch, torchs))
    tolerance = 1e-9 if dtype is gc.float64 else 2e-5
    if dtype is gc.float64 and name.startswith(("nadam", "asgd")):
        tolerance = 2e-7  # PyTorch keeps the product of all mu, and the rate, in f32
    for number, (row, wanted) in enumerate(zip(our_steps(ours, dtype), expected, strict=True), 1):
        np.testing.assert_allclose(
            row, wanted, rtol=tolerance, atol=tolerance, err_msg=f"step {number}"
        )


@pytest.mark.parametrize("dtype", [gc.float64, gc.float32], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_ten_steps(name: str, dtype: Any) -> None:
    """semantics 12.1"""
    kind, options = CASES[name]

    def torchs(torch: Any, weights: Any) -> Any:
        return getattr(torch.optim, kind)(weights, **options), lambda o: o.step()

    compare(name, torchs, getattr(gc.optim, kind)(**options), dtype)


def test_groups_of_parameters() -> None:
    def torchs(torch: Any, weights: Any) -> Any:
        groups = [
            {"params": weights[:1]},
            {"params": weights[1:2], "lr": 0.01, "weight_decay": 0.0},
            {"params": weights[2:], "betas": (0.5, 0.6), "maximize": True},
        ]
        return torch.optim.AdamW(groups, lr=0.1, weight_decay=0.2), lambda o: o.step()

    def ours(weights: Any) -> Any:
        groups = [
            {"params": weights[1], "lr": 0.01, "weight_decay": 0.0},
            {"params": weights[2:], "betas": (0.5, 0.6), "maximize": True},
        ]
        return gc.optim.AdamW(0.1, weight_decay=0.2, groups=groups)

    compare("groups", torchs, ours, gc.float64)


@pytest.mark.parametrize("option", ["clip_grad_norm", "clip_grad_value"])
def test_clipping(option: str) -> None:
    """semantics 12.3"""
    options = {"momentum": 0.9, "weight_decay": 0.1, "maximize": True}

    def torchs(torch: Any, weights: Any) -> Any:
        clip = getattr(torch.nn.utils, f"{option}_")

        def step(optimizer: Any) -> None:
            clip(weights, 0.25)
            optimizer.step()

        return torch.optim.SGD(weights, 0.1, **options), step

    ours = gc.optim.SGD(0.1, **options, **{option: 0.25})
    compare(option, torchs, ours, gc.float64)


def test_a_schedule_follows_the_steps() -> None:
    """semantics 12.2"""

    def torchs(torch: Any, weights: Any) -> Any:
        optimizer = torch.optim.AdamW(weights, 0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7)

        def step(optimizer: Any) -> None:
            optimizer.step()
            schedule.step()

        return optimizer, step

    compare("schedule", torchs, gc.optim.AdamW(gc.optim.CosineAnnealingLR(0.1, 7)), gc.float64)


def test_the_average_of_asgd() -> None:
    options: dict[str, Any] = {"lr": 0.1, "lambd": 0.1, "t0": 3}

    def torchs(torch: Any) -> list[Any]:
        w = tensor(torch, START[0], grad=True)
        optimizer = torch.optim.ASGD([w], **options)
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.cos(w).sum().backward()
            optimizer.step()
        return [optimizer.state[w]["ax"]]

    (wanted,) = torch_case("asgd_average", torchs)
    with gc.Graph().as_default():
        w = gc.variable(START[0], name="w")
        step = gc.optim.ASGD(**options).minimize(gc.sum(gc.cos(w)))
        with gc.Session() as sess:
            for _ in range(STEPS):
                sess.run(step)
            np.testing.assert_allclose(sess.value("ASGD/w.average"), wanted, rtol=1e-6)
