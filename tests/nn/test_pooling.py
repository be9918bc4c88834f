"""Pooling against torch, through the oracle and compiled; ties; errors; second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run, stage
from support.torch_cases import torch_case
from support.windows import data, our_values, same, torch_values

import graphc as gc
from graphc.compiler.compile import lower
from graphc.config import Options
from graphc.errors import DTypeError, GraphcError, GraphError, ShapeError
from graphc.nn import functional as F  # noqa: N812
from graphc.testing.differences import numeric_gradient

Call = Callable[..., Any]
PLANE, LINE, CUBE = (2, 3, 7, 6), (2, 3, 11), (1, 2, 5, 4, 6)
CASES: dict[str, tuple[Call, tuple[int, ...]]] = {
    "max": (lambda F, x: F.max_pool2d(x, 2), PLANE),
    "max_overlap": (lambda F, x: F.max_pool2d(x, 3, 2, 1), PLANE),
    "max_dilated": (lambda F, x: F.max_pool2d(x, (2, 3), 1, (1, 0), dilation=2), PLANE),
    "max_ceil": (lambda F, x: F.max_pool2d(x, 3, 2, ceil_mode=True), PLANE),
    "max_ceil_padded": (lambda F, x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True), PLANE),
    "max_line": (lambda F, x: F.max_pool1d(x, 3, padding=1), LINE),
    "max_cube": (lambda F, x: F.max_pool3d(x, (2, 1, 3), 2), CUBE),
    "mean": (lambda F, x: F.avg_pool2d(x, 2), PLANE),
    "mean_padded": (lambda F, x: F.avg_pool2d(x, 3, 2, 1), PLANE),
    "mean_inside": (lambda F, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), PLANE),
    "mean_ceil": (lambda F, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), PLANE),
    "mean_ceil_inside": (
        lambda F, x: F.avg_pool2d(x, (2, 3), 3, (1, 0), ceil_mode=True, count_include_pad=False),
        PLANE,
    ),
    "mean_divisor": (lambda F, x: F.avg_pool2d(x, 2, divisor_override=3), PLANE),
    "mean_line": (lambda F, x: F.avg_pool1d(x, 4, 3, 1, ceil_mode=True), LINE),
    "mean_cube": (lambda F, x: F.avg_pool3d(x, 2, (1, 2, 3), 1), CUBE),
    "adaptive_mean": (lambda F, x: F.adaptive_avg_pool2d(x, (3, 4)), PLANE),
    "adaptive_mean_even": (lambda F, x: F.adaptive_avg_pool2d(x, (7, 3)), PLANE),
    "adaptive_mean_more": (lambda F, x: F.adaptive_avg_pool2d(x, (10, None)), PLANE),
    "adaptive_mean_all": (lambda F, x: F.adaptive_avg_pool2d(x, 1), PLANE),
    "adaptive_mean_line": (lambda F, x: F.adaptive_avg_pool1d(x, 4), LINE),
    "adaptive_mean_cube": (lambda F, x: F.adaptive_avg_pool3d(x, (2, 3, 4)), CUBE),
    "adaptive_max": (lambda F, x: F.adaptive_max_pool2d(x, (3, 4)), PLANE),
    "adaptive_max_line": (lambda F, x: F.adaptive_max_pool1d(x, 5), LINE),
    "adaptive_max_cube": (lambda F, x: F.adaptive_max_pool3d(x, 2), CUBE),
    "lp": (lambda F, x: F.lp_pool2d(x * x, 3.0, 2), PLANE),
    "lp_line": (lambda F, x: F.lp_pool1d(x * x, 2.0, 3, 2, True), LINE),
}
COMPILED = (
    "max",
    "max_overlap",
    "max_ceil_padded",
    "max_cube",
    "mean_inside",
    "mean_ceil",
    "adaptive_mean",
    "adaptive_mean_more",
    "adaptive_max",
    "lp",
)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


ids = pytest.mark.parametrize("name", list(CASES))


def of(module: Any, call: Call) -> Call:
    return lambda *xs: call(module, *xs)


def expected(name: str) -> tuple[Call, list[Any], list[Any]]:
    """(a call, its operands, torch's value and gradient); the operands are full of ties."""
    call, shape = CASES[name]
    arrays = [np.round(a, 0 if name.startswith("max") else 2) for a in data(shape)]
    wanted = torch_case(
        name, lambda torch: torch_values(torch, of(torch.nn.functional, call), arrays)
    )
    return of(F, call), arrays, wanted


@ids
def test_values_and_gradients(name: str) -> None:
    call, arrays, wanted = expected(name)
    same(our_values(call, arrays), wanted)


@ids
def test_symbolic_sizes(name: str) -> None:
    call, arrays, wanted = expected(name)
    same(our_values(call, arrays, symbolic=True), wanted)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name: str, symbolic: bool) -> None:
    call, arrays, wanted = expected(name)
    same(our_values(call, arrays, symbolic, compiled=True), wanted)


def test_the_first_of_equals_gets_the_gradient() -> None:
    """semantics 17.3"""
    x = gc.zeros((1, 1, 4, 4))
    (dx,) = gc.gradients(gc.sum(F.max_pool2d(x, 2)), [x])
    assert run(dx)[0, 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_means_count_what_the_input_and_its_padding_have() -> None:
    """semantics 17.4"""
    x = np.ones((1, 1, 5), np.float32)
    assert run(F.avg_pool1d(x, 2, 2, 1, ceil_mode=True)).tolist() == [[[0.5, 1.0, 1.0]]]
    assert run(F.avg_pool1d(x, 3, 3, 1, ceil_mode=True)).tolist() == [[[np.float32(2 / 3), 1.0]]]
    inside = F.avg_pool1d(x, 3, 3, 1, ceil_mode=True, count_include_pad=False)
    assert run(inside).tolist() == [[[1.0, 1.0]]]


def test_nan_is_larger_than_all_and_padding_less() -> None:
    x = np.array([[[np.nan, 1.0, -np.inf, -np.inf]]], np.float32)
    np.testing.assert_array_equal(run(F.max_pool1d(x, 2)), [[[np.nan, -np.inf]]])
    least = run(F.max_pool1d(gc.full((1, 1, 2), -5, gc.int8), 2, padding=1))
    assert least.tolist() == [[[-5, -5]]]
    assert least.dtype == np.int8


@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches(batch: int) -> None:
    x = gc.placeholder(gc.float32, [None, 2, 5, 5])
    out = F.avg_pool2d(F.max_pool2d(x, 2, 1), 3, 2, 1, ceil_mode=True)
    (dx,) = gc.gradients(gc.sum(out), [x])
    with gc.Session() as sess:
        value, gradient = sess.run([out, dx], {x: np.ones((batch, 2, 5, 5), np.float32)})
    assert value.shape == (batch, 2, 3, 3)
    assert gradient.shape == (batch, 2, 5, 5)


def test_an_image_without_batch() -> None:
    (x,) = data((3, 6, 5))
    for call in (
        lambda v: F.max_pool2d(v, 2),
        lambda v: F.avg_pool2d(v, 2),
        lambda v: F.adaptive_avg_pool2d(v, 2),
        lambda v: F.adaptive_max_pool2d(v, 2),
    ):
        np.testing.assert_array_equal(run(call(x)), run(call(x[None]))[0])


@pytest.mark.parametrize("name", ["max_overlap", "mean_ceil", "adaptive_mean", "adaptive_max"])
def test_second_derivatives(name: str) -> None:
    call, _ = CASES[name]
    array = data((1, 2, 6, 5))[0].astype(np.float64)
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float64, array.shape)
        out = of(F, call)(x)
        (first,) = gc.gradients(gc.sum(out * out * out), [x])
        weights = np.cos(np.arange(array.size)).reshape(array.shape)
        (second,) = gc.gradients(gc.sum(first * weights), [x])
        wanted = numeric_gradient(lambda a: run(first, {x: a}), [array], weights, 0)
        np.testing.assert_allclose(run(second, {x: array}), wanted, rtol=1e-5, atol=1e-6)


X = np.ones((2, 4, 6, 5), np.float32)
WRONG: list[tuple[Call, type[GraphcError], str]] = [
    (lambda: F.max_pool2d(X, 0), ShapeError, "kernel_size is 0; expected at least 1"),
    (lambda: F.max_pool2d(X, 2, 0), ShapeError, "stride is 0; expected at least 1"),
    (lambda: F.max_pool2d(X, 2, padding=2), ShapeError, "more than half of kernel_size"),
    (lambda: F.max_pool2d(X, 2, dilation=0), ShapeError, "dilation is 0"),
    (lambda: F.max_pool2d(X, 7), ShapeError, "does not fit input|does not fit into input"),
    (lambda: F.max_pool2d(X, (1, 2, 3)), ShapeError, "kernel_size .* has 3 values"),
    (lambda: F.max_pool2d(X, 2, return_indices=True), GraphError, "return_indices"),
    (lambda: F.max_pool2d(X[0, 0], 2), ShapeError, "rank 2; expected 4"),
    (lambda: F.max_pool2d(X > 0, 2), DTypeError, "holds no floats"),
    (lambda: F.avg_pool2d(X.astype(np.int32), 2), DTypeError, "holds no floats"),
    (lambda: F.avg_pool2d(X, 2, divisor_override=0), GraphError, "divisor_override is 0"),
    (lambda: F.adaptive_avg_pool2d(X, 0), ShapeError, "output_size is 0; expected at least 1"),
    (lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)), ShapeError, "has 3 sizes; expected 2"),
    (lambda: F.adaptive_avg_pool2d(X[:, :, :0], 2), ShapeError, "empty spatial axis"),
    (lambda: F.adaptive_max_pool2d(X, 2, return_indices=True), GraphError, "return_indices"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Call, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None
    assert caught.value.location.file == __file__


def test_padded_windows_test_no_element_twice() -> None:
    """The padded image is made once; the kernel of the windows has no bounds."""
    x = gc.placeholder(gc.float32, [None, 3, 9, 8])
    made = lower(stage([F.max_pool2d(x, 3, 2, 1)]), Options())
    pad, pool = made.program.kernels
    assert [v.op.name for v in pad.body] == ["pad"]
    assert " if " not in made.sources[pool].text
