"""The values of a session's variables: their first ones, and what users read and load.

The caller holds the session's lock.  Invariant: an error or Ctrl-C, wherever it strikes, leaves
every variable as it was: what may fail comes first, and plans are forgotten before an array moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphc.errors import FeedError, FetchError, GraphError, user_location
from graphc.frontend.stage import Staged, stage
from graphc.frontend.tensor import Tensor, Variable
from graphc.interrupts import undisturbed
from graphc.ir.interpret import interpret
from graphc.ir.ops.shape import Constant
from graphc.ir.ops.state import RunCounter
from graphc.session.engine import Owner
from graphc.session.feeds import convert
from graphc.session.too_large import explaining

if TYPE_CHECKING:
    from graphc.ir.graph import Value
    from graphc.ir.op import Array
    from graphc.runtime.devices import Home


class Keeper(Owner, Protocol):
    """A session, as the keeper of variables."""

    first_count: Array  # of the run counter, which first values draw from

    def home(self, v: Value) -> Home | None:
        """The device where a variable lives, or None for the host."""

    def tensor(self, x: Any, error: type[FetchError], what: str) -> Tensor:
        """The tensor that a tensor or a name stands for; else `error`."""


def found(session: Keeper, variable: Variable | str, what: str) -> Variable:
    """The variable, which gets its initial value if it has none.  Raises `FetchError`."""
    v = session.tensor(variable, FetchError, what)
    if not isinstance(v, Variable):
        raise FetchError(f"{what}: {v!r} is no variable", user_location())
    initialise(session, [v])
    return v


def value_of(session: Keeper, v: Value) -> Array:
    """A copy of a variable's value, wherever it lives."""
    home = session.home(v)
    return session.values[v].copy() if home is None else home.value(v)


def load(session: Keeper, given: Mapping[Variable | str, Any], what: str) -> None:
    """Gives variables values, all or none.  Raises `FeedError` for one that does not fit."""
    named = {found(session, v, what): value for v, value in given.items()}
    new = {v: _fitting(what, v, value) for v, value in named.items()}
    old = {v: value_of(session, v) for v in new}
    unshare(session, [v for v in new if session.home(v) is None])
    with undisturbed():
        try:
            for v, array in new.items():
                _put(session, v, array)
        except BaseException:
            for v, array in old.items():
                _put(session, v, array)
            raise


def _fitting(what: str, v: Variable, given: Any) -> Array:
    array = convert(what, v, given)
    if array.shape != v.shape:
        raise FeedError(
            f"{what}: {v.name!r} is {v.type}, the value has shape {list(array.shape)}",
            user_location(),
        )
    return array


def _put(session: Keeper, v: Variable, array: Array) -> None:
    home = session.home(v)
    if home is not None:
        home.keep(v, array)
    else:
        np.copyto(session.values[v], array)


def initialise(session: Keeper, variables: Sequence[Tensor]) -> None:
    """Computes the initial values of variables that have none yet."""
    values = session.values
    stack = list(variables)
    while stack:
        v = stack[-1]
        if v in values:
            stack.pop()
            continue
        assert isinstance(v, Variable) and v.initial_value is not None
        if isinstance(v.initial_value.op, Constant):
            values[v] = v.initial_value.op.value.array
            continue
        staged = stage([v.initial_value])
        first = [t for t in staged.inputs if isinstance(t, Variable) and t not in values]
        stack += first
        if not first:
            values[v] = _initial(session, v, staged)


def _initial(session: Keeper, v: Variable, staged: Staged) -> Array:
    """A variable's first value, which depends on the seed, but not on earlier runs."""
    arrays = [
        session.first_count if isinstance(t.op, RunCounter) else _current(session, t)
        for t in staged.inputs
    ]
    for t, a in zip(staged.inputs, arrays, strict=True):
        if a is None:
            raise GraphError(
                f"the initial value of {v.name!r} depends on placeholder {t.name!r}", v.loc
            )
    try:
        with explaining(staged.graph, dict):
            (first,) = interpret(staged.graph, *arrays)  # type: ignore[arg-type]
    except GraphError as error:
        raise GraphError(
            f"the initial value of {v.name!r}: {error.message}", error.location or v.loc
        ) from None
    return np.array(first, order="C")


def _current(session: Keeper, t: Tensor) -> Array | None:
    """The value of a variable, wherever it lives; None for another tensor."""
    home = session.home(t)
    return session.values.get(t) if home is None else home.value(t)


def unshare(session: Keeper, variables: Sequence[Value]) -> None:
    """Copies the arrays of variables about to be written: until now they may share the array of
    their initial constant."""
    values = session.values
    own = {v: values[v].copy() for v in variables if not values[v].flags.writeable}
    if own:
        for holder in session.plan_holders:  # plans hold the old arrays
            holder.forget()
        values.update(own)
