"""Programs through a session: the latency of small ones, products and convolutions against others,
arrays of other libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.gpu.cases import Input
from benchmarks.gpu.kernels import per_call, session, wait_for
from benchmarks.gpu.report import Figures
from graphc.ir.types import DType

REPLAY = 10.0  # us: the bar


def small(device: str, feeds: bool) -> Figures:
    """A run of a small program: three products and their activations of 64 x 64, all on the device;
    with `feeds`, an array is given and the result fetched."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((64, 64), np.float32)
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [64, 64]) if feeds else gc.variable(start)
        y = x
        for _ in range(3):
            y = gc.tanh(y @ gc.variable(rng.standard_normal((64, 64), np.float32)))
        kept = gc.variable(start)
        step = y if feeds else gc.group(kept.assign(y))
    with session(device, graph) as sess:
        if feeds:
            call = sess.make_callable(y, [x])
            return {"us": per_call(lambda: call(start), lambda: None) * 1e6}
        run = sess.make_callable(step)
        return {"us": per_call(run, wait_for(sess, graph)) * 1e6, "bar": REPLAY}


def step_of(device: str, made: Callable[..., Any], inputs: list[Input], dtype: DType) -> float:
    """Seconds of a program whose data lie on the device."""
    rng = np.random.default_rng(0)
    with gc.Graph().as_default() as graph:
        y = made(*[gc.variable(i.array(dtype.numpy, rng)) for i in inputs])
        kept = gc.variable(gc.zeros(y.shape, dtype=y.dtype))
        step = gc.group(kept.assign(y))
    with session(device, graph) as sess:
        return per_call(sess.make_callable(step), wait_for(sess, graph))


def product(device: str, m: int, n: int, k: int, dtype: DType) -> float:
    """Seconds of C = A B."""
    return step_of(device, lambda a, b: a @ b, [Input((m, k)), Input((k, n))], dtype)


def convolution(
    device: str, images: tuple[int, ...], weights: tuple[int, ...], dtype: DType
) -> float:
    """Seconds of a convolution that keeps the images' size."""
    return step_of(
        device,
        lambda x, w: gc.nn.functional.conv2d(x, w, padding=weights[2] // 2),
        [Input(images), Input(weights)],
        dtype,
    )


def flops_of_convolution(images: tuple[int, ...], weights: tuple[int, ...]) -> float:
    return 2.0 * images[0] * images[2] * images[3] * float(np.prod(weights))


def foreign(device: str) -> Figures:
    """An array of torch's on the device is fed, and the result is right."""
    import torch

    data = np.random.default_rng(0).standard_normal((300, 70), np.float32)
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, 70])
        y = gc.sum(gc.exp(x), axis=1)
    with session(device, graph) as sess:
        got = sess.run(y, {x: torch.from_numpy(data).to(device)})
    np.testing.assert_allclose(np.asarray(got), np.exp(data.astype(np.float64)).sum(1), rtol=1e-5)
    return {}
