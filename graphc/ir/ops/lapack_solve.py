"""Factorisations and triangular systems of f32 and f64 matrices, by LAPACK and BLAS.

LAPACK stores columns one after the other, so it sees our matrices transposed; the routines are
chosen so that no matrix needs to be copied transposed.  A matrix that cannot be factorised,
or that holds an infinity or a NaN, gives NaN everywhere (semantics 14).  Each matrix of a batch is
one part of the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.dim import Shape, Size
from graphc.ir.op import sample
from graphc.ir.ops.lapack import MALLOC_AND_FREE, Matrices, each, spread, symmetric, triangle
from graphc.ir.ops.matmul import Matmul, swap
from graphc.ir.requirement import Requirement, all_equal, equal
from graphc.ir.types import TensorType, f32, f64


class Cholesky(Matrices):
    """The lower triangular L with L L' = x, of the symmetric part of x; NaN if not positive
    definite."""

    samples = (
        *(sample(f32[n, n], batch=1, rows=n, columns=n, prepare=spread) for n in (4, 1, 0)),
        sample(f64[2, 3, 3], batch=2, rows=3, columns=3, prepare=spread),
        sample(f32[0, 3, 3], batch=0, rows=3, columns=3, prepare=spread),
    )

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        return each(lambda m: np.linalg.cholesky(m / 2 + m.T / 2), x.shape[-2:], x)

    @property
    def routines(self) -> tuple[str, ...]:
        return ("LAPACKE_?potrf",)

    def source(self, out: TensorType, *types: TensorType) -> str:
        t = out.dtype
        return f"""\
    half, zero = {t}(0.5), {t}(0.0)
    for b in range(lo, hi):
        o = b * n0 * n0
        bad = zero
        for i in range(n0):
            for j in range(n0):
                x = half * a0[o + i * n0 + j] + half * a0[o + j * n0 + i]
                bad = fold_add(bad, x * zero)
                out[o + i * n0 + j] = x if j <= i else zero
        info = 0
        if bad == zero and n0 > 0:
            info = routine(f0, 102, 85, n0, at(out, o), n0)
        if bad != zero or info != 0:
            for i in range(n0 * n0):
                out[o + i] = {t}(nan)
"""

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        """Murray, "Differentiation of the Cholesky decomposition" (2016), equation 8."""
        inner = Matmul(True, False)(out, ct)
        inner = (triangle(inner, lower=True) + triangle(inner, lower=True, strict=True)) * 0.5
        options = {"rhs": out.type.shape[-1], "lower": True, "transposed": True, "unit": False}
        left = TriangularSolve.on(out, inner, **options)
        return (symmetric(TriangularSolve.on(out, swap(left), **options)),)


class TriangularSolve(Matrices):
    """x with a x = b (or a' x = b), reading one triangle of a; NaN if its diagonal holds a 0.

    `unit` takes the diagonal to be ones, unread.
    """

    rhs: Size
    lower: bool = False
    transposed: bool = False
    unit: bool = False
    samples = (
        *(
            sample(
                f64[3, 3],
                f64[3, 2],
                batch=1,
                rows=3,
                columns=3,
                rhs=2,
                lower=lower,
                transposed=transposed,
                unit=unit,
                prepare=spread,
            )
            for lower in (False, True)
            for transposed in (False, True)
            for unit in (False, True)
        ),
        sample(f32[2, 4, 4], f32[2, 4, 3], batch=2, rows=4, columns=4, rhs=3, prepare=spread),
        sample(f32[0, 0], f32[0, 3], batch=1, rows=0, columns=0, rhs=3, prepare=spread),
        sample(f32[2, 2], f32[2, 0], batch=1, rows=2, columns=2, rhs=0, prepare=spread),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        a, b = types
        inner = all_equal((a.shape[-1], self.rhs), b.shape[-2:])
        return (*super().requires(a), *inner, *all_equal(a.shape[:-2], b.shape[:-2]))

    def infer(self, *types: TensorType) -> TensorType:
        a, b = types
        super().infer(*types)
        if a.rank != b.rank:
            raise ShapeError(f"{self.name}: ranks differ: {a} and {b}")
        return b

    def reference(self, *arrays: Any) -> Any:
        a, b = arrays
        full = (np.tril if self.lower else np.triu)(a, (1 - 2 * self.lower) * self.unit)
        full = full + np.eye(a.shape[-1], dtype=a.dtype) if self.unit else full
        full = np.swapaxes(full, -1, -2) if self.transposed else full
        return each(np.linalg.solve, b.shape[-2:], full, b)

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (self.rows, self.rhs)

    @property
    def routines(self) -> tuple[str, ...]:
        return ("cblas_?trsm",)

    def source(self, out: TensorType, *types: TensorType) -> str:
        t = out.dtype
        flags = f"{122 if self.lower else 121}, {112 if self.transposed else 111}, " + (
            "132" if self.unit else "131"
        )
        if self.lower:
            columns = "i" if self.unit else "i + 1"
        else:
            columns = "i + 1, n0" if self.unit else "i, n0"
        return f"""\
    zero = {t}(0.0)
    for b in range(lo, hi):
        o = b * n0 * n1
        d = b * n0 * n0
        bad = zero
        for i in range(n0):
            for j in range({columns}):
                bad = fold_add(bad, a0[d + i * n0 + j] * zero)
        for i in range(n0 * n1):
            out[o + i] = a1[o + i]
        failed = bad != zero
        for i in range({0 if self.unit else "n0"}):
            failed = failed or a0[d + i * n0 + i] == zero
        if failed:
            for i in range(n0 * n1):
                out[o + i] = {t}(nan)
        elif n0 * n1 > 0:
            procedure(f0, 101, 141, {flags}, n0, n1, {t}(1.0), at(a0, d), n0, at(out, o), n1)
"""

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        """Giles, "Collected matrix derivative results" (2008), 2.3.1: db solves the transposed
        system, da = -db x'."""
        options = {"rhs": self.rhs, "lower": self.lower, "unit": self.unit}
        db = TriangularSolve.on(args[0], ct, transposed=not self.transposed, **options)
        da = Matmul(False, True)(*((out, db) if self.transposed else (db, out)))
        return triangle(-da, self.lower, self.unit), db


class Lu(Matrices):
    """The factors of x = L U P', packed in n + 1 rows: L below and on the diagonal, U (whose
    diagonal is ones) above it, and then the column that each column was exchanged with."""

    differentiable = False
    samples = (
        *(
            sample(
                f64[n, n],
                batch=1,
                rows=n,
                columns=n,
                prepare=lambda x: (x + np.sin(np.arange(x.size)).reshape(x.shape),),
            )
            for n in (4, 1, 0)
        ),
        sample(f32[2, 3, 3], batch=2, rows=3, columns=3, prepare=spread),
    )

    def result(self, x: TensorType) -> Shape:
        return (x.shape[-2] + 1, x.shape[-1])

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays
        return each(_lu, (x.shape[-1] + 1, x.shape[-1]), x)

    @property
    def routines(self) -> tuple[str, ...]:
        return ("LAPACKE_?getrf", *MALLOC_AND_FREE)

    def source(self, out: TensorType, *types: TensorType) -> str:
        t = out.dtype
        return f"""\
    zero = {t}(0.0)
    memory = acquire(f1, 4 * n0 + 4)
    pivots = i32_memory(memory)
    for b in range(lo, hi):
        o = b * (n0 + 1) * n0
        bad = zero
        for i in range(n0 * n0):
            x = a0[b * n0 * n0 + i]
            bad = fold_add(bad, x * zero)
            out[o + i] = x
        info = 0
        failed = bad != zero or memory == 0
        if not failed and n0 > 0:
            info = routine(f0, 102, n0, n0, at(out, o), n0, pivots)
        if failed or info < 0:
            for i in range((n0 + 1) * n0):
                out[o + i] = {t}(nan)
        else:
            for i in range(n0):
                out[o + n0 * n0 + i] = {t}(pivots[i] - 1)
    release(f2, memory)
"""


def _lu(x: Any) -> Any:
    """Gaussian elimination over columns, the largest element of a row first."""
    n = len(x)
    out = np.concatenate([x, np.zeros((1, n), x.dtype)])
    for k in range(n):
        p = k + int(np.argmax(np.abs(out[k, k:])))
        out[:n, [k, p]] = out[:n, [p, k]]
        out[n, k] = p
        if out[k, k] != 0:
            out[k, k + 1 :] /= out[k, k]
            out[k + 1 : n, k + 1 :] -= np.outer(out[k + 1 : n, k], out[k, k + 1 :])
    return out


def factors(x: Any, b: Any) -> tuple[Any, Any]:
    """Samples of `LuSolve`: factors of a sound matrix, and a right-hand side."""
    (sound,) = spread(x[..., :-1, :])
    return each(_lu, x.shape[-2:], sound), b


class LuSolve(Matrices):
    """x with a x = b (or a' x = b), of the factors of a; NaN if a is singular."""

    rhs: Size
    transposed: bool = False
    differentiable, square = False, False
    samples = (
        *(
            sample(
                f64[2, 4, 3],
                f64[2, 3, 2],
                batch=2,
                rows=4,
                columns=3,
                rhs=2,
                transposed=transposed,
                prepare=factors,
            )
            for transposed in (False, True)
        ),
        sample(f32[1, 0], f32[0, 2], batch=1, rows=1, columns=0, rhs=2, prepare=factors),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        lu, b = types
        inner = equal(self.rows, self.columns + 1), equal(lu.shape[-1], b.shape[-2])
        outer = equal(self.rhs, b.shape[-1]), *all_equal(lu.shape[:-2], b.shape[:-2])
        return (*super().requires(lu), *inner, *outer)

    def infer(self, *types: TensorType) -> TensorType:
        super().infer(*types)
        if types[0].rank != types[1].rank:
            raise ShapeError(f"{self.name}: ranks differ: {types[0]} and {types[1]}")
        return types[1]

    def reference(self, *arrays: Any) -> Any:
        return each(self._solve, arrays[1].shape[-2:], *arrays)

    def _solve(self, lu: Any, b: Any) -> Any:
        n = len(b)
        a = np.tril(lu[:n]) @ (np.triu(lu[:n], 1) + np.eye(n, dtype=lu.dtype))
        for k in range(n - 1, -1, -1):
            p = int(lu[n, k])
            a[:, [k, p]] = a[:, [p, k]]
        if np.any(np.diag(lu) == 0):
            raise np.linalg.LinAlgError
        return np.linalg.solve(a.T if self.transposed else a, b)

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (self.columns, self.rhs)

    @property
    def routines(self) -> tuple[str, ...]:
        return ("cblas_?trsm",)

    def source(self, out: TensorType, *types: TensorType) -> str:
        t = out.dtype
        flag = 112 if self.transposed else 111
        tail = f"n0, n1, {t}(1.0), at(a0, d), n0, at(out, o), n1)"
        lower = f"            procedure(f0, 101, 141, 122, {flag}, 131, {tail}\n"
        upper = f"            procedure(f0, 101, 141, 121, {flag}, 132, {tail}\n"
        exchange = f"""\
            for r in range(n0):
                i = {"r" if self.transposed else "n0 - 1 - r"}
                p = i64(a0[d + n0 * n0 + i])
                for j in range(n1):
                    x = out[o + i * n1 + j]
                    out[o + i * n1 + j] = out[o + p * n1 + j]
                    out[o + p * n1 + j] = x
"""
        steps = (exchange, upper, lower) if self.transposed else (lower, upper, exchange)
        return f"""\
    zero = {t}(0.0)
    for b in range(lo, hi):
        o = b * n0 * n1
        d = b * (n0 + 1) * n0
        failed = False
        for i in range(n0 * n1):
            out[o + i] = a1[o + i]
        for i in range(n0):
            failed = failed or not absolute(a0[d + i * n0 + i]) > zero
        if failed:
            for i in range(n0 * n1):
                out[o + i] = {t}(nan)
        elif n0 * n1 > 0:
{"".join(steps)}"""
