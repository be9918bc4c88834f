"""Plans that look for NaN: a run with `Options(debug_nan=True)` fails at the first kernel that
stores one, and the error names the op that made it.

What is found is what the run itself computed: the kernel's operands are still in memory, and the
interpreter computes its values one by one from them.  A NaN that no kernel stores, such as that of
the branch that `where` does not pick, is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import Location, NanError
from graphc.ir.control import Loop
from graphc.ir.graph import Graph, Value, topological
from graphc.ir.interpret import evaluate
from graphc.ir.op import Array, Control, Item, Pointwise
from graphc.ir.ops.logic import is_float, widened
from graphc.ir.ops.pointwise import Where
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kind
from graphc.passes.oracle.kernel_graph import kernel_graph
from graphc.runtime.cpu.kernel_watch import KernelWatch, Launched
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
        numbers = {v: i for i, v in enumerate(self.graph.inputs)}
        for v in origins(search.launched, search.given):
            if isinstance(v.op, Constant) and np.any(nans(v.op.value.array)):
                return search.came_in(f"constant {label(v)}", v.op.value.array)
            number = numbers.get(v)
            array = self._input(number, self.arrays) if number is not None else None
            if number is not None and array is not None and np.any(nans(array)):
                what = "variable" if self.inputs[number] is not None else "feed"
                name = self.staged.graph.inputs[number].name
                return search.came_in(f"{what} {name!r}", array)
        return None


def origins(launched: Launched, operands: list[Value]) -> list[Value]:
    """The values of the whole program, and constants, from which operands of a kernel come."""
    kernel, constants = launched.kernel, list[Value]()
    for turn in reversed(launched.within):
        step = next(p for p in turn.kernel.programs if any(k is kernel for k in p.kernels))
        reached = topological(operands)
        while more := [new for old, new in step.graph.updates if old in reached]:
            if set(more) <= set(reached):
                break
            reached = topological([*reached, *more])  # in an earlier step
        constants += [v for v in reached if isinstance(v.op, Constant)]
        outside = zip(turn.kernel.body[0].args[1:], step.graph.inputs, strict=False)
        operands = [a for a, v in outside if v in reached]
        kernel = turn.kernel
    return [*topological(operands), *constants]


def nans(array: Array) -> Array:
    """Where an array is NaN."""
    return np.isnan(widened(array)) if is_float(array) else np.zeros(array.shape, bool)


@dataclass(frozen=True)
class NanMaker:
    """A node that made a NaN: its result, its operands, where it did, and in which steps of loops
    inside of the kernel."""

    value: Value
    operands: list[tuple[Value, Array]]
    where: Array
    steps: tuple[int, ...] = ()


def maker(v: Value, env: Mapping[Value, Array], where: Array) -> NanMaker | None:
    """v as the maker of NaN at `where`; None if its operands have them."""
    given = [brought(v, env, i, where) for i in range(len(v.args))]
    for nan in given:
        where = where & ~(nan if isinstance(v.op, Pointwise) else np.any(nan))
    return NanMaker(v, [(a, env[a]) for a in v.args], where) if np.any(where) else None


def brought(v: Value, env: Mapping[Value, Array], place: int, where: Array) -> Array:
    """Where an operand has NaN that may be that of v at `where`."""
    nan = nans(env[v.args[place]])
    if isinstance(v.op, Where) and place:
        nan = nan & (env[v.args[0]] if place == 1 else ~env[v.args[0]])
    return nan & where if isinstance(v.op, Pointwise) else nan


class Steps:
    """Looks at the nodes of a loop inside a kernel, step by step, until one makes a NaN."""

    def __init__(self, op: Control, arrays: Sequence[Array]) -> None:
        self.found: NanMaker | None = None
        self.first: Value | None = None  # the first node whose result has a NaN, made there or not
        self.steps: list[int] = []
        self._inside(op, arrays)

    def _inside(self, op: Control, arrays: Sequence[Array]) -> None:
        self.steps.append(-1)

        def step(graph: Graph, *inner: Array) -> tuple[Array, ...]:
            if self.found is None:
                self.steps[-1] += isinstance(op, Loop)
            return self._evaluate(graph, *inner)

        op.through(step, *arrays)
        if self.found is None:
            self.steps.pop()

    def _evaluate(self, graph: Graph, *arrays: Array) -> tuple[Array, ...]:
        env: dict[Value, Array] = dict(zip(graph.inputs, arrays, strict=True))

        def watch(v: Value, result: Array) -> None:
            env[v] = result
            if self.found is not None or isinstance(v.op, Item):
                return
            if isinstance(v.op, Control):
                self._inside(v.op, [env[a] for a in v.args])
            elif np.any(nans(result)):
                self.first = self.first or v
                made = maker(v, env, nans(result))
                self.found = made and replace(made, steps=tuple(self.steps))

        return evaluate(graph, arrays, watch)


class Search:
    """Computes the nodes of a kernel again, from its operands, and follows the NaN that it stored
    back to the node that made it, or to the operands that brought it."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        self.found: NanMaker | None = None
        self.first: Value | None = None  # the first node that passed a NaN on
        results = launched.kernel.writes
        graph = kernel_graph(launched.operands, results, launched.sizes)
        arrays = list(launched.operands.values())
        env: dict[Value, Array] = dict(zip(graph.inputs, arrays, strict=True))
        loops: dict[Value, Steps] = {}

        def watch(v: Value, result: Array) -> None:
            env[v] = result
            if isinstance(v.op, Control):
                loops[v] = Steps(v.op, [env[a] for a in v.args])

        nodes = graph.nodes()
        with np.errstate(all="ignore"):
            if len(nodes) == 1:  # in memory: a user's Python is never called a second time
                env[nodes[0]] = launched.results[results[0]]
            else:
                evaluate(graph, arrays, watch)
        self.asked = {v: nans(env[v]) for v in graph.outputs}  # NaN that a result got
        for v in reversed(nodes):
            if np.any(self.asked.get(v, False)):
                self._follow(v, env, loops)
        pairs = zip(launched.operands, graph.inputs, strict=True)
        self.given = [v for v, inside in pairs if np.any(self.asked.get(inside, False))]
        self.given += [v for v in nodes if isinstance(v.op, Constant) and v in self.asked]

    def _follow(self, v: Value, env: Mapping[Value, Array], loops: Mapping[Value, Steps]) -> None:
        """Goes from a node whose NaN is asked for to its operands."""
        where = self.asked[v]
        if isinstance(v.op, Item):
            (v,) = v.args
            self.found, self.first = loops[v].found or self.found, loops[v].first
        elif not isinstance(v.op, Constant):
            self.found, self.first = maker(v, env, where) or self.found, v
        for i, a in enumerate(v.args):
            self.asked[a] = self.asked.get(a, False) | brought(v, env, i, where)

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
            f"{self._turns(made.steps)}; no variable has changed. Keep operands where "
            f"{v.op.name} is defined (gc.clip, gc.maximum, gc.where before it)",
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

    def _turns(self, steps: Sequence[int] = ()) -> str:
        """Where in loops and branches, the innermost last."""
        words = []
        for turn in self.launched.within:
            v = turn.kernel.body[0]
            at = f" at {v.loc}" if v.loc is not None else ""
            words.append(_turn(turn.index) + at)
        return "".join(f", in {w}" for w in (*words, *map(_turn, steps)))


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
