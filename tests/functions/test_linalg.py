"""gc.linalg: compiled and by the oracle, against NumPy and torch; gradients to second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.oracle import run
from support.run import options
from support.torch_cases import tensor, torch_case

import graphc as gc
from graphc.compiler.compile import lower
from graphc.errors import DTypeError, FeedError, GraphError, ShapeError
from graphc.frontend.stage import stage
from graphc.testing.differences import numeric_gradient

L = gc.linalg
F32, F64 = np.float32, np.float64


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def definite(*shape: int) -> Any:
    x = draw(*shape)
    return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])


def compiled(fetch: Any, feeds: Any = None) -> Any:
    with gc.Session() as sess:
        return sess.run(fetch, feeds or {})


def both(function: Callable[..., Any], *arrays: Any, dtype: Any = F64) -> list[Any]:
    """The results of constants and of symbolic placeholders: oracle and machine code agree."""
    arrays = tuple(np.asarray(a, dtype) for a in arrays)
    made = function(*map(gc.asarray, arrays))
    outputs = list(made) if isinstance(made, tuple) else [made]
    holders = [gc.placeholder(a.dtype, [None] * a.ndim) for a in arrays]
    again = function(*holders)
    loose = list(again) if isinstance(again, tuple) else [again]
    feeds = dict(zip(holders, arrays, strict=True))
    found = compiled(outputs)
    tolerance = 2e-4 if dtype == F32 else 1e-9
    for other in (run(outputs), compiled(loose, feeds), run(loose, feeds)):
        for a, b in zip(found, other, strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    return found


def close(a: Any, b: Any, dtype: Any = F64, tolerance: float | None = None) -> None:
    bound = tolerance or (2e-4 if dtype == F32 else 1e-9)
    np.testing.assert_allclose(a, b, rtol=bound, atol=bound)


# ---- values ----

LEADS = [(), (3,), (2, 3), (0,)]
both_types = pytest.mark.parametrize("dtype", [F32, F64])


@both_types
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_cholesky(dtype: Any, lead: Any, n: int) -> None:
    """semantics 14.1"""
    x = definite(*lead, n, n)
    (lower,) = both(L.cholesky, x, dtype=dtype)
    close(lower, np.linalg.cholesky(x), dtype)
    (upper,) = both(lambda a: L.cholesky(a, upper=True), x, dtype=dtype)
    close(upper, np.swapaxes(lower, -1, -2), dtype)


@both_types
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_solve_inv_det(dtype: Any, lead: Any, n: int) -> None:
    a, b = draw(*lead, n, n) + 2 * np.eye(n), draw(*lead, n, 2, seed=1)
    close(both(L.solve, a, b, dtype=dtype)[0], np.linalg.solve(a, b), dtype)
    close(both(L.inv, a, dtype=dtype)[0], np.linalg.inv(a), dtype)
    close(both(L.det, a, dtype=dtype)[0], np.linalg.det(a), dtype, 2e-3 if dtype == F32 else 0)
    sign, log = both(L.slogdet, a, dtype=dtype)
    wanted = np.linalg.slogdet(a)
    close(sign, wanted[0], dtype)
    close(log, wanted[1], dtype)


@pytest.mark.parametrize("n", [40, 130])
def test_larger_systems(n: int) -> None:
    a, b = draw(2, n, n), draw(n)
    close(both(L.solve, a, b)[0], np.linalg.solve(a, b[:, None])[..., 0], tolerance=1e-7)
    x = definite(n, n)
    close(both(L.cholesky, x)[0], np.linalg.cholesky(x), tolerance=1e-7)
    close(both(L.eigvalsh, x)[0], np.linalg.eigvalsh(x), tolerance=1e-7)
    close(both(L.svdvals, a[0])[0], np.linalg.svd(a[0], compute_uv=False), tolerance=1e-7)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 3), (3,)),
        ((3, 3), (5, 3, 2)),
        ((5, 3, 3), (3, 2)),
        ((5, 1, 3, 3), (4, 3, 1)),
        ((3, 3), (3, 0)),
        ((5, 3, 3), (3,)),
    ],
)
def test_solve_broadcasts(a: Any, b: Any) -> None:
    x, y = draw(*a) + 2 * np.eye(3), draw(*b)
    wanted = np.linalg.solve(x, y)
    close(compiled(L.solve(x, y)), wanted)
    close(run(L.solve(x, y)), wanted)
    lower = L.solve_triangular(x, y, lower=True)
    close(compiled(lower), np.linalg.solve(np.tril(x), y))


@both_types
@pytest.mark.parametrize("lead", [(), (3,)])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("unit", [False, True])
def test_solve_triangular(dtype: Any, lead: Any, lower: bool, trans: int, unit: bool) -> None:
    a, b = draw(*lead, 4, 4) + 4 * np.eye(4), draw(*lead, 4, 3, seed=1)
    (found,) = both(lambda x, y: L.solve_triangular(x, y, trans, lower, unit), a, b, dtype=dtype)
    full = np.tril(a) if lower else np.triu(a)
    if unit:
        full = full * (1 - np.eye(4)) + np.eye(4)
    close((np.swapaxes(full, -1, -2) if trans else full) @ found, b, dtype)


def test_solve_triangular_reads_one_triangle() -> None:
    """semantics 14.3"""
    a = np.where(np.tri(3, dtype=bool), 2.0, np.nan)
    assert np.isfinite(compiled(L.solve_triangular(a, np.ones(3), lower=True))).all()
    a[np.diag_indices(3)] = np.inf
    unit = L.solve_triangular(a, np.ones(3), "N", lower=True, unit_diagonal=True)
    close(compiled(unit), [1, -1, 1])


@both_types
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 1), (0, 3), (3, 0)])
def test_qr_and_svd(dtype: Any, lead: Any, shape: Any) -> None:
    """semantics 14.4, 14.5"""
    x = draw(*lead, *shape)
    k = min(shape)
    q, r = both(L.qr, x, dtype=dtype)
    close(q @ r, x, dtype)
    close(np.swapaxes(q, -1, -2) @ q, np.broadcast_to(np.eye(k), (*lead, k, k)), dtype)
    assert np.all(np.diagonal(r, axis1=-2, axis2=-1) >= 0)
    assert np.array_equal(r, np.triu(r))
    u, s, vh = both(L.svd, x, dtype=dtype)
    close((u * s[..., None, :]) @ vh, x, dtype)
    wanted = np.linalg.svd(x, compute_uv=False) if x.size else np.zeros((*lead, k))
    close(s, wanted, dtype)
    close(both(L.svdvals, x, dtype=dtype)[0], wanted, dtype)
    if x.size:
        largest = np.argmax(np.abs(u), axis=-2)[..., None, :]
        assert np.all(np.take_along_axis(u, largest, -2) > 0)
    close(both(L.pinv, x, dtype=dtype)[0], np.linalg.pinv(x), dtype)


@both_types
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("n", [0, 1, 4])
def test_eigh(dtype: Any, lead: Any, n: int) -> None:
    x = draw(*lead, n, n)
    x = x + np.swapaxes(x, -1, -2)
    w, v = both(L.eigh, x, dtype=dtype)
    close(x @ v, v * w[..., None, :], dtype)
    wanted = np.linalg.eigvalsh(x) if n else np.zeros((*lead, 0))
    close(w, wanted, dtype)
    close(both(L.eigvalsh, x, dtype=dtype)[0], wanted, dtype)


def test_the_symmetric_part_counts() -> None:
    """semantics 14.3"""
    x = draw(3, 3)
    close(compiled(L.eigvalsh(x)), np.linalg.eigvalsh((x + x.T) / 2))
    y = definite(3, 3)
    skew = np.array([[0, 1, 2], [-1, 0, 3], [-2, -3, 0]])
    close(compiled(L.cholesky(y + skew)), np.linalg.cholesky(y))


def test_matrix_power_and_rank() -> None:
    x = draw(2, 3, 3)
    for n in (-3, -1, 0, 1, 2, 7):
        close(both(lambda a, n=n: L.matrix_power(a, n), x)[0], np.linalg.matrix_power(x, n))
    low = draw(4, 2) @ draw(2, 5, seed=1)
    for a in (low, np.zeros((3, 2)), np.eye(4), draw(3, 4, 2)):
        found = compiled(L.matrix_rank(a))
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, np.linalg.matrix_rank(a))
    close(both(L.pinv, low)[0], np.linalg.pinv(low))
    close(compiled(L.pinv(np.diag([1.0, 1e-3]), rtol=1e-2)), np.diag([1.0, 0.0]))


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
@pytest.mark.parametrize("keepdims", [False, True])
def test_matrix_norms(order: Any, keepdims: bool) -> None:
    x = draw(3, 4, 5)
    for axis in ((-2, -1), (0, 2), (2, 0)):
        wanted = np.linalg.norm(x, order, axis, keepdims)
        close(both(lambda a, axis=axis: L.norm(a, order, axis, keepdims), x)[0], wanted)
    close(compiled(L.norm(x[0], order)), np.linalg.norm(x[0], order))
    given = "fro" if order is None else order
    close(
        compiled(L.matrix_norm(x, ord=given, keepdims=keepdims)),
        np.linalg.norm(x, given, (-2, -1), keepdims),
    )


@pytest.mark.parametrize("order", [None, 0, 1, 2, 3, 2.5, -1, np.inf, -np.inf])
def test_vector_norms(order: Any) -> None:
    x = draw(3, 4)
    for axis in (0, -1, (1,)):
        close(
            both(lambda a, axis=axis: L.norm(a, order, axis), x)[0], np.linalg.norm(x, order, axis)
        )
    close(compiled(L.norm(x[0], order)), np.linalg.norm(x[0], order))
    given = 2 if order is None else order
    close(compiled(L.vector_norm(x, ord=given)), np.linalg.norm(x.ravel(), given))
    close(
        compiled(L.vector_norm(x, ord=given, axis=(0, 1), keepdims=True)),
        np.linalg.norm(x.ravel(), given).reshape(1, 1),
    )


def test_norms_of_little() -> None:
    """semantics 14.7"""
    zero = gc.asarray(np.zeros((2, 3)))
    for order in (2, 1, 3.0, np.inf):
        norm = L.vector_norm(zero, ord=order)
        assert compiled(norm) == 0
        (slope,) = gc.gradients(norm, [zero])
        np.testing.assert_array_equal(compiled(slope), 0)
    assert compiled(L.norm(np.zeros(0))) == 0
    assert compiled(L.norm(np.zeros(0), np.inf)) == 0
    assert compiled(L.vector_norm(np.float32(-3))) == 3
    half = gc.asarray(np.array([3, 4], np.float16))
    assert compiled(L.norm(half)).dtype == np.float16


# ---- failure ----

SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


@both_types
def test_what_cannot_be_computed_is_nan(dtype: Any) -> None:
    """semantics 14.2"""
    good = np.array([[2.0, 1.0], [1.0, 3.0]])
    batch = np.stack([good, SINGULAR, np.full((2, 2), np.nan), good + np.diag([np.inf, 0])])
    rhs = np.ones((4, 2, 1))
    for function, arrays, nans in (
        (lambda x: L.cholesky(x - 10 * (x == 4)), (batch,), [0, 1, 1, 1]),
        (L.inv, (batch,), [0, 1, 1, 1]),
        (L.solve, (batch, rhs), [0, 1, 1, 1]),
        (lambda x: L.qr(x).R, (batch,), [0, 0, 1, 1]),
        (lambda x: L.eigh(x).eigenvectors, (batch,), [0, 0, 1, 1]),
        (L.eigvalsh, (batch,), [0, 0, 1, 1]),
        (lambda x: L.svd(x).U, (batch,), [0, 0, 1, 1]),
        (L.svdvals, (batch,), [0, 0, 1, 1]),
        (L.det, (batch[:3],), [0, 0, 1]),
        (lambda a, b: L.solve_triangular(a * (a < 3), b), (batch[:3], rhs[:3]), [1, 1, 1]),
    ):
        (found,) = both(function, *arrays, dtype=dtype)
        flat = np.isnan(found.reshape(len(found), -1))
        np.testing.assert_array_equal(flat.all(axis=1), np.array(nans, bool))
        np.testing.assert_array_equal(flat.any(axis=1), np.array(nans, bool))
    assert compiled(L.det(SINGULAR)) == 0
    sign, log = compiled(L.slogdet(SINGULAR))
    assert sign == 0 and log == -np.inf


WRONG: list[tuple[Callable[[], Any], Any, str]] = [
    (lambda: L.cholesky(gc.zeros((2, 3))), ShapeError, r"linalg.cholesky: sizes differ of x"),
    (lambda: L.inv(gc.zeros((3,))), ShapeError, "linalg.inv: x is f32.3., no matrix"),
    (lambda: L.svd(gc.zeros(())), ShapeError, "linalg.svd: x is .* no matrix"),
    (lambda: L.eigh(gc.zeros((3, 3), gc.int32)), DTypeError, "linalg.eigh: x is i32.*gc.astype"),
    (lambda: L.qr(gc.zeros((3, 3), gc.float16)), DTypeError, "linalg.qr: x is f16"),
    (lambda: L.qr(gc.zeros((3, 3)), "complete"), GraphError, "linalg.qr: mode must be 'reduced'"),
    (lambda: L.svd(gc.zeros((3, 3)), True), GraphError, "linalg.svd: full_matrices"),
    (lambda: L.solve(gc.zeros((3, 3)), gc.zeros((2,))), ShapeError, "solve: sizes differ of a,.*b"),
    (lambda: L.solve(gc.zeros((3, 3)), 1.0), ShapeError, "linalg.solve: b is .*a vector"),
    (lambda: L.solve(gc.zeros((2, 3, 3)), gc.zeros((4, 3, 1))), ShapeError, "linalg.solve"),
    (lambda: L.solve(gc.zeros((3, 3)), gc.zeros((3,), gc.int32)), DTypeError, "solve: b is i32"),
    (lambda: L.solve_triangular(gc.zeros((3, 3)), gc.zeros((3,)), trans="X"), GraphError, "trans"),
    (lambda: L.matrix_power(gc.zeros((3, 3)), 1.5), ShapeError, "matrix_power: n must be an int"),
    (lambda: L.norm(gc.zeros((3, 3, 3)), 2), ShapeError, "linalg.norm: .*one or two axes"),
    (lambda: L.norm(gc.zeros((3, 3)), 7), GraphError, "ord must be 'fro'"),
    (lambda: L.norm(gc.zeros((3,)), "fro"), GraphError, "ord must be a number"),
    (lambda: L.norm(gc.zeros((3, 3)), axis=(0, 0)), ShapeError, "names an axis twice"),
    (lambda: L.matrix_norm(gc.zeros((3, 3)), ord="x"), GraphError, "ord must be 'fro'"),
    (lambda: L.vector_norm(gc.zeros((3,), gc.int32)), DTypeError, "vector_norm: x is i32"),
    (lambda: L.det([[1, 2], [3, 4]]), DTypeError, "linalg.det: x is i64"),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_arguments(call: Callable[[], Any], kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert caught.value.location is not None


def test_sizes_that_turn_out_different() -> None:
    x = gc.placeholder(gc.float32, ["m", "n"])
    with pytest.raises(FeedError, match="needs them equal"):
        compiled(L.det(x), {x: np.zeros((2, 3), F32)})


# ---- gradients ----

SPD = lambda x: x @ gc.matrix_transpose(x) + np.eye(3)  # noqa: E731
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "cholesky": (lambda x: L.cholesky(SPD(x)), ((2, 3, 3),)),
    "solve": (L.solve, ((2, 3, 3), (2, 3, 2))),
    "solve a vector": (L.solve, ((2, 3, 3), (3,))),
    "solve for many": (L.solve, ((3, 3), (2, 3, 2))),
    "triangular": (lambda a, b: L.solve_triangular(a, b, 1, True), ((3, 3), (3, 2))),
    "inv": (L.inv, ((2, 3, 3),)),
    "det": (L.det, ((2, 3, 3),)),
    "slogdet": (lambda x: L.slogdet(x).logabsdet, ((2, 3, 3),)),
    "qr": (lambda x: gc.concat(list(L.qr(x)), axis=-2), ((2, 4, 3),)),
    "wide qr": (lambda x: gc.sin(L.qr(x).Q) @ L.qr(x).R, ((2, 4),)),
    "eigh": (lambda x: gc.square(L.eigh(SPD(x)).eigenvectors), ((2, 3, 3),)),
    "eigvalsh": (L.eigvalsh, ((2, 3, 3),)),
    "svd": (lambda x: gc.square(L.svd(x).U) @ gc.square(L.svd(x).Vh), ((4, 3),)),
    "svdvals": (L.svdvals, ((2, 3, 4),)),
    "pinv": (L.pinv, ((3, 2),)),
    "wide pinv": (L.pinv, ((2, 3),)),
    "matrix_power": (lambda x: L.matrix_power(x, -3), ((3, 3),)),
    "nuc": (lambda x: L.matrix_norm(x, ord="nuc"), ((2, 3, 2),)),
    "spectral": (lambda x: L.matrix_norm(x, ord=2), ((2, 3, 2),)),
    "norm": (lambda x: L.norm(x, axis=1), ((2, 3),)),
    "norm 3": (lambda x: L.norm(x, 3, axis=1), ((2, 3),)),
}


def weighted(out: Any) -> Any:
    """A number that tells all elements of `out` apart."""
    weights = np.cos(1.0 + np.arange(int(np.prod(out.shape)))).reshape(out.shape)
    return gc.sum(out * weights)


def operands(shapes: Any) -> list[Any]:
    arrays = [draw(*s, seed=7 + i) for i, s in enumerate(shapes)]
    return [a + 2 * np.eye(*a.shape[-2:]) if a.ndim > 1 else a for a in arrays]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_against_differences(name: str) -> None:
    function, shapes = FUNCTIONS[name]
    arrays = operands(shapes)
    xs = [gc.placeholder(gc.float64, a.shape) for a in arrays]
    first = gc.gradients(weighted(function(*xs)), xs)
    total = gc.stack([weighted(gc.sin(g)) for g in first])
    second = gc.gradients(total, xs)
    for out, found in ((function(*xs), first), (total, second)):
        weights = (
            np.ones(out.shape)
            if out is total
            else np.cos(1.0 + np.arange(int(np.prod(out.shape)))).reshape(out.shape)
        )
        values = compiled(found, dict(zip(xs, arrays, strict=True)))
        for i, value in enumerate(values):
            wanted = numeric_gradient(
                lambda *a, out=out: run(out, dict(zip(xs, a, strict=True))), arrays, weights, i
            )
            close(value, wanted, tolerance=2e-6)


TORCH: dict[str, Callable[[Any, Any], Any]] = {  # what does not depend on signs
    "cholesky": lambda m, x: m.cholesky(x @ x.mT + 1.0 * x.new_ones(3, 3)),
    "inv": lambda m, x: m.inv(x),
    "det": lambda m, x: m.det(x),
    "slogdet": lambda m, x: m.slogdet(x)[1],
    "eigvalsh": lambda m, x: m.eigvalsh(x + x.mT),
    "svdvals": lambda m, x: m.svdvals(x),
    "pinv": lambda m, x: m.pinv(x),
    "matrix_power": lambda m, x: m.matrix_power(x, 3),
    "nuc": lambda m, x: m.matrix_norm(x, ord="nuc"),
    "norm": lambda m, x: m.vector_norm(x),
    "eigh": lambda m, x: m.eigh(x + x.mT)[1] ** 2,
    "svd": lambda m, x: m.svd(x, full_matrices=False)[0] ** 2,
    "qr": lambda m, x: m.qr(x)[1] ** 2,
}
OURS: dict[str, Callable[[Any], Any]] = {
    "cholesky": lambda x: L.cholesky(x @ gc.matrix_transpose(x) + np.ones((3, 3))),
    "slogdet": lambda x: L.slogdet(x).logabsdet,
    "eigvalsh": lambda x: L.eigvalsh(x + gc.matrix_transpose(x)),
    "matrix_power": lambda x: L.matrix_power(x, 3),
    "nuc": lambda x: L.matrix_norm(x, ord="nuc"),
    "norm": L.vector_norm,
    "eigh": lambda x: gc.square(L.eigh(x + gc.matrix_transpose(x)).eigenvectors),
    "svd": lambda x: gc.square(L.svd(x).U),
    "qr": lambda x: gc.square(L.qr(x).R),
    "inv": L.inv,
    "det": L.det,
    "svdvals": L.svdvals,
    "pinv": L.pinv,
}


@pytest.mark.parametrize("name", TORCH)
def test_values_and_gradients_of_torch(name: str) -> None:
    (array,) = operands([(2, 3, 3)])

    def compute(torch: Any) -> Any:
        x = tensor(torch, array, grad=True)
        out = TORCH[name](torch.linalg, x)
        weights = torch.cos(1.0 + torch.arange(out.numel(), dtype=out.dtype)).reshape(out.shape)
        (first,) = torch.autograd.grad((out * weights).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(torch.sin(first).sum(), x)
        return [out, first, second]

    wanted = torch_case(name, compute)
    x = gc.placeholder(gc.float64, array.shape)
    out = OURS[name](x)
    (first,) = gc.gradients(weighted(out), [x])
    (second,) = gc.gradients(gc.sum(gc.sin(first)), [x])
    for w, g in zip(wanted, compiled([out, first, second], {x: array}), strict=True):
        close(g, w, tolerance=1e-7)


def test_equal_eigenvalues_have_gradients() -> None:
    """semantics 14.6"""
    x = gc.asarray(np.eye(3))
    out = [gc.sum(L.eigvalsh(x)), gc.sum(L.svdvals(x)), gc.sum(L.eigh(x).eigenvalues)]
    for y in out:
        close(compiled(gc.gradients(y, [x])[0]), np.eye(3))
    (slope,) = gc.gradients(weighted(L.pinv(x)), [x])
    (wanted,) = gc.gradients(weighted(L.inv(x)), [x])
    close(compiled(slope), compiled(wanted))


def test_one_factorisation_serves_solution_and_gradient() -> None:
    a, b = gc.placeholder(gc.float64, [4, 4]), gc.placeholder(gc.float64, [4, 2])
    x = L.solve(a, b)
    gradients = gc.gradients(gc.sum(gc.square(x)), [a, b])
    made = lower(stage([x, *gradients]).graph, options())
    assert [s.routines[0] for s in made.sources.values() if s.routines].count("LAPACKE_dgetrf") == 1


def test_batches_are_shared_among_threads() -> None:
    x = gc.placeholder(gc.float64, ["n", 8, 8])
    made = [L.inv(x), L.svd(x).U, L.eigvalsh(x), L.qr(x).R]
    array = draw(700, 8, 8) + 4 * np.eye(8)
    found = []
    for threads in (1, 2):
        with gc.Session(threads=threads) as sess:
            found.append(sess.run(made, {x: array}))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    close(found[0][0], np.linalg.inv(array))


def test_a_tolerance_for_each_matrix() -> None:
    """NumPy's: `rtol` [...] belongs to the matrices, not to their singular values."""
    x = np.stack([np.diag([1.0, 0.1, 0.01]), np.diag([1.0, 0.5, 0.4])])
    rtol = np.array([0.05, 0.45])
    found = run([L.matrix_rank(x, rtol), L.matrix_rank(x, 0.3), L.pinv(x, rtol), L.pinv(x, 0.3)])
    np.testing.assert_array_equal(found[0], [2, 2])
    np.testing.assert_array_equal(found[1], np.linalg.matrix_rank(x, 0.3))
    np.testing.assert_allclose(found[2], np.linalg.pinv(x, rtol))
    np.testing.assert_allclose(found[3], np.linalg.pinv(x, 0.3))
    assert L.matrix_rank(x[0], rtol).shape == (2,)
    assert L.pinv(gc.asarray(x, dtype=gc.float32), 0.3).dtype == gc.float32
