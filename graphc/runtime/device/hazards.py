"""Which launches must wait for which: those that share memory that one of them writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from graphc.runtime.device.protocol import Allocation, Call, CopyNode, LaunchNode, MemorySpan, Node


@dataclass
class _Use:
    """A stretch of memory: who wrote it last, and who has read it since."""

    start: int
    end: int
    writer: int | None
    readers: list[int] = field(default_factory=list)


class Hazards:
    """Looks at launches in order and tells what each must wait for."""

    def __init__(self) -> None:
        self._uses: dict[Allocation, list[_Use]] = {}

    def after(
        self, number: int, read: Sequence[MemorySpan], written: Sequence[MemorySpan]
    ) -> tuple[int, ...]:
        """The earlier launches that launch `number` must wait for."""
        found: set[int] = set()
        for span in read:
            for use in self._overlapping(span):
                found |= {use.writer} if use.writer is not None else set()
        for span in written:
            for use in self._overlapping(span):
                found |= {use.writer} if use.writer is not None else set()
                found |= set(use.readers)
        self._note(number, read, written)
        found.discard(number)
        return tuple(sorted(found))

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
            # What lies whole in the stretch is behind this launch: who waits for it waits for them.
            uses[:] = [u for u in uses if not (start <= u.start and u.end <= end)]
            uses.append(_Use(start, end, number))


def with_edges(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, each waiting for those that it shares memory with."""
    hazards = Hazards()
    return [replace(node, after=hazards.after(n, *touched(node))) for n, node in enumerate(nodes)]


def touched(node: Node) -> tuple[Sequence[MemorySpan], Sequence[MemorySpan]]:
    """What a node reads and what it writes."""
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
