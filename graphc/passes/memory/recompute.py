"""Less memory for more work: a planned Program -> one whose arena fits a limit.

At the kernel where memory peaks, the pass gives up values that lie idle.  The kernels that made
them run again before the next reader, and so do the kernels of their operands if these are gone
(Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016).  The choice is greedy by work
for bytes, as in XLA's rematerialization pass.  A whole kernel runs again: the same machine code on
the same operands, so results have the same bits, draws included.  A kernel that can fail or calls
Python runs once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.ir import dim
from graphc.ir.arena import Life, Needs, Numbers, layout
from graphc.ir.graph import Value
from graphc.ir.program import Kernel, Place, Program, may_repeat
from graphc.passes.cost.work import work
from graphc.passes.memory.in_place import LockStep
from graphc.passes.memory.order import OrderKernels
from graphc.passes.memory.plan import plan

MAX_KERNELS_PER_CHAIN = 64  # kernels that run again to have one value
EXTRA_ROUNDS = 64  # rounds of giving up values, beyond one for each kernel
MAX_TARGETS = 8  # targets tried, each smaller than the last: gaps between values take bytes too
TARGET_STEPS_PER_LIMIT = 32  # a target is below the last one by this part of the limit, or more
BISECTIONS = 8  # halvings of the interval that holds the least memory


def fitted(program: Program, sizes: dict[str, int], limit: int) -> Program | None:
    """The program in an arena of at most `limit` bytes at these sizes, with the least work found;
    None if there is none."""
    candidates = [_fitted(p, sizes, limit) for p in OrderKernels().orders(program)]
    fitting = [p for p in candidates if p is not None]

    def total(p: Program) -> int:
        return sum(work(k, lambda s: dim.evaluate(s, sizes)) for k in p.kernels)

    return min(fitting, key=total, default=None)


def _fitted(program: Program, sizes: dict[str, int], limit: int) -> Program | None:
    target = limit
    for _ in range(MAX_TARGETS):
        candidate = _Squeeze(program, sizes).run(target)
        if candidate is None:
            return None
        over = layout(candidate, sizes).arena - limit
        if over <= 0:
            return candidate
        target -= max(over, limit // TARGET_STEPS_PER_LIMIT)
    return None


@dataclass(frozen=True)
class Least:
    """The smallest limit that was reached, and the largest value at the kernel of the peak."""

    nbytes: int
    kernel: Kernel
    value: Value | None  # None: the arena of an inner program
    share: int


def least(program: Program, sizes: dict[str, int]) -> Least:
    """Finds the least limit that memory can keep to, by bisection."""
    high, best = layout(program, sizes).arena, program
    low = 0
    for _ in range(BISECTIONS):
        middle = (low + high) // 2
        candidate = fitted(program, sizes, middle)
        if candidate is None:
            low = middle
        else:
            high, best = middle, candidate
    needs = Needs(best, Numbers(sizes), inner_arenas(best, sizes))
    at = needs.loads.index(needs.peak)
    alive = {key: b for key, b in needs.blocks.items() if b.born <= at <= b.dies}
    (value, _), block = max(alive.items(), key=lambda item: item[1].nbytes)
    kernel = best.kernels[min(at, len(best.kernels) - 1)]
    return Least(high, kernel, value, block.nbytes)


def inner_arenas(program: Program, sizes: dict[str, int]) -> dict[Program, int]:
    """The bytes of the arena of each inner program."""
    return {p: layout(p, sizes).arena for k in program.kernels for p in k.programs}


@dataclass(frozen=True)
class _Choice:
    """A chain of kernels to run again before kernel `before`, while the results of `others` are
    still there; the work that this costs and the bytes that it frees."""

    chain: tuple[Kernel, ...]
    others: frozenset[Kernel]
    before: int
    cost: int
    freed: int


class _Squeeze:
    """Lowers the memory of one program, round by round."""

    def __init__(self, program: Program, sizes: dict[str, int]) -> None:
        self.program, self.steps, self.numbers = program, LockStep(), Numbers(sizes)
        self.inner = inner_arenas(program, sizes)
        self.kernels = list(program.kernels)
        self.first = {k: i for i, k in reversed([*enumerate(self.kernels)])}
        self.writer = {w: k for k in self.kernels for w in k.writes}
        self.repeats = {k: may_repeat(k) for k in self.kernels}
        self.costs = {k: 1 + work(k, lambda s: dim.evaluate(s, sizes)) for k in self.kernels}
        self._plan_again()

    def _plan_again(self) -> None:
        """Plans the kernels as they are now; notes when values are written and read."""
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
        """The program that needs at most `target` bytes at once; None if there is none."""
        for _ in range(len(self.program.kernels) + EXTRA_ROUNDS):
            if self.needs.peak <= target:
                return self.planned
            at = self.needs.loads.index(self.needs.peak)
            choices = self._choose(at, self.needs.peak - target)
            if not choices:
                return None
            for c in choices:  # the chain's results are ready from here on: it need not run later
                tail = [k for k in self.kernels[c.before :] if k not in c.chain]
                self.kernels[c.before :] = [*c.chain, *tail]
            self._plan_again()
        return None  # giving up one value has brought back another, again and again

    def _choose(self, at: int, excess: int) -> list[_Choice]:
        """Chooses what to give up at kernel `at`: the least work for the bytes, until `excess` is
        freed.  The last in the order comes first, so that inserting it moves no other's place."""
        choices = [c for c in map(self._choice, self._idle(at)) if c is not None]
        choices.sort(key=lambda c: (c.cost / min(c.freed, excess), -c.before))
        taken: list[_Choice] = []
        rerun: set[Kernel] = set()
        needed: set[Kernel] = set()
        for c in choices:
            if (
                excess > 0
                and rerun.isdisjoint({*c.chain, *c.others})
                and needed.isdisjoint(c.chain)
            ):
                taken.append(c)
                rerun.update(c.chain)
                needed |= c.others
                excess -= c.freed
        return sorted(taken, key=lambda c: -c.before)

    def _idle(self, at: int) -> list[tuple[Life, int, int]]:
        """The values that lie unused in memory while kernel `at` runs: (life, `at`, the number of
        the kernel that needs the value next)."""
        used = {*self.kernels[at].reads, *self.kernels[at].writes} if at < len(self.kernels) else ()
        idle: list[tuple[Life, int, int]] = []
        for (v, born), dies in self.lives.items():
            if born < at < dies and v not in used:
                later = next((i for i in self.reads.get(v, ()) if i > at), at)
                later = min(later, self.commits)  # nothing else runs between commits
                if later > at and self.originals[later] > self.originals[at]:
                    idle.append(((v, born), at, later))
        return idle

    def _choice(self, idle: tuple[Life, int, int]) -> _Choice | None:
        """The choice to give up one idle value; None if that frees no memory."""
        (_, born), at, later = idle
        chain: set[Kernel] = set()
        others: set[Kernel] = set()
        extended_bytes = self._collect(self.kernels[born], at, later, chain, others)
        if extended_bytes is None:
            return None
        freed = (
            sum(
                self.needs.nbytes[w]
                for w in self.kernels[born].writes
                if self._kept_only_for(w, at, later)
            )
            - extended_bytes
        )
        if freed <= 0:
            return None
        order = sorted(chain, key=self.first.__getitem__)
        cost = sum(self.costs[k] for k in order)
        return _Choice(tuple(order), frozenset(others), later, cost, freed)

    def _collect(
        self, kernel: Kernel, at: int, later: int, chain: set[Kernel], others: set[Kernel]
    ) -> int | None:
        """The bytes that must be kept longer so that `kernel` can run again at `later`; None if it
        cannot.  Adds to `chain` the kernels that must run again, and to `others` those whose
        results they read."""
        if not self.repeats[kernel] or len(chain) >= MAX_KERNELS_PER_CHAIN:
            return None
        chain.add(kernel)
        extended_bytes = 0
        for r in kernel.reads:
            if r not in self.born or self.writer[r] in chain:
                continue
            dies = self.lives[r, max(b for b in self.born[r] if b < later)]
            if dies >= at:
                others.add(self.writer[r])
                extended_bytes += self.needs.nbytes[r] if dies < later else 0
                continue
            more = self._collect(self.writer[r], at, later, chain, others)
            if more is None:
                return None
            extended_bytes += more
        return extended_bytes

    def _kept_only_for(self, v: Value, at: int, later: int) -> bool:
        """Whether v lies in memory at kernel `at` only for kernel `later` and those after it."""
        if v not in self.born or self.planned.buffers[v].place is not Place.ARENA:
            return False
        born = max((b for b in self.born[v] if b < at), default=None)
        if born is None or self.lives[v, born] < later:
            return False
        return not any(at <= i < later for i in self.reads.get(v, ()))
