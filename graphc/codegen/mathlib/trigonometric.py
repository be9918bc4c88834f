"""Circular functions and their inverses, over the abstract scalar of `mathlib.scalar`.

sin, cos and tan are good for every argument, up to the largest float: x = m 2^e, with m an
integer, is first replaced by m (2^e mod 2 pi) from a table (e is 0 and the table's answer is 1
for all |x| < 2^24 or 2^53, so nothing branches), then reduced by pi / 2.  The table look-up is a
gather, which LLVM vectorises.  The f64 reduction carries about 105 bits after the binary point;
only a large f64 within 2^-50 of a multiple of pi / 2 can see more than the stated error.
"""

from __future__ import annotations

from math import inf

from graphc.codegen.mathlib import tables
from graphc.codegen.mathlib.exponential import (
    fast_two_sum,
    nearest,
    polynomial,
    power_of_two,
    two_product,
    two_sum,
    widened,
)
from graphc.codegen.mathlib.scalar import FORMATS, AbstractScalar, where
from graphc.codegen.mathlib.tables import HALF_PI, PI_HI, PI_LO, TWO_OVER_PI, TWO_OVER_PI_LO

# ---- reduction ----------------------------------------------------------------------------------


def integer_split(a: AbstractScalar, kind: str) -> tuple[AbstractScalar, AbstractScalar]:
    """m and e >= 0 with a = m 2^e, m an integer where a is as large as 2^mantissa of `kind`."""
    count, mantissa = tables.EXPONENT_COUNTS[kind], FORMATS[kind].mantissa
    e = (a.bits() >> a.format.mantissa) - (a.format.bias + mantissa)
    e = where(e < 0, 0, where(e > count - 1, count - 1, e))
    return a * power_of_two(-e), e


def reduced_f32(x: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar]:
    """r in [-pi/4, pi/4] and a quadrant q with |x| = r + q pi/2 mod 2 pi, through f64."""
    m, e = integer_split(abs(x).convert("f64"), "f32")
    first, second, _ = tables.powers_mod_two_pi("f32")
    power = e.lookup("two_pi_f32_0", first)
    high = m * power
    low = m.fma(power, -high) + m * e.lookup("two_pi_f32_1", second)
    n, q = nearest(high, TWO_OVER_PI)
    r = n.fma(-HALF_PI[1], n.fma(-HALF_PI[0], high)) + low
    return r.convert("f32"), q.convert("i32")


def reduced_f64(x: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar, AbstractScalar]:
    """r + r_low in [-pi/4, pi/4] and a quadrant q with |x| = r + r_low + q pi/2 mod 2 pi.

    n may be 2^54 and be off by one.  The first fma is exact all the same: high and n HALF_PI[0]
    are multiples of the same 2^-52 (2^-51 for n > 2^53), and the difference is less than 4.
    """
    m, e = integer_split(abs(x), "f64")
    first, second, third = tables.powers_mod_two_pi("f64")
    high, low = two_product(m, e.lookup("two_pi_f64_0", first))
    middle, tail = two_product(m, e.lookup("two_pi_f64_1", second))
    tail = m.fma(e.lookup("two_pi_f64_2", third), tail)
    n = high.fma(TWO_OVER_PI, high * TWO_OVER_PI_LO).rint()
    p, p_low = two_product(n, HALF_PI[1])
    r, e1 = two_sum(n.fma(-HALF_PI[0], high), low)
    r, e2 = two_sum(r, middle)
    r, e3 = two_sum(r, -p)
    r_low = e1 + e2 + e3 + n.fma(-HALF_PI[2], tail - p_low)
    again, _ = nearest(r, TWO_OVER_PI)
    r, r_low = fast_two_sum(again.fma(-HALF_PI[0], r), again.fma(-HALF_PI[1], r_low))
    _, q = nearest(n - (n * 0.25).rint() * 4.0 + again, 1.0)
    return r, r_low, q


def sin_cos(x: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar, AbstractScalar]:
    """Sine and cosine of |x| less q quarter turns, and q."""
    if x.kind == "f32":
        r, q = reduced_f32(x)
        z = r * r
        sine = (z * r).fma(polynomial(z, tables.SIN["f32"]), r)
        return sine, (z * z).fma(polynomial(z, tables.COS["f32"]), z.fma(-0.5, 1.0)), q
    r, low, q = reduced_f64(x)  # fdlibm k_sin.c, k_cos.c
    z = r * r
    first, *others = tables.SIN["f64"]
    cube = z * r
    inner = z * (low * 0.5 - cube * polynomial(z, tuple(others))) - low
    sine = r - (inner - cube * first)
    half_square = z * 0.5
    w = 1.0 - half_square
    y = z * z * polynomial(z, tables.COS["f64"]) - r * low
    return sine, w + (((1.0 - w) - half_square) + y), q


def negated_if(y: AbstractScalar, bit: AbstractScalar) -> AbstractScalar:
    """-y where the integer `bit` is odd."""
    return (y.bits() ^ (bit << (63 if y.kind == "f64" else 31))).real()


def sin(x: AbstractScalar) -> AbstractScalar:
    sine, cosine, q = sin_cos(x)
    y = negated_if(where((q & 1).equals(0), sine, cosine), q >> 1)
    return (y.bits() ^ (x.bits() ^ abs(x).bits())).real()


def cos(x: AbstractScalar) -> AbstractScalar:
    sine, cosine, q = sin_cos(x)
    return negated_if(where((q & 1).equals(0), cosine, sine), (q + 1) >> 1)


@widened
def tan(x: AbstractScalar) -> AbstractScalar:
    sine, cosine, q = sin_cos(x)
    even = (q & 1).equals(0)
    y = negated_if(where(even, sine, cosine) / where(even, cosine, sine), q)
    return (y.bits() ^ (x.bits() ^ abs(x).bits())).real()


# ---- inverses -----------------------------------------------------------------------------------


def atan_near(u: AbstractScalar) -> AbstractScalar:
    """atan(u) - u for |u| <= tan(pi/8)."""
    z = u * u
    return u * z * polynomial(z, tables.ATAN[u.kind])


def atan(x: AbstractScalar) -> AbstractScalar:
    """c pi/4 + atan(u), with u = |x|, (|x| - 1) / (|x| + 1) or -1 / |x| (Cephes atan.c)."""
    a = abs(x)
    middle, far = a > tables.TAN_PI_8, a > tables.TAN_3PI_8
    above = where(far, -1.0, where(middle, a - 1.0, a))
    u = above / where(far, a, where(middle, a + 1.0, 1.0))
    c = where(far, u.partner(2.0), where(middle, u.partner(1.0), 0.0))
    rest = c.fma(PI_LO[x.kind] / 4, atan_near(u))
    return c.fma(PI_HI[x.kind] / 4, u + rest).copysign(x)


@widened
def atan2(y: AbstractScalar, x: AbstractScalar) -> AbstractScalar:
    """c pi/4 +- atan(u), with u from the smaller over the larger of |x| and |y|, as in `atan`."""
    a, b = abs(y), abs(x)
    steep = a > b
    scale = where((a > 2.0**1000) | (b > 2.0**1000), a.partner(2.0**-8), 1.0)
    scale = where((a < 2.0**-900) & (b < 2.0**-900), scale.partner(2.0**100), scale)  # denormals
    small, large = where(steep, b, a) * scale, where(steep, a, b) * scale
    middle = (small > large * tables.TAN_PI_8) | small.equals(inf)
    below = where(middle, small + large, large)
    u = where(middle, small - large, small) / where(below.equals(0.0), 1.0, below)
    u = where(small.equals(large), 0.0, u)
    c = where(middle, u.partner(1.0), 0.0)
    left = x.bits() < 0
    c = where(steep, 2.0 - c, c)
    c = where(left, 4.0 - c, c)
    v = u + atan_near(u)
    v = where(steep, -v, v)
    v = where(left, -v, v)
    angle = c.fma(PI_HI["f64"] / 4, c.fma(PI_LO["f64"] / 4, v)).copysign(y)
    return where(x.differs(x) | y.differs(y), x + y, angle)


def asin_parts(a: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar, AbstractScalar]:
    """s and asin(s) - s, with s = a if a < 1/2, else sqrt((1 - a) / 2); a < 1/2 (fdlibm)."""
    near = a < 0.5
    half = (1.0 - a) * 0.5
    s, z = where(near, a, half.sqrt()), where(near, a * a, half)
    return s, s * z * polynomial(z, tables.ASIN[a.kind]), near


def asin(x: AbstractScalar) -> AbstractScalar:
    s, rest, near = asin_parts(abs(x))
    far = s.fma(-2.0, PI_HI[x.kind] / 2) + rest.fma(-2.0, PI_LO[x.kind] / 2)
    return where(near, s + rest, far).copysign(x)


def acos(x: AbstractScalar) -> AbstractScalar:
    s, rest, near = asin_parts(abs(x))
    middle = PI_HI[x.kind] / 2 - (x + (rest.copysign(x) - PI_LO[x.kind] / 2))
    left = s.fma(-2.0, PI_HI[x.kind]) + rest.fma(-2.0, PI_LO[x.kind])
    return where(near, middle, where(x > 0.0, (s + rest) * 2.0, left))
