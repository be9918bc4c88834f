"""Orthogonal factorisations of f32 and f64 matrices by LAPACK: QR, eigenvalues, singular values.

Each gives all its parts in one array; views take them out at no cost.  Signs, which the
factorisations leave open, are fixed (semantics 14): the diagonal of R is not negative, and the
largest component of each eigenvector and each left singular vector is positive.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.op import sample
from graphc.ir.ops.lapack import MALLOC_AND_FREE, Matrices, each, spread, triangle
from graphc.ir.ops.lapack_solve import TriangularSolve
from graphc.ir.ops.logic import Equal
from graphc.ir.ops.matmul import Matmul, swap
from graphc.ir.ops.pointwise import Where
from graphc.ir.ops.reduction import Broadcast
from graphc.ir.ops.shape import Concat, Iota, Reshape, Slice
from graphc.ir.types import TensorType, f32, f64, i64


def block(x: Any, start: Size, rows: Size, columns: Size) -> Any:
    """Rows from `start` on of the matrices of x, and their first columns."""
    lead = x.type.shape[:-2]
    starts = (*(0,) * len(lead), start, 0)
    return Slice(starts, (1,) * x.type.rank, (*lead, rows, columns))(x)


def segment(x: Any, start: Size, shape: Shape) -> Any:
    """The elements from `start` on of the last axis of x, as `shape`."""
    lead = x.type.shape[:-1]
    starts = (*(0,) * len(lead), start)
    flat = Slice(starts, (1,) * x.type.rank, (*lead, dim.product(shape)))(x)
    return Reshape((*lead, *shape))(flat)


def scaled(x: Any, v: Any, axis: int = -1) -> Any:
    """The matrices x, each column (axis -2: each row) times an element of v."""
    rank = x.type.rank
    axes = (*range(rank - 2), rank + axis)
    return x * Broadcast(axes, x.type.shape)(v)


def on_diagonal(v: Any) -> Any:
    """The diagonal matrices of the last axis of v."""
    shape = (*v.type.shape, v.type.shape[-1])
    i, j = (v.apply(Iota(axis, i64, shape), ()) for axis in (len(shape) - 2, len(shape) - 1))
    grown = Broadcast(tuple(range(len(shape) - 1)), shape)(v)
    return Where()(Equal()(i, j), grown, 0.0)


def reciprocal(x: Any) -> Any:
    """1 / x, and 0 where x is 0: directions that two equal values leave open add nothing."""
    zero = Equal()(x, 0.0)
    return Where()(zero, 0.0, 1.0 / Where()(zero, 1.0, x))


def gaps(v: Any) -> Any:
    """1 / (v[j] - v[i]) at [i, j]; 0 for equal values."""
    shape = (*v.type.shape, v.type.shape[-1])
    lead = tuple(range(len(shape) - 2))
    by_row = Broadcast((*lead, len(shape) - 2), shape)(v)
    return reciprocal(Broadcast((*lead, len(shape) - 1), shape)(v) - by_row)


def mm(a: Any, b: Any, ta: bool = False, tb: bool = False) -> Any:
    """The product of matrices."""
    return Matmul(ta, tb)(a, b)


def turned(vectors: Any) -> Any:
    """Rows with the largest component (the first of equals) made positive, and the signs."""
    if vectors.size == 0:
        return vectors, np.ones(len(vectors), vectors.dtype)
    largest = np.argmax(np.abs(vectors), axis=1)
    signs = np.where(vectors[np.arange(len(vectors)), largest] < 0, -1, 1).astype(vectors.dtype)
    return vectors * signs[:, None], signs


class Qr(Matrices):
    """x = Q R with k = min(m, n) orthonormal columns: rows 0..m of the result hold Q in their
    first k columns, rows m..m+k hold R."""

    square = False
    samples = (
        sample(f64[4, 3], batch=1, rows=4, columns=3, prepare=spread),
        sample(f64[2, 3, 3], batch=2, rows=3, columns=3, prepare=spread),
        sample(f64[2, 4], batch=1, rows=2, columns=4, prepare=spread),
        sample(f32[1, 1], batch=1, rows=1, columns=1, prepare=spread),
        sample(f32[0, 2], batch=1, rows=0, columns=2, prepare=spread),
        sample(f32[2, 0], batch=1, rows=2, columns=0, prepare=spread),
    )

    def parts(self, out: Any) -> tuple[Any, Any]:
        """(Q, R) of the packed result."""
        m, n, k = self.sizes
        return block(out, 0, m, k), block(out, m, k, n)

    def result(self, x: TensorType) -> Shape:
        return (self.rows + dim.minimum(self.rows, self.columns), self.columns)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        m, n = x.shape[-2:]
        return each(_qr, (m + min(m, n), n), x)

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (self.rows, self.columns, dim.minimum(self.rows, self.columns))

    @property
    def routines(self) -> tuple[str, ...]:
        return ("LAPACKE_?gelqf", "LAPACKE_?orglq", *MALLOC_AND_FREE)

    def source(self, out: TensorType, *types: TensorType) -> str:
        t = out.dtype
        return f"""\
    zero = {t}(0.0)
    memory = acquire(f2, 8 * n2 + 8)
    tau = {t}_memory(memory)
    for b in range(lo, hi):
        o = b * (n0 + n2) * n1
        r = o + n0 * n1
        bad = zero
        for i in range(n0 * n1):
            x = a0[b * n0 * n1 + i]
            bad = fold_add(bad, x * zero)
            out[o + i] = x
        failed = bad != zero or memory == 0
        if not failed and n2 > 0:
            failed = routine(f0, 102, n1, n0, at(out, o), n1, tau) != 0
        if not failed and n2 > 0:
            for i in range(n2):
                for j in range(n1):
                    out[r + i * n1 + j] = out[o + i * n1 + j] if j >= i else zero
            failed = routine(f1, 102, n2, n0, n2, at(out, o), n1, tau) != 0
        for i in range(n0):
            for j in range(n2, n1):
                out[o + i * n1 + j] = zero
        for i in range(n2):
            if out[r + i * n1 + i] < zero:
                for j in range(i, n1):
                    out[r + i * n1 + j] = -out[r + i * n1 + j]
                for j in range(n0):
                    out[o + j * n1 + i] = -out[o + j * n1 + i]
        if failed:
            for i in range((n0 + n2) * n1):
                out[o + i] = {t}(nan)
    release(f3, memory)
"""

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        """Walter and Lehmann (2010); wide matrices by their first k columns, as Roberts and
        Roberts, "QR and LQ decomposition matrix backpropagation" (2020)."""
        (x,) = args
        m, n, k = self.sizes
        (q, r), (dq, dr) = self.parts(out), self.parts(ct)
        if k == n:
            return (_qr_vjp(q, r, dq, dr),)
        rank, lead = x.type.rank, x.type.shape[:-2]
        at, steps = (*(0,) * (rank - 1), k), (1,) * rank
        beyond = Slice(at, steps, (*lead, k, n - k))(dr)
        other_columns = Slice(at, steps, (*lead, m, n - k))(x)
        dq = dq + mm(other_columns, beyond, tb=True)
        first_columns = _qr_vjp(q, block(r, 0, k, k), dq, block(dr, 0, k, k))
        return (Concat(rank - 1)(first_columns, mm(q, beyond)),)


def _qr_vjp(q: Any, r: Any, dq: Any, dr: Any) -> Any:
    """(dQ + Q copyltu(R dR' - dQ' Q)) R'^-1, where copyltu mirrors the lower triangle."""
    m = mm(r, dr, tb=True) - mm(dq, q, ta=True)
    mirrored = triangle(m, lower=True) + swap(triangle(m, lower=True, strict=True))
    sides = swap(dq + mm(q, mirrored))
    return swap(TriangularSolve.on(r, sides, rhs=sides.type.shape[-1], lower=False))


def _qr(x: Any) -> Any:
    q, r = np.linalg.qr(x)
    signs = np.where(np.diag(r) < 0, -1, 1).astype(x.dtype)
    padded = np.pad(q * signs, ((0, 0), (0, x.shape[1] - q.shape[1])))
    return np.concatenate([padded, r * signs[:, None]])


TRANSPOSE_SOURCE = """\
        for i in range({count}):
            largest = zero
            sign = zero
            for j in range({size}):
                x = out[{at}]
                if absolute(x) > largest:
                    largest = absolute(x)
                    sign = x
            if sign < zero:
                for j in range({size}):
                    out[{at}] = -out[{at}]
"""


class Eigh(Matrices):
    """Eigenvalues in rising order, of the symmetric part of x; with `vectors`, as the first row of
    n + 1, the others being the eigenvectors."""

    vectors: bool = True
    samples = (
        sample(f64[3, 3], batch=1, rows=3, columns=3, prepare=spread),
        sample(f64[2, 3, 3], batch=2, rows=3, columns=3, vectors=False, prepare=spread),
        *(sample(f32[n, n], batch=1, rows=n, columns=n, prepare=spread) for n in (0, 1, 5)),
    )

    def result(self, x: TensorType) -> Shape:
        return (self.columns + 1, self.columns) if self.vectors else (self.columns,)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        n = x.shape[-1]
        shape: tuple[int, ...] = (n + 1, n) if self.vectors else (n,)
        return each(lambda m: self._eigh(m / 2 + m.T / 2), shape, x)

    def _eigh(self, x: Any) -> Any:
        if x.size == 0:
            return np.zeros((1, 0) if self.vectors else (0,), x.dtype)
        values, columns = np.linalg.eigh(x)
        return np.concatenate([values[None], turned(columns.T)[0]]) if self.vectors else values

    @property
    def routines(self) -> tuple[str, ...]:
        return ("LAPACKE_?syevd", *MALLOC_AND_FREE)

    def source(self, out: TensorType, *types: TensorType) -> str:
        t, size = out.dtype, out.dtype.size
        work, total = ("out", "(n0 + 1) * n0") if self.vectors else ("matrix", "n0")
        turn = (
            TRANSPOSE_SOURCE.format(count="n0", size="n0", at="w + i * n0 + j")
            if self.vectors
            else ""
        )
        return f"""\
    half, zero = {t}(0.5), {t}(0.0)
    memory = acquire(f1, {0 if self.vectors else size} * n0 * n0 + 8)
    matrix = {t}_memory(memory)
    for b in range(lo, hi):
        o = b * {total}
        w = {"o + n0" if self.vectors else "0"}
        bad = zero
        for i in range(n0):
            for j in range(n0):
                x = half * a0[(b * n0 + i) * n0 + j] + half * a0[(b * n0 + j) * n0 + i]
                bad = fold_add(bad, x * zero)
                if memory != 0:
                    {work}[w + i * n0 + j] = x
        failed = bad != zero or memory == 0
        if not failed and n0 > 0:
            failed = routine(
                f0, 102, {86 if self.vectors else 78}, 85, n0, at({work}, w), n0, at(out, o)) != 0
{turn}        if failed:
            for i in range({total}):
                out[o + i] = {t}(nan)
    release(f2, memory)
"""

    def parts(self, out: Any) -> tuple[Any, Any]:
        """(the values, the vectors as rows) of the packed result."""
        n = self.columns
        values = Reshape((*out.type.shape[:-2], n))(block(out, 0, 1, n))
        return values, block(out, 1, n, n)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        """Giles, "Collected matrix derivative results" (2008), 3.1."""
        if not self.vectors:
            op = Eigh(self.batch, self.rows, self.columns)
            _, rows = op.parts(op(args[0]))
            return (mm(scaled(rows, ct, -2), rows, ta=True),)
        (values, rows), (dvalues, drows) = self.parts(out), self.parts(ct)
        inner = on_diagonal(dvalues) + gaps(values) * mm(rows, drows, tb=True)
        full = mm(rows, mm(inner, rows), ta=True)
        return ((full + swap(full)) * 0.5,)


class Svd(Matrices):
    """Singular values in falling order, k = min(m, n) of them; with `vectors`, one after the other
    on one axis: the m * k elements of U, the values, the k * n elements of V'."""

    vectors: bool = True
    square = False
    samples = (
        sample(f64[3, 3], batch=1, rows=3, columns=3, prepare=spread),
        sample(f64[4, 2], batch=1, rows=4, columns=2, prepare=spread),
        sample(f64[2, 2, 3], batch=2, rows=2, columns=3, prepare=spread),
        sample(f64[3, 4], batch=1, rows=3, columns=4, vectors=False, prepare=spread),
        sample(f32[1, 1], batch=1, rows=1, columns=1, prepare=spread),
        sample(f32[0, 2], batch=1, rows=0, columns=2, prepare=spread),
    )

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (self.rows, self.columns, dim.minimum(self.rows, self.columns))

    def result(self, x: TensorType) -> Shape:
        m, n, k = self.sizes
        return ((m + n + 1) * k,) if self.vectors else (k,)

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        m, n = x.shape[-2:]
        k = min(m, n)
        return each(self._svd, ((m + n + 1) * k,) if self.vectors else (k,), x)

    def _svd(self, x: Any) -> Any:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        columns, signs = turned(u.T)
        rows = vh * signs[:, None]
        return np.concatenate([columns.T.ravel(), s, rows.ravel()]) if self.vectors else s

    @property
    def routines(self) -> tuple[str, ...]:
        return ("LAPACKE_?gesdd", *MALLOC_AND_FREE)

    def source(self, out: TensorType, *types: TensorType) -> str:
        t, size = out.dtype, out.dtype.size
        job, s, total = (
            (83, "o + n0 * n2", "(n0 + n1 + 1) * n2") if self.vectors else (78, "o", "n2")
        )
        right = "at(out, v)" if self.vectors else "matrix"
        left = "at(out, o)" if self.vectors else "matrix"
        turn = (
            TRANSPOSE_SOURCE.format(count="n2", size="n0", at="o + j * n2 + i").rstrip()
            + """
                for j in range(n1):
                    out[v + i * n1 + j] = -out[v + i * n1 + j]
"""
            if self.vectors
            else ""
        )
        return f"""\
    zero = {t}(0.0)
    memory = acquire(f1, {size} * n0 * n1 + 8)
    matrix = {t}_memory(memory)
    for b in range(lo, hi):
        o = b * {total}
        s = {s}
        v = s + n2
        bad = zero
        for i in range(n0 * n1):
            x = a0[b * n0 * n1 + i]
            bad = fold_add(bad, x * zero)
            if memory != 0:
                matrix[i] = x
        failed = bad != zero or memory == 0
        if not failed and n2 > 0:
            failed = routine(
                f0, 102, {job}, n1, n0, matrix, n1, at(out, s), {right}, n1, {left}, n2) != 0
{turn}        if failed:
            for i in range({total}):
                out[o + i] = {t}(nan)
    release(f2, memory)
"""

    def parts(self, out: Any) -> tuple[Any, Any, Any]:
        """(U, the values, V') of the packed result."""
        m, n, k = self.sizes
        return segment(out, 0, (m, k)), segment(out, m * k, (k,)), segment(out, m * k + k, (k, n))

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        """Townsend, "Differentiating the singular value decomposition" (2016)."""
        if not self.vectors:
            op = Svd(self.batch, self.rows, self.columns)
            u, _, vh = op.parts(op(args[0]))
            return (mm(scaled(u, ct), vh),)
        m, n, k = self.sizes
        (u, s, vh), (du, ds, dvh) = self.parts(out), self.parts(ct)
        left, right = mm(u, du, ta=True), mm(vh, dvh, tb=True)
        gap = gaps(s * s)
        inner = scaled(gap * (left - swap(left)), s) + on_diagonal(ds)
        inner = inner + scaled(gap * (right - swap(right)), s, -2)
        dx = mm(u, mm(inner, vh))
        if m != k:
            dx = dx + mm(scaled(du - mm(u, left), reciprocal(s)), vh)
        if n != k:
            outside_rows = dvh - mm(mm(dvh, vh, tb=True), vh)
            dx = dx + mm(u, scaled(outside_rows, reciprocal(s), -2))
        return (dx,)
