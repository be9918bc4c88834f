"""Kernels run as plain Python: the oracle's results, and no access outside of a buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.oracle import stage

import graphc as gc
from graphc.codegen.cpu import emulate
from graphc.codegen.cpu.intrinsics import namespace
from graphc.errors import GraphcError
from graphc.ir.interpret import interpret
from graphc.ir.ops.lapack_solve import Lu, LuSolve
from graphc.ir.ops.state import RunCounter, Variable
from graphc.testing.closeness import disagreements
from graphc.testing.pure_python import PurePython

F32 = np.float32


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def check(fetches: list[gc.Tensor], feeds: dict[gc.Tensor, Any]) -> None:
    graph = stage(fetches)
    arrays = []
    for v in graph.inputs:
        if isinstance(v.op, RunCounter):
            arrays.append(np.uint64(7))
        elif isinstance(v.op, Variable):
            arrays.append(np.zeros(v.type.shape, v.type.dtype.numpy))
        else:
            arrays.append(np.asarray(feeds[v]).astype(v.type.dtype.numpy))
    wanted = interpret(graph, *arrays)
    made = PurePython(graph)
    wrong = disagreements(graph, arrays, wanted, made.run(arrays), loose=True)
    assert wrong == [], "\n".join([*wrong, *(s.text for s in made.made.sources.values())])


rng = np.random.default_rng(3)
M = rng.uniform(-2, 2, (5, 4)).astype(F32)
POSITIVE = np.abs(M) + F32(0.5)
SPECIAL = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 1e-45, 3e38, 0.5], F32)
INTS = np.array([[-128, 127, 0, 5], [-1, 3, 7, -7]])
S = gc.nn.functional

KERNELS: dict[str, Any] = {
    "map": lambda x: [gc.exp(x) * 2.0 - gc.tanh(x)],
    "several outputs": lambda x: [x + 1.0, gc.sin(x), x > 0.0],
    "functions": lambda x: [gc.log1p(gc.abs(x)), gc.erf(x), S.sigmoid(x), gc.cbrt(x)],
    "where": lambda x: [
        gc.where(x > 0.0, gc.sqrt(x), x * x),
        gc.clip(x, -1.0, 1.0),
        gc.maximum(x, 0.25),
    ],
    "sum of rows": lambda x: [gc.sum(x, axis=1), gc.mean(x, axis=1)],
    "sum of columns": lambda x: [gc.sum(x, axis=0), gc.max(x, axis=0)],
    "sum of all": lambda x: [gc.sum(x * x), gc.prod(x)],
    "softmax": lambda x: [S.softmax(x)],
    "log softmax": lambda x: [S.log_softmax(x, dim=1)],
    "layer norm": lambda x: [S.layer_norm(x, (4,))],
    "variance": lambda x: [gc.var(x, axis=1), gc.std(x)],
    "argmax": lambda x: [gc.argmax(x, axis=1), gc.argmin(x, axis=0)],
    "any and all": lambda x: [gc.any(x > 1.0, axis=1), gc.all(x < 3.0), gc.count_nonzero(x > 0.0)],
    "transposed": lambda x: [gc.transpose(x) * 2.0, gc.flip(x, axis=1) + x],
    "slices": lambda x: [x[1:, ::2] * 3.0, x[::-1, 1] + 1.0],
    "pad": lambda x: [gc.pad(x, ((1, 2), (0, 1)), constant_values=7.0) * 2.0],
    "concat": lambda x: [gc.concat([x, x * 2.0, x[:1]], axis=0) + 1.0, gc.stack([x, -x], axis=1)],
    "systems": lambda x: [
        LuSolve.on(Lu.on(x[:4] + 9.0 * gc.eye(4)), x[:4], rhs=4),
        gc.linalg.solve_triangular(x[:4] + 9.0 * gc.eye(4), x[:4], 1),
        gc.linalg.cholesky(x[:4] + 19.0 * gc.eye(4)),
    ],
    "factorisations": lambda x: [
        gc.linalg.qr(x).R,
        gc.linalg.svdvals(x),
        gc.linalg.svd(x).Vh,
        gc.linalg.eigh(x[:4] + gc.eye(4) * x[1]).eigenvalues,
    ],
    "transforms": lambda x: [
        gc.fft.rfft(x, axis=0),
        gc.fft.ifft(gc.reshape(x, (5, 2, 2)), n=12, axis=0),
    ],
    "roll and tile": lambda x: [gc.roll(x, 1, axis=0) + x, gc.tile(x, (2, 1)) * 2.0],
    "triangles": lambda x: [gc.tril(x) + gc.triu(x, 1)],
    "take": lambda x: [gc.take(x, [0, 3, -1], axis=1) * 2.0],
    "take along": lambda x: [gc.take_along_axis(x, gc.argmax(x, axis=1, keepdims=True), axis=1)],
    "one hot": lambda x: [gc.one_hot(gc.argmax(x, axis=1), 4) * 2.0],
    "scatter": lambda x: [gc.scatter_add(x, [1, 1, 0], gc.ones((3, 4)))],
    "matmul": lambda x: [x @ gc.transpose(x), gc.transpose(x) @ x + 1.0],
    "narrow matmul": lambda x: [gc.astype(x, gc.float16) @ gc.astype(gc.transpose(x), gc.float16)],
    "half": lambda x: [gc.astype(x, gc.float16) * 3.0, gc.exp(gc.astype(x, gc.float16))],
    "bfloat": lambda x: [
        gc.astype(x, gc.bfloat16) * 3.0 + 1.0,
        gc.sum(gc.astype(x, gc.bfloat16), axis=1),
    ],
    "doubles": lambda x: [
        gc.astype(x, gc.float64) / 3.0,
        gc.pow(gc.astype(gc.abs(x), gc.float64), 1.7),
    ],
    "casts": lambda x: [
        gc.astype(x * 100.0, gc.int8),
        gc.astype(x, gc.uint8),
        gc.astype(x, gc.bool_),
        gc.astype(x, gc.int64),
    ],
    "loss": lambda x: [S.cross_entropy(x, np.array([0, 1, 3, 2, 1]))],
    "random": lambda x: [gc.random.uniform((5, 4)) + x, gc.random.permutation(6)],
    "gradients": lambda x: gc.gradients(
        gc.sum(gc.tanh(x @ gc.transpose(x)) * gc.sum(S.softmax(x))), [x]
    ),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_in_python(name: str) -> None:
    for rows in ("rows", 5):
        with gc.Graph().as_default():
            x = gc.placeholder(gc.float32, [rows, 4], name="x")
            check(KERNELS[name](x), {x: M})


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64"])
def test_floats_at_special_values(dtype: str) -> None:
    x = gc.placeholder(dtype, [None], name="x")
    y = gc.placeholder(dtype, [None], name="y")
    a, b = (g.ravel() for g in np.meshgrid(SPECIAL, SPECIAL))
    fetches = [
        gc.maximum(x, y),
        gc.minimum(x, y),
        x // y,
        x % y,
        gc.sign(x),
        gc.abs(x),
        gc.round(x),
        gc.floor(x),
        x < y,
        gc.astype(x, gc.int32),
        gc.astype(x, gc.bool_),
        gc.astype(x, gc.float16),
        gc.astype(x, gc.bfloat16),
        gc.isnan(x),
    ]
    with np.errstate(all="ignore"):
        check(fetches, {x: a, y: b})


@pytest.mark.parametrize("dtype", ["i8", "u8", "i32", "u32", "i64", "u64"])
def test_integers(dtype: str) -> None:
    x, y = (gc.placeholder(dtype, [None], name=n) for n in "xy")
    info = np.iinfo(x.dtype.numpy)
    pool = np.array(
        [0, 1, 2, 7, 63, info.max, info.min, info.max - 1] + ([-1, -7] if info.min else []),
        x.dtype.numpy,
    )
    a, b = (g.ravel() for g in np.meshgrid(pool, pool))
    fetches = [
        x + y,
        x - y,
        x * y,
        x // y,
        x % y,
        x & y,
        x | y,
        x ^ y,
        x << y,
        x >> y,
        gc.maximum(x, y),
        -x,
        gc.abs(x),
        gc.sign(x),
        x**y,
        gc.equal(x, y),
        gc.astype(x, gc.int16),
        gc.astype(x, gc.float32),
        gc.astype(x, gc.bool_),
        gc.sum(x),
        gc.max(x),
    ]
    check(fetches, {x: a, y: b})


def test_indices_out_of_range_are_noted() -> None:
    x, i = gc.placeholder(gc.float32, [5]), gc.placeholder(gc.int32, [None])
    made = PurePython(stage([gc.take(x, i)]))
    made.run([M[:, 0], np.array([0, -5], np.int32)])
    with pytest.raises(GraphcError, match="index -6 of 5"):
        made.run([M[:, 0], np.array([0, -6], np.int32)])


def test_every_name_has_a_twin() -> None:
    assert emulate.NAMESPACE.keys() == namespace.NAMESPACE.keys()


WRONG = """
def kernel(args, lo, hi):
    x = f32_buffer(args, 0)
    y = f32_buffer(args, 1)
    for i in range(lo, hi):
        y[i] = x[i + {offset}] * f32(2.0)
"""


@pytest.mark.parametrize(
    ("offset", "message"), [(-1, "index -1 of a buffer of 3"), (1, "index 3 of a buffer of 3")]
)
def test_accesses_outside_of_buffers_are_errors(offset: int, message: str) -> None:
    """numba would wrap them, or read what is there."""
    x, y = np.ones(3, F32), np.zeros(3, F32)
    words = [x.ctypes.data, y.ctypes.data]
    emulate.run_in_python(WRONG.format(offset=0), words, 0, 3, [3, 3])
    np.testing.assert_array_equal(y, [2, 2, 2])
    with pytest.raises(IndexError, match=message):
        emulate.run_in_python(WRONG.format(offset=offset), words, 0, 3, [3, 3])
