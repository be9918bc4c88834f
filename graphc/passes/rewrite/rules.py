"""The rule tables: equations from left to right, each tested on special values
(tests/passes/test_rules.py).

Laws: a rule never makes a graph worse; literals stand on the right; commutative ops match either
way. `exact` rules keep every bit, `stable` ones are at least as close to the real result, `fast`
ones need `fast_math`.
"""

from __future__ import annotations

from graphc.ir.ops.elementary import exp, expm1, log, log1p, power, sigmoid, softplus, sqrt
from graphc.ir.ops.pointwise import (
    SIGNED_OR_FLOAT,
    absolute,
    bitwise_and,
    bitwise_or,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    where,
)
from graphc.ir.types import FLOATS, INTS
from graphc.passes.rewrite.engine import Rule, holes, lit, rule

x, y, z, c = holes("x y z c")
true, false = lit(True), lit(False)

ALGEBRA = (
    rule("mul-one", x * 1, x),
    rule("div-one", x / 1, x),
    rule("sub-zero", x - 0.0, x, dtypes=FLOATS),
    rule("add-minus-zero", x + -0.0, x, dtypes=FLOATS),
    rule("add-zero-int", x + 0, x, dtypes=INTS),
    rule("sub-zero-int", x - 0, x, dtypes=INTS),
    rule("mul-zero-int", x * 0, 0, dtypes=INTS),
    rule("sub-self-int", x - x, 0, dtypes=INTS),
    rule("mul-minus-one", x * -1, -x, dtypes=SIGNED_OR_FLOAT),
    rule("neg-neg", -(-x), x),
    rule("add-neg", x + (-y), x - y, dtypes=FLOATS),
    rule("sub-neg", x - (-y), x + y, dtypes=FLOATS),
    rule("mul-neg-neg", (-x) * (-y), x * y, dtypes=FLOATS),
    rule("abs-neg", absolute(-x), absolute(x), dtypes=FLOATS),
    rule("abs-abs", absolute(absolute(x)), absolute(x)),
    rule("max-self", maximum(x, x), x),
    rule("min-self", minimum(x, x), x),
    rule("and-self", bitwise_and(x, x), x),
    rule("or-self", bitwise_or(x, x), x),
    rule("power-one", power(x, 1), x),
    rule("power-two-int", power(x, 2), x * x, dtypes=INTS),
    rule("sub-self", x - x, 0.0, kind="fast", dtypes=FLOATS),
    rule("mul-zero", x * 0.0, 0.0, kind="fast", dtypes=FLOATS),
    rule("add-zero", x + 0.0, x, kind="fast", dtypes=FLOATS),
    rule("sqrt-square", sqrt(x) * sqrt(x), x, kind="fast"),
)

LOGIC = (
    rule("not-not", logical_not(logical_not(x)), x),
    rule("and-same", logical_and(x, x), x),
    rule("or-same", logical_or(x, x), x),
    rule("and-true", logical_and(x, true), x),
    rule("and-false", logical_and(x, false), false),
    rule("or-false", logical_or(x, false), x),
    rule("or-true", logical_or(x, true), true),
    rule("where-same", where(c, x, x), x),
    rule("where-true", where(true, x, y), x),
    rule("where-false", where(false, x, y), y),
    rule("where-not", where(logical_not(c), x, y), where(c, y, x)),
    rule("where-where", where(c, where(c, x, y), z), where(c, x, z)),
    rule("where-else-where", where(c, x, where(c, y, z)), where(c, x, z)),
)

STABLE = (
    rule("power-two", power(x, 2), x * x, kind="stable", dtypes=FLOATS),
    rule("softplus", log(1 + exp(x)), softplus(x), kind="stable"),
    rule("log1p-exp", log1p(exp(x)), softplus(x), kind="stable"),
    rule("log1p", log(1 + x), log1p(x), kind="stable"),
    rule("expm1", exp(x) - 1, expm1(x), kind="stable"),
    rule("sigmoid", 1 / (1 + exp(-x)), sigmoid(x), kind="stable"),
    rule("log-sigmoid", log(sigmoid(x)), -softplus(-x), kind="stable"),
    rule("log-exp", log(exp(x)), x, kind="stable"),
    rule("log-quotient", log(exp(x) / y), x - log(y), kind="stable"),
)

RULES: tuple[Rule, ...] = ALGEBRA + LOGIC + STABLE
