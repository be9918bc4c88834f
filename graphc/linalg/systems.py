"""Linear systems and what is computed like them: inverses, determinants, powers."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import GraphError, user_location
from graphc.frontend.arguments import integer, tensor
from graphc.frontend.gradients import custom_gradient
from graphc.frontend.tensor import Tensor, broadcast_to
from graphc.functions import elementary as el, pointwise as pw
from graphc.functions.creation import eye, iota, ones_like, size_tensor
from graphc.functions.linear import matmul
from graphc.functions.reductions import count_nonzero, max, prod, sum
from graphc.functions.shaping import expand_dims, matrix_transpose, reshape
from graphc.ir import dim
from graphc.ir.ops.lapack_orthogonal import Svd
from graphc.ir.ops.lapack_solve import Lu, LuSolve, TriangularSolve
from graphc.ir.types import i64
from graphc.linalg.arguments import matrix, square, system
from graphc.linalg.factorizations import svdvals

__all__ = [
    "SlogdetResult",
    "det",
    "inv",
    "matrix_power",
    "matrix_rank",
    "pinv",
    "slogdet",
    "solve",
    "solve_triangular",
]

TRANS = {0: False, 1: True, 2: True, "N": False, "T": True, "C": True}


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its absolute value."""

    sign: Tensor
    logabsdet: Tensor


def _by_factors(transposed: bool) -> Any:
    """x with a x = b, or a' x = b, through LU; gradient: Giles 2008, 2.3.1."""

    def backward(ct: Any, out: Any, a: Any, b: Any) -> Any:
        db = SOLVERS[not transposed](a, ct)
        da = matmul(out, matrix_transpose(db)) if transposed else matmul(db, matrix_transpose(out))
        return -da, db

    @custom_gradient(backward)
    def solver(a: Any, b: Any) -> Any:
        return LuSolve.on(Lu.on(a), b, rhs=b.shape[-1], transposed=transposed)

    return solver


SOLVERS = {False: _by_factors(False), True: _by_factors(True)}


def solve(a: Any, b: Any) -> Tensor:
    """x with `a @ x == b`, for square a [..., n, n] and b [n] or [..., n, k], f32 or f64, whose
    leading axes broadcast.

    A singular matrix gives NaN.  Raises `ShapeError`, `DTypeError`.

    >>> import graphc as gc
    >>> gc.linalg.solve(gc.eye(3), gc.zeros((5, 3, 2))).type
    f32[5,3,2]
    """
    left, right, restore = system("solve", a, b)
    return restore(SOLVERS[False](left, right))


def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Tensor:
    """x with `a @ x == b` for triangular a [..., n, n] and b [n] or [..., n, k], as SciPy's.

    Only the upper (with `lower`: the lower) triangle of a is read; with `unit_diagonal` its
    diagonal is not, but taken to be ones.  `trans` is 0 or "N", or 1 or "T" to solve with a.T.  A 0
    on the diagonal gives NaN.  Raises `ShapeError`, `DTypeError`, `GraphError`.

    >>> import graphc as gc
    >>> gc.linalg.solve_triangular(gc.eye(3), gc.zeros((3,)), lower=True).type
    f32[3]
    """
    if isinstance(trans, bool) or not isinstance(trans, int | str) or trans not in TRANS:
        raise GraphError(
            f"linalg.solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}",
            user_location(),
        )
    left, right, restore = system("solve_triangular", a, b)
    return restore(
        TriangularSolve.on(
            left,
            right,
            rhs=right.shape[-1],
            lower=bool(lower),
            transposed=TRANS[trans],
            unit=bool(unit_diagonal),
        )
    )


def _identity(t: Tensor) -> Tensor:
    """Identity matrices in the shape of t."""
    return broadcast_to(eye(t.shape[-1], dtype=t.dtype), t.shape)


def inv(x: Any) -> Tensor:
    """The inverses of square x [..., n, n], f32 or f64; NaN for a singular one.

    >>> import graphc as gc
    >>> gc.linalg.inv(gc.eye(3)).type
    f32[3,3]
    """
    return _inverse(square("inv", "x", x))


def _inverse(t: Tensor) -> Tensor:
    found: Tensor = SOLVERS[False](t, _identity(t))
    return found


def _factored(t: Any) -> tuple[Tensor, Tensor]:
    """The diagonal of the LU factors [..., n], and the sign of their exchange of columns."""
    packed = Lu.on(t)
    n = t.shape[-1]
    same = pw.equal(iota(t.shape, -2), iota(t.shape, -1))
    diagonal = sum(pw.where(same, packed[..., :n, :], 0.0), axis=-1)
    places = packed[..., n, :]
    moved = pw.not_equal(places, pw.astype(iota(places.shape, -1), t.dtype))
    return diagonal, prod(pw.where(moved, -1.0, ones_like(places)), axis=-1)


def det(x: Any) -> Tensor:
    """The determinants [...] of square x [..., n, n], f32 or f64.

    The gradient is that of Jacobi's formula by the inverse: NaN where x is singular.

    >>> import graphc as gc
    >>> gc.linalg.det(gc.zeros((5, 3, 3))).type
    f32[5]
    """
    found: Tensor = _det(square("det", "x", x))
    return found


def _scaled_inverse(factor: Tensor, x: Tensor) -> Tensor:
    """factor * x'^-1."""
    return pw.multiply(reshape(factor, (*factor.shape, 1, 1)), matrix_transpose(_inverse(x)))


@custom_gradient(lambda ct, out, x: _scaled_inverse(pw.multiply(ct, out), x))
def _det(x: Any) -> Any:
    diagonal, sign = _factored(x)
    return pw.multiply(sign, prod(diagonal, axis=-1))


def slogdet(x: Any) -> SlogdetResult:
    """(sign, logabsdet) [...] of the determinants of square x [..., n, n], f32 or f64: 0 and -inf
    for a singular one.

    >>> import graphc as gc
    >>> gc.linalg.slogdet(gc.eye(3)).logabsdet.type
    f32[]
    """
    t = square("slogdet", "x", x)
    diagonal, sign = _factored(t)
    return SlogdetResult(pw.multiply(sign, prod(pw.sign(diagonal), axis=-1)), _logabsdet(t))


@custom_gradient(lambda ct, out, x: _scaled_inverse(ct, x))
def _logabsdet(x: Any) -> Any:
    return sum(el.log(pw.abs(_factored(x)[0])), axis=-1)


def matrix_power(x: Any, n: int) -> Tensor:
    """Square x [..., k, k], f32 or f64, to the power of an int; a negative one of the inverse.

    >>> import graphc as gc
    >>> gc.linalg.matrix_power(gc.eye(3), -2).type
    f32[3,3]
    """
    t, left = square("matrix_power", "x", x), integer("linalg.matrix_power", "n", n)
    if left == 0:
        return _identity(t)
    power, found = t if left > 0 else _inverse(t), None
    left = abs(left)
    while left:
        if left & 1:
            found = power if found is None else matmul(found, power)
        left >>= 1
        power = matmul(power, power) if left else power
    assert found is not None
    return found


def pinv(x: Any, rtol: Any = None) -> Tensor:
    """The pseudo-inverses [..., n, m] (Moore, Penrose) of x [..., m, n], f32 or f64.

    Singular values of at most `rtol` times the largest count as 0: one number, or one for each
    matrix; by default max(m, n) times the type's epsilon.  Gradient: Golub and Pereyra 1973,
    equation 4.12; it holds where the rank does not change.

    >>> import graphc as gc
    >>> gc.linalg.pinv(gc.zeros((5, 4, 3))).type
    f32[5,3,4]
    """
    t = matrix("pinv", "x", x)

    @custom_gradient(_pinv_gradient)
    def compute(a: Any) -> Any:
        packed = Svd.on(a)
        u, s, vh = packed.op.parts(packed)
        kept = pw.greater(s, _threshold("pinv", a, s, rtol))
        inverse = pw.where(kept, pw.divide(1.0, pw.where(kept, s, 1.0)), 0.0)
        columns = pw.multiply(matrix_transpose(vh), expand_dims(inverse, -2))
        return matmul(columns, matrix_transpose(u))

    found: Tensor = compute(t)
    return found


def _pinv_gradient(ct: Any, p: Any, x: Any) -> Any:
    pt, ctt = matrix_transpose(p), matrix_transpose(ct)
    left = matmul(matmul(ctt, p), pt)
    right = matmul(matmul(pt, p), ctt)
    found = left - matmul(x, matmul(p, left)) + right - matmul(matmul(right, p), x)
    return found - matmul(matmul(pt, ct), pt)


def _threshold(what: str, x: Tensor, s: Tensor, rtol: Any) -> Tensor:
    """rtol times the largest singular value [..., 1]; rtol is a number or [...]."""
    m, n = x.shape[-2:]
    if rtol is None:
        eps = 2.0**-23 if x.dtype.size == 4 else 2.0**-52
        rtol = pw.multiply(size_tensor(m if m == n else dim.maximum(m, n), x.dtype), eps)
    elif not isinstance(rtol, int | float):
        rtol = expand_dims(tensor(f"linalg.{what}", rtol), -1)
    return pw.multiply(max(s, axis=-1, keepdims=True), rtol)


def matrix_rank(x: Any, rtol: Any = None) -> Tensor:
    """How many singular values of x [..., m, n] exceed `rtol` times the largest (i64): one number,
    or one for each matrix; by default max(m, n) times the type's epsilon.

    >>> import graphc as gc
    >>> gc.linalg.matrix_rank(gc.zeros((5, 4, 3))).type
    i64[5]
    """
    t = matrix("matrix_rank", "x", x)
    s = svdvals(t)
    above = pw.greater(s, _threshold("matrix_rank", t, s, rtol))
    return pw.astype(count_nonzero(above, axis=-1), i64)
