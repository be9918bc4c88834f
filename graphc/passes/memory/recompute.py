"""Less memory for more work: a planned Program -> one whose arena fits a limit.

Where the most is needed, values that lie idle are given up, and the kernels that made them run
again before their next reader, with those that make their operands if these are gone, too (Chen et
al., "Training Deep Nets with Sublinear Memory Cost", 2016; the choice is greedy by work for bytes,
as in XLA's rematerialization pass).  A whole kernel runs again: the same machine code on the same
operands, so results have the same bits, draws included.  What can fail or calls Python runs once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.ir import dim
from graphc.ir.arena import Life, Needs, Numbers, layout
from graphc.ir.graph import Value
from graphc.ir.program import Kernel, Place, Program, may_repeat
from graphc.passes.cost.work import work
from graphc.passes.memory.order import OrderKernels
from graphc.passes.memory.plan import LockStep, plan

MAX_KERNELS_PER_CHAIN = 64  # kernels that run again to have one value
EXTRA_ROUNDS = 64  # rounds of giving up values, beyond one for each kernel
MAX_TARGETS = 8  # targets tried, each smaller than the last: gaps between values take bytes too
TARGET_STEPS_PER_LIMIT = 32  # a target is below the last one by this part of the limit, or more
BISECTIONS = 8  # halvings of the interval that holds the least memory


def fitted(program: Program, sizes: dict[str, int], limit: int) -> Program | None:
    """The program in an arena of at most `limit` bytes at these sizes, with the least work found;
    None if there is none."""
    made = [_fitted(p, sizes, limit) for p in OrderKernels().orders(program)]
    found = [p for p in made if p is not None]

    def total(p: Program) -> int:
        return sum(work(k, lambda s: dim.evaluate(s, sizes)) for k in p.kernels)

    return min(found, key=total, default=None)


def _fitted(program: Program, sizes: dict[str, int], limit: int) -> Program | None:
    target = limit
    for _ in range(MAX_TARGETS):
        made = _Squeeze(program, sizes).run(target)
        if made is None:
            return None
        over = layout(made, sizes).arena - limit
        if over <= 0:
            return made
        target -= max(over, limit // TARGET_STEPS_PER_LIMIT)
    return None


@dataclass(frozen=True)
class Least:
    """The smallest limit that was reached, and the largest value where it is."""

    nbytes: int
    kernel: Kernel
    value: Value | None  # of none: the arena of a program inside
    share: int


def least(program: Program, sizes: dict[str, int]) -> Least:
    """The least that memory can be limited to, by bisection."""
    high, best = layout(program, sizes).arena, program
    low = 0
    for _ in range(BISECTIONS):
        middle = (low + high) // 2
        made = fitted(program, sizes, middle)
        if made is None:
            low = middle
        else:
            high, best = middle, made
    needs = Needs(best, Numbers(sizes), inner_arenas(best, sizes))
    at = needs.loads.index(needs.peak)
    alive = {key: b for key, b in needs.blocks.items() if b.born <= at <= b.dies}
    (value, _), block = max(alive.items(), key=lambda item: item[1].nbytes)
    kernel = best.kernels[min(at, len(best.kernels) - 1)]
    return Least(high, kernel, value, block.nbytes)


def inner_arenas(program: Program, sizes: dict[str, int]) -> dict[Program, int]:
    """The bytes of the arenas of programs inside."""
    return {p: layout(p, sizes).arena for k in program.kernels for p in k.programs}


@dataclass(frozen=True)
class _Choice:
    """Kernels to run again before kernel `before`, while the results of `others` are still there;
    what that costs and frees."""

    chain: tuple[Kernel, ...]
    others: frozenset[Kernel]
    before: int
    cost: int
    freed: int


class _Squeeze:
    """One program on its way to less memory."""

    def __init__(self, program: Program, sizes: dict[str, int]) -> None:
        self.program, self.steps, self.numbers = program, LockStep(), Numbers(sizes)
        self.inner = inner_arenas(program, sizes)
        self.kernels = list(program.kernels)
        self.first = {k: i for i, k in reversed([*enumerate(self.kernels)])}
        self.writer = {w: k for k in self.kernels for w in k.writes}
        self.repeats = {k: may_repeat(k) for k in self.kernels}
        self.costs = {k: 1 + work(k, lambda s: dim.evaluate(s, sizes)) for k in self.kernels}
        self._look()

    def _look(self) -> None:
        """The plan as it is now, and who reads what when."""
        self.planned = plan(replace(self.program, kernels=tuple(self.kernels)), self.steps)
        self.needs = Needs(self.planned, self.numbers, self.inner)
        self.lives = self.needs.lives
        self.born: dict[Value, list[int]] = {}
        for v, born in self.lives:
            self.born.setdefault(v, []).append(born)
        self.reads: dict[Value, list[int]] = {}
        self.commits = next((i for i, k in enumerate(self.kernels) if k.commits), len(self.kernels))
        seen: set[Kernel] = set()
        self.originals: list[int] = []  # how many kernels before each run for the first time
        for i, k in enumerate(self.kernels):
            self.originals.append(len(seen))
            seen.add(k)
            for r in k.reads:
                self.reads.setdefault(r, []).append(i)

    def run(self, target: int) -> Program | None:
        """The program with at most so many bytes needed at once; None if it cannot be."""
        for _ in range(len(self.program.kernels) + EXTRA_ROUNDS):
            if self.needs.peak <= target:
                return self.planned
            at = self.needs.loads.index(self.needs.peak)
            choices = self._chosen(at, self.needs.peak - target)
            if not choices:
                return None
            for c in choices:  # what they make lies ready from then on: they need not run later
                tail = [k for k in self.kernels[c.before :] if k not in c.chain]
                self.kernels[c.before :] = [*c.chain, *tail]
            self._look()
        return None  # giving up one value has brought back another, again and again

    def _chosen(self, at: int, excess: int) -> list[_Choice]:
        """What is given up at kernel `at`: the least work for the bytes, until it is enough.  The
        last to run again comes first, so that the places of the others hold."""
        found = [c for c in map(self._choice, self._idle(at)) if c is not None]
        found.sort(key=lambda c: (c.cost / min(c.freed, excess), -c.before))
        taken: list[_Choice] = []
        gone: set[Kernel] = set()
        needed: set[Kernel] = set()
        for c in found:
            if excess > 0 and gone.isdisjoint({*c.chain, *c.others}) and needed.isdisjoint(c.chain):
                taken.append(c)
                gone.update(c.chain)
                needed |= c.others
                excess -= c.freed
        return sorted(taken, key=lambda c: -c.before)

    def _idle(self, at: int) -> list[tuple[Life, int, int]]:
        """The values that lie in memory while kernel `at` runs and are needed by a later one: life,
        now, the number of that kernel."""
        used = {*self.kernels[at].reads, *self.kernels[at].writes} if at < len(self.kernels) else ()
        found: list[tuple[Life, int, int]] = []
        for (v, born), dies in self.lives.items():
            if born < at < dies and v not in used:
                later = next((i for i in self.reads.get(v, ()) if i > at), at)
                later = min(later, self.commits)  # nothing else runs between commits
                if later > at and self.originals[later] > self.originals[at]:
                    found.append(((v, born), at, later))
        return found

    def _choice(self, idle: tuple[Life, int, int]) -> _Choice | None:
        """Giving up one value, if that frees memory."""
        (_, born), at, later = idle
        chain: set[Kernel] = set()
        others: set[Kernel] = set()
        kept = self._collect(self.kernels[born], at, later, chain, others)
        if kept is None:
            return None
        freed = (
            sum(
                self.needs.nbytes[w] for w in self.kernels[born].writes if self._waits(w, at, later)
            )
            - kept
        )
        if freed <= 0:
            return None
        order = sorted(chain, key=self.first.__getitem__)
        cost = sum(self.costs[k] for k in order)
        return _Choice(tuple(order), frozenset(others), later, cost, freed)

    def _collect(
        self, kernel: Kernel, at: int, later: int, chain: set[Kernel], others: set[Kernel]
    ) -> int | None:
        """Adds to the chain what must run again at `later` to have the kernel's results, and to
        `others` whose results must wait for it; the bytes that must be kept longer for that.  None:
        it cannot be."""
        if not self.repeats[kernel] or len(chain) >= MAX_KERNELS_PER_CHAIN:
            return None
        chain.add(kernel)
        kept = 0
        for r in kernel.reads:
            if r not in self.born or self.writer[r] in chain:
                continue
            dies = self.lives[r, max(b for b in self.born[r] if b < later)]
            if dies >= at:
                others.add(self.writer[r])
                kept += self.needs.nbytes[r] if dies < later else 0
                continue
            more = self._collect(self.writer[r], at, later, chain, others)
            if more is None:
                return None
            kept += more
        return kept

    def _waits(self, v: Value, at: int, later: int) -> bool:
        """Whether v lies in memory at kernel `at` for the sake of `later` and what follows only."""
        if v not in self.born or self.planned.buffers[v].place is not Place.ARENA:
            return False
        born = max((b for b in self.born[v] if b < at), default=None)
        if born is None or self.lives[v, born] < later:
            return False
        return not any(at <= i < later for i in self.reads.get(v, ()))
