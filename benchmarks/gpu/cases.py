"""The kernel families, as graph code that is the same for every element type.

A case is checked at `shapes` (ragged ones, too), in the simulator at `tiny`, and timed at `large`,
a function of a number of elements.  An input is a shape, or a shape and what it holds: the labels
or indices below a number, or only positive numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gc

F = gc.nn.functional
FLOATS, ALL_FLOATS = ("f32", "bf16", "f16"), ("f32", "bf16", "f16", "f64")
INTEGERS = ("i32", "i64", "u8")


@dataclass(frozen=True)
class Input:
    """An array: its shape; `below`: whole numbers from 0 to that; `positive`: none near 0."""

    shape: tuple[int, ...]
    below: int = 0
    positive: bool = False

    def array(self, dtype: np.dtype[Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """Such an array, which may repeat itself after a million elements."""
        count = int(np.prod(self.shape, dtype=np.int64))
        some = min(count, 1_000_003)
        if self.below:
            drawn = rng.integers(0, self.below, some)
        elif dtype.kind in "iu":
            drawn = rng.integers(0, 100, some)
        else:
            drawn = rng.standard_normal(some, np.float32)
        if self.positive:
            drawn = np.abs(drawn) + 0.5
        return np.resize(drawn.astype(np.int64 if self.below else dtype), self.shape)


Inputs = Sequence[Input]


@dataclass(frozen=True)
class Case:
    """A program of one family.  `slack`: how many roundings its error may be; `bar`: the share of
    the copy bandwidth that it is to reach."""

    family: str
    name: str
    make: Callable[..., Any]
    tiny: Inputs
    shapes: Sequence[Inputs]
    large: Callable[[int], Inputs] | None = None
    dtypes: tuple[str, ...] = FLOATS
    slack: float = 32
    bar: float | None = None


def of(*shapes: tuple[int, ...]) -> Inputs:
    return [Input(shape) for shape in shapes]


def gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of a function's first argument: its vector-Jacobian product with the last."""

    def make(*arguments: Any) -> Any:
        *given, ct = arguments
        return gc.gradients(function(*given), given[0], ct)[0]

    return make


def softmax(x: Any) -> Any:
    return F.softmax(x, -1)


def norm(x: Any, w: Any, b: Any) -> Any:
    return F.layer_norm(x, x.shape[-1], w, b)


def entropy(x: Any, labels: Any) -> Any:
    return F.cross_entropy(x, labels, reduction="none")


def rows(width: int) -> Callable[[int], Inputs]:
    return lambda n: of((n // width, width))


def vector(*count: int) -> list[Inputs]:
    return [of((c,)) for c in count]


ELEMENTWISE = [
    Case(
        "elementwise",
        "add",
        lambda x, y: x + y,
        of((70,), (70,)),
        [of((1_000_003,), (1_000_003,)), of((7, 33), (7, 33))],
        lambda n: of((n,), (n,)),
        (*ALL_FLOATS, *INTEGERS),
        bar=0.90,
    ),
    Case(
        "elementwise",
        "tanh(exp(x)*y+z)",
        lambda x, y, z: gc.tanh(gc.exp(-gc.abs(x)) * y + z),
        of((70,), (70,), (70,)),
        [of(*[(300_001,)] * 3)],
        lambda n: of(*[(n,)] * 3),
        ALL_FLOATS,
        bar=0.90,
    ),
    Case("elementwise", "gelu", F.gelu, of((70,)), vector(100_001), lambda n: of((n,)), bar=0.90),
    Case(
        "elementwise",
        "compare and select",
        lambda x, y: gc.where(x > y, x * 2, y),
        of(*[(70,)] * 2),
        [of(*[(100_001,)] * 2)],
        lambda n: of(*[(n,)] * 2),
        (*FLOATS, *INTEGERS),
        bar=0.90,
    ),
    Case(
        "elementwise",
        "sqrt log pow sin",
        lambda x: gc.sqrt(x) + gc.log(x) + x**1.5 + gc.sin(x),
        [Input((70,), positive=True)],
        [[Input((100_001,), positive=True)]],
        lambda n: [Input((n,), positive=True)],
        ALL_FLOATS,
        slack=256,
    ),
    Case(
        "elementwise",
        "to f32 and back",
        lambda x: gc.cast(gc.cast(x, gc.float32) * 3, x.dtype),
        of((70,)),
        vector(100_001),
        lambda n: of((n,)),
        ("bf16", "f16"),
        bar=0.90,
    ),
    Case(
        "elementwise",
        "// and %",
        lambda x, y: x // y + x % y,
        [Input((70,)), Input((70,), positive=True)],
        [[Input((100_001,)), Input((100_001,), positive=True)]],
        None,
        ("i32", "i64"),
    ),
]

BROADCASTS = [
    Case(
        "broadcast",
        "row of biases",
        lambda x, b: x + b,
        of((5, 37), (37,)),
        [of((1001, 37), (37,)), of((129, 1024), (1024,))],
        lambda n: of((n // 1024, 1024), (1024,)),
        bar=0.90,
    ),
    Case(
        "broadcast",
        "column of scales",
        lambda x, s: x * s,
        of((5, 37), (5, 1)),
        [of((1001, 37), (1001, 1))],
        lambda n: of((n // 1024, 1024), (n // 1024, 1)),
        bar=0.90,
    ),
    Case(
        "broadcast",
        "channels of images",
        lambda x, b: x + gc.reshape(b, (1, -1, 1, 1)),
        of((2, 3, 4, 5), (3,)),
        [of((8, 33, 15, 17), (33,))],
        lambda n: of((n // (64 * 4096), 64, 64, 64), (64,)),
        bar=0.90,
    ),
]

WIDTHS = (1, 2, 31, 33, 128, 1000, 1024, 2048, 4099, 8192, 20_011)

REDUCTIONS = [
    Case(
        "rows",
        "sum",
        lambda x: gc.sum(x, axis=-1),
        of((3, 70)),
        [of((max(3, 200_000 // w), w)) for w in WIDTHS],
        rows(2048),
        ALL_FLOATS,
        64,
    ),
    Case(
        "rows",
        "max",
        lambda x: gc.max(x, axis=-1),
        of((3, 70)),
        [of((max(3, 100_000 // w), w)) for w in (5, 1024, 5000)],
        rows(1024),
        (*FLOATS, *INTEGERS),
    ),
    Case(
        "rows",
        "argmax",
        lambda x: gc.argmax(x, axis=-1),
        of((3, 70)),
        [of((1001, 10)), of((33, 3001))],
        rows(1024),
        ("f32", "i32"),
    ),
    Case(
        "rows",
        "mean and variance",
        lambda x: [gc.mean(x, axis=-1), gc.var(x, axis=-1)],
        of((3, 70)),
        [of((100, 1023)), of((7, 30_001))],
        rows(4096),
        FLOATS,
        64,
    ),
    Case(
        "rows",
        "sum over 2 of 4 axes",
        lambda x: gc.sum(x, axis=(1, 3)),
        of((2, 3, 2, 5)),
        [of((6, 17, 5, 130))],
        lambda n: of((n // (64 * 64 * 64), 64, 64, 64)),
        ("f32",),
        64,
    ),
    Case(
        "whole",
        "sum",
        gc.sum,
        of((300,)),
        vector(1, 1023, 1_000_003),
        lambda n: of((n,)),
        ALL_FLOATS,
        64,
    ),
    Case(
        "whole",
        "integer sum",
        gc.sum,
        of((300,)),
        vector(1_000_003),
        lambda n: of((n,)),
        ("i32", "i64"),
    ),
    Case("whole", "max", gc.max, of((300,)), vector(1_000_003), lambda n: of((n,)), FLOATS),
    Case(
        "columns",
        "sum",
        lambda x: gc.sum(x, axis=0),
        of((37, 9)),
        [of((1001, 33)), of((3000, 1024)), of((100_003, 3))],
        rows(1024),
        ALL_FLOATS,
        64,
    ),
    Case("columns", "max", lambda x: gc.max(x, axis=0), of((37, 9)), [of((1001, 33))], rows(1024)),
]

MOVES = [
    Case(
        "transpose",
        "matrix",
        gc.transpose,
        of((35, 37)),
        [of((1023, 517)), of((1, 77)), of((64, 64))],
        lambda n: of((n // 8192, 8192)),
        ("f32", "bf16", "f64", "u8"),
        bar=0.85,
    ),
    Case(
        "transpose",
        "NCHW to NHWC",
        lambda x: gc.transpose(x, (0, 2, 3, 1)),
        of((2, 3, 4, 5)),
        [of((5, 33, 15, 17))],
        lambda n: of((n // (64 * 4096), 64, 64, 64)),
        ("f32", "bf16"),
        bar=0.85,
    ),
    Case(
        "transpose",
        "batched",
        lambda x: gc.swapaxes(x, 1, 2),
        of((2, 9, 7)),
        [of((17, 129, 65))],
        lambda n: of((n // (1 << 20), 1024, 1024)),
        ("f32", "bf16"),
        bar=0.85,
    ),
    Case(
        "index",
        "rows of a table",
        lambda table, i: gc.take(table, i, axis=0),
        [Input((9, 5)), Input((11,), below=9)],
        [[Input((1000, 129)), Input((5003,), below=1000)]],
        lambda n: [Input((n // 512, 256)), Input((n // 256,), below=n // 512)],
    ),
    Case(
        "index",
        "gradient of rows",
        gradient(lambda table, i: gc.take(table, i, axis=0)),
        [Input((9, 5)), Input((11,), below=9), Input((11, 5))],
        [[Input((100, 33)), Input((2003,), below=100), Input((2003, 33))]],
        lambda n: [
            Input((n // 512, 256)),
            Input((n // 256,), below=n // 512),
            Input((n // 256, 256)),
        ],
        ("f32",),
        256,
    ),
    Case(
        "index",
        "scatter add",
        lambda x, i, u: gc.scatter_add(x, i, u),
        [Input((9, 5)), Input((11,), below=9), Input((11, 5))],
        [[Input((100, 33)), Input((2003,), below=100), Input((2003, 33))]],
        None,
        ("f32", "i32"),
        256,
    ),
    Case(
        "index",
        "along rows",
        lambda x, i: gc.take_along_axis(x, i, 1),
        [Input((5, 9)), Input((5, 3), below=9)],
        [[Input((301, 99)), Input((301, 33), below=99)]],
        None,
    ),
    Case(
        "index",
        "concat, pad, slice",
        lambda x, y: gc.pad(gc.concat([x, y], 1)[1:, ::2], 1),
        of((5, 9), (5, 4)),
        [of((301, 99), (301, 77))],
        None,
        ("f32", "bf16", "i64"),
    ),
]

SCANS = [
    Case(
        "scan",
        "cumsum of rows",
        lambda x: gc.cumsum(x, axis=-1),
        of((3, 70)),
        [of((33, 1000)), of((2, 100_003))],
        rows(2048),
        ("f32", "f64", "i32"),
        512,
    ),
    Case(
        "scan",
        "cumsum of columns",
        lambda x: gc.cumsum(x, axis=0),
        of((37, 5)),
        [of((1000, 33))],
        rows(1024),
        ("f32",),
        512,
    ),
    Case(
        "scan",
        "cumprod",
        lambda x: gc.cumprod(1 + x * 0.01, axis=-1),
        of((3, 70)),
        [of((33, 300))],
        None,
        ("f32",),
        512,
    ),
]

FUSED = [
    Case(
        "softmax",
        "softmax",
        softmax,
        of((3, 70)),
        [of((max(3, 100_000 // w), w)) for w in WIDTHS],
        rows(2048),
        FLOATS,
        bar=0.85,
    ),
    Case(
        "softmax",
        "gradient",
        gradient(softmax),
        of((3, 70), (3, 70)),
        [of((101, w), (101, w)) for w in (10, 1000, 3001)],
        lambda n: of(*[(n // 2048, 2048)] * 2),
        FLOATS,
        64,
    ),
    Case(
        "softmax",
        "log softmax",
        lambda x: F.log_softmax(x, -1),
        of((3, 70)),
        [of((101, 1000))],
        rows(2048),
        FLOATS,
        64,
    ),
    Case(
        "softmax",
        "of columns",
        lambda x: F.softmax(x, 0),
        of((37, 5)),
        [of((300, 65))],
        rows(1024),
        ("f32",),
    ),
    Case(
        "norm",
        "layer norm",
        norm,
        of((3, 70), (70,), (70,)),
        [of((max(3, 100_000 // w), w), (w,), (w,)) for w in WIDTHS if w > 2],
        lambda n: of((n // 1024, 1024), (1024,), (1024,)),
        FLOATS,
        128,
        bar=0.90,
    ),
    Case(
        "norm",
        "gradient",
        gradient(norm),
        of((3, 70), (70,), (70,), (3, 70)),
        [of((101, w), (w,), (w,), (101, w)) for w in (33, 1024, 3001)],
        lambda n: of((n // 1024, 1024), (1024,), (1024,), (n // 1024, 1024)),
        FLOATS,
        256,
    ),
    Case(
        "norm",
        "RMS norm",
        lambda x, w: F.rms_norm(x, x.shape[-1], w),
        of((3, 70), (70,)),
        [of((101, 1000), (1000,))],
        lambda n: of((n // 1024, 1024), (1024,)),
        FLOATS,
        64,
    ),
    Case(
        "entropy",
        "cross entropy",
        entropy,
        [Input((5, 37)), Input((5,), below=37)],
        [[Input((n, w)), Input((n,), below=w)] for n, w in ((1003, 10), (65, 5001))],
        lambda n: [Input((n // 2048, 2048)), Input((n // 2048,), below=2048)],
        FLOATS,
        64,
    ),
    Case(
        "entropy",
        "gradient",
        gradient(entropy),
        [Input((5, 37)), Input((5,), below=37), Input((5,))],
        [[Input((203, w)), Input((203,), below=w), Input((203,))] for w in (10, 5001)],
        lambda n: [Input((n // 2048, 2048)), Input((n // 2048,), below=2048), Input((n // 2048,))],
        FLOATS,
        64,
    ),
]


def convolution(**given: Any) -> Callable[..., Any]:
    return lambda x, w: F.conv2d(x, w, **given)


def by_weight(function: Callable[..., Any]) -> Callable[..., Any]:
    """Its gradient in the second argument."""
    return lambda x, w, ct: gc.gradients(function(x, w), w, ct)[0]


PRODUCTS = [
    Case(
        "product",
        "matrices",
        lambda a, b: a @ b,
        of((9, 17), (17, 8)),
        [of((257, 129), (129, 65)), of((128, 256), (256, 128)), of((1, 777), (777, 3))],
        None,
        ALL_FLOATS,
        512,
    ),
    Case(
        "product",
        "transposed, with bias and relu",
        lambda a, b, c: F.relu(gc.transpose(a) @ gc.transpose(b) + c),
        of((17, 9), (8, 17), (8,)),
        [of((130, 257), (66, 130), (66,))],
        None,
        FLOATS,
        512,
    ),
    Case(
        "product",
        "batched",
        lambda a, b: a @ b,
        of((2, 5, 9), (2, 9, 7)),
        [of((7, 65, 33), (7, 33, 130))],
        None,
        FLOATS,
        512,
    ),
    Case(
        "convolution",
        "3 x 3",
        convolution(padding=1),
        of((1, 2, 5, 6), (3, 2, 3, 3)),
        [of((3, 17, 19, 23), (33, 17, 3, 3)), of((2, 64, 14, 14), (64, 64, 3, 3))],
        None,
        FLOATS,
        512,
    ),
    Case(
        "convolution",
        "stride, dilation",
        convolution(stride=2, dilation=2),
        of((1, 2, 9, 8), (3, 2, 3, 3)),
        [of((3, 16, 30, 33), (8, 16, 3, 3))],
        None,
        ("f32",),
        512,
    ),
    Case(
        "convolution",
        "groups",
        convolution(groups=4),
        of((1, 4, 5, 6), (8, 1, 3, 3)),
        [of((3, 16, 15, 13), (32, 4, 3, 3))],
        None,
        ("f32",),
        512,
    ),
    Case(
        "convolution",
        "gradient of images",
        gradient(convolution(padding=1, stride=2)),
        of((1, 2, 6, 6), (3, 2, 3, 3), (1, 3, 3, 3)),
        [of((3, 17, 20, 24), (33, 17, 3, 3), (3, 33, 10, 12))],
        None,
        FLOATS,
        512,
    ),
    Case(
        "convolution",
        "gradient of weights",
        by_weight(convolution(padding=1)),
        of((1, 2, 5, 6), (3, 2, 3, 3), (1, 3, 5, 6)),
        [of((3, 17, 19, 23), (33, 17, 3, 3), (3, 33, 19, 23))],
        None,
        FLOATS,
        1024,
    ),
    Case(
        "pool",
        "max and its gradient",
        lambda x, ct: [F.max_pool2d(x, 2), gc.gradients(F.max_pool2d(x, 2), x, ct)[0]],
        of((1, 2, 4, 6), (1, 2, 2, 3)),
        [of((5, 17, 20, 24), (5, 17, 10, 12))],
        None,
        ("f32",),
    ),
]

CASES = (*ELEMENTWISE, *BROADCASTS, *REDUCTIONS, *MOVES, *SCANS, *FUSED, *PRODUCTS)
