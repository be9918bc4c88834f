"""Passes as text: `simplify,split-reductions{chunks=32},fuse`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphc.errors import GraphcError
from graphc.passes.base import Option, Pass, Setting, spelled

SEPARATORS = ", \t\n"  # what may stand between passes; an empty entry counts for nothing
ONE_PASS = re.compile(r"([^,{}]+?)\s*(?:\{([^{}]*)\})?\s*(?:,|$)")
BOOLEANS = {"true": True, "false": False}


def parse_passes(
    text: str, known: Sequence[Pass], own: Mapping[str, Pass] | None = None
) -> list[Pass]:
    """The passes that a text names, with the fields that it sets.  Raises `GraphcError` for a pass
    that is neither among the `known` nor a key of `own`, a field that the pass has not, or a value
    of another type.

    >>> from graphc.passes.pipeline import PASSES
    >>> [str(p) for p in parse_passes("simplify, split-reductions{chunks=32}", PASSES)]
    ['simplify', 'split-reductions{chunks=32}']
    """
    passes: list[Pass] = []
    unread = text.strip(SEPARATORS)
    while unread:
        entry = ONE_PASS.match(unread)
        if entry is None:
            raise GraphcError(
                f"passes: cannot read {unread!r}; expected name{{field=value,...}},..."
            )
        p = (own or {}).get(entry[1]) or _named(entry[1], known)
        passes.append(_configured(p, entry[2] or ""))
        unread = unread[entry.end() :].strip(SEPARATORS)
    return passes


def _named(name: str, known: Sequence[Pass]) -> Pass:
    for p in known:
        if p.name == name:
            return p
    there = ", ".join(p.name for p in known)
    own = "; one of your own is FILE.py:NAME" if name.endswith((".py", ":")) else ""
    raise GraphcError(f"no pass {name!r}; there are {there}{own}")


def _configured(p: Pass, text: str) -> Pass:
    """The pass with the fields that a text (`field=value, ...`) sets."""
    changes: dict[str, Setting] = {}
    for setting in filter(None, map(str.strip, text.split(","))):
        name, _, value = map(str.strip, setting.partition("="))
        field = _field(p, name)
        if name in changes:
            raise GraphcError(f"pass {p.name}: {name} is set twice")
        changes[name] = _value(p, field, value)
    return replace(p, **changes)


def _field(p: Pass, name: str) -> Option:
    for o in p.options():
        if o.name == name:
            return o
    shown = ", ".join(f"{o.name}={spelled(o.default)}" for o in p.options())
    raise GraphcError(
        f"pass {p}: no field {name!r}; "
        + (f"its fields and their defaults are {shown}" if shown else "it has none")
    )


def _value(p: Pass, field: Option, text: str) -> Setting:
    """A field's value, read as the type of its default."""
    try:
        value: Setting = BOOLEANS[text] if field.type is bool else field.type(text)
    except (KeyError, ValueError):
        value = ""
    if (not text and field.type is not str) or not field.allows(value):
        raise GraphcError(f"pass {p.name}: {field.name} is {text!r}; expected {field.expected}")
    return value
