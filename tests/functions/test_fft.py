"""gc.fft: compiled and through the oracle, against NumPy and torch, for every kind of length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.errors import DTypeError, FeedError, GraphError, ShapeError
from graphc.ir.ops.fourier import roots
from graphc.testing.differences import numeric_gradient

F32, F64 = np.float32, np.float64
LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 30, 61, 64, 77, 100, 128, 1000]
LONG_PRIMES = [67, 127, 134, 1009]  # Bluestein's
both_types = pytest.mark.parametrize("dtype", [F32, F64])


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def draw(*shape: int, seed: int = 0, dtype: Any = F64) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def joined(x: Any) -> Any:
    """Pairs as complex numbers."""
    return x[..., 0] + 1j * x[..., 1].astype(np.result_type(x.dtype, np.complex64))


def pairs(z: Any) -> Any:
    return np.stack([z.real, z.imag], axis=-1)


def compiled(fetch: Any, feeds: Any = None) -> Any:
    with gc.Session() as sess:
        return sess.run(fetch, feeds or {})


def close(found: Any, wanted: Any, dtype: Any = F64) -> None:
    assert found.dtype == dtype and found.shape == wanted.shape
    scale = np.abs(wanted).max(initial=1.0)
    bound = 2e-6 if dtype == F32 else 3e-15
    np.testing.assert_allclose(found / scale, wanted / scale, rtol=0, atol=bound)


@both_types
@pytest.mark.parametrize("n", LENGTHS + LONG_PRIMES)
def test_every_length(dtype: Any, n: int) -> None:
    """semantics 15.2"""
    x = draw(3, n, 2, dtype=dtype)
    z = joined(x.astype(F64))
    made = [gc.fft.fft(x), gc.fft.ifft(x), gc.fft.rfft(x[..., 0]), gc.fft.irfft(x, n=n)]
    wanted = [
        pairs(np.fft.fft(z)),
        pairs(np.fft.ifft(z)),
        pairs(np.fft.rfft(z.real)),
        np.fft.irfft(z, n=n),
    ]
    for values in (compiled(made), run(made)):
        for found, w in zip(values, wanted, strict=True):
            close(found, w, dtype)


def test_one_program_for_every_length() -> None:
    x = gc.placeholder(gc.float64, ["b", "n", 2])
    made = [
        gc.fft.fft(x),
        gc.fft.ifft(x, norm="ortho"),
        gc.fft.rfft(x[..., 1]),
        gc.fft.irfft(x),
        gc.fft.fftshift(x, axes=1),
    ]
    with gc.Session() as sess:
        for n in (2, 3, 4, 7, 12, 25, 67, 96):
            array = draw(2, n, 2)
            z = joined(array)
            wanted = [
                pairs(np.fft.fft(z)),
                pairs(np.fft.ifft(z, norm="ortho")),
                pairs(np.fft.rfft(z.imag)),
                np.fft.irfft(z),
                pairs(np.fft.fftshift(z, axes=1)),
            ]
            for values in (sess.run(made, {x: array}), run(made, {x: array})):
                for found, w in zip(values, wanted, strict=True):
                    close(found, w)
        assert sess.run(made[0], {x: np.zeros((0, 5, 2))}).shape == (0, 5, 2)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 3, 8])
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_axes_lengths_and_norms(norm: str, n: int | None, axis: int) -> None:
    """semantics 15.1"""
    x = draw(5, 6, 2)
    z = joined(x)
    close(compiled(gc.fft.fft(x, n, axis, norm)), pairs(np.fft.fft(z, n, axis, norm)))
    close(compiled(gc.fft.ifft(x, n, axis, norm)), pairs(np.fft.ifft(z, n, axis, norm)))
    close(
        compiled(gc.fft.rfft(x[..., 0], n, axis, norm)), pairs(np.fft.rfft(z.real, n, axis, norm))
    )
    close(compiled(gc.fft.irfft(x, n, axis, norm)), np.fft.irfft(z, n, axis, norm))


def test_several_axes() -> None:
    x = draw(3, 4, 5, 2)
    z = joined(x)
    for ours, numpy in (
        (gc.fft.fft2, np.fft.fft2),
        (gc.fft.ifft2, np.fft.ifft2),
        (gc.fft.fftn, np.fft.fftn),
        (gc.fft.ifftn, np.fft.ifftn),
    ):
        close(compiled(ours(x)), pairs(numpy(z)))
        some = (6, 2), (0, -1), "ortho"
        close(compiled(ours(x, *some)), pairs(numpy(z, *some)))
    back = gc.fft.ifft2(gc.fft.fft2(x))
    close(compiled(back), x)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_helpers(n: int) -> None:
    """semantics 15.1"""
    close(compiled(gc.fft.fftfreq(n, 0.1, gc.float64)), np.fft.fftfreq(n, 0.1))
    close(compiled(gc.fft.rfftfreq(n, 0.1)), np.fft.rfftfreq(n, 0.1).astype(F32), F32)
    x = draw(n, 3, 2)
    for axes in (None, 0, (0, 1)):
        close(compiled(gc.fft.fftshift(x, axes)), pairs(np.fft.fftshift(joined(x), axes)))
        close(compiled(gc.fft.ifftshift(gc.fft.fftshift(x, axes), axes)), x)
    close(compiled(gc.fft.ifftshift(x, real=True)), np.fft.ifftshift(x))


@pytest.mark.parametrize("n", [(1 << 16) + 2, 81 << 10])  # the first by Bluestein's convolution
def test_long_transforms(n: int) -> None:
    """semantics 15.2"""
    x = draw(n, 2)  # roots computed in the run
    found = compiled(gc.fft.fft(x))
    assert np.abs(found - pairs(np.fft.fft(joined(x)))).max() < 1e-12 * n**0.5


@pytest.mark.parametrize("n", [1, 2, 3, 8, 15, 1000])
def test_roots_are_precise(n: int) -> None:
    k = np.arange(n, dtype=np.longdouble)
    angle = -2 * np.longdouble(np.pi) * k / n
    wanted = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(F64)
    np.testing.assert_allclose(roots(n), wanted, rtol=0, atol=7e-16)
    if n % 4 == 0:
        assert set(map(tuple, roots(n)[:: n // 4].tolist())) == {(1, 0), (0, -1), (-1, 0), (0, 1)}


CASES: dict[str, tuple[Callable[..., Any], Callable[[Any, Any], Any], tuple[int, ...]]] = {
    "fft": (gc.fft.fft, lambda f, x: f.fft(x), (3, 6, 2)),
    "ifft": (gc.fft.ifft, lambda f, x: f.ifft(x), (3, 5, 2)),
    "prime": (lambda x: gc.fft.fft(x, axis=0), lambda f, x: f.fft(x, dim=0), (67, 2)),
    "rfft even": (gc.fft.rfft, lambda f, x: f.rfft(x), (2, 8)),
    "rfft odd": (gc.fft.rfft, lambda f, x: f.rfft(x), (2, 7)),
    "irfft even": (gc.fft.irfft, lambda f, x: f.irfft(x), (2, 4, 2)),
    "irfft odd": (lambda x: gc.fft.irfft(x, 7), lambda f, x: f.irfft(x, 7), (2, 4, 2)),
    "fft2": (
        lambda x: gc.fft.fft2(x, norm="ortho"),
        lambda f, x: f.fft2(x, norm="ortho"),
        (2, 3, 4, 2),
    ),
    "padded": (lambda x: gc.fft.fft(x, 9), lambda f, x: f.fft(x, 9), (5, 2)),
    "cropped": (lambda x: gc.fft.rfft(x, 4, axis=0), lambda f, x: f.rfft(x, 4, dim=0), (6, 2)),
    "shift": (gc.fft.fftshift, lambda f, x: f.fftshift(x), (3, 4, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_of_torch(name: str) -> None:
    ours, theirs, shape = CASES[name]
    array = draw(*shape)

    def compute(torch: Any) -> Any:
        x = tensor(torch, array, grad=True)
        real = name.startswith("rfft") or name == "cropped"
        out = theirs(torch.fft, x if real else torch.view_as_complex(x))
        out = torch.view_as_real(out) if torch.is_complex(out) else out
        (first,) = torch.autograd.grad(torch.sin(out).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(torch.sin(first).sum(), x)
        return [out, first, second]

    wanted = torch_case(name.replace(" ", "_"), compute)
    x = gc.placeholder(gc.float64, shape)
    out = ours(x)
    (first,) = gc.gradients(gc.sum(gc.sin(out)), [x])
    (second,) = gc.gradients(gc.sum(gc.sin(first)), [x])
    for w, g in zip(wanted, compiled([out, first, second], {x: array}), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [5, 8, 71])
def test_gradients_against_differences(n: int) -> None:
    """semantics 15.4"""
    x = gc.placeholder(gc.float64, [n])
    y = gc.fft.irfft(gc.fft.rfft(x) * [0.5, 2.0], n)
    out = gc.sum(gc.square(y) * gc.arange(n, dtype=gc.float64))
    (found,) = gc.gradients(out, [x])
    array = draw(n)
    wanted = numeric_gradient(lambda a: run(out, {x: a}), [array], np.ones(()), 0)
    np.testing.assert_allclose(compiled(found, {x: array}), wanted, rtol=1e-6, atol=1e-6)


@both_types
def test_nan_and_infinity_spread(dtype: Any) -> None:
    """semantics 15.3"""
    x = np.ones((3, 12, 2), dtype)
    x[1, 3, 0], x[2, 4, 1] = np.nan, np.inf
    found = compiled(gc.fft.fft(x))
    assert np.isfinite(found[0]).all()
    assert not np.isfinite(found[1:]).all(axis=(1, 2)).any()


WRONG: list[tuple[Callable[[], Any], Any, str]] = [
    (lambda: gc.fft.fft(gc.zeros((3,))), ShapeError, r"fft.fft: x is f32.3.; expected complex"),
    (lambda: gc.fft.fft(gc.zeros((3, 4))), ShapeError, r"fft.fft: x is .*last axis of size 2"),
    (lambda: gc.fft.ifft(gc.zeros((3, 2), gc.int32)), DTypeError, "fft.ifft: x is i32.*gc.astype"),
    (lambda: gc.fft.fft(gc.zeros((3, 2)), axis=1), ShapeError, "axis 1 is out of range"),
    (lambda: gc.fft.fft(gc.zeros((3, 2)), n=0), ShapeError, "fft.fft: a transform of 0 elements"),
    (lambda: gc.fft.fft(gc.zeros((0, 2))), ShapeError, "a transform of 0 elements"),
    (lambda: gc.fft.fft(gc.zeros((3, 2)), n=1.5), ShapeError, "n must be an int"),
    (lambda: gc.fft.fft(gc.zeros((3, 2)), norm="x"), GraphError, "fft.fft: norm must be"),
    (lambda: gc.fft.irfft(gc.zeros((1, 2))), ShapeError, "irfft: a transform of 0"),
    (lambda: gc.fft.rfft(gc.zeros(())), ShapeError, "rfft: axis -1 is out of range"),
    (lambda: gc.fft.fft2(gc.zeros((3, 3, 2)), axes=(0,)), ShapeError, "fft.fft2: axes .* two"),
    (lambda: gc.fft.fftn(gc.zeros((3, 3, 2)), (3,), (0, 1)), ShapeError, "as many sizes as axes"),
    (lambda: gc.fft.fftfreq(0), ShapeError, "fftfreq: a transform of 0"),
    (lambda: gc.fft.rfftfreq(3, dtype=gc.int32), DTypeError, "rfftfreq: dtype i32"),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_arguments(call: Callable[[], Any], kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert caught.value.location is not None


def test_pairs_that_turn_out_to_be_none() -> None:
    x = gc.placeholder(gc.float32, [4, "k"])
    with pytest.raises(FeedError):
        compiled(gc.fft.fft(x), {x: np.zeros((4, 3), F32)})
