"""Factorisations, under NumPy's names, with leading batch axes."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import GraphError, user_location
from graphc.frontend.tensor import Tensor
from graphc.functions.shaping import matrix_transpose
from graphc.ir.ops.lapack_orthogonal import Eigh, Qr, Svd
from graphc.ir.ops.lapack_solve import Cholesky
from graphc.linalg.arguments import matrix, square

__all__ = [
    "EighResult",
    "QRResult",
    "SVDResult",
    "cholesky",
    "eigh",
    "eigvalsh",
    "qr",
    "svd",
    "svdvals",
]


class QRResult(NamedTuple):
    """Orthonormal columns, and the upper triangle."""

    Q: Tensor
    R: Tensor


class EighResult(NamedTuple):
    """Eigenvalues in rising order; eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVDResult(NamedTuple):
    """Left singular vectors as columns, singular values in falling order, right ones as rows."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def cholesky(x: Any, *, upper: bool = False) -> Tensor:
    """The lower triangular L [..., n, n] with `L @ L.T == x`; with `upper`, its transpose.

    x [..., n, n], f32 or f64, is symmetric positive definite: of others the symmetric part
    `(x + x.T) / 2` is taken.  A matrix that is not positive definite gives NaN.  Raises
    `ShapeError` and `DTypeError`.  Gradient: Murray 2016.

    >>> import graphc as gc
    >>> gc.linalg.cholesky(gc.eye(3)).type
    f32[3,3]
    """
    found: Tensor = Cholesky.on(square("cholesky", "x", x))
    return matrix_transpose(found) if upper else found


def qr(x: Any, mode: str = "reduced") -> QRResult:
    """`x == Q @ R`: Q [..., m, k] with orthonormal columns, R [..., k, n] upper triangular, where
    k = min(m, n).  The diagonal of R is not negative.

    x [..., m, n] is f32 or f64.  The gradient needs the first k columns of x to be independent.
    Raises `ShapeError`, `DTypeError`, and `GraphError` for another `mode`.

    >>> import graphc as gc
    >>> q, r = gc.linalg.qr(gc.zeros((2, 4, 3)))
    >>> q.type, r.type
    (f32[2,4,3], f32[2,3,3])
    """
    if mode != "reduced":
        raise GraphError(
            f"linalg.qr: mode must be 'reduced', got {mode!r}; Q is not completed", user_location()
        )
    packed = Qr.on(matrix("qr", "x", x))
    return QRResult(*packed.op.parts(packed))


def eigh(x: Any) -> EighResult:
    """Eigenvalues [..., n] in rising order and eigenvectors [..., n, n], as columns, of symmetric
    x: `x @ v == v * w[..., None, :]`.

    Of x [..., n, n], f32 or f64, the symmetric part is taken.  The largest component of each
    vector (the first of equals) is positive.  Gradient (Giles 2008): between equal eigenvalues,
    whose vectors are not determined, nothing flows.  Raises `ShapeError`, `DTypeError`.

    >>> import graphc as gc
    >>> w, v = gc.linalg.eigh(gc.eye(3))
    >>> w.type, v.type
    (f32[3], f32[3,3])
    """
    packed = Eigh.on(square("eigh", "x", x))
    values, rows = packed.op.parts(packed)
    return EighResult(values, matrix_transpose(rows))


def eigvalsh(x: Any) -> Tensor:
    """The eigenvalues [..., n] of symmetric x [..., n, n] in rising order.

    >>> import graphc as gc
    >>> gc.linalg.eigvalsh(gc.zeros((5, 3, 3))).type
    f32[5,3]
    """
    found: Tensor = Eigh.on(square("eigvalsh", "x", x), vectors=False)
    return found


def svd(x: Any, full_matrices: bool = False) -> SVDResult:
    """`x == U @ diag(S) @ Vh`: U [..., m, k], S [..., k] in falling order, Vh [..., k, n], where
    k = min(m, n).

    x [..., m, n] is f32 or f64.  The largest component of each column of U (the first of equals)
    is positive.  Gradient (Townsend 2016): between equal singular values nothing flows, and
    nothing through the reciprocal of one that is 0.  Raises `ShapeError`, `DTypeError`, and
    `GraphError` for `full_matrices` (NumPy's default), which are not computed.

    >>> import graphc as gc
    >>> u, s, vh = gc.linalg.svd(gc.zeros((4, 3)))
    >>> u.type, s.type, vh.type
    (f32[4,3], f32[3], f32[3,3])
    """
    if full_matrices:
        raise GraphError(
            "linalg.svd: full_matrices is not supported; expected False", user_location()
        )
    packed = Svd.on(matrix("svd", "x", x))
    return SVDResult(*packed.op.parts(packed))


def svdvals(x: Any) -> Tensor:
    """The singular values [..., min(m, n)] of x [..., m, n] in falling order.

    >>> import graphc as gc
    >>> gc.linalg.svdvals(gc.zeros((5, 4, 3))).type
    f32[5,3]
    """
    found: Tensor = Svd.on(matrix("svdvals", "x", x), vectors=False)
    return found
