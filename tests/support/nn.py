"""Layers and functions beside PyTorch's: equal values, equal gradients of inputs and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from support.torch_cases import asking_module, cased, tensor

import graphc as gc


def compare(
    name: str,
    arrays: Sequence[Any],
    with_torch: Callable[..., Any],
    with_graphc: Callable[..., Any],
    wanted: int,
    rtol: float = 1e-6,
) -> None:
    """Holds a function's results, and its gradients by its first `wanted` arrays, against torch's.

    The gradients are of the sum of the results, each weighed by the sine of its place.
    """
    module = asking_module()

    def compute(torch: Any) -> list[Any]:
        inputs = [tensor(torch, a, i < wanted) for i, a in enumerate(arrays)]
        outs = listed(with_torch(torch, *inputs))
        if wanted:
            total = sum((o * torch.tensor(weights(o.shape))).sum() for o in outs)
            total.backward()
        return [*outs, *(i.grad for i in inputs[:wanted])]

    expected = cased(module, name, compute)
    with gc.Graph().as_default(), gc.Session() as sess:
        inputs = [gc.asarray(a) for a in arrays]
        outs = listed(with_graphc(*inputs))
        found = [*outs, *gradients(outs, inputs[:wanted])]
        got = sess.run(found)
    check(got, expected, rtol)


def gradients(outs: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
    """Of the weighed sum of the outs; none where there are no xs."""
    return gc.gradients(list(outs), list(xs), [weights(o.shape) for o in outs]) if xs else []


def check_second_order(make: Callable[..., Any], arrays: Sequence[Any], step: float = 1e-5) -> None:
    """Holds the gradient of a function's gradient, along a direction, against differences (f64)."""
    rng = np.random.default_rng(3)
    ways = [rng.normal(size=np.shape(a)) for a in arrays]
    with gc.Graph().as_default(), gc.Session() as sess:
        xs = [gc.placeholder(gc.float64, np.shape(a), name=f"x{i}") for i, a in enumerate(arrays)]
        outs = listed(make(*xs))
        first = gradients(outs, xs)
        total = sum(gc.sum(g * w) for g, w in zip(first, ways, strict=True))
        second = gc.gradients(total, xs)
        found = sess.run(second, dict(zip(xs, arrays, strict=True)))

        def at(t: float) -> Any:
            moved = [a + t * w for a, w in zip(arrays, ways, strict=True)]
            return sess.run(first, dict(zip(xs, moved, strict=True)))

        for got, above, below in zip(found, at(step), at(-step), strict=True):
            np.testing.assert_allclose(got, (above - below) / (2 * step), rtol=1e-5, atol=1e-7)


def weights(shape: Sequence[int]) -> Any:
    """A weight for each element."""
    return np.sin(np.arange(int(np.prod(shape)), dtype=np.float64) + 1).reshape(tuple(shape))


def listed(made: Any) -> list[Any]:
    return [m for m in made if m is not None] if isinstance(made, tuple | list) else [made]


def check(got: Sequence[Any], expected: Sequence[Any], rtol: float = 1e-6) -> None:
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * 1e-2, err_msg=f"result {i}")


def layer(
    name: str,
    arrays: Sequence[Any],
    make_torch: Callable[[Any], Any],
    make: Callable[[], Any],
    wanted: int,
    training: bool = True,
    call: Callable[..., Any] = lambda m, *t: m(*t),
) -> None:
    """A module beside torch's with the same weights (f64): results, gradients of the first `wanted`
    arrays and of every parameter, and the state dict after the run."""
    module = asking_module()
    keys: list[str] = []

    def compute(torch: Any) -> list[Any]:
        theirs = make_torch(torch.nn).double().train(training)
        with torch.no_grad():
            for p in theirs.parameters():
                p.add_(torch.sin(torch.arange(p.numel()).double()).reshape(p.shape) * 0.3)
        before = {k: v.clone() for k, v in theirs.state_dict().items()}
        inputs = [tensor(torch, a, i < wanted) for i, a in enumerate(arrays)]
        outs = listed(call(theirs, *inputs))
        sum((o * torch.tensor(weights(o.shape))).sum() for o in outs).backward()
        after = theirs.state_dict()
        grads = [i.grad for i in inputs[:wanted]] + [p.grad for p in theirs.parameters()]
        return [np.array("\n".join(before)), *before.values(), *outs, *grads, *after.values()]

    stored = cased(module, name, compute)
    keys = [k for k in str(stored[0]).split("\n") if k]
    before = dict(zip(keys, stored[1:], strict=False))
    with gc.Graph().as_default(), gc.Session() as sess:
        ours = make().train(training)
        assert list(ours.state_dict(sess)) == keys
        ours.load_state_dict(sess, before)
        inputs = [gc.asarray(a) for a in arrays]
        outs = listed(call(ours, *inputs))
        got = sess.run([*outs, *gradients(outs, [*inputs[:wanted], *ours.parameters()])])
        after = ours.state_dict(sess)
    check([*got, *(after[k] for k in keys)], stored[1 + len(keys) :])


def in_f64(module: gc.nn.Module) -> gc.nn.Module:
    """The module with its variables in f64, as PyTorch's `double()`."""
    for m in list(module.modules()):
        for name, v in list(vars(m).items()):
            if isinstance(v, gc.Variable) and v.dtype == gc.float32:
                kind = gc.nn.Parameter if v.trainable else gc.nn.Buffer
                setattr(m, name, kind(gc.astype(v.initial_value, gc.float64)))
    return module
