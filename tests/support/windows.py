"""What tests of convolution, pooling and resampling share: values and gradients of a function, by
torch and by graphc (through the oracle, or compiled), for one or symbolic sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from support.oracle import Machine
from support.run import options

import graphc as gc

Function = Callable[..., Any]


def data(*shapes: Sequence[int], seed: int = 0) -> list[Any]:
    """Random f32 arrays."""
    rng = np.random.default_rng([seed, *map(len, shapes)])
    return [rng.normal(size=s).astype(np.float32) for s in shapes]


def weights_like(x: Any) -> Any:
    """The cotangent that both sides use for a result of this shape."""
    return np.cos(np.arange(int(np.prod(x.shape)), dtype=np.float32)).reshape(x.shape)


def torch_values(torch: Any, function: Function, arrays: Sequence[Any]) -> list[Any]:
    """The value of a function of torch tensors, and its gradients."""
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    out = function(*tensors)
    out.backward(torch.tensor(weights_like(out.detach().numpy())))
    grads = [np.zeros(t.shape, np.float32) if t.grad is None else t.grad for t in tensors]
    return [out, *grads]


def our_values(
    function: Function, arrays: Sequence[Any], symbolic: bool = False, compiled: bool = False
) -> list[Any]:
    """The same of a function of graphc tensors; with `symbolic`, all sizes of the first operand but
    its channels are unknown when the graph is built."""
    with gc.Graph().as_default():
        shapes: list[Any] = [list(a.shape) for a in arrays]
        if symbolic:
            shapes[0] = [s if i == 1 else None for i, s in enumerate(shapes[0])]
        xs = [
            gc.placeholder(a.dtype, s, name=f"x{i}")
            for i, (a, s) in enumerate(zip(arrays, shapes, strict=True))
        ]
        out = function(*xs)
        ct = gc.placeholder(gc.float32, [None if symbolic else s for s in out.shape], name="ct")
        grads = gc.gradients(gc.sum(out * ct), xs, allow_unused=True)
        wanted = [out, *(g for g in grads if g is not None)]
        feeds = dict(zip(xs, arrays, strict=True))
        run = session(compiled)
        (value,) = run([out], feeds)
        return run(wanted, {**feeds, ct: weights_like(value)})


def session(compiled: bool) -> Any:
    """A function (fetches, feeds) -> arrays."""
    if not compiled:
        return Machine().run
    return gc.Session(threads=1, cache_dir=options().cache_dir).run


def same(ours: Sequence[Any], wanted: Sequence[Any], tolerance: float = 2e-5) -> None:
    """Shapes and values agree."""
    for a, b in zip(ours, wanted, strict=True):
        a = np.asarray(a)
        assert a.shape == b.shape, f"{a.shape}, torch has {b.shape}"
        scale = max(1.0, float(np.abs(b).max())) if b.size else 1.0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)
