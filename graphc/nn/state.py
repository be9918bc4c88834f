"""State dicts: reads the values of a module's variables from a session, and loads them into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.errors import SessionError, StateDictError, user_location
from graphc.frontend.plain_array import plain_array
from graphc.frontend.tensor import Variable
from graphc.session.session import Session


def values(session: Any, variables: Mapping[str, Variable], what: str) -> dict[str, Any]:
    """Copies of the values."""
    _check(session, what)
    found = session.values_of(variables.values(), what)
    return dict(zip(variables, found, strict=True))


def load(
    session: Any, variables: Mapping[str, Variable], state: Any, strict: bool, what: str
) -> tuple[list[str], list[str]]:
    """Missing and unexpected keys; the others are loaded, all or none."""
    _check(session, what)
    if not isinstance(state, Mapping):
        raise StateDictError(
            f"{what}: state_dict is {type(state).__name__}; expected a dict of arrays by path",
            user_location(),
        )
    arrays = {path: plain_array(a) for path, a in state.items()}
    missing = [path for path in variables if path not in arrays]
    unexpected = [path for path in arrays if path not in variables]
    wrong = [
        f"{path}: expected {list(v.shape)}, got {list(arrays[path].shape)}"
        for path, v in variables.items()
        if path in arrays and arrays[path].shape != v.shape
    ]
    parts = [("missing", missing), ("unexpected", unexpected)] if strict else []
    listed = [
        f"\n  {title}:" + "".join(f"\n    {line}" for line in lines)
        for title, lines in [*parts, ("wrong shapes", wrong)]
        if lines
    ]
    if listed:
        raise StateDictError(
            f"{what}: the state dict does not fit{''.join(listed)}", user_location()
        )
    session.load_all({v: arrays[path] for path, v in variables.items() if path in arrays}, what)
    return missing, unexpected


def _check(session: Any, what: str) -> None:
    if not isinstance(session, Session):
        raise SessionError(
            f"{what}: session is {session!r}; expected the gc.Session that holds the values",
            user_location(),
        )
