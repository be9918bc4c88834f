"""The discrete Fourier transform of complex numbers held as pairs (re, im) in the last axis.

One kernel for every length: Stockham's self-sorting form with factors 4, 2, 3, 5, ... (Swarztrauber
1984; Van Loan, "Computational frameworks for the FFT", 1992, 1.7).  It costs n times the sum of the
prime factors of n; `graphc.fft` leaves lengths with large ones to Bluestein's convolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.dim import Size, product
from graphc.ir.op import Opaque, sample
from graphc.ir.ops.lapack import MALLOC_AND_FREE
from graphc.ir.requirement import Requirement, all_equal, equal
from graphc.ir.types import TensorType, f32, f64


def roots(n: int) -> Any:
    """exp(-2 pi i k / n) for k below n, as pairs (re, im), correctly rounded or nearly so: angles
    are reduced to an eighth of the circle."""
    k = np.arange(n)
    octant, rest = np.divmod(8 * k, max(n, 1))
    odd = octant % 2
    angle = 2 * np.pi * np.where(odd == 1, n - rest, rest) / (8 * max(n, 1))
    c, s = np.cos(angle), np.sin(angle)
    turn = (octant + odd) // 2 % 4
    c, s = c, np.where(odd == 1, -s, s)
    re = np.choose(turn, [c, -s, -c, s])
    im = np.choose(turn, [s, c, -s, -c])
    return np.stack([re, -im], axis=-1)


def with_roots(x: Any, w: Any) -> tuple[Any, Any]:
    """Samples: any x, and the roots that belong to its length."""
    return x, roots(len(w))


class Fft(Opaque):
    """sum over j of x[j] * w[j k mod n], where w are the n-th roots of unity (`inverse`: their
    conjugates), along the last axis but one of x; nothing is scaled."""

    batch: Size
    length: Size
    inverse: bool = False
    samples = (
        *(
            sample(f64[n, 2], f64[n, 2], batch=1, length=n, inverse=inverse, prepare=with_roots)
            for n, inverse in ((4, False), (6, True), (1, False), (2, True), (7, False), (8, True))
        ),
        *(
            sample(f32[n, 2], f32[n, 2], batch=1, length=n, prepare=with_roots)
            for n in (60, 64, 105, 121, 128, 0)
        ),
        sample(f32[2, 3, 5, 2], f32[5, 2], batch=6, length=5, prepare=with_roots),
    )

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        x, w = types
        return (
            *all_equal(x.shape[-2:], (self.length, 2)),
            *all_equal(w.shape, (self.length, 2)),
            equal(self.batch, product(x.shape[:-2])),
        )

    def infer(self, *types: TensorType) -> TensorType:
        x, w = types
        if x.rank < 2 or w.rank != 2:
            raise ShapeError(f"fft: {x} holds no complex numbers: expected a last axis of size 2")
        if x.dtype not in (f32, f64) or w.dtype != x.dtype:
            raise DTypeError(f"fft: element types {x.dtype} and {w.dtype}; expected f32 or f64")
        return x

    def reference(self, *arrays: Any) -> Any:
        (x, _) = arrays
        if x.size == 0:
            return np.zeros_like(x)
        z = x[..., 0].astype(np.complex128) + 1j * x[..., 1]
        out = np.fft.ifft(z, norm="forward") if self.inverse else np.fft.fft(z)
        return np.stack([out.real, out.imag], axis=-1).astype(x.dtype)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        return Fft(self.batch, self.length, not self.inverse)(ct, args[1]), None

    def extent(self, out: TensorType) -> Size:
        return self.batch

    @property
    def sizes(self) -> tuple[Size, ...]:
        return (self.length,)

    @property
    def routines(self) -> tuple[str, ...]:
        return MALLOC_AND_FREE

    def source(self, out: TensorType, *types: TensorType) -> str:
        t, size = out.dtype, out.dtype.size
        sign = "-1.0" if self.inverse else "1.0"
        return f"""\
    turn = {t}({sign})
    memory = acquire(f0, {2 * size} * n0 + 8)
    steps, left = 0, n0
    while left > 1:
{FIND_FACTOR_SOURCE.format(pad="        ")}
        left = left // p
        steps += 1
    for b in range(lo, hi):
        row = {2 * size} * n0 * b
        source = args[0] + row
        if n0 == 1 or memory == 0:
            for i in range(2 * n0):
                out[2 * n0 * b + i] = a0[2 * n0 * b + i] if memory != 0 else {t}(nan)
        left, s, step = n0, 1, 0
        while left > 1 and memory != 0:
{FIND_FACTOR_SOURCE.format(pad="            ")}
            m = left // p
            target = args[2] + row if (steps - step) % 2 == 1 else memory
            x = {t}_memory(source)
            y = {t}_memory(target)
{BUTTERFLIES_SOURCE.format(t=t)}
            source = target
            left = m
            s = s * p
            step += 1
    release(f1, memory)
"""


FIND_FACTOR_SOURCE = """\
{pad}p = 4
{pad}if left % 4 != 0:
{pad}    p = 2
{pad}    while p * p <= left and left % p != 0:
{pad}        p += 1
{pad}    p = p if left % p == 0 else left"""
BUTTERFLIES_SOURCE = """\
            if p == 4:
                for r in range(m):
                    w1 = 2 * r * s
                    c1, s1 = a1[w1], turn * a1[w1 + 1]
                    c2, s2 = a1[2 * w1], turn * a1[2 * w1 + 1]
                    c3, s3 = a1[3 * w1], turn * a1[3 * w1 + 1]
                    for k in range(s):
                        i = 2 * (k + s * r)
                        j = 2 * (k + s * 4 * r)
                        h = 2 * s * m
                        ar, ai = x[i] + x[i + 2 * h], x[i + 1] + x[i + 2 * h + 1]
                        br, bi = x[i] - x[i + 2 * h], x[i + 1] - x[i + 2 * h + 1]
                        cr, ci = x[i + h] + x[i + 3 * h], x[i + h + 1] + x[i + 3 * h + 1]
                        dr = turn * (x[i + h + 1] - x[i + 3 * h + 1])
                        di = turn * (x[i + 3 * h] - x[i + h])
                        y[j], y[j + 1] = ar + cr, ai + ci
                        er, ei = br + dr, bi + di
                        y[j + 2 * s] = er * c1 - ei * s1
                        y[j + 2 * s + 1] = er * s1 + ei * c1
                        er, ei = ar - cr, ai - ci
                        y[j + 4 * s] = er * c2 - ei * s2
                        y[j + 4 * s + 1] = er * s2 + ei * c2
                        er, ei = br - dr, bi - di
                        y[j + 6 * s] = er * c3 - ei * s3
                        y[j + 6 * s + 1] = er * s3 + ei * c3
            else:
                for r in range(m):
                    for u in range(p):
                        w1 = 2 * r * u * s
                        c1, s1 = a1[w1], turn * a1[w1 + 1]
                        for k in range(s):
                            i = 2 * (k + s * r)
                            er, ei = x[i], x[i + 1]
                            q = 0
                            for v in range(1, p):
                                q = q + u - p if q + u >= p else q + u
                                i = i + 2 * s * m
                                w2 = 2 * q * (n0 // p)
                                c2, s2 = a1[w2], turn * a1[w2 + 1]
                                er = er + (x[i] * c2 - x[i + 1] * s2)
                                ei = ei + (x[i] * s2 + x[i + 1] * c2)
                            j = 2 * (k + s * (p * r + u))
                            y[j] = er * c1 - ei * s1
                            y[j + 1] = er * s1 + ei * c1
"""
