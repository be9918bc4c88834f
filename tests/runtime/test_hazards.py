"""Edges between launches: every order that they allow leaves the same memory."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.codegen.device_source import DeviceSource
from graphc.runtime.device.hazards import touched, with_edges
from graphc.runtime.device.protocol import (
    Allocation,
    CopyNode,
    LaunchNode,
    LoadedKernel,
    MemorySpan,
)

CELLS = 24
FUNCTION = LoadedKernel(DeviceSource("def kernel(): pass", ()), None)
Node = LaunchNode | CopyNode


def random_span(rng: np.random.Generator, memories: list[Allocation]) -> MemorySpan:
    memory = memories[int(rng.integers(len(memories)))]
    start = int(rng.integers(CELLS))
    return MemorySpan(
        memory, start, int(rng.integers(0 if rng.random() < 0.1 else 1, CELLS - start + 1))
    )


def random_nodes(rng: np.random.Generator, memories: list[Allocation]) -> list[Node]:
    nodes: list[Node] = []
    for _ in range(int(rng.integers(2, 16))):
        spans = [random_span(rng, memories) for _ in range(int(rng.integers(1, 4)))]
        if rng.random() < 0.2:
            nodes.append(CopyNode(spans[0], spans[-1]))
        else:
            written = frozenset(i for i in range(len(spans)) if rng.random() < 0.5)
            nodes.append(LaunchNode(FUNCTION, (1, 1, 1), 0, (*spans, 7), written))
    return nodes


def run(nodes: list[Node], order: list[int], memories: list[Allocation]) -> list[tuple[int, ...]]:
    """The memory after the nodes: each leaves a mark of itself and of all that it reads."""
    cells = {m: [0] * CELLS for m in memories}
    for n in order:
        read, written = touched(nodes[n])
        values = [v for s in read for v in cells[s.memory][s.offset : s.offset + s.nbytes]]
        seen = hash((n, *values))
        for s in written:
            for i in range(s.offset, s.offset + s.nbytes):
                cells[s.memory][i] = hash((seen, i))
    return [tuple(cells[m]) for m in memories]


def random_order(rng: np.random.Generator, nodes: list[Node]) -> list[int]:
    """An order that the edges allow."""
    left, done = set(range(len(nodes))), list[int]()
    while left:
        ready = sorted(n for n in left if left.isdisjoint(nodes[n].after))
        done.append(ready[int(rng.integers(len(ready)))])
        left.remove(done[-1])
    return done


@pytest.mark.parametrize("seed", range(40))
def test_every_order_leaves_the_same_memory(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(10):
        memories = [Allocation(1 << 20 * k, CELLS) for k in range(1, 3)]
        nodes = with_edges(random_nodes(rng, memories))
        wanted = run(nodes, list(range(len(nodes))), memories)
        for _ in range(8):
            order = random_order(rng, nodes)
            assert run(nodes, order, memories) == wanted, (nodes, order)


def test_what_shares_nothing_waits_for_nothing() -> None:
    memory = Allocation(0, 64)
    a, b, c = (MemorySpan(memory, at, 8) for at in (0, 8, 16))
    last = LaunchNode(FUNCTION, (1, 1, 1), 0, (a, b), frozenset())
    nodes = with_edges([CopyNode(a, c), CopyNode(b, c), last])
    assert [n.after for n in nodes] == [(), (), (0, 1)]


def test_an_edge_that_is_missing_shows() -> None:
    memory = Allocation(0, CELLS)
    a, b = MemorySpan(memory, 0, 8), MemorySpan(memory, 4, 8)
    nodes: list[Node] = [
        CopyNode(a, MemorySpan(memory, 16, 8)),
        CopyNode(MemorySpan(memory, 16, 8), b),
    ]
    assert run(nodes, [0, 1], [memory]) != run(nodes, [1, 0], [memory])
    assert [n.after for n in with_edges(nodes)] == [(), (0,)]
