"""Finds the offsets of values in the arena, once sizes are numbers.

A planned program says which values lie in the arena, which take the place of an operand, and, by
the order of its kernels, when each is needed.  The sizes tell how many bytes each value takes, so
offsets are found when a program is bound to sizes, and batches of any size are packed equally well.
The packer goes from the largest value to the smallest; each takes the tightest gap between the
values that are needed at the same time ("greedy by size": Pisarchyk and Lee, "Efficient Memory
Management for Deep Neural Net Inference", 2020; TensorFlow Lite's planner).  The arena of an inner
program is a block like any other, needed while its kernel runs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.program import Place, Program, home, storage

ALIGNMENT_BYTES = 64  # a cache line: every value starts on one
MAX_BLOCKS_TO_COMPARE = 1000  # with more blocks, a faster and less tight way packs them


@dataclass(frozen=True, order=True)
class ArenaBlock:
    """Bytes that are needed from kernel `born` to kernel `dies`, both included.  The number of
    kernels stands for the end of the run."""

    born: int
    dies: int
    nbytes: int


@dataclass(frozen=True)
class ArenaLayout:
    """The arena of one program at some sizes; all figures are bytes.

    `least` is the peak of the bytes needed at once: no layout takes less.  A value has an offset
    for each kernel that writes it (`offsets[v][number of the kernel]`): several if it is computed
    again."""

    arena: int
    least: int
    naive: int  # the arena without reuse of memory
    offsets: dict[Value, dict[int, int]] = field(default_factory=dict)
    nbytes: dict[Value, int] = field(default_factory=dict)  # rounded up to whole cache lines
    workspaces: dict[int, int] = field(default_factory=dict)  # offsets of inner arenas, by kernel
    inner: dict[Program, ArenaLayout] = field(default_factory=dict)

    def at(self, v: Value, number: int) -> int:
        """The offset of v while kernel `number` runs."""
        by_kernel = self.offsets[v]
        return by_kernel[max(n for n in by_kernel if n <= number)]


def layout(program: Program, sizes: Mapping[str, int]) -> ArenaLayout:
    """The places of all values, and the layouts of inner programs."""
    inner = {p: layout(p, sizes) for k in program.kernels for p in k.programs}
    needs = Needs(program, Numbers(sizes), {p: x.arena for p, x in inner.items()})
    packed, arena = pack(list(needs.blocks.values()), needs.peak + needs.peak // 50)
    offset_of = dict(zip(needs.blocks, packed, strict=True))
    offsets: dict[Value, dict[int, int]] = {}
    for (v, born), key in needs.homes.items():
        offsets.setdefault(v, {})[born] = offset_of[key]
    workspaces = {born: place for (v, born), place in offset_of.items() if v is None}
    return ArenaLayout(arena, needs.peak, needs.naive, offsets, needs.nbytes, workspaces, inner)


def peak(program: Program, sizes: Mapping[str, int]) -> int:
    """The most bytes that are needed at once: the size of an arena without gaps."""
    inner = {p: peak(p, sizes) for k in program.kernels for p in k.programs}
    return Needs(program, Numbers(sizes), inner).peak


class Numbers:
    """Evaluates formulas to numbers of bytes, each once.  Negative sizes count as 0."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self._known: dict[Size, int] = {}
        self._values: dict[Value, int] = {}

    def aligned(self, nbytes: Size) -> int:
        """A formula's value, rounded up to whole cache lines."""
        if nbytes not in self._known:
            self._known[nbytes] = (
                -(-max(0, dim.evaluate(nbytes, self.sizes)) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
            )
        return self._known[nbytes]

    def of(self, v: Value) -> int:
        """The bytes that a value takes in the arena."""
        if v not in self._values:
            self._values[v] = self.aligned(v.type.nbytes)
        return self._values[v]


Life = tuple[Value | None, int]  # a value and the kernel that writes it; None: a workspace


class Needs:
    """The blocks that a program needs; values that follow each other in one place share a block."""

    def __init__(self, program: Program, numbers: Numbers, inner: Mapping[Program, int]) -> None:
        self.lives = lives = lifetimes(program)
        self.nbytes = {v: numbers.of(v) for v, _ in lives}
        self.blocks: dict[Life, ArenaBlock] = {}
        self.homes: dict[tuple[Value, int], Life] = {}
        written = {v: born for v, born in lives}
        for (v, born), dies in lives.items():
            root = home(program, v)
            key = (v, born) if root is v else (root, written[root])
            first = self.blocks.get(key, ArenaBlock(born, dies, self.nbytes[v]))
            self.homes[v, born] = key
            self.blocks[key] = ArenaBlock(first.born, max(first.dies, dies), first.nbytes)
        for i, kernel in enumerate(program.kernels):
            if kernel.programs:  # only one of its programs runs at a time
                self.blocks[None, i] = ArenaBlock(i, i, max(inner[p] for p in kernel.programs))
        self.loads = loads(list(self.blocks.values()), len(program.kernels))
        self.peak = max(self.loads)
        spaces = (b.nbytes for (v, _), b in self.blocks.items() if v is None)
        self.naive = sum(self.nbytes.values()) + sum(spaces)


def lifetimes(program: Program) -> dict[tuple[Value, int], int]:
    """(value of the arena, kernel that writes it) -> the last kernel that needs the value before it
    is written again."""
    dies: dict[tuple[Value, int], int] = {}
    written: dict[Value, int] = {}
    for i, kernel in enumerate(program.kernels):
        for r in kernel.reads:
            if r in written:
                dies[r, written[r]] = i
        for w in kernel.writes:
            if program.buffers[w].place is Place.ARENA:
                dies[w, i] = written[w] = i
    for v in map(storage, program.graph.results):
        if v in written:
            dies[v, written[v]] = len(program.kernels)
    return dies


def loads(blocks: Sequence[ArenaBlock], end: int) -> list[int]:
    """The bytes that are needed while each kernel runs, and at the end of the run."""
    change = [0] * (end + 2)
    for b in blocks:
        change[b.born] += b.nbytes
        change[b.dies + 1] -= b.nbytes
    return list(accumulate(change))[: end + 1]


def pack(blocks: Sequence[ArenaBlock], tight: int = 0) -> tuple[list[int], int]:
    """An offset for each block, and the size of the arena.  If the order by size takes more than
    `tight` bytes (it left gaps), the order by lifetime is tried, too."""
    if len(blocks) > MAX_BLOCKS_TO_COMPARE:
        return _packed_in_time(blocks)
    by_size = _packed_in_order(
        blocks, sorted(range(len(blocks)), key=lambda i: (-blocks[i].nbytes, i))
    )
    if by_size[1] <= tight:
        return by_size
    by_lifetime = sorted(range(len(blocks)), key=lambda i: (blocks[i].born - blocks[i].dies, i))
    return min(by_size, _packed_in_order(blocks, by_lifetime), key=lambda x: x[1])


def _packed_in_order(blocks: Sequence[ArenaBlock], order: Sequence[int]) -> tuple[list[int], int]:
    offsets, total = [0] * len(blocks), 0
    placed: list[tuple[int, ArenaBlock]] = []  # (offset, block), sorted
    for i in order:
        block = blocks[i]
        if block.nbytes:
            offsets[i] = place_of(block, placed)
            insort(placed, (offsets[i], block))
            total = max(total, offsets[i] + block.nbytes)
    return offsets, total


def place_of(block: ArenaBlock, placed: Sequence[tuple[int, ArenaBlock]]) -> int:
    """The offset of the tightest gap for a block between the placed blocks that live at the same
    time; after the last of these, if no gap is large enough."""
    best, tightest, end = -1, 0, 0
    for start, other in placed:
        if block.born <= other.dies and other.born <= block.dies:
            gap = start - end
            if block.nbytes <= gap and (best < 0 or gap < tightest):
                best, tightest = end, gap
            end = max(end, start + other.nbytes)
    return best if best >= 0 else end


def _packed_in_time(blocks: Sequence[ArenaBlock]) -> tuple[list[int], int]:
    """Packs blocks in the order in which they are needed, each in the tightest gap at that time.
    For programs of thousands of kernels, where comparing every block with all takes too long."""
    offsets, total = [0] * len(blocks), 0
    alive: list[tuple[int, int]] = []  # (dies, number), a heap
    free: list[tuple[int, int]] = []  # (start, end), sorted; no two touch
    for i in sorted(range(len(blocks)), key=lambda i: (blocks[i].born, -blocks[i].nbytes, i)):
        block = blocks[i]
        while alive and alive[0][0] < block.born:
            _, dead = heappop(alive)
            _release(free, offsets[dead], offsets[dead] + blocks[dead].nbytes)
        if not block.nbytes:
            continue
        fits = [(end - start, start) for start, end in free if end - start >= block.nbytes]
        at = min(fits)[1] if fits else free[-1][0] if free and free[-1][1] == total else total
        if at < total:
            j = bisect_left(free, (at, 0))
            free[j : j + 1] = [(at + block.nbytes, free[j][1])] * (at + block.nbytes < free[j][1])
        offsets[i], total = at, max(total, at + block.nbytes)
        heappush(alive, (block.dies, i))
    return offsets, total


def _release(free: list[tuple[int, int]], start: int, end: int) -> None:
    """Adds a stretch of bytes to the free ones, and joins it with neighbours that it touches."""
    i = bisect_left(free, (start, end))
    if i < len(free) and free[i][0] == end:
        end = free.pop(i)[1]
    if i and free[i - 1][1] == start:
        i -= 1
        start = free.pop(i)[0]
    free.insert(i, (start, end))
