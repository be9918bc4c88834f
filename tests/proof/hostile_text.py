"""A row of mutated `.gir` texts: each is refused with a typed error, or read as a good graph."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from proof.row import Row, Verdict

from graphc.compiler.compile import lower
from graphc.config import Options
from graphc.errors import GraphcError, ParseError
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.ir.text.program import print_program
from graphc.ir.text.program_parser import parse_program
from graphc.ir.verify import verify
from graphc.testing.random_control import control_graph, staged
from graphc.testing.random_graphs import random_graph

Rng = np.random.Generator
TOKEN = re.compile(r"%[\w:]+|\w+|\s+|.")
TEXTS = 40  # that are mutated, of each kind
NUMBERS = ("0", "-1", "99999999999999999999", "1e999", "nan")
MARKS = (
    "",
    " ",
    "\n",
    "\x00",
    "é",
    "'",
    '"',
    "#",
    "//",
    "**",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    "->",
    ":",
)
STRANGE = (*NUMBERS, *MARKS, "n", "%x", "f32", "f32[", "__import__")


def _replaced(rng: Rng, tokens: list[str], at: int) -> list[str]:
    return [*tokens[:at], str(rng.choice(STRANGE)), *tokens[at + 1 :]]


def _inserted(rng: Rng, tokens: list[str], at: int) -> list[str]:
    return [*tokens[:at], str(rng.choice(STRANGE)), *tokens[at:]]


def _dropped(rng: Rng, tokens: list[str], at: int) -> list[str]:
    return tokens[:at] + tokens[at + int(rng.integers(1, 4)) :]


def _swapped(rng: Rng, tokens: list[str], at: int) -> list[str]:
    other = int(rng.integers(len(tokens)))
    changed = list(tokens)
    changed[at], changed[other] = tokens[other], tokens[at]
    return changed


def _copied(rng: Rng, tokens: list[str], at: int) -> list[str]:
    other = int(rng.integers(len(tokens)))
    return [*tokens[:at], tokens[other], *tokens[at + 1 :]]


def _cut(rng: Rng, tokens: list[str], at: int) -> list[str]:
    return tokens[:at]


def _line_moved(rng: Rng, tokens: list[str], at: int) -> list[str]:
    lines = "".join(tokens).splitlines(keepends=True)
    line = lines.pop(int(rng.integers(len(lines))))
    lines.insert(int(rng.integers(len(lines) + 1)), line * int(rng.integers(0, 3)))
    return ["".join(lines)]


MUTATIONS: tuple[Callable[[Rng, list[str], int], list[str]], ...] = (
    _replaced,
    _inserted,
    _dropped,
    _swapped,
    _copied,
    _cut,
    _line_moved,
)


def mutated(text: str, rng: Rng) -> str:
    """A text with one to three pieces changed."""
    for _ in range(int(rng.integers(1, 4))):
        tokens = TOKEN.findall(text) or [" "]
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        text = "".join(mutation(rng, tokens, int(rng.integers(len(tokens)))))
    return text


def text_of(case: int) -> str:
    """A graph or, for odd cases, a program."""
    seed = case // 2 % TEXTS
    graph = staged(control_graph(seed)) if seed % 3 == 0 else random_graph(seed)
    if case % 2 == 0:
        return print_graph(graph)
    return print_program(lower(graph, Options(progress=False)).program)


def hostile_text(case: int) -> Verdict:
    """A mutated text: refused, or read as a graph whose own text reads back."""
    rng = np.random.default_rng([case, 11])
    text = mutated(text_of(case), rng)
    try:
        if case % 2:
            program = parse_program(text)
            again = print_program(program)
            same = print_program(parse_program(again)) == again
        else:
            graph = verify(parse_graph(text), "proof")
            again = print_graph(graph)
            same = print_graph(parse_graph(again)) == again
    except GraphcError as error:
        kind = "refused" if isinstance(error, ParseError) else type(error).__name__
        return Verdict("" if str(error) else "an error without words", frozenset({kind}))
    except Exception as error:
        return Verdict(f"{type(error).__name__}: {error}\n{text}")
    return Verdict("" if same else f"read, and printed another text\n{text}", frozenset({"read"}))


TEXT_ROWS = (
    Row(
        "hostile-text",
        "mutated `.gir` texts of graphs and programs are refused in words, or read",
        6_000,
        "texts",
        hostile_text,
        lambda tally: [f"no text was {k}" for k in ("refused", "read") if k not in tally.seen],
    ),
)
