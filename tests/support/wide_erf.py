"""erf and erfc in `np.longdouble`, for judging those of f64: neither NumPy nor Python has them.

erfcx(x) = exp(x^2) erfc(x) is expanded about each multiple of 1/16 up to 28, to about 2^-66; its
derivatives follow from its equation y' = 2 x y - 2 / sqrt(pi).  The values are found from above,
the way in which errors die out, in decimals of 60 digits.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np

STEP, LAST, TERMS, DIGITS = 16, 28 * 16, 16, 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def derivatives(x: Decimal, y: Decimal, terms: int) -> list[Decimal]:
    """The Taylor coefficients of erfcx at x, of which the first is y."""
    slope = 2 / PI.sqrt()
    found = [y, 2 * x * y - slope]
    for n in range(1, terms - 1):
        found.append((2 * x * found[n] + 2 * found[n - 1]) / (n + 1))
    return found


@cache
def expansions() -> Any:
    """The coefficients about k / 16, for k = 0, 1, ...; all the first ones come first."""
    with decimal.localcontext(prec=DIGITS):
        x = Decimal(LAST) / STEP
        rest = x
        for n in range(200, 0, -1):  # Laplace's continued fraction
            rest = x + Decimal(n) / 2 / rest
        y, rows = 1 / (rest * PI.sqrt()), []
        for k in range(LAST, -1, -1):
            around = derivatives(Decimal(k) / STEP, y, 60)
            rows.append([np.longdouble(str(c)) for c in around[:TERMS]])
            y = sum((c * Decimal(-1) ** n / STEP**n for n, c in enumerate(around)), Decimal(0))
    return np.ascontiguousarray(np.array(rows[::-1]).T)


def erfcx(x: Any) -> Any:
    """exp(x^2) erfc(x), for 0 <= x <= 28."""
    k = np.rint(x * STEP).astype(int)
    h = x - k / np.longdouble(STEP)
    *rest, total = (column[k] for column in expansions())
    for coefficients in reversed(rest):
        total = total * h + coefficients
    return total


def minus_square_exp(x: Any) -> Any:
    """exp(-x^2): the square of 32 bits of x is exact, and the rest is small."""
    mantissa, exponent = np.frexp(x)
    high = np.ldexp(np.rint(mantissa * 2.0**30) / 2.0**30, exponent)
    low = x - high
    return np.exp(-high * high) * np.exp(-(2 * high + low) * low)


def near(x: Any) -> Any:
    """erf by its series of positive terms, for |x| <= 1/2."""
    term = x * 2 / np.sqrt(np.longdouble(str(PI)))
    total, square = term, 2 * x * x
    for n in range(1, 24):
        term = term * square / (2 * n + 1)
        total = total + term
    return total * minus_square_exp(x)


def split(x: Any) -> tuple[Any, Any]:
    """Which numbers are for the series, and which for the expansions."""
    return abs(x) <= 0.5, (abs(x) > 0.5) & (abs(x) < 28)


def erfc(x: Any) -> Any:
    """1 - erf(x), elementwise."""
    x = np.asarray(x, np.longdouble)
    small, middle = split(x)
    out = np.where(np.isnan(x), x, np.where(x < 0, np.longdouble(2), 0))
    out[small] = 1 - near(x[small])
    a = abs(x[middle])
    tail = erfcx(a) * minus_square_exp(a)
    out[middle] = np.where(x[middle] < 0, 2 - tail, tail)
    return out


def erf(x: Any) -> Any:
    """The error function, elementwise."""
    x = np.asarray(x, np.longdouble)
    small, _ = split(x)
    out = np.copysign(1 - erfc(abs(x)), x)
    out[small] = near(x[small])
    return out
