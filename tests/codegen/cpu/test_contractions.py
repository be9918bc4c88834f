"""Convolutions and products by register tiles, with what follows them, against the oracle: edges of
bands, strips and tiles; strides, dilations, paddings; threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.oracle import stage

import graphc as gc
from graphc.codegen.cpu import emulate
from graphc.codegen.cpu.kernels import loops_of, source_of
from graphc.codegen.cpu.schedules.conv_direct import fits_tiles
from graphc.codegen.cpu.schedules.conv_winograd import fits_winograd
from graphc.compiler.compile import lower
from graphc.config import Options
from graphc.ir.interpret import interpret
from graphc.ir.ops.matmul import Matmul
from graphc.ir.program import Kind, contraction_of
from graphc.nn import functional as F  # noqa: N812
from graphc.testing.compiled import small_chunks

CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x3": ((2, 8, 9, 11), (9, 8, 3, 3), {"padding": 1}),
    "narrow": ((3, 16, 70, 1), (8, 16, 3, 1), {"padding": (1, 0)}),
    "bands": ((1, 12, 60, 50), (40, 12, 3, 3), {}),
    "strides": ((2, 9, 19, 25), (17, 9, 3, 5), {"stride": (2, 3), "padding": (1, 2)}),
    "dilations": ((1, 8, 17, 21), (33, 8, 3, 2), {"dilation": (2, 4), "padding": (2, 3)}),
    "wide pads": ((1, 8, 6, 7), (8, 8, 2, 2), {"padding": 4}),
    "pitch": ((1, 128, 8, 9), (8, 128, 3, 3), {"padding": 1}),
    "line": ((2, 8, 150), (16, 8, 5), {"padding": 2}),
    "strided line": ((2, 8, 150), (16, 8, 5), {"stride": 2}),
    "winograd": ((2, 16, 21, 23), (17, 16, 3, 3), {"padding": 1}),
    "winograd even": ((3, 33, 24, 26), (40, 33, 3, 3), {}),
    "winograd pads": ((1, 16, 20, 19), (16, 16, 3, 3), {"padding": 2}),
    "winograd parts": ((2, 16, 13, 12), (130, 16, 3, 3), {"padding": 1}),
    "parts": ((1, 140, 10, 11), (200, 140, 3, 3), {}),
    "parts of a line": ((2, 130, 80), (130, 130, 5), {"padding": 1}),
    "columns": ((2, 3, 9, 10), (5, 3, 3, 3), {"padding": 1}),
    "points": ((2, 16, 9, 10), (8, 16, 1, 1), {}),
    "long line": ((2, 3, 700), (4, 3, 300), {"padding": 7}),
}


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def declared(name: str, dtype: Any) -> tuple[Any, Any, Any, list[Any]]:
    """A convolution, its operands and their values."""
    image, kernel, arguments = CASES[name]
    rng = np.random.default_rng(len(name))
    values = [rng.uniform(-1, 1, s).astype(dtype) for s in (image, kernel)]
    x, w = (gc.placeholder(dtype, v.shape) for v in values)
    call = F.conv1d if len(image) == 3 else F.conv2d
    return call(x, w, **arguments), x, w, values


def judged(fetches: list[Any], feeds: dict[Any, Any], tolerance: float) -> None:
    """Compiled, with one thread and two, against the oracle."""
    graph = stage(fetches)
    want = interpret(graph, *(feeds[v] for v in graph.inputs))
    results = []
    for threads in (1, 2):
        with gc.Session(threads=threads) as sess:
            results.append(sess.run(fetches, feeds))
    for w, one, two in zip(want, *results, strict=True):
        assert np.abs(one - w).max() <= tolerance * max(1, np.abs(w).max())
        assert (one == two).all()


@pytest.mark.parametrize("dtype", [gc.float32, gc.float64])
@pytest.mark.parametrize("name", CASES)
def test_convolution_and_gradients(name: str, dtype: Any) -> None:
    y, x, w, values = declared(name, dtype.numpy)
    count = int(np.prod([int(n) for n in y.shape]))
    dy = gc.cos(gc.reshape(gc.astype(gc.arange(count), dtype), y.shape))
    grads = gc.gradients(gc.sum(y * dy), [x, w])
    judged([y, *grads], {x: values[0], w: values[1]}, 2e-5 if dtype is gc.float32 else 1e-13)


@pytest.mark.parametrize("name", CASES)
def test_epilogue(name: str) -> None:
    """Bias, activation, a residual and a second result in the convolution's own kernel."""
    y, x, w, values = declared(name, np.float32)
    b = gc.placeholder(gc.float32, [y.shape[1]])
    rest = gc.placeholder(gc.float32, y.shape)
    shape = (y.shape[1], *(1,) * (len(y.shape) - 2))
    z = gc.maximum(y + gc.reshape(b, shape), 0.0)
    fetches = [z, gc.tanh(z) * rest]
    rng = np.random.default_rng(1)
    bias, residual = (rng.uniform(-1, 1, p.shape).astype(np.float32) for p in (b, rest))
    kernels = lower(stage(fetches), Options()).program.kernels
    assert [k.kind for k in kernels] == [Kind.CONVOLUTION]
    judged(fetches, {x: values[0], w: values[1], b: bias, rest: residual}, 2e-5)


def test_epilogue_of_a_gradient() -> None:
    """The gradient of the input, then the derivative of the activation before it."""
    y, x, w, values = declared("3x3", np.float32)
    dy = gc.placeholder(gc.float32, y.shape)
    z = gc.maximum(x, 0.0)
    y = F.conv2d(z, w, padding=1)
    dx = gc.gradients(gc.sum(y * dy), [x])[0]
    kernels = lower(stage([dx]), Options()).program.kernels
    assert [k.kind for k in kernels if k.kind is Kind.CONVOLUTION] == [Kind.CONVOLUTION]
    assert len(kernels[-1].body) > 1
    values.append(np.ones(y.shape, np.float32))
    judged([dx], dict(zip((x, w, dy), values, strict=True)), 1e-5)


@pytest.mark.parametrize("name", ["3x3", "strides", "dilations", "line"])
def test_direct_as_plain_python(name: str) -> None:
    """The kernel's source through the twins, which check every index."""
    y, _, _, values = declared(name, np.float32)
    graph = stage([y])
    (kernel,) = lower(graph, Options()).program.kernels
    assert fits_tiles(kernel)
    assert fits_winograd(kernel) == name.startswith("winograd")
    source = source_of(kernel)
    out = np.full([int(n) for n in y.shape], np.nan, np.float32)
    arrays = [np.ascontiguousarray(v) for v in values] + [out]
    words = [a.ctypes.data for a in arrays] + [int(s) for s in source.sizes]
    words += [0] * len(source.routines)
    small = (slice(0, 1),) + (slice(None),) * (out.ndim - 1)
    extent = int(source.extent) // out.shape[0]  # the first image
    emulate.run_in_python(source.text, words, 0, extent, [a.size for a in arrays])
    want = interpret(graph, *values)[0]
    assert np.allclose(out[small], want[small], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["3x3", "bands", "points", "line"])
def test_chunks_do_not_matter(name: str) -> None:
    y, x, w, values = declared(name, np.float32)
    z = gc.maximum(y, 0.0)
    results = []
    with gc.Session(threads=1) as sess:
        results.append(sess.run(z, {x: values[0], w: values[1]}))
    with small_chunks(), gc.Session(threads=2) as sess:
        results.append(sess.run(z, {x: values[0], w: values[1]}))
    assert (results[0] == results[1]).all()


@pytest.mark.parametrize("dtype", [gc.float16, gc.bfloat16])
def test_narrow_floats_are_made_in_f32(dtype: Any) -> None:
    """semantics 17.2: one rounding at the end, by the tiles of f32."""
    x, w, values = (declared("3x3", np.float32)[i] for i in (1, 2, 3))
    narrow = [gc.astype(v, dtype) for v in (x, w)]
    rows = gc.reshape(narrow[0], (16, 99))
    fetches = [F.conv2d(*narrow, padding=1), rows @ gc.ones((99, 5), dtype)]
    program = lower(stage(fetches), Options()).program
    made = [k for k in program.kernels if k.kind in (Kind.CONVOLUTION, Kind.MATMUL)]
    assert all(contraction_of(k).type.dtype == gc.float32 for k in made)
    assert len(made) == 2
    with gc.Session() as sess:
        got = sess.run([gc.astype(f, gc.float64) for f in fetches], {x: values[0], w: values[1]})
    want = interpret(stage(fetches), *values)
    for a, b in zip(got, want, strict=True):
        wide = np.asarray(b, np.float64)
        assert np.abs(a - wide).max() <= float(2.0**-7 if dtype is gc.bfloat16 else 2.0**-10) * 8


def test_constant_weights_are_turned_once() -> None:
    """A product with a transposed constant reads it as it is best read, in every run."""
    weights = np.random.default_rng(2).uniform(-1, 1, (40, 64)).astype(np.float32)
    x = gc.placeholder(gc.float32, [None, 64])
    y = x @ gc.permute_dims(gc.asarray(weights), (1, 0))
    (kernel,) = lower(stage([y]), Options()).program.kernels
    op = contraction_of(kernel).op
    assert isinstance(op, Matmul)
    assert not op.tb
    given = np.ones((50, 64), np.float32)
    judged([y], {x: given}, 1e-5)


@pytest.mark.parametrize("name", ["3x3", "winograd", "columns", "parts of a line"])
@pytest.mark.parametrize("after", [False, True], ids=["alone", "with an epilogue"])
def test_a_contraction_reads_its_operands_and_writes_its_result(name: str, after: bool) -> None:
    y, *_ = declared(name, np.float32)
    product = gc.placeholder(gc.float32, [70, 80]) @ gc.placeholder(gc.float32, [80, 90])
    fetches = [gc.exp(v) * 2.0 if after else v for v in (y, product)]
    for kernel in lower(stage(fetches), Options()).program.kernels:
        loops = loops_of(kernel)
        assert loops is not None
        written = [v in kernel.writes for v in (*kernel.reads, *kernel.writes)]
        assert [b.written for b in loops.buffers] == written
