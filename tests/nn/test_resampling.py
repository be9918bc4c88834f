"""Padding, patches, pixels and interpolation against torch, through the oracle and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run
from support.torch_cases import torch_case
from support.windows import data, our_values, same, torch_values

import graphc as gc
from graphc.errors import DTypeError, GraphcError, GraphError, ShapeError
from graphc.nn import functional as F  # noqa: N812
from graphc.testing.differences import numeric_gradient

Call = Callable[..., Any]
PLANE, LINE, CUBE = (2, 3, 5, 6), (2, 3, 7), (1, 2, 3, 4, 5)


def resize(**options: Any) -> Call:
    return lambda F, x: F.interpolate(x, **options)


def padded(widths: Any, mode: str, **options: Any) -> Call:
    return lambda F, x: F.pad(x, widths, mode, **options)


CASES: dict[str, tuple[Call, tuple[int, ...]]] = {
    "constant": (padded((1, 2, 0, 3), "constant", value=1.5), PLANE),
    "constant_crop": (padded((-1, 2, 1, -2), "constant"), PLANE),
    "reflect": (padded((2, 1, 0, 4), "reflect"), PLANE),
    "reflect_line": (padded((3, 6), "reflect"), LINE),
    "replicate": (padded((2, 0, 7, 1), "replicate"), PLANE),
    "replicate_crop": (padded((-1, 2), "replicate"), LINE),
    "circular": (padded((2, 6, 5, 0), "circular"), PLANE),
    "circular_cube": (padded((1, 2, 0, 1, 3, 0), "circular"), CUBE),
    "shuffle": (lambda F, x: F.pixel_shuffle(x, 2), (2, 8, 3, 2)),
    "unshuffle": (lambda F, x: F.pixel_unshuffle(x, 3), (2, 2, 6, 9)),
    "unfold": (lambda F, x: F.unfold(x, (2, 3), 2, (1, 2), (1, 2)), PLANE),
    "fold": (lambda F, x: F.fold(x, (5, 6), (2, 3), 1, (1, 0), (2, 1)), (2, 12, 12)),
    "nearest": (resize(size=(8, 4)), PLANE),
    "nearest_twice": (resize(scale_factor=2), PLANE),
    "nearest_half": (resize(scale_factor=(0.5, 1.7)), PLANE),
    "nearest_exact": (resize(size=(8, 4), mode="nearest-exact"), PLANE),
    "nearest_exact_line": (resize(scale_factor=0.4, mode="nearest-exact"), LINE),
    "linear": (resize(size=11, mode="linear"), LINE),
    "linear_corners": (resize(size=4, mode="linear", align_corners=True), LINE),
    "linear_one": (resize(size=1, mode="linear", align_corners=True), LINE),
    "bilinear": (resize(size=(9, 4), mode="bilinear"), PLANE),
    "bilinear_scale": (resize(scale_factor=1.7, mode="bilinear"), PLANE),
    "bilinear_recomputed": (
        resize(scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
        PLANE,
    ),
    "bilinear_corners": (resize(size=(9, 4), mode="bilinear", align_corners=True), PLANE),
    "bicubic": (resize(size=(9, 4), mode="bicubic"), PLANE),
    "bicubic_corners": (resize(scale_factor=2.5, mode="bicubic", align_corners=True), PLANE),
    "trilinear": (resize(size=(5, 3, 8), mode="trilinear"), CUBE),
    "area": (resize(size=(3, 4), mode="area"), PLANE),
    "nearest_cube": (resize(scale_factor=(2, 1.5, 0.5)), CUBE),
}
COMPILED = (
    "constant_crop",
    "reflect",
    "replicate",
    "circular",
    "shuffle",
    "unfold",
    "fold",
    "nearest_half",
    "bilinear",
    "bicubic_corners",
    "trilinear",
)
ODD_SCALES = (  # no simple fractions: they want known sizes
    "nearest_half",
    "bilinear_scale",
    "bilinear_recomputed",
    "nearest_exact_line",
)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


ids = pytest.mark.parametrize("name", list(CASES))


def of(module: Any, call: Call) -> Call:
    return lambda *xs: call(module, *xs)


def expected(name: str) -> tuple[Call, list[Any], list[Any]]:
    """(a call, its operands, torch's value and gradient)."""
    call, shape = CASES[name]
    arrays = data(shape)
    wanted = torch_case(
        name, lambda torch: torch_values(torch, of(torch.nn.functional, call), arrays)
    )
    return of(F, call), arrays, wanted


@ids
def test_values_and_gradients(name: str) -> None:
    call, arrays, wanted = expected(name)
    same(our_values(call, arrays), wanted)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ODD_SCALES])
def test_symbolic_sizes(name: str) -> None:
    call, arrays, wanted = expected(name)
    same(our_values(call, arrays, symbolic=True), wanted)


@pytest.mark.parametrize(
    ("name", "symbolic"),
    [(n, s) for n in COMPILED for s in (False, True) if not (s and n in ODD_SCALES)],
)
def test_compiled(name: str, symbolic: bool) -> None:
    call, arrays, wanted = expected(name)
    same(our_values(call, arrays, symbolic, compiled=True), wanted)


def test_padding_of_any_axes_and_types() -> None:
    x = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(
        run(F.pad(x, (1, 1, 1, 1), "circular")), np.pad(x, 1, mode="wrap")
    )
    np.testing.assert_array_equal(
        run(F.pad(x, (2, 1), value=7)), np.pad(x, ((0, 0), (2, 1)), constant_values=7)
    )


def test_negative_widths_crop_first() -> None:
    """semantics 17.5"""
    x = np.arange(5)
    assert run(F.pad(x, (-2, 3), "circular")).tolist() == [2, 3, 4, 2, 3, 4]
    assert run(F.pad(x, (2, -1), "reflect")).tolist() == [2, 1, 0, 1, 2, 3]


def test_whole_factors_repeat_and_equal_sizes_stay() -> None:
    """semantics 17.6"""
    (x,) = data((1, 2, 3, 4))
    repeated = run(F.interpolate(x, scale_factor=(3, 1)))
    np.testing.assert_array_equal(repeated, np.repeat(x, 3, axis=2))
    np.testing.assert_array_equal(run(F.interpolate(x, (3, 4), mode="bilinear")), x)


def test_fold_adds_what_unfold_copies() -> None:
    x = np.ones((1, 1, 4, 4), np.float32)
    counts = run(F.fold(F.unfold(x, 3), 4, 3))
    assert counts[0, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


@pytest.mark.parametrize("name", ["reflect", "bilinear", "unfold"])
def test_second_derivatives(name: str) -> None:
    call, _ = CASES[name]
    array = data((1, 1, 5, 6))[0].astype(np.float64)
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float64, array.shape)
        out = of(F, call)(x)
        (first,) = gc.gradients(gc.sum(out * out * out), [x])
        weights = np.cos(np.arange(array.size)).reshape(array.shape)
        (second,) = gc.gradients(gc.sum(first * weights), [x])
        wanted = numeric_gradient(lambda a: run(first, {x: a}), [array], weights, 0)
        np.testing.assert_allclose(run(second, {x: array}), wanted, rtol=1e-5, atol=1e-5)


X = np.ones((2, 4, 6, 5), np.float32)
WRONG: list[tuple[Call, type[GraphcError], str]] = [
    (lambda: F.pad(X, (1,)), ShapeError, "pad: pad .* does not fit"),
    (lambda: F.pad(X, (1,) * 10), ShapeError, "does not fit"),
    (lambda: F.pad(X, (1, 1.5)), ShapeError, "must be an int"),
    (lambda: F.pad(X, (-3, -3)), ShapeError, "have size -1"),
    (lambda: F.pad(X, (1, 1), "wrap"), GraphError, "mode 'wrap': expected one of"),
    (lambda: F.pad(X, (5, 0), "reflect"), ShapeError, "cannot add 5 elements .* at most 4"),
    (lambda: F.pad(X, (6, 0), "circular"), ShapeError, "at most 5"),
    (lambda: F.pad(X, (1, 0), "reflect", 2.0), GraphError, "takes no value"),
    (lambda: F.pad(X, (1, 0), value="a"), GraphError, "value must be a number"),
    (lambda: F.pad(np.ones(3, np.int32), (1, 0), value=0.5), GraphError, "0.5 is no i32"),
    (lambda: F.pixel_shuffle(X, 3), ShapeError, "no multiple of 9"),
    (lambda: F.pixel_shuffle(X, 0), ShapeError, "upscale_factor is 0"),
    (lambda: F.pixel_unshuffle(X, 2), ShapeError, "size 5 .* no multiple of 2"),
    (lambda: F.pixel_shuffle(X[0, 0], 2), ShapeError, "rank 2; expected at least 3"),
    (lambda: F.unfold(X, 7), ShapeError, "unfold: kernel_size .* does not fit"),
    (lambda: F.unfold(X, 2, stride=0), ShapeError, "stride is 0"),
    (lambda: F.fold(X[0], 4, 3), ShapeError, "fold: input .* is not"),
    (lambda: F.interpolate(X), GraphError, "expected one of size and scale_factor"),
    (lambda: F.interpolate(X, 3, 2.0), GraphError, "expected one of size and scale_factor"),
    (lambda: F.interpolate(X, 0), ShapeError, "size is 0; expected at least 1"),
    (lambda: F.interpolate(X, (1, 2, 3)), ShapeError, "has 3 sizes; expected 2"),
    (lambda: F.interpolate(X, scale_factor=-1.0), ShapeError, "expected above 0"),
    (lambda: F.interpolate(X, scale_factor=0.01), ShapeError, "leaves nothing"),
    (lambda: F.interpolate(X, 3, mode="cubic"), GraphError, "mode 'cubic'"),
    (lambda: F.interpolate(X, 3, mode="linear"), ShapeError, "wants 1 spatial axes"),
    (lambda: F.interpolate(X, 3, align_corners=True), GraphError, "takes no align_corners"),
    (lambda: F.interpolate(X, 3, mode="bilinear", antialias=True), GraphError, "antialias"),
    (lambda: F.interpolate(X, 3, recompute_scale_factor=True), GraphError, "needs scale_factor"),
    (lambda: F.interpolate(X > 0, 3), DTypeError, "holds no floats"),
    (lambda: F.interpolate(X[0, 0, 0], 3), ShapeError, "rank 1"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Call, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None
    assert caught.value.location.file == __file__
