"""Invariants of a Program.  Checked after fusion and planning, in production too.

    order      a kernel reads inputs, constants and what earlier kernels wrote; each value is
               written once; all that a body reaches is a member, is read, or is an index lambda
    commits    kernels that commit come last and cannot fail; only they write over variables;
               nothing reads a variable's old value after that
    memory     values that are needed at the same time do not overlap in the arena, at several
               sizes; a value may take the place of an operand that dies with it if both are
               walked in step

A violation is a bug in fusion or planning: `VerifyError` names the kernel and the values.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphc.errors import VerifyError
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.ops.state import Variable
from graphc.ir.program import Buffer, Kernel, Place, Program, can_fail, reached, storage
from graphc.passes.fuse import MATERIAL
from graphc.passes.plan import steps_together, workspace_of

SIZES = (1, 7, 128)  # what symbols are taken to be, each a little different


def verify_program(program: Program) -> Program:
    """The program itself, if every invariant holds.  Raises `VerifyError`."""
    _Check(program).run()
    return program


@dataclass
class _Check:
    program: Program
    written: dict[Value, int] = field(
        default_factory=dict
    )  # the number of the kernel that writes it

    def run(self) -> None:
        """All checks."""
        inputs = set(self.program.graph.inputs)
        for number, kernel in enumerate(self.program.kernels):
            self._kernel(number, kernel, inputs)
        for v in self.program.graph.results:
            base = storage(v)
            if (
                base not in inputs
                and base not in self.written
                and not isinstance(base.op, Constant)
            ):
                raise VerifyError(f"program: result {_name(v)} is computed by no kernel")
        self._commits()
        for kernel in self.program.kernels:
            for inner in kernel.programs:
                verify_program(inner)
        if self.program.buffers:
            self._places()
            self._arena()

    # -- order

    def _kernel(self, number: int, kernel: Kernel, inputs: set[Value]) -> None:
        known, members = set(kernel.reads), set(kernel.body)
        for r in kernel.reads:
            if r not in inputs and not isinstance(r.op, Constant) and r not in self.written:
                self._fail(number, f"reads {_name(r)} before any kernel has written it")
        for v in kernel.body:
            if v in inputs or isinstance(v.op, Constant):
                self._fail(number, f"computes {_name(v)}, an input or constant")
            self._reach(number, v, known, members, inputs)
            known.add(v)
        for w in kernel.writes:
            if w not in known or w in kernel.reads:
                self._fail(number, f"writes {_name(w)}, which its body does not compute")
            if w in self.written:
                self._fail(number, f"writes {_name(w)}, as kernel {self.written[w]} does")
            self.written[w] = number

    def _reach(
        self, number: int, v: Value, known: set[Value], members: set[Value], inputs: set[Value]
    ) -> None:
        """What a member reads, through index lambdas."""
        stack: list[Value] = list(v.args)
        seen: set[Value] = set()
        while stack:
            a = stack.pop()
            if a in known or a in seen:
                continue
            seen.add(a)
            if a in members:
                self._fail(number, f"uses {_name(a)} before it is computed")
            if a in inputs or isinstance(a.op, Constant) or a in self.written:
                self._fail(number, f"{_name(v)} uses {_name(a)}, which the kernel does not read")
            stack.extend(a.args)
        material = isinstance(v.op, MATERIAL)
        if material and any(storage(a) not in known for a in v.args):
            self._fail(number, f"an operand of {_name(v)} does not lie in memory")

    # -- commits

    def _commits(self) -> None:
        graph = self.program.graph
        targets = {storage(new): old for old, new in graph.updates}
        written: dict[Value, int] = {}
        committing = False
        for number, kernel in enumerate(self.program.kernels):
            if committing and not kernel.commits:
                self._fail(number, "comes after a commit, but is none")
            committing = committing or kernel.commits
            bad = next((v for v in reached(kernel.body, kernel.reads) if can_fail(v)), None)
            if committing and bad is not None:
                self._fail(number, f"commits, but {_name(bad)} in it can fail")
            for r in kernel.reads:
                if r in written:
                    self._fail(
                        number, f"reads {_name(r)}, which kernel {written[r]} has overwritten"
                    )
            for w in kernel.writes:
                buffer = self.program.buffers.get(w)
                if buffer is not None and buffer.place is Place.VARIABLE:
                    self._overwrite(number, kernel, w, buffer.slot, targets.get(w))
                    assert buffer.slot is not None
                    written[buffer.slot] = number
        for _, v in graph.updates:  # (outputs that are variables are copied before the run)
            if storage(v) in written:
                raise VerifyError(
                    f"program: result {_name(v)} is a variable that a kernel overwrites"
                )

    def _overwrite(
        self, number: int, kernel: Kernel, w: Value, slot: Value | None, target: Value | None
    ) -> None:
        if slot is None or slot is not target or not isinstance(slot.op, Variable):
            self._fail(number, f"writes {_name(w)} over a variable that does not take it")
        assert slot is not None
        if not kernel.commits:
            self._fail(number, f"overwrites {_name(slot)} without being a commit")
        if slot in kernel.reads and not steps_together(kernel, slot, w):
            self._fail(number, f"overwrites {_name(slot)} while it still reads it elsewhere")

    # -- memory

    def _places(self) -> None:
        outputs = {storage(v) for v in self.program.graph.outputs}
        for w, number in self.written.items():
            buffer = self.program.buffers.get(w)
            if buffer is None or buffer.nbytes != w.type.nbytes:
                self._fail(number, f"{_name(w)} has no place of its size")
            assert buffer is not None
            if buffer.place in (Place.INPUT, Place.CONSTANT):
                self._fail(number, f"writes {_name(w)} into an input or constant")
            if (buffer.place is Place.OUTPUT) != (w in outputs):
                self._fail(number, f"{_name(w)} and the place {buffer.place.value!r} do not fit")

    def _arena(self) -> None:
        last = self._last_needs()
        spans = {
            w: last.get(w, number)
            for w, number in self.written.items()
            if self.program.buffers[w].place is Place.ARENA
        }
        for sizes in self._assignments():
            layout = Layout(self.program, sizes)
            if layout.sensible(spans):
                self._layout(spans, layout)

    def _last_needs(self) -> dict[Value, int]:
        """The last kernel that needs each value; one more than there are, for a result."""
        last = {r: n for n, k in enumerate(self.program.kernels) for r in k.reads}
        return last | {storage(v): len(self.program.kernels) for v in self.program.graph.results}

    def _assignments(self) -> Iterable[dict[str, int]]:
        values = [s for b in self.program.buffers.values() for s in (b.offset, b.nbytes)]
        values += [s for k in self.program.kernels for s in (k.workspace, workspace_of(k))]
        names = sorted({name for s in values for name in dim.symbols(s)})
        sizes = SIZES if names else SIZES[:1]
        return [{name: n + 3 * i for i, name in enumerate(names)} for n in sizes]

    def _layout(self, spans: Mapping[Value, int], layout: Layout) -> None:
        """No two values that live at once lie in one place, at these sizes."""
        live: list[tuple[int, int, Value]] = []  # (start, end, value), apart and in order
        dying: list[tuple[int, int, int]] = []  # (last need, start, end) of those
        for number, kernel in enumerate(self.program.kernels):
            while dying and dying[0][0] < number:
                _, start, end = heapq.heappop(dying)
                at = bisect.bisect_left(live, start, key=_start)
                if at < len(live) and live[at][:2] == (start, end) and (
                    spans[live[at][2]] < number
                ):
                    del live[at]
            for v in kernel.writes:
                if v in spans:
                    self._born(number, v, live, spans, layout)
                    heapq.heappush(dying, (spans[v], *layout.place(v)))
            if kernel.workspace != 0 or workspace_of(kernel) != 0:
                self._workspace(number, kernel, live, layout)

    def _born(
        self, number: int, v: Value, live: list[tuple[int, int, Value]],
        spans: Mapping[Value, int], layout: Layout,
    ) -> None:
        """Puts v among the living.  What it overwrites must be dead, or die as it is computed."""
        start, end = layout.place(v)
        if end > layout.arena or start < 0:
            self._fail(
                number, f"{_name(v)} at {start}:{end} leaves the arena of {layout.arena} bytes"
            )
        if start == end:
            return
        at = _overlapping(live, start, end)
        for low, high, u in live[at]:
            if not self._in_place(u, v, spans, layout):
                self._fail(
                    number,
                    f"{_name(v)} at {start}:{end} overwrites {_name(u)} at {low}:{high}, "
                    f"which is still needed (sizes {layout.sizes})",
                )
        live[at] = [(start, end, v)]

    def _workspace(
        self, number: int, kernel: Kernel, live: list[tuple[int, int, Value]], layout: Layout
    ) -> None:
        """The arenas of inner programs lie where nothing is needed."""
        start = dim.evaluate(kernel.workspace, layout.sizes)
        end = start + dim.evaluate(workspace_of(kernel), layout.sizes)
        if end > max(layout.arena, start):
            self._fail(number, f"its workspace {start}:{end} leaves the arena")
        if start == end:
            return
        for _, _, u in live[_overlapping(live, start, end)]:
            self._fail(number, f"its workspace {start}:{end} overwrites {_name(u)}")

    def _in_place(self, u: Value, v: Value, spans: Mapping[Value, int], layout: Layout) -> bool:
        born = self.written[v]
        dies = spans[u] == born and self.written[u] < born
        return (
            dies
            and layout.place(u) == layout.place(v)
            and steps_together(self.program.kernels[born], u, v)
        )

    def _fail(self, number: int, what: str) -> None:
        kernel = self.program.kernels[number]
        raise VerifyError(f"program: kernel {number} ({kernel.kind.value} {kernel.name}): {what}")


class Layout:
    """The arena at some sizes; formulas are evaluated once each."""

    def __init__(self, program: Program, sizes: dict[str, int]) -> None:
        self.program, self.sizes = program, sizes
        self._known: dict[Size, int] = {}
        self.arena = self._number(program.arena)

    def _number(self, size: Size) -> int:
        if isinstance(size, int):
            return size
        if size not in self._known:
            self._known[size] = dim.evaluate(size, self.sizes)
        return self._known[size]

    def place(self, v: Value) -> tuple[int, int]:
        """The bytes [start, end) of a value."""
        buffer: Buffer = self.program.buffers[v]
        start = self._number(buffer.offset)
        return start, start + self._number(buffer.nbytes)

    def sensible(self, values: Iterable[Value]) -> bool:
        """Whether no size is negative here (`n-5` with n = 1 is no case to judge)."""
        return all(
            size >= 0 for v in values for size in (end - start for start, end in [self.place(v)])
        )


def _start(entry: tuple[int, int, Value]) -> int:
    return entry[0]


def _overlapping(live: list[tuple[int, int, Value]], start: int, end: int) -> slice:
    """Where those lie that share a byte with [start, end)."""
    first = bisect.bisect_right(live, start, key=_start)
    if first and live[first - 1][1] > start:
        first -= 1
    return slice(first, max(first, bisect.bisect_left(live, end, key=_start)))


def _name(v: Value) -> str:
    return f"%{v.name or v.op.name}: {v.type}"
