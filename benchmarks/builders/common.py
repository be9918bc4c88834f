"""What the builders share: a graph of its own, and the two shapes of a step."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import graphc as gc

Spec = Any
Built = tuple[Callable[[], Any], Callable[[], dict[str, Any]] | None]


def infer(
    spec: Spec, ctx: Any, model: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
) -> Built:
    """`model(params, inputs)` maps names to tensors; a step feeds the inputs and fetches the
    results."""
    with gc.Graph().as_default() as graph:
        params = {k: gc.variable(v, name=k) for k, v in spec.params.items()}
        inputs = {k: gc.placeholder(v.dtype, v.shape, name=k) for k, v in spec.inputs.items()}
        outputs = model(params, inputs)
    session = gc.Session(graph, threads=ctx.threads)
    call = session.make_callable(outputs, list(inputs.values()))
    arrays = list(spec.inputs.values())
    return (lambda: call(*arrays)), None


def train(spec: Spec, ctx: Any, loss_of: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Built:
    """`loss_of(params, batch)` is the loss; a step feeds the next batch and updates the
    parameters."""
    batches = [list(b.values()) for b in spec.batches()]
    with gc.Graph().as_default() as graph:
        params = {k: gc.variable(v, name=k) for k, v in spec.params.items()}
        first = spec.batches()[0]
        batch = {k: gc.placeholder(v.dtype, [None, *v.shape[1:]], name=k) for k, v in first.items()}
        loss = loss_of(params, batch)
        rate = spec.meta["lr"]
        optimizer = gc.optim.Adam(rate) if spec.meta["optimizer"] == "adam" else gc.optim.SGD(rate)
        update = optimizer.minimize(loss)
    session = gc.Session(graph, threads=ctx.threads)
    call = session.make_callable([loss, update], list(batch.values()))
    feeds = itertools.cycle(batches)
    last: dict[str, Any] = {}

    def step() -> None:
        last["loss"] = call(*next(feeds))[0]

    def result() -> dict[str, Any]:
        return {
            "loss": float(last["loss"]),
            **{f"param/{k}": session.value(v) for k, v in params.items()},
        }

    return step, result
