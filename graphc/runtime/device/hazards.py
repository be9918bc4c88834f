"""Finds which launches must wait for which: two that share memory, if one of them writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from graphc.runtime.device.protocol import Allocation, Call, CopyNode, LaunchNode, MemorySpan, Node


@dataclass
class _Use:
    """A stretch of memory: the launch that wrote it last, and those that have read it since."""

    start: int
    end: int
    writer: int | None
    readers: list[int] = field(default_factory=list)


class Hazards:
    """Takes launches in order, and says which earlier ones each must wait for."""

    def __init__(self) -> None:
        self._uses: dict[Allocation, list[_Use]] = {}

    def after(
        self, number: int, read: Sequence[MemorySpan], written: Sequence[MemorySpan]
    ) -> tuple[int, ...]:
        """The earlier launches that launch `number` must wait for."""
        earlier: set[int] = set()
        for span in read:
            for use in self._overlapping(span):
                earlier |= {use.writer} if use.writer is not None else set()
        for span in written:
            for use in self._overlapping(span):
                earlier |= {use.writer} if use.writer is not None else set()
                earlier |= set(use.readers)
        self._note(number, read, written)
        earlier.discard(number)
        return tuple(sorted(earlier))

    def _overlapping(self, span: MemorySpan) -> list[_Use]:
        start, end = span.offset, span.offset + span.nbytes
        return [u for u in self._uses.get(span.memory, ()) if u.start < end and start < u.end]

    def _note(self, number: int, read: Sequence[MemorySpan], written: Sequence[MemorySpan]) -> None:
        for span in read:
            uses = self._uses.setdefault(span.memory, [])
            same = [u for u in uses if (u.start, u.end) == (span.offset, span.offset + span.nbytes)]
            if not same:
                same = [_Use(span.offset, span.offset + span.nbytes, None)]
                uses += same
            same[0].readers.append(number)
        for span in written:
            start, end = span.offset, span.offset + span.nbytes
            uses = self._uses.setdefault(span.memory, [])
            # This launch waits for all uses inside its stretch, so later ones need not.
            uses[:] = [u for u in uses if not (start <= u.start and u.end <= end)]
            uses.append(_Use(start, end, number))


def with_edges(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, each with the numbers of the earlier nodes that it must wait for."""
    hazards = Hazards()
    return [replace(node, after=hazards.after(n, *touched(node))) for n, node in enumerate(nodes)]


def touched(node: Node) -> tuple[Sequence[MemorySpan], Sequence[MemorySpan]]:
    """The memory that a node reads, and the memory that it writes."""
    match node:
        case Call():
            return node.read, node.written
        case CopyNode():
            return (
                [x for x in (node.source,) if isinstance(x, MemorySpan)],
                [x for x in (node.target,) if isinstance(x, MemorySpan)],
            )
        case LaunchNode():
            spans = [(n, a) for n, a in enumerate(node.arguments) if isinstance(a, MemorySpan)]
            return [a for _, a in spans], [a for n, a in spans if n in node.written]
    assert_never(node)
