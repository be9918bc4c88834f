"""The order of kernels: Program -> Program whose values wait in memory for less.

Fusion orders kernels by the graph's first use.  A layer's gradient then waits until the gradients
of all layers are made, though its last reader (the product for the weight) could run at once.  This
pass schedules greedily: of the kernels that can run, the one that leaves the fewest bytes in memory
comes next (list scheduling, as in XLA's memory scheduler).  It tries small and large values for
unknown sizes, and keeps the new order where its peak is lower.  Commits stay last.  In a step of a
loop, what reads a carry runs before what may overwrite it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from graphc.ir import dim
from graphc.ir.arena import Numbers, peak
from graphc.ir.graph import Value
from graphc.ir.op import Foreign
from graphc.ir.program import Kernel, Program, storage
from graphc.passes.base import Context, ProgramPass, option
from graphc.passes.memory.in_place import LockStep, put_readers_first
from graphc.passes.memory.plan import plan


@dataclass(frozen=True)
class OrderKernels(ProgramPass):
    """Puts next, of the kernels that can run, the one that leaves the fewest bytes in memory."""

    name = "order"
    small_size: int = option(32, "what unknown sizes are taken to be if small", at_least=1)
    large_size: int = option(1024, "what unknown sizes are taken to be if large", at_least=1)

    def run(self, program: Program, context: Context) -> Program:
        kernels = tuple(
            replace(k, programs=tuple(self.run(p, context) for p in k.programs))
            if k.programs
            else k
            for k in program.kernels
        )
        program = _mended(replace(program, kernels=kernels))
        candidates = self.orders(program)
        if len(candidates) == 1:
            return program
        steps = LockStep()
        plans = [plan(p, steps) for p in candidates]
        peaks = [[peak(p, sizes) for sizes in self.assignments(p)] for p in plans]
        least_peaks = [max(1, min(column)) for column in zip(*peaks, strict=True)]
        worst_ratios = [max(x / y for x, y in zip(row, least_peaks, strict=True)) for row in peaks]
        return candidates[worst_ratios.index(min(worst_ratios))]

    def orders(self, program: Program) -> list[Program]:
        """The program as it is, and in other orders."""
        by_kernels = {program.kernels: program}
        needs = needs_of(program)
        for sizes in self.assignments(program):
            kernels = tuple(_Scheduler(program, Numbers(sizes), needs).run())
            by_kernels.setdefault(kernels, replace(program, kernels=kernels))
        return list(by_kernels.values())

    def assignments(self, program: Program) -> list[dict[str, int]]:
        """The small and the large values to try for a program's unknown sizes."""
        names = {s for k in program.kernels for v in k.writes for s in dim.symbols(v.type.nbytes)}
        if not names:
            return [{}]
        return [dict.fromkeys(names, n) for n in (self.small_size, self.large_size)]


def needs_of(program: Program) -> list[set[int]]:
    """For each kernel, the kernels that must run before it: those that write its operands, and in a
    step those that read what it may overwrite.  Calls of Python keep their order."""
    needs: list[set[int]] = []
    written: dict[Value, int] = {}
    last_caller: int | None = None
    for i, kernel in enumerate(program.kernels):
        needs.append({written[r] for r in kernel.reads if r in written})
        written |= dict.fromkeys(kernel.writes, i)
        if calls_python(kernel):
            needs[i] |= {last_caller} if last_caller is not None else set()
            last_caller = i
    if program.step:
        put_readers_first(program, needs)
    return needs


def _mended(program: Program) -> Program:
    """The program in its own order; in a step, but for kernels that must wait for others."""
    if not program.step:
        return program
    needs = needs_of(program)
    if all(n < i for i, before in enumerate(needs) for n in before):
        return program
    users, ready, order = _inverted(needs), [i for i, n in enumerate(needs) if not n], list[int]()
    while ready:
        order.append(heapq.heappop(ready))
        for i in users[order[-1]]:
            needs[i].discard(order[-1])
            if not needs[i]:
                heapq.heappush(ready, i)
    return replace(program, kernels=tuple(program.kernels[i] for i in order))


class _Scheduler:
    """Finds one order, greedily by the bytes that a kernel leaves in memory."""

    def __init__(self, program: Program, numbers: Numbers, needs: Sequence[set[int]]) -> None:
        self.kernels = [k for k in program.kernels if not k.commits]
        self.commits = [k for k in program.kernels if k.commits]
        apart = {storage(v) for v in program.graph.outputs}
        self.nbytes = {
            w: 0 if w in apart else numbers.of(w) for k in self.kernels for w in k.writes
        }
        self.readers: dict[Value, set[int]] = {w: set() for w in self.nbytes}
        for i, k in enumerate(self.kernels):
            for r in k.reads:
                if r in self.readers:
                    self.readers[r].add(i)
        self.kept = {r for k in self.commits for r in k.reads}
        self.kept |= {storage(new) for _, new in program.graph.updates}
        self.waits = [set(needs[i]) for i in range(len(self.kernels))]

    def _added_bytes(self, number: int) -> int:
        """The bytes that a kernel adds to memory: its results, less the operands that die."""
        kernel = self.kernels[number]
        written = sum(self.nbytes[w] for w in kernel.writes if self.readers[w] or w in self.kept)
        return written - sum(self.nbytes[r] for r in set(kernel.reads) if self._dies(r))

    def _dies(self, v: Value) -> bool:
        """Whether only one kernel that reads v is left, and nothing needs v after that."""
        return v in self.readers and len(self.readers[v]) == 1 and v not in self.kept

    def run(self) -> Iterable[Kernel]:
        """The kernels in their new order."""
        ready = [(self._added_bytes(i), i) for i, needs in enumerate(self.waits) if not needs]
        heapq.heapify(ready)
        users = _inverted(self.waits)
        done: set[int] = set()
        while ready:
            left, number = heapq.heappop(ready)
            if number in done or left != self._added_bytes(number):
                continue  # it has become cheaper since, and is queued again
            done.add(number)
            yield self.kernels[number]
            for i in self._newly_ready(number, users):
                heapq.heappush(ready, (self._added_bytes(i), i))
        yield from self.commits

    def _newly_ready(self, number: int, users: Sequence[Sequence[int]]) -> list[int]:
        """The kernels that kernel `number` makes ready, and ready ones that are last readers
        now."""
        candidates = []
        for i in users[number]:
            self.waits[i].discard(number)
            candidates += [] if self.waits[i] else [i]
        for r in self.kernels[number].reads:
            if r in self.readers:
                self.readers[r].discard(number)
                if self._dies(r):
                    candidates += [i for i in self.readers[r] if not self.waits[i]]
        return candidates


def _inverted(needs: Sequence[set[int]]) -> list[list[int]]:
    users: list[list[int]] = [[] for _ in needs]
    for i, before in enumerate(needs):
        for j in sorted(before):
            users[j].append(i)
    return users


def calls_python(kernel: Kernel) -> bool:
    """Whether a kernel calls Python functions, which may do anything."""
    return any(isinstance(v.op, Foreign) for v in kernel.body) or any(
        calls_python(k) for p in kernel.programs for k in p.kernels
    )
