"""`graphc.extend.rule`: a rule, tried where it is declared."""

from __future__ import annotations

from graphc.errors import GraphError, user_location
from graphc.frontend.boundary import short
from graphc.ir.op import Number
from graphc.ir.types import DType
from graphc.passes.oracle.try_rule import rule_fault
from graphc.passes.rewrite import engine
from graphc.passes.rewrite.engine import Pattern, Rule


def rule(
    name: str,
    left: Pattern,
    right: Pattern | Number,
    kind: str = "exact",
    dtypes: tuple[DType, ...] | None = None,
) -> Rule:
    """An equation from left to right, for operands of the given element types (default: all).

    It is tried at once: over every element type, whether rewriting ends, and on what values the
    sides agree: all bits on special values too for an `exact` rule, moderate numbers for others.
    Raises `GraphError`.  `gc.Session(rules=[...])` applies rules.

    >>> from graphc.extend import holes, ops, rule
    >>> (x,) = holes("x")
    >>> rule("abs-squared", ops.Absolute()(x) * ops.Absolute()(x), x * x).kind
    'exact'
    """
    if not isinstance(right, Pattern | bool | int | float):
        raise GraphError(
            f"rule: {name!r}: the right side is {short(right)}; expected an expression over holes, "
            "or a number",
            user_location(),
        )
    made = engine.rule(name, left, right, kind, dtypes)
    fault = rule_fault(made)
    if fault:
        raise GraphError(f"rule: {name!r}: {fault}", user_location())
    return made
