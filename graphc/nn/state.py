"""State dicts: reads the values of a module's variables from a session, and loads them into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.errors import GraphcError, SessionError, StateDictError, user_location
from graphc.frontend.tensor import Variable
from graphc.session.session import Session


def values(session: Any, variables: Mapping[str, Variable], what: str) -> dict[str, Any]:
    """Copies of the values."""
    _check(session, what)
    return {path: session.value(v) for path, v in variables.items()}


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
    arrays = {path: np.asarray(a) for path, a in state.items()}
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
    _load_all(session, {v: arrays[path] for path, v in variables.items() if path in arrays})
    return missing, unexpected


def _load_all(session: Session, arrays: Mapping[Variable, Any]) -> None:
    before = {v: session.value(v) for v in arrays}
    try:
        for v, array in arrays.items():
            session.load(v, array)
    except GraphcError:
        for v, array in before.items():
            session.load(v, array)
        raise


def _check(session: Any, what: str) -> None:
    if not isinstance(session, Session):
        raise SessionError(
            f"{what}: session is {session!r}; expected the gc.Session that holds the values",
            user_location(),
        )
