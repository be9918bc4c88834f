"""Replaces the names in a kernel's text: by canonical ones to compile, by plain ones to read."""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

RANDOM_KEY = re.compile(r"\bu64\((\d{10,})\)")  # each random op has its own: an argument
ASSIGNED_NAME = re.compile(r"^\s*(?:for )?([A-Za-z_]\w*) (?:=|in) ", re.MULTILINE)
IDENTIFIER = re.compile(r"(?<![\w.])[A-Za-z_]\w*")  # neither an attribute nor the e of 1e-05
NUMBER_SUFFIX = re.compile(r"_\d+$")  # `Emitter.name` appends it to a name that is taken


def with_buffers(text: str, names: Sequence[str]) -> str:
    """The text with the name of buffer 3 in place of `@3`."""
    return re.sub(r"@(\d+)", lambda m: names[int(m[1])], text)


def canonical(text: str, parameters: Sequence[str] = ()) -> str:
    """The text with parameters and local names replaced in order of appearance, so that equal
    kernels are equal text."""
    assigned = ASSIGNED_NAME.findall(text)
    names = {name: f"v{i}" for i, name in enumerate(dict.fromkeys((*parameters, *assigned)))}
    return IDENTIFIER.sub(lambda m: names.get(m[0], m[0]), text)


def plain(text: str, sizes: Mapping[str, str], buffers: Sequence[str]) -> str:
    """The text with the simplest names.  Sizes get the user's names, then buffers choose, then
    locals; a name has a number behind it only if it is taken."""
    head, _, body = text.partition("\n")
    changing = dict.fromkeys((*buffers, *ASSIGNED_NAME.findall(body)))
    others = set(IDENTIFIER.findall(body)) - {*changing, *sizes}
    shown = {name: name if user in others else user for name, user in sizes.items()}
    names = {**shown, **simplest(changing, {*shown.values(), *others})}
    start, _, parameters = head.partition("(")  # the kernel's own name stays
    return f"{start}(" + IDENTIFIER.sub(lambda m: names.get(m[0], m[0]), f"{parameters}\n{body}")


def simplest(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Maps each name to its start, without the number that `Emitter.name` appended; with a new
    number if that is taken."""
    shorter: dict[str, str] = {}
    used = {*keyword.kwlist, *taken}
    for name in names:
        base = NUMBER_SUFFIX.sub("", name.strip("_"))
        shorter[name] = (
            base
            if base not in used
            else next(f"{base}_{n}" for n in itertools.count(1) if f"{base}_{n}" not in used)
        )
        used.add(shorter[name])
    return shorter
