"""Convolutions against torch, through the oracle and compiled; their errors; second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run
from support.torch_cases import torch_case
from support.windows import data, our_values, same, torch_values

import graphc as gc
from graphc.config import Method, Options
from graphc.errors import DTypeError, FeedError, GraphcError, GraphError, ShapeError
from graphc.nn import functional as F  # noqa: N812
from graphc.testing.differences import numeric_gradient

Call = Callable[..., Any]
CASES: dict[str, tuple[Call, list[tuple[int, ...]]]] = {
    "plain": (lambda F, x, w: F.conv2d(x, w), [(2, 3, 6, 7), (4, 3, 3, 3)]),
    "bias": (lambda F, x, w, b: F.conv2d(x, w, b, padding=1), [(2, 3, 6, 5), (4, 3, 3, 3), (4,)]),
    "strides": (
        lambda F, x, w: F.conv2d(x, w, stride=(2, 3), padding=(1, 2)),
        [(2, 3, 9, 8), (4, 3, 3, 2)],
    ),
    "dilations": (
        lambda F, x, w: F.conv2d(x, w, dilation=(2, 1), padding=2, stride=(1, 2)),
        [(1, 2, 9, 8), (3, 2, 3, 3)],
    ),
    "groups": (lambda F, x, w: F.conv2d(x, w, groups=2, padding=1), [(2, 12, 5, 4), (8, 6, 3, 3)]),
    "depthwise": (
        lambda F, x, w: F.conv2d(x, w, groups=4, stride=2, padding=1),
        [(2, 4, 7, 6), (8, 1, 3, 3)],
    ),
    "points": (lambda F, x, w: F.conv2d(x, w), [(2, 5, 4, 3), (6, 5, 1, 1)]),
    "strided_points": (lambda F, x, w: F.conv2d(x, w, stride=2), [(2, 5, 5, 4), (6, 5, 1, 1)]),
    "same": (
        lambda F, x, w: F.conv2d(x, w, padding="same", dilation=2),
        [(1, 2, 6, 5), (3, 2, 2, 3)],
    ),
    "valid": (lambda F, x, w: F.conv2d(x, w, padding="valid"), [(1, 2, 4, 5), (3, 2, 4, 5)]),
    "no_images": (lambda F, x, w: F.conv2d(x, w), [(0, 2, 4, 4), (3, 2, 3, 3)]),
    "line": (
        lambda F, x, w: F.conv1d(x, w, stride=3, padding=4, dilation=2),
        [(2, 3, 17), (4, 3, 5)],
    ),
    "cube": (
        lambda F, x, w: F.conv3d(x, w, stride=(1, 2, 1), padding=(1, 0, 2)),
        [(1, 2, 4, 5, 3), (3, 2, 2, 3, 2)],
    ),
    "back": (lambda F, x, w: F.conv_transpose2d(x, w), [(2, 3, 4, 5), (3, 4, 3, 2)]),
    "back_strides": (
        lambda F, x, w, b: F.conv_transpose2d(
            x, w, b, stride=(2, 3), padding=1, output_padding=(1, 2)
        ),
        [(2, 3, 4, 3), (3, 4, 3, 4), (4,)],
    ),
    "back_dilation": (
        lambda F, x, w: F.conv_transpose2d(x, w, dilation=2, output_padding=1, padding=1),
        [(1, 2, 4, 3), (2, 3, 2, 3)],
    ),
    "back_groups": (
        lambda F, x, w: F.conv_transpose2d(x, w, groups=2, stride=2),
        [(2, 4, 3, 3), (4, 3, 2, 2)],
    ),
    "back_line": (
        lambda F, x, w: F.conv_transpose1d(x, w, stride=2, padding=1),
        [(2, 3, 6), (3, 2, 4)],
    ),
    "back_cube": (
        lambda F, x, w: F.conv_transpose3d(x, w, stride=2, padding=(1, 0, 1)),
        [(1, 2, 2, 3, 2), (2, 2, 3, 2, 3)],
    ),
    "wide_rows": (lambda F, x, w: F.conv2d(x, w, padding=2), [(1, 2, 3, 70), (3, 2, 5, 5)]),
}
COMPILED = (
    "bias",
    "strides",
    "groups",
    "depthwise",
    "points",
    "same",
    "line",
    "cube",
    "no_images",
    "back_strides",
    "back_groups",
    "wide_rows",
)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


ids = pytest.mark.parametrize("name", list(CASES))


def of(module: Any, call: Call) -> Call:
    """The call with its first operand bound to a module of functions."""
    return lambda *xs: call(module, *xs)


def expected(name: str) -> tuple[Call, list[Any], list[Any]]:
    """(a call, its operands, torch's value and gradients)."""
    call, shapes = CASES[name]
    arrays = data(*shapes)
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


@pytest.mark.parametrize("panel", [1, 60, 500])
def test_large_kernels_are_cut_into_blocks(panel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks of rows and of channels, and pieces of rows longer than a panel."""
    from graphc.codegen.cpu.schedules import conv_columns

    monkeypatch.setattr(conv_columns, "PANEL_ELEMENTS", panel)
    monkeypatch.setattr(conv_columns, "PANEL_ROWS_PER_PART", 20)
    for name in ("plain", "strides", "groups", "wide_rows", "cube", "points"):
        call, arrays, wanted = expected(name)
        for symbolic in (False, True):
            same(our_values(call, arrays, symbolic, compiled=True), wanted)


@pytest.mark.parametrize("dtype", [gc.float16, gc.float64])
def test_element_types(dtype: Any) -> None:
    x, w = data((2, 3, 6, 5), (4, 3, 3, 3))
    out = F.conv2d(gc.astype(gc.asarray(x), dtype), gc.astype(gc.asarray(w), dtype))
    with gc.Session() as sess:
        got = sess.run(out)
    assert got.dtype == out.dtype.numpy
    np.testing.assert_allclose(got.astype(np.float64), run(F.conv2d(x, w)), rtol=2e-2, atol=2e-2)


def test_an_image_without_batch() -> None:
    x, w = data((3, 6, 5), (4, 3, 3, 3))
    np.testing.assert_array_equal(run(F.conv2d(x, w)), run(F.conv2d(x[None], w))[0])
    y = data((4, 3, 3))[0]
    np.testing.assert_array_equal(
        run(F.conv_transpose2d(y, w)), run(F.conv_transpose2d(y[None], w))[0]
    )


def test_the_result_does_not_depend_on_the_threads() -> None:
    """semantics 17.2"""
    x, w = data((8, 16, 24, 24), (32, 16, 3, 3))
    results = []
    for threads in (1, 2):
        with gc.Graph().as_default():
            a, b = gc.asarray(x), gc.variable(w)
            y = F.conv2d(a, b, padding=1)
            (dw,) = gc.gradients(gc.sum(y * y), [b])
            with gc.Session(threads=threads) as sess:
                results.append(sess.run([y, dw]))
    for one, two in zip(*results, strict=True):
        assert one.tobytes() == two.tobytes()


def test_an_infinite_element_stays_near_its_windows() -> None:
    """semantics 17.2"""
    x, w = data((1, 16, 24, 24), (16, 16, 3, 3))
    x[0, 3, 11, 12] = np.inf
    for method, reach in ((Method.WINOGRAD, 2), (Method.DIRECT, 1)):
        with gc.Graph().as_default(), gc.Session(options=Options(method=method)) as sess:
            got = sess.run(F.conv2d(gc.asarray(x), gc.variable(w), padding=1))
        wrong = ~np.isfinite(got)
        assert wrong[0, :, 10:13, 11:14].all()
        wrong[0, :, 11 - reach : 12 + reach, 12 - reach : 13 + reach] = False
        assert not wrong.any()


def test_windows_that_turn_out_not_to_fit_are_refused() -> None:
    """semantics 17.1"""
    x = gc.placeholder(gc.float32, [None, 1, "h", 5])
    y = F.conv2d(x, np.ones((1, 1, 3, 3), np.float32))
    with gc.Session() as sess:
        assert sess.run(y, {x: np.ones((1, 1, 3, 5), np.float32)}).shape == (1, 1, 1, 3)
        with pytest.raises(FeedError, match=r"conv2d: the kernel .* does not fit .*, got 2"):
            sess.run(y, {x: np.ones((1, 1, 2, 5), np.float32)})


@pytest.mark.parametrize("name", ["strides", "depthwise", "back_strides"])
def test_second_derivatives(name: str) -> None:
    call, shapes = CASES[name]
    arrays = [a.astype(np.float64) for a in data(*shapes)][:2]

    def penalty(*xs: Any) -> Any:
        extra = [gc.zeros(s, gc.float64) for s in shapes[2:]]
        out = of(F, call)(*xs, *extra)
        return gc.gradients(gc.sum(out * out * out), list(xs))

    with gc.Graph().as_default():
        xs = [gc.placeholder(gc.float64, a.shape) for a in arrays]
        firsts = penalty(*xs)
        feeds = dict(zip(xs, arrays, strict=True))
        weights = np.cos(np.arange(arrays[1].size)).reshape(arrays[1].shape)
        found = run(gc.gradients(gc.sum(firsts[1] * weights), xs), feeds)

        def value(*given: Any) -> Any:
            return run(firsts[1], dict(zip(xs, given, strict=True)))

        for which, got in enumerate(found):
            wanted = numeric_gradient(value, arrays, weights, which)
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-4)


# ---- a network ----

SHAPES = ((8, 1, 3, 3), (8,), (12, 8, 3, 3), (12,), (108, 5), (5,))


def network(F: Any, reshape: Any, x: Any, p: Any) -> Any:
    """Two convolutions, pooling of a relu (full of ties), a linear layer."""
    h = F.relu(F.conv2d(x, p[0], p[1]))
    h = F.max_pool2d(F.relu(F.conv2d(h, p[2], p[3])), 2)
    return reshape(h, (-1, 108)) @ p[4] + p[5]


def batches() -> Any:
    rng = np.random.default_rng(3)
    for _ in range(50):
        labels = rng.integers(0, 5, 16)
        bright = np.arange(5)[labels].reshape(16, 1, 1, 1) / 5
        yield (rng.random((16, 1, 10, 10)) * bright).astype(np.float32), labels


def torch_losses(torch: Any) -> list[Any]:
    params = [torch.tensor(a * 0.3, requires_grad=True) for a in data(*SHAPES)]
    step = torch.optim.SGD(params, 0.05, momentum=0.9)
    losses = []
    for x, y in batches():
        scores = network(torch.nn.functional, torch.reshape, torch.tensor(x), params)
        loss = torch.nn.functional.cross_entropy(scores, torch.tensor(y))
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    return [np.array(losses, np.float32)]


def test_a_network_learns_as_in_torch() -> None:
    (wanted,) = torch_case("network", torch_losses)
    params = [gc.variable(a * 0.3) for a in data(*SHAPES)]
    x, y = gc.placeholder(gc.float32, [None, 1, 10, 10]), gc.placeholder(gc.int64, [None])
    loss = F.cross_entropy(network(F, gc.reshape, x, params), y)
    train = gc.optim.SGD(0.05, momentum=0.9).minimize(loss)
    with gc.Session() as sess:
        losses = [sess.run([loss, train], {x: a, y: b})[0] for a, b in batches()]
    np.testing.assert_allclose(losses, wanted, rtol=2e-4, atol=2e-5)
    assert losses[-1] < 0.7 * losses[0]


X, W = np.ones((2, 4, 6, 5), np.float32), np.ones((6, 4, 3, 3), np.float32)
WRONG: list[tuple[Call, type[GraphcError], str]] = [
    (lambda: F.conv2d(X, W, stride=0), ShapeError, "conv2d: stride is 0; expected at least 1"),
    (lambda: F.conv2d(X, W, dilation=(1, 0)), ShapeError, "dilation is .*at least 1"),
    (lambda: F.conv2d(X, W, padding=-1), ShapeError, "padding is -1; expected at least 0"),
    (lambda: F.conv2d(X, W, padding="full"), GraphError, "expected ints, 'valid' or 'same'"),
    (lambda: F.conv2d(X, W, padding="same", stride=2), ShapeError, "'same' needs stride 1"),
    (lambda: F.conv2d(X, W, stride=(1, 2, 3)), ShapeError, "stride .* has 3 values"),
    (lambda: F.conv2d(X, W, stride=1.5), ShapeError, "stride must be an int"),
    (lambda: F.conv2d(X, W, groups=0), ShapeError, "groups is 0; expected a divisor"),
    (lambda: F.conv2d(X, W, groups=4), ShapeError, "groups is 4; expected a divisor of 6"),
    (lambda: F.conv2d(X, W, groups=2), ShapeError, "conv2d: sizes differ .*: 4 and 8"),
    (lambda: F.conv2d(X[0, 0], W), ShapeError, "rank 2; expected 4"),
    (lambda: F.conv2d(X, W[0]), ShapeError, "weight .* has rank 3; expected 4"),
    (lambda: F.conv2d(X[:, :, :2], W), ShapeError, "does not fit"),
    (lambda: F.conv2d(X, W[:, :, :0]), ShapeError, "no elements"),
    (lambda: F.conv2d(X, W, np.ones(5, np.float32)), ShapeError, "sizes differ of bias"),
    (lambda: F.conv2d(X, W, np.ones((6, 1), np.float32)), ShapeError, "bias .* has rank 2"),
    (lambda: F.conv2d(X.astype(np.int32), W), DTypeError, "holds no floats"),
    (lambda: F.conv_transpose2d(X, W), ShapeError, "conv_transpose2d: sizes differ"),
    (lambda: F.conv_transpose2d(X, W[:4], output_padding=1), ShapeError, "output_padding 1 is not"),
    (lambda: F.conv_transpose2d(X, W[:4], padding=9), ShapeError, "would have the size"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Call, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None
    assert caught.value.location.file == __file__
