"""Plans that look for NaN: a run with `Options(debug_nan=True)` fails at the first kernel that
stores one, and the error names the op that made it.

What is found is what the run itself computed: the kernel's operands are still in memory, and the
interpreter computes its values one by one from them.  A NaN that no kernel stores, such as that of
the branch that `where` does not pick, is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import Location, NanError
from graphc.ir.control import Loop
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import evaluate
from graphc.ir.op import Array, Control, Item, Pointwise
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kind
from graphc.passes.oracle.kernel_graph import kernel_graph
from graphc.runtime.cpu.kernel_watch import KernelWatch, Launched, Turn
from graphc.session.host_engine import HostPlan

if TYPE_CHECKING:
    from graphc.runtime.cpu.executable import Bound
    from graphc.session.engine import Fed, Owner, Signature


class NanPlan(HostPlan):
    """A plan whose kernels are watched, on one thread.  A run that fails restores the variables: a
    NaN may be made by the kernel that writes one."""

    def __init__(self, session: Owner, signature: Signature, bound: Bound) -> None:
        super().__init__(session, signature, bound)
        self.small, self.threads = False, 1
        self.watch = KernelWatch(bound, self._look)
        self.arrays: list[Fed] = []
        updated = {old for old, _ in self.staged.graph.updates}
        pairs = zip(self.staged.graph.inputs, self.inputs, strict=True)
        self.variables = [a for v, a in pairs if v in updated and a is not None]

    def run(self, arrays: list[Fed]) -> Any:
        """One run; see `RunPlan.run`.  Raises `NanError`."""
        self.watch.around.clear()  # of a run that failed inside a loop
        self.arrays, runs = arrays, self.session.stats.runs
        before = [a.copy() for a in self.variables]
        try:
            return super().run(arrays)
        except BaseException:
            if self.session.stats.runs == runs:  # the run has not happened
                for a, old in zip(self.variables, before, strict=True):
                    np.copyto(a, old)
            raise
        finally:
            self.arrays = []

    def _look(self, launched: Launched) -> None:
        """Raises `NanError` if a kernel has stored a NaN; those in a control kernel tell of it."""
        if launched.kernel.kind is Kind.CONTROL:
            return
        if not any(np.any(nans(a)) for a in launched.results.values()):
            return
        search = Search(launched)
        raise search.made_there() or self._entered(search) or search.unexplained()

    def _entered(self, search: Search) -> NanError | None:
        """The error for a NaN that the run was given; None if it was given none."""
        for number, v in enumerate(self.staged.graph.inputs):
            array = self._input(number, self.arrays)
            if array is not None and np.any(nans(array)):
                what = "variable" if self.inputs[number] is not None else "feed"
                return search.came_in(f"{what} {v.name!r}", array)
        for v in self.graph.every():
            if isinstance(v.op, Constant) and np.any(nans(v.op.value.array)):
                return search.came_in(f"constant {label(v)}", v.op.value.array)
        return None


def nans(array: Array) -> Array:
    """Where an array is NaN."""
    return np.isnan(widened(array)) if is_float(array) else np.zeros(array.shape, bool)


@dataclass(frozen=True)
class NanMaker:
    """A node that made a NaN: its result, its operands, and where it did."""

    value: Value
    operands: list[tuple[Value, Array]]
    where: Array
    within: tuple[Turn, ...]


class Search:
    """Computes the nodes of a kernel again, from its operands, until one makes a NaN."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        self.found: NanMaker | None = None
        self.first: Value | None = None  # the first node whose result has a NaN, made there or not
        self.steps: list[int] = []
        results = launched.kernel.writes
        graph = kernel_graph(launched.operands, results, launched.sizes)
        arrays = list(launched.operands.values())
        nodes = graph.nodes()
        with np.errstate(all="ignore"):
            if len(nodes) == 1:  # in memory: a user's Python is never called a second time
                env = dict(zip(graph.inputs, arrays, strict=True))
                self._see(nodes[0], env, launched.results[results[0]])
            else:
                self._evaluate(graph, *arrays)

    def _evaluate(self, graph: Graph, *arrays: Array) -> tuple[Array, ...]:
        """The results of a graph, whose nodes are looked at until one has made a NaN."""
        env: dict[Value, Array] = dict(zip(graph.inputs, arrays, strict=True))

        def watch(v: Value, result: Array) -> None:
            env[v] = result
            if self.found is not None:
                return
            if isinstance(v.op, Control):
                self._inside(v.op, [env[a] for a in v.args])
            elif not isinstance(v.op, Item):
                self._see(v, env, result)

        return evaluate(graph, arrays, watch)

    def _inside(self, op: Control, arrays: Sequence[Array]) -> None:
        """Looks at the nodes of the graphs in an op, step by step."""
        self.steps.append(-1)

        def step(graph: Graph, *inner: Array) -> tuple[Array, ...]:
            if self.found is None:
                self.steps[-1] += isinstance(op, Loop)
            return self._evaluate(graph, *inner)

        op.through(step, *arrays)
        if self.found is None:
            self.steps.pop()

    def _see(self, v: Value, env: dict[Value, Array], result: Array) -> None:
        """Notes whether a node made a NaN: one that no operand has, at the same place if the op is
        pointwise."""
        where = nans(result)
        if not np.any(where):
            return
        self.first = self.first or v
        operands = [(a, env[a]) for a in v.args]
        for _, array in operands:
            given = nans(array)
            where = where & ~(given if isinstance(v.op, Pointwise) else np.any(given))
        if np.any(where) and self.found is None:
            self.found = NanMaker(v, operands, where, self.launched.within)

    # -- errors

    def made_there(self) -> NanError | None:
        """The error for the node that made a NaN; None if none did."""
        made = self.found
        if made is None:
            return None
        v, at = made.value, first_place(made.where)
        shown = ", ".join(operand(v, a, array, at) for a, array in made.operands) or "none"
        return NanError(
            f"{called(v)}: made NaN{where_in(made.where)}: {label(v)} = {v.op.name} of {shown}"
            f"{self._turns()}; no variable has changed. Keep operands where {v.op.name} is defined "
            "(gc.clip, gc.maximum, gc.where before it)",
            self._line(v),
        )

    def came_in(self, what: str, array: Array) -> NanError:
        """The error for a NaN that no node made."""
        v = self.first or self.launched.kernel.writes[0]
        return NanError(
            f"{called(v)}: {what} has NaN{where_in(nans(array))}, which {label(v)} = {v.op.name} "
            f"is the first to pass on{self._turns()}; no variable has changed. "
            "Feed or load numbers, or replace NaN where it is read (gc.where)",
            self._line(v),
        )

    def unexplained(self) -> NanError:
        """The error for a NaN that machine code made and the interpreter did not."""
        v, a = next((v, a) for v, a in self.launched.results.items() if np.any(nans(a)))
        return NanError(
            f"{called(v)}: the kernel of {label(v)} stored NaN{where_in(nans(a))}"
            f"{self._turns()}, where the interpreter makes none of the same operands; no variable "
            "has changed. `graphc bisect` tells whether the kernel is wrong",
            self._line(v),
        )

    def _line(self, v: Value) -> Location | None:
        """The user's line of a node, or of what its kernel makes."""
        lines = [w.loc for w in (v, *self.launched.kernel.writes)]
        return next((line for line in lines if line is not None), None)

    def _turns(self) -> str:
        """Where in loops and branches, the innermost last."""
        words = []
        for turn in self.launched.within:
            v = turn.kernel.body[0]
            at = f" at {v.loc}" if v.loc is not None else ""
            words.append(_turn(turn.index) + at)
        return "".join(f", in {w}" for w in (*words, *map(_turn, self.steps)))


def _turn(index: int) -> str:
    return f"step {index} of the loop" if index >= 0 else "a branch"


def label(v: Value) -> str:
    """A value as texts of graphs call it, but for numbers that tell namesakes apart."""
    return f"%{v.name or v.op.name}"


def called(v: Value) -> str:
    """The function that the user called, as far as that is known."""
    return (v.loc.call if v.loc is not None else "") or v.op.name


def first_place(where: Array) -> tuple[int, ...]:
    """The first index at which an array of truth values is true."""
    return tuple(map(int, np.unravel_index(int(np.argmax(where)), where.shape)))


def where_in(where: Array) -> str:
    """The first place and the number of places; nothing for a single number."""
    if where.ndim == 0:
        return ""
    return f" at {list(first_place(where))} ({int(where.sum())} of {where.size} elements)"


def operand(v: Value, a: Value, array: Array, at: tuple[int, ...]) -> str:
    """An operand of v: its element at the place, if v is pointwise, else its shape and range."""
    if isinstance(v.op, Pointwise):
        return f"{label(a)}{list(at) if at else ''} = {array[at]!s}"
    if array.size == 0:
        return f"{label(a)}: {a.type}, no elements"
    least, most = (f(widened(array)) if is_float(array) else f(array) for f in (np.min, np.max))
    return f"{label(a)}: {a.type}, from {least!s} to {most!s}"
