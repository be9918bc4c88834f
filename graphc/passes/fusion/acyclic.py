"""The dependences among the groups of fusion: an acyclic graph of numbers that grows and merges.

The graph keeps a topological order, and mends it at each new edge that goes against it (Pearce and
Kelly, "A dynamic topological sort algorithm for directed acyclic graphs", 2006).  The order bounds
every search to the stretch between two numbers.  A search that is still long gives up, with the
safe answer: yes, they depend.  So memory and time stay linear in the number of groups; tables of
all ancestors would grow with its square.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAX_EDGES_PER_SEARCH = 1000  # steps, after which a search gives up


@dataclass
class Dag:
    """`needs[n]` are the numbers that n needs directly, `users[n]` those that need n directly."""

    needs: dict[int, set[int]] = field(default_factory=dict)
    users: dict[int, set[int]] = field(default_factory=dict)
    place: dict[int, int] = field(default_factory=dict)  # number -> position in the order
    next_number: int = 0

    def add(self) -> int:
        """A new number, which depends on nothing."""
        number = self.next_number
        self.next_number += 1
        self.needs[number], self.users[number] = set(), set()
        self.place[number] = number
        return number

    def depend(self, a: int, b: int) -> None:
        """Records that a needs b.  They must not depend on each other the other way round."""
        if b in self.needs[a]:
            return
        self.needs[a].add(b)
        self.users[b].add(a)
        low, high = self.place[a], self.place[b]
        if low < high:
            after = self._walk([a], self.users, low - 1, high)
            before = self._walk([b], self.needs, low, high + 1)
            self._arrange([*before, *after])

    def merge(self, a: int, b: int) -> None:
        """Merges b into a, which takes over b's edges; no third number may lie between a and b."""
        self._bring_together(a, b)
        for table, back in ((self.needs, self.users), (self.users, self.needs)):
            for n in table.pop(b):
                back[n].discard(b)
                if n != a:
                    back[n].add(a)
                    table[a].add(n)
        del self.place[b]

    def _bring_together(self, a: int, b: int) -> None:
        """Moves a to a place after all numbers that a or b needs, before all that need a or b."""
        first, last = (a, b) if self.place[a] < self.place[b] else (b, a)
        low, high = self.place[first], self.place[last]
        before = self._walk(self.needs[last] - {first}, self.needs, low, high)
        if not before:
            self.place[a] = low
            return
        after = self._walk(self.users[first] - {last}, self.users, low, high)
        self.place[a] = low
        self._arrange([*before, a, *after], spare=high)

    def _walk(
        self, start: Iterable[int], edges: Mapping[int, set[int]], low: int, high: int
    ) -> list[int]:
        """The numbers strictly between two places that `start` reaches through such numbers, in
        order."""
        place = self.place
        stack = [n for n in start if low < place[n] < high]
        seen = set(stack)
        while stack:
            for n in edges[stack.pop()]:
                if n not in seen and low < place[n] < high:
                    seen.add(n)
                    stack.append(n)
        return sorted(seen, key=place.__getitem__)

    def _arrange(self, numbers: list[int], spare: int | None = None) -> None:
        """Gives the numbers their places (and the `spare` one) anew, in this order."""
        places = [self.place[n] for n in numbers] + ([] if spare is None else [spare])
        for n, p in zip(numbers, sorted(places), strict=False):
            self.place[n] = p

    def depends(self, a: int, b: int) -> bool:
        """Whether a needs b, directly or not."""
        return b in self.needs[a] or self.between(b, a)

    def between(self, a: int, b: int) -> bool:
        """Whether something that needs a is needed by b."""
        return self._connected(
            self.users[a] - {b}, self.needs[b] - {a}, self.place[a], self.place[b]
        )

    def middle(self, a: int, b: int) -> set[int]:
        """All numbers that need a and that b needs; searches without a limit."""
        low, high = self.place[a], self.place[b]
        down = self._walk(self.users[a], self.users, low, high)
        return set(down) & set(self._walk(self.needs[b], self.needs, low, high))

    def order(self, rank: Mapping[int, tuple[bool, int, int]]) -> list[int]:
        """All numbers in topological order: of the ready ones, the one of the lowest rank comes
        next.  A rank ends with the number itself."""
        waits = {n: len(needed) for n, needed in self.needs.items()}
        ready = [rank[n] for n, count in waits.items() if not count]
        heapq.heapify(ready)
        ordered: list[int] = []
        while ready:
            *_, n = heapq.heappop(ready)
            ordered.append(n)
            for user in self.users[n]:
                waits[user] -= 1
                if not waits[user]:
                    heapq.heappush(ready, rank[user])
        return ordered

    def _connected(self, down: set[int], up: set[int], low: int, high: int) -> bool:
        """Whether a path leads from `down` to `up` between two places; True if a long search does
        not tell.  Walks from both ends in turn, so the shorter side decides."""
        if high - low < 2:
            return False
        place, edges = self.place, (self.users, self.needs)
        seen = tuple({n for n in start if low < place[n] < high} for start in (down, up))
        stacks = tuple(sorted(reached) for reached in seen)
        if seen[0] & seen[1]:
            return True
        for step in range(MAX_EDGES_PER_SEARCH):
            side = step % 2
            if not stacks[side]:
                return False
            for n in edges[side][stacks[side].pop()]:
                if n in seen[1 - side]:
                    return True
                if n not in seen[side] and low < place[n] < high:
                    seen[side].add(n)
                    stacks[side].append(n)
        return True
