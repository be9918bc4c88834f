"""exp, log and what is made of them, over the abstract scalar of `mathlib.scalar`.

f32 functions stay in f32 where a model spends its time (exp, expm1, exp2, log, log1p, tanh,
sigmoid, sinh, cosh, erf); the others compute in f64 and round once (`widened`).
Errors are measured in tests/codegen/cpu/test_mathlib.py; denormal arguments and results are not
flushed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import inf, nan

from graphc.codegen.mathlib import tables
from graphc.codegen.mathlib.scalar import FORMATS, AbstractScalar, Operand, where
from graphc.codegen.mathlib.tables import Coefficients

EXP_LOW = {"f32": -104.0, "f64": -746.0}  # below it, exp gives 0
EXP_HIGH = {"f32": 90.0, "f64": 712.0}  # above it, exp overflows
SQRT_HALF_BITS = {"f32": 0x3F3504F3, "f64": 0x3FE6A09E667F3BCD}


def polynomial(x: AbstractScalar, coefficients: Coefficients) -> AbstractScalar:
    """Horner's rule; the constant term comes first."""
    *rest, last, top = coefficients
    total = x.fma(top, last)
    for coefficient in reversed(rest):
        total = total.fma(x, coefficient)
    return total


def widened(function: Callable[..., AbstractScalar]) -> Callable[..., AbstractScalar]:
    """`function` computed in f64 also for f32, and rounded once more."""

    @wraps(function)
    def wide(*args: AbstractScalar) -> AbstractScalar:
        return function(*[arg.convert("f64") for arg in args]).convert(args[0].kind)

    return wide


def two_sum(a: AbstractScalar, b: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar]:
    """a + b rounded, and the exact error of that (Knuth)."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def fast_two_sum(a: AbstractScalar, b: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar]:
    """`two_sum` where |a| >= |b| or a is 0 (Dekker)."""
    total = a + b
    return total, b - (total - a)


def two_product(a: AbstractScalar, b: Operand) -> tuple[AbstractScalar, AbstractScalar]:
    """a * b rounded, and the exact error of that."""
    product = a * b
    return product, a.fma(b, -product)


# ---- exponentials -------------------------------------------------------------------------------


def nearest(x: AbstractScalar, factor: float) -> tuple[AbstractScalar, AbstractScalar]:
    """The integer nearest x * factor, as float and as integer; at most 2^(mantissa - 2)."""
    shifted = x.fma(factor, x.format.shifter)
    return shifted - x.format.shifter, shifted.bits() - x.format.shifter_bits


def power_of_two(k: AbstractScalar) -> AbstractScalar:
    """2^k for an integer k within the normal exponents."""
    return ((k << k.format.mantissa) + k.format.one_bits).real()


def scaled(y: AbstractScalar, k: AbstractScalar, downwards: AbstractScalar) -> AbstractScalar:
    """y * 2^k, rounded once, also where 2^k has no float; `downwards` must be k < 0 or nearly.

    The exponent is brought nearer to 0, exactly, by 2^64 or 2^512; the last product rounds.
    """
    offset = 64 if y.kind == "f32" else 512
    up, down = (
        bias << y.format.mantissa for bias in (y.format.bias + offset, y.format.bias - offset)
    )
    partial = ((k << y.format.mantissa) + where(downwards, k.partner(up), down)).real()
    return y * partial * where(downwards, y.partner(2.0**-offset), 2.0**offset)


def reduced(x: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar]:
    """r in [-ln(2)/2, ln(2)/2] and the integer k with x = r + k ln 2 (Cody and Waite)."""
    n, k = nearest(x, tables.LOG2_E)
    r = n.fma(-tables.LN2_HI[x.kind], x)
    return n.fma(-tables.LN2_LO[x.kind], r), k


def exp_near(r: AbstractScalar) -> AbstractScalar:
    """e^r for a reduced r."""
    return r.fma(polynomial(r, (1.0, *tables.EXP[r.kind])), 1.0)


def exp_minus_one(r: AbstractScalar) -> AbstractScalar:
    """e^r - 1 for a reduced r."""
    return (r * r).fma(polynomial(r, tables.EXP[r.kind]), r)


def exp_of(
    x: AbstractScalar,
    *,
    low: AbstractScalar | None = None,
    factor: AbstractScalar | None = None,
    halvings: int = 0,
) -> AbstractScalar:
    """e^(x + low) * factor / 2^halvings, for a tiny `low`; overflow comes as late as it may."""
    x = x.clamp(EXP_LOW[x.kind], EXP_HIGH[x.kind])
    r, k = reduced(x)
    y = exp_near(r if low is None else r + low)
    return scaled(y if factor is None else y * factor, k - halvings, x < 0.0)


def exp(x: AbstractScalar) -> AbstractScalar:
    return exp_of(x)


def exp2(x: AbstractScalar) -> AbstractScalar:
    x = x.clamp(*{"f32": (-151.0, 129.0), "f64": (-1077.0, 1025.0)}[x.kind])
    n, k = nearest(x, 1.0)
    r = x - n
    return scaled(r.fma(polynomial(r, tables.EXP2[x.kind]), 1.0), k, x < 0.0)


def expm1(x: AbstractScalar) -> AbstractScalar:
    """2^k (e^r - 1) + (2^k - 1), halved because 2^k itself may overflow."""
    low, high = {"f32": (-18.0, 89.0), "f64": (-38.0, 710.0)}[x.kind]
    r, k = reduced(x.clamp(low, high))
    half = power_of_two(k - 1)
    return (exp_minus_one(r).fma(half, half - 0.5) * 2.0).copysign(x)


def tanh(x: AbstractScalar) -> AbstractScalar:
    """x + x^3 p(x^2) below 0.55, 1 - 2 / (1 + e^2|x|) above, which never exceeds 1 (Juffa)."""
    a, z = abs(x), x * x
    near = (a * z).fma(polynomial(z, tables.TANH[x.kind]), a)
    r, k = reduced((a * 2.0).clamp(0.0, {"f32": 20.0, "f64": 40.0}[x.kind]))
    far = 1.0 - 2.0 / exp_near(r).fma(power_of_two(k), 1.0)
    return where(a < 0.55, near, far).copysign(x)


def sigmoid(x: AbstractScalar) -> AbstractScalar:
    """1 / (1 + e^-x) through e^-|x|; the last line undoes the rounding of the denominator."""
    r, k = reduced((-abs(x)).clamp(EXP_LOW[x.kind], 0.0))
    offset = 64 if x.kind == "f32" else 512
    e = exp_near(r) * power_of_two(k + offset) * 2.0**-offset
    d, d_low = fast_two_sum(e.partner(1.0), e)
    y = where(x < 0.0, e, 1.0) / d
    return y.fma(-d_low, y)


def sinh(x: AbstractScalar) -> AbstractScalar:
    a = abs(x)
    z = a * a
    near = (a * z).fma(polynomial(z, tables.SINH[x.kind]), a)
    half = exp_of(a, halvings=1)
    return where(a < 1.0, near, half - 0.25 / half).copysign(x)


def cosh(x: AbstractScalar) -> AbstractScalar:
    half = exp_of(abs(x), halvings=1)
    return half + 0.25 / half


# ---- logarithms ---------------------------------------------------------------------------------


def to_real(k: AbstractScalar) -> AbstractScalar:
    """A small integer as a float; 64-bit conversion is not an instruction everywhere."""
    if k.kind == "i32":
        return k.convert("f32")
    return (k + k.format.shifter_bits).real() - k.format.shifter


def exponent_split(x: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar, AbstractScalar]:
    """m in [sqrt(1/2), sqrt(2)) and k, as float and as integer, with x = m 2^k, for 0 < x < inf."""
    form, sqrt_half = x.format, SQRT_HALF_BITS[x.kind]
    denormal = x < form.tiny
    bits = where(denormal, x * 2.0 ** (form.mantissa + 1), x).bits() - sqrt_half
    mantissa = (bits & (1 << form.mantissa) - 1) + sqrt_half
    k = bits >> form.mantissa
    k = k - where(denormal, k.partner(form.mantissa + 1), 0)
    return mantissa.real(), to_real(k), k


def log_near(f: AbstractScalar, n: AbstractScalar) -> AbstractScalar:
    """log(1 + f) + n ln 2 for 1 + f in [sqrt(1/2), sqrt(2))."""
    high, low = tables.LN2_HI[f.kind], tables.LN2_LO[f.kind]
    if f.kind == "f32":
        z = f * f
        y = n.fma(low, z * f * polynomial(f, tables.LOG["f32"]))
        return n.fma(high, f + z.fma(-0.5, y))
    s = f / (f + 2.0)  # fdlibm e_log.c
    z = s * s
    half_square = f * f * 0.5
    y = s.fma(z.fma(polynomial(z, tables.LOG["f64"]), half_square), n * low)
    return n.fma(high, f - (half_square - y))


def log_edges(x: AbstractScalar, y: AbstractScalar) -> AbstractScalar:
    """y = log(x) put right where x is not a positive finite number."""
    edge = where(x.equals(0.0), x.partner(-inf), nan)
    return where(x > 0.0, where(x < inf, y, x), edge)


def log(x: AbstractScalar) -> AbstractScalar:
    m, n, _ = exponent_split(x)
    return log_edges(x, log_near(m - 1.0, n))


def log1p(x: AbstractScalar) -> AbstractScalar:
    """log of u = 1 + x, whose rounding error, scaled like u, joins u - 1 (cf. SLEEF's log1p)."""
    u, error = two_sum(x.partner(1.0), x)
    m, n, k = exponent_split(u)
    k = where(k < x.format.bias, k, x.format.bias - 1)
    y = log_near(error.fma(power_of_two(-k), m - 1.0), n)
    return log_edges(u, y).copysign(x)


def log_long(f: AbstractScalar) -> tuple[AbstractScalar, AbstractScalar, AbstractScalar]:
    """log(1 + f) as an unevaluated sum of three falling terms, good to about 2^-68."""
    d, d_low = two_sum(f.partner(1.0), f + 1.0)
    s = f / d
    s_low = ((-s).fma(d, f) - s * d_low) / d
    z = s * s
    z_low = s.fma(s, -z) + s * s_low * 2.0
    tail = z * polynomial(z, tables.LOG_LONG)
    c = tail + tables.TWO_THIRDS_HI
    c_low = (tables.TWO_THIRDS_HI - c) + tail + tables.TWO_THIRDS_LO
    t, t_low = two_product(z, c)
    t_low = t_low + z * c_low + z_low * c
    g, g_low = two_product(s, t)
    return s * 2.0, g, g_low + s * t_low + s_low * t + s_low * 2.0


def log_scaled(
    x: AbstractScalar, unit: tuple[float, float], factor: tuple[float, float]
) -> AbstractScalar:
    """k * unit + log(m) * factor for x = m 2^k; both constants are given in two parts."""
    m, n, _ = exponent_split(x)
    first, second, third = log_long(m - 1.0)
    h, low = fast_two_sum(first, second)
    p, p_low = two_product(h, factor[0])
    p_low = p_low + h * factor[1] + (low + third) * factor[0] + n * unit[1]
    total, rest = fast_two_sum(n * unit[0], p)
    return log_edges(x, total + (rest + p_low))


def log2(x: AbstractScalar) -> AbstractScalar:
    if x.kind == "f32":
        return (log(x.convert("f64")) * tables.LOG2_E).convert("f32")
    return log_scaled(x, (1.0, 0.0), (tables.LOG2_E, tables.LOG2_E_LO))


def log10(x: AbstractScalar) -> AbstractScalar:
    if x.kind == "f32":
        return (log(x.convert("f64")) * tables.LOG10_E).convert("f32")
    unit = (tables.LOG10_2_HI, tables.LOG10_2_LO)
    return log_scaled(x, unit, (tables.LOG10_E, tables.LOG10_E_LO))


# ---- inverse hyperbolic functions: fdlibm s_asinh.c, e_acosh.c, e_atanh.c -----------------------

SQUARE_HIDES_ONE = 2.0**28  # from here on, x * x + 1 rounds to x * x in f64


@widened
def asinh(x: AbstractScalar) -> AbstractScalar:
    a = abs(x)
    z = a * a
    large = a > SQUARE_HIDES_ONE
    y = log1p(where(large, a - 1.0, a + z / ((z + 1.0).sqrt() + 1.0)))
    return (y + where(large, x.partner(tables.LN2), 0.0)).copysign(x)


@widened
def acosh(x: AbstractScalar) -> AbstractScalar:
    t = x - 1.0
    large = x > SQUARE_HIDES_ONE
    y = log1p(where(large, t, t + (t * t + t * 2.0).sqrt()))
    return where(x < 1.0, nan, y + where(large, x.partner(tables.LN2), 0.0))


@widened
def atanh(x: AbstractScalar) -> AbstractScalar:
    a = abs(x)
    return (log1p(a * 2.0 / (1.0 - a)) * 0.5).copysign(x)


# ---- powers and roots ---------------------------------------------------------------------------


def power_magnitude(a: AbstractScalar, y: AbstractScalar, single: bool) -> AbstractScalar:
    """a^y for a >= 0, apart from a = 1 and nan; `single` if 30 bits are enough."""
    if single:
        return exp_of(y * log(a))
    m, n, _ = exponent_split(a)
    first, second, third = log_long(m - 1.0)
    h, e1 = fast_two_sum(n * tables.LN2_SHORT, first)
    h, e2 = fast_two_sum(h, second)
    h, low = fast_two_sum(h, e1 + e2 + (third + n * tables.LN2_REST))
    high = log_edges(a, h)
    p, p_low = two_product(y, high)
    bounded = abs(p) < 1e4
    return exp_of(p, low=where(bounded, y.fma(low, p_low), 0.0))


def power(x: AbstractScalar, y: AbstractScalar) -> AbstractScalar:
    """x^y with the special cases of IEEE 754 (pow): 1 if y = 0 or x = 1, whatever the other."""
    single, x, y, kind = x.kind == "f32", x.convert("f64"), y.convert("f64"), x.kind
    a = abs(x)
    magnitude = power_magnitude(a, y, single)
    magnitude = where(x.differs(x) | y.differs(y), x + y, magnitude)
    magnitude = where(a.equals(1.0) & y.equals(y), 1.0, magnitude)
    half = y * 0.5
    odd = y.floor().equals(y) & half.floor().differs(half) & (abs(y) < inf)
    signed = where(odd, magnitude.copysign(x), magnitude)
    impossible = (x < 0.0) & (x > -inf) & y.floor().differs(y)
    result = where(impossible, nan, signed)
    return where(y.equals(0.0) | x.equals(1.0), 1.0, result).convert(kind)


@widened
def cbrt(x: AbstractScalar) -> AbstractScalar:
    """A polynomial, one step of Halley's, one of Newton's with the exact residual."""
    a = abs(x)
    m, n, _ = exponent_split(a)
    third, k = nearest(n, 1 / 3)
    rest = n - third * 3.0
    m = m * where(rest.equals(0.0), 1.0, where(rest > 0.0, m.partner(2.0), 0.5))
    y = polynomial(m, tables.CBRT)
    cube = y * y * y
    y = y * (cube + m * 2.0) / (cube * 2.0 + m)
    square, square_low = two_product(y, y)
    y = y - square.fma(y, square_low.fma(y, -m)) / (square * 3.0)
    return where((a > 0.0) & (a < inf), (y * power_of_two(k)).copysign(x), x)


def rsqrt(x: AbstractScalar) -> AbstractScalar:
    """1 / sqrt(x), both correctly rounded."""
    return 1.0 / x.sqrt()


@widened
def hypot(x: AbstractScalar, y: AbstractScalar) -> AbstractScalar:
    """sqrt(x^2 + y^2) without overflow: both are scaled by the power of two in the larger."""
    x, y = abs(x), abs(y)
    mantissa = FORMATS["f64"].mantissa
    e = where(x > y, x, y).bits() >> mantissa
    e = where(e < 1, 1, where(e > 2045, 2045, e))
    down = ((2046 - e) << mantissa).real()
    x_down, y_down = x * down, y * down
    length = x_down.fma(x_down, y_down * y_down).sqrt() * (e << mantissa).real()
    return where(x.equals(inf) | y.equals(inf), inf, length)


# ---- error functions ----------------------------------------------------------------------------


def erfc_tail(a: AbstractScalar) -> AbstractScalar:
    """erfc(a) for a >= 0, in f64."""
    a = a.clamp(0.0, 28.0)
    square, error = two_product(a, a)
    t = (a - 4.0) / (a + 4.0)
    factor = polynomial(t, tables.ERFC) / a.fma(2.0, 1.0)
    return exp_of(-square, low=-error, factor=factor)


def erf_near(x: AbstractScalar) -> AbstractScalar:
    """erf by its odd series, for |x| below 475/512 (f32) or 1 (f64)."""
    return x.fma(polynomial(x * x, tables.ERF[x.kind]), x)


def erf(x: AbstractScalar) -> AbstractScalar:
    a = abs(x)
    if x.kind == "f64":
        return where(a < 1.0, erf_near(x), (1.0 - erfc_tail(a)).copysign(x))
    t = a.clamp(0.0, 4.0)
    tail = exp_of(t.fma(polynomial(t, tables.ERF_TAIL), -t))
    return where(a < 475 / 512, erf_near(x), (1.0 - tail).copysign(x))


@widened
def erfc(x: AbstractScalar) -> AbstractScalar:
    a = abs(x)
    tail = erfc_tail(a)
    return where(a < 0.5, 1.0 - erf_near(x), where(x < 0.0, 2.0 - tail, tail))
