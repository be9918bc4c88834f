"""What a function of an author takes, compared with what graphc will give it.

Python finds a wrong signature when it calls: in the middle of a gradient, far from the function.
These checks are made where the function is declared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any

from graphc.errors import GraphError, user_location
from graphc.frontend.boundary import short
from graphc.frontend.tensor import Tensor

VARIADIC = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}


def signature_of(function: Callable[..., Any]) -> Signature | None:
    """The signature; None where Python knows none (some functions written in C)."""
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def operands_of(what: str, function: Any) -> Signature:
    """The signature of a function whose parameters are operands.  Raises `GraphError` unless their
    number is fixed and their defaults are numbers."""
    signature = signature_of(function) if callable(function) else None
    name = getattr(function, "__name__", "")
    if signature is None or not name.isidentifier():
        raise GraphError(
            f"{what}: got {short(function)}; expected a function made by `def`, whose name the op "
            "takes",
            user_location(),
        )
    for p in signature.parameters.values():
        if p.kind in VARIADIC:
            raise GraphError(
                f"{what}: {name} takes {VARIADIC[p.kind]}{p.name}; an op has a fixed number of "
                "operands: name each",
                user_location(),
            )
        if p.default is not Parameter.empty and not isinstance(
            p.default, bool | int | float | Tensor
        ):
            raise GraphError(
                f"{what}: {name}: the default of operand {p.name!r} is {short(p.default)}; "
                "expected a number: all parameters of an op are operands",
                user_location(),
            )
    if not signature.parameters:
        raise GraphError(f"{what}: {name} takes no operand; expected at least one", user_location())
    return signature


def bound(name: str, signature: Signature, args: Sequence[Any], given: dict[str, Any]) -> list[Any]:
    """The operands of a call, in the order of the parameters, defaults filled in.  Raises
    `GraphError` for a call that does not fit."""
    try:
        found = signature.bind(*args, **given)
    except TypeError as error:
        raise GraphError(
            f"{name}: {error}; expected {name}{_spelled(signature)}", user_location()
        ) from None
    found.apply_defaults()
    return list(found.arguments.values())


def require_takes(what: str, function: Callable[..., Any], names: Sequence[str]) -> None:
    """Raises `GraphError` for a function that cannot be called on as many arguments as there are
    names; `what` is what it is for."""
    signature = signature_of(function)
    if signature is None:
        return
    try:
        signature.bind(*names)
    except TypeError as error:
        raise GraphError(
            f"{what} is called as ({', '.join(names)}), but takes {_spelled(signature)}: {error}",
            user_location(),
        ) from None


def _spelled(signature: Signature) -> str:
    bare = [p.replace(annotation=Parameter.empty) for p in signature.parameters.values()]
    return str(Signature(bare))
