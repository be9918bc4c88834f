"""Tables of matrix products and of convolutions: the shapes of the larger suite's networks, in
graphc, NumPy (OpenBLAS) and, where it is installed, PyTorch (MKL, oneDNN)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gc
from benchmarks import THREADS
from benchmarks.timing import Contestants, torch


@dataclass(frozen=True)
class Case:
    """A row of a table: `make` gives its contestants, each of which does `flops` in a call."""

    name: str
    flops: float
    make: Callable[[], Contestants]


def normal(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def graphc(function: Callable[..., Any], fed: list[Any], kept: tuple[Any, ...] = ()) -> Any:
    """A call of `function(*fed, *kept)`: `kept` are variables, `fed` are fed each time."""
    with gc.Graph().as_default() as graph:
        inputs = [gc.placeholder(gc.float32, a.shape, name=f"x{i}") for i, a in enumerate(fed)]
        y = function(*inputs, *(gc.variable(a) for a in kept))
    call = gc.Session(graph, threads=THREADS).make_callable(y, inputs)
    return lambda: call(*fed)


# Rows, inner size, columns.
SQUARES = [(n, n, n) for n in (64, 128, 256, 512, 1024, 2048)]
LAYERS = [  # of an MLP, a CNN at batch 64 and 1, ResNet-18, a transformer, an LSTM, an RNN
    (128, 784, 500),
    (128, 500, 10),
    (64, 9216, 128),
    (1, 9216, 128),
    (1, 512, 1000),
    (1024, 384, 1152),
    (1024, 384, 384),
    (1024, 384, 1536),
    (1024, 1536, 384),
    (1024, 64, 512),
    (32, 64, 512),
    (32, 128, 512),
    (32, 187, 128),
]
WEIGHT_GRADIENTS = [
    (784, 128, 500),
    (500, 128, 10),
    (9216, 64, 128),
    (384, 1024, 384),
    (384, 1024, 1536),
    (1536, 1024, 384),
    (128, 1024, 512),
]
INPUT_GRADIENTS = [
    (128, 10, 500),
    (64, 128, 9216),
    (1024, 384, 1536),
    (1024, 1536, 384),
    (32, 512, 128),
]
ATTENTION = [(128, 32, 128), (128, 128, 32)]
HEADS = 96


class Lying(enum.Enum):
    """Which operand lies transposed, as in gradients by weights (left) and by inputs (right)."""

    PLAIN = ""
    LEFT = ", left transposed"
    RIGHT = ", right transposed"


def product(m: int, k: int, n: int, lying: Lying = Lying.PLAIN, batch: int = 0) -> Case:
    """A product of two fed matrices, or of `batch` pairs of them."""
    left, right = lying is Lying.LEFT, lying is Lying.RIGHT
    heads = (batch,) if batch else ()

    def multiply(a: Any, b: Any) -> Any:
        return (a.T if left else a) @ (b.T if right else b)

    def make() -> Contestants:
        a = normal(*heads, *((k, m) if left else (m, k)))
        b = normal(*heads, *((n, k) if right else (k, n)))
        out = np.empty((*heads, m, n), np.float32)
        u, v = a.T if left else a, b.T if right else b
        made = {
            "graphc": graphc(multiply, [a, b]),
            "numpy": lambda: np.matmul(u, v, out=out),
        }
        if t := torch():
            x, y, z = (t.from_numpy(array) for array in (u, v, out))
            made["torch"] = lambda: t.matmul(x, y, out=z)
        return made

    many = f"{batch} of " if batch else ""
    return Case(f"{many}{m} x {k} x {n}{lying.value}", 2.0 * m * k * n * max(batch, 1), make)


def layer(m: int, k: int, n: int) -> Case:
    """relu(x @ w + b), where w and b are variables."""

    def make() -> Contestants:
        x, w, b = normal(m, k), normal(k, n), normal(n)
        out = np.empty((m, n), np.float32)

        def by_numpy() -> Any:
            np.add(np.matmul(x, w, out=out), b, out=out)
            return np.maximum(out, 0, out=out)

        made = {
            "graphc": graphc(lambda x, w, b: gc.nn.functional.relu(x @ w + b), [x], (w, b)),
            "numpy": by_numpy,
        }
        if t := torch():
            xt, wt, bt = (t.from_numpy(array) for array in (x, w, b))
            rows = wt.t().contiguous()
            made["torch"] = lambda: t.addmm(bt, xt, wt).relu_()
            made["torch linear"] = lambda: t.nn.functional.linear(xt, rows, bt).relu_()
        return made

    return Case(f"{m} x {k} x {n}, bias, relu", 2.0 * m * k * n, make)


def gemm() -> Iterator[Case]:
    """Products of matrices (rows x inner x columns), plain, and with bias and relu."""
    yield from (product(*s) for s in SQUARES + LAYERS)
    yield from (product(*s, Lying.LEFT) for s in WEIGHT_GRADIENTS)
    yield from (product(*s, Lying.RIGHT) for s in INPUT_GRADIENTS)
    yield from (product(*s, batch=HEADS) for s in ATTENTION)
    yield from (layer(*s) for s in SQUARES + LAYERS)


RESNET18 = [  # channels, side, channels out, kernel, stride
    (3, 224, 64, 7, 2),
    (64, 56, 64, 3, 1),
    (64, 56, 128, 3, 2),
    (64, 56, 128, 1, 2),
    (128, 28, 128, 3, 1),
    (128, 28, 256, 3, 2),
    (128, 28, 256, 1, 2),
    (256, 14, 256, 3, 1),
    (256, 14, 512, 3, 2),
    (256, 14, 512, 1, 2),
    (512, 7, 512, 3, 1),
]
MNIST = [(1, 28, 32, 3, 1), (32, 26, 64, 3, 1)]
NHWC, NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


class Part(enum.Enum):
    """What of a convolution is computed."""

    PLAIN = ""
    RELU = ", bias, relu"
    WEIGHTS = ", gradient by weights"
    INPUT = ", gradient by input"


@dataclass(frozen=True)
class Convolution:
    """A part of a convolution of images x with weights w, a bias b and, for gradients, a gradient
    dy of the result."""

    part: Part
    stride: int
    padding: int

    def in_graphc(self, x: Any, dy: Any, w: Any, b: Any) -> Any:
        where = {"stride": self.stride, "padding": self.padding}
        y = gc.nn.functional.conv2d(x, w, b if self.part is Part.RELU else None, **where)
        if self.part is Part.RELU:
            return gc.nn.functional.relu(y)
        if self.part is Part.PLAIN:
            return y
        return gc.gradients(y, [w if self.part is Part.WEIGHTS else x], dy)[0]

    def in_graphc_last(self, x: Any, dy: Any, w: Any, b: Any) -> Any:
        """The same for images with channels last."""
        found = self.in_graphc(gc.permute_dims(x, NCHW), gc.permute_dims(dy, NCHW), w, b)
        return found if self.part is Part.WEIGHTS else gc.permute_dims(found, NHWC)

    def in_torch(self, t: Any, x: Any, dy: Any, w: Any, b: Any) -> Any:
        where = {"stride": self.stride, "padding": self.padding}
        if self.part is Part.WEIGHTS:
            return t.nn.grad.conv2d_weight(x, w.shape, dy, **where)
        if self.part is Part.INPUT:
            return t.nn.grad.conv2d_input(x.shape, w, dy, **where)
        if self.part is Part.RELU:
            return t.nn.functional.conv2d(x, w, b, **where).relu_()
        return t.nn.functional.conv2d(x, w, **where)

    def contestants(self, x: Any, dy: Any, w: Any, b: Any) -> Contestants:
        last = [np.ascontiguousarray(a.transpose(NHWC)) for a in (x, dy)]
        made = {
            "graphc": graphc(self.in_graphc, [x, dy], (w, b)),
            "graphc nhwc": graphc(self.in_graphc_last, last, (w, b)),
        }
        if t := torch():
            plain = [t.from_numpy(a) for a in (x, dy, w, b)]
            nhwc = [a.contiguous(memory_format=t.channels_last) for a in plain[:3]] + plain[3:]
            made["torch"] = lambda: self.in_torch(t, *plain)
            made["torch nhwc"] = lambda: self.in_torch(t, *nhwc)
        return made


def convolution(
    batch: int,
    channels: int,
    side: int,
    out: int,
    kernel: int,
    stride: int,
    padding: int,
    part: Part,
) -> Case:
    """One part of one layer."""
    after = (side + 2 * padding - kernel) // stride + 1
    by = f" / {stride}" if stride > 1 else ""

    def make() -> Contestants:
        x, dy = normal(batch, channels, side, side), normal(batch, out, after, after)
        w, b = normal(out, channels, kernel, kernel), normal(out)
        return Convolution(part, stride, padding).contestants(x, dy, w, b)

    name = f"{batch} of {channels} x {side}² -> {out}, {kernel}²{by}{part.value}"
    return Case(name, 2.0 * batch * after**2 * out * channels * kernel**2, make)


def conv() -> Iterator[Case]:
    """Convolutions: images of channels x side -> channels out, kernel / stride."""
    for part in (Part.PLAIN, Part.RELU):
        yield from (convolution(1, *s, s[3] // 2, part) for s in RESNET18)
    for part in Part:
        yield from (convolution(64, *s, 0, part) for s in MNIST)


TABLES = {f.__name__: f for f in (gemm, conv)}
