"""The lines of a text, each with the block that it opens for inner graphs; and the fault of one.

Lines keep the numbers that they have in the text, those of a block count from the line that opens
it.  So an error says where it stands, however deep.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from graphc.errors import GraphcError, ParseError

NAME = r"%[\w./:\-]+"
COMMENT = re.compile(r"""\"[^"]*"|'[^']*'|(?:^|(?<=\s))//.*""")  # `n//2` is no comment
# A line is cut by this and by its braces, never by one expression: each run of blanks that two
# parts of it could take would multiply the time for a line that does not fit.
DEFINED = re.compile(rf"({NAME})\s*= (\w+)")

PARSE_ERRORS = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    SyntaxError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    GraphcError,
)


def fault(error: BaseException, number: int, source: str) -> ParseError:
    """The error that users see for a failure in a line: where one is in a block that the line
    opens, it counts from there."""
    if isinstance(error, ParseError):
        return ParseError(error.reason, number - 1 + error.line, error.source)
    reason = error.message if isinstance(error, GraphcError) else str(error)
    source = source.partition("\n")[0]
    shown = source if len(source) <= 200 else source[:200] + "..."
    return ParseError(reason or f"cannot read this ({type(error).__name__})", number, shown)


def code_lines(text: str) -> list[tuple[int, str]]:
    """(number, text) of each line that is more than a comment."""
    lines = [
        (i + 1, COMMENT.sub(lambda m: "" if m[0].startswith("//") else m[0], s).strip())
        for i, s in enumerate(text.splitlines())
    ]
    return [(i, s) for i, s in lines if s]


def nested(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The lines, each with the block that it opens for inner graphs."""
    joined: list[tuple[int, str]] = []
    depth = before = 0
    for number, source in lines:
        breaks, before = "\n" * (number - before), number  # what is left out counts as well
        if depth:
            joined[-1] = joined[-1][0], f"{joined[-1][1]}{breaks}{source}"
            depth += source.endswith("{")
            depth -= source == "}"
            continue
        joined.append((number, source))
        depth = opens(source.replace("~", "=", 1))
    return joined


def opens(source: str) -> bool:
    """Whether a line, `%name = op ... : (type, ...) {`, opens a block for inner graphs."""
    start = DEFINED.match(source)
    return (
        start is not None
        and source.endswith(") {")
        and source.find(": (", start.end(), -len(") {")) >= 0
    )


class Block(NamedTuple):
    """A graph inside a line, the field it is for, and the number of its first line, where 1 is that
    of the line itself."""

    field: str
    text: str
    first: int


def parse_blocks(source: str) -> tuple[str, list[Block]]:
    """A line without the blocks it opens, and these."""
    head, _, behind = source.partition("\n")
    blocks: list[Block] = []
    depth = 0
    for number, line in enumerate(behind.splitlines()[:-1], 2):
        if depth == 0:
            if not line:
                continue
            field, _, line = line.partition(" ")
            blocks.append(Block(field, "", number))
        depth += line.endswith("{")
        depth -= line == "}"
        blocks[-1] = blocks[-1]._replace(text=f"{blocks[-1].text}{line}\n")
    return head.removesuffix(" {") if behind else head, blocks


@contextlib.contextmanager
def inside(block: Block) -> Iterator[None]:
    """Within the `with`, errors in a block's text count from the line that opens the block."""
    try:
        yield
    except ParseError as error:
        raise ParseError(error.reason, block.first - 1 + error.line, error.source) from None


END = "after the `return` comes `}`, and nothing else"


def wrong_end(lines: Sequence[tuple[int, str]], at: int) -> tuple[int, str] | None:
    """The line that is wrong after the `return`, the line number `at`; None for a lone `}`."""
    rest = lines[at + 1 :]
    if not rest:
        return lines[at]
    if rest[0][1] != "}":
        return rest[0]
    return rest[1] if len(rest) > 1 else None
