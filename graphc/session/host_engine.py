"""The engine of sessions without devices: one executable, bound to the session's arrays.

A run writes the addresses of array objects into the plan, calls the driver, which also commits the
updates of variables, and hands out the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.codegen.cache import Built
from graphc.codegen.status import Status
from graphc.compiler.compile import Compiled, compile_graph
from graphc.compiler.memory_limit import fitting
from graphc.ir import dim
from graphc.ir.ops.state import Placeholder, RunCounter
from graphc.runtime.cpu.driver import driver
from graphc.runtime.cpu.result_pool import MIN_POOLED_BYTES
from graphc.runtime.cpu.threads import MIN_INTERRUPTIBLE_WORK, MIN_WORK_FOR_HELPERS, execute
from graphc.runtime.cpu.timer import Timing
from graphc.session.bad_index import broken_kernel, out_of_range
from graphc.session.feeds import convert

if TYPE_CHECKING:
    from graphc.frontend.tensor import Tensor
    from graphc.ir.arena import ArenaLayout
    from graphc.ir.graph import Graph, Value
    from graphc.ir.op import Array
    from graphc.ir.program import Program
    from graphc.passes.trace import StageTime as Stage
    from graphc.runtime.cpu.executable import Bound, Executable
    from graphc.session.engine import Fed, Owner, Signature


class HostEngine:
    """An executable, and variants of it that keep to the session's memory limit.  `plans` makes the
    plan of a signature: a `HostPlan`, or one that looks at its kernels."""

    def __init__(self, session: Owner, executable: Executable) -> None:
        self.session, self.executable = session, executable
        self.unified, self.plans = executable.unified, HostPlan

    @staticmethod
    def compiled(
        session: Owner, graph: Graph, observe: Callable[[Compiled], None] | None
    ) -> HostEngine:
        """The engine for a graph.  Raises what compiling raises."""
        built = Built()
        executable = compile_graph(graph, session.options, built, observe)
        session.stats.count(built)
        return HostEngine(session, executable)

    def converted(self, tensor: Tensor, value: Any) -> Array:
        """The value fed to a tensor, as an array.  Raises `FeedError`."""
        return convert("feed_dict", tensor, value)

    def bind(self, signature: Signature, sizes: dict[str, int]) -> HostPlan:
        """A plan for these sizes.  Raises `MemoryLimitError`."""
        session, built = self.session, Built()
        executable = fitting(self.executable, sizes, session.options, built)
        session.stats.count(built)
        return self.plans(session, signature, executable.bind(sizes, session.arena))


class HostPart:
    """A bound program of the host, as timers and profiles see it."""

    spec = None

    def __init__(self, bound: Bound) -> None:
        self.bound = bound

    @property
    def program(self) -> Program:
        return self.bound.executable.program

    @property
    def layout(self) -> ArenaLayout:
        return self.bound.layout


class HostPlan:
    """A signature bound to sizes, with the addresses of variables filled in."""

    devices_used = ()

    def __init__(self, session: Owner, signature: Signature, bound: Bound) -> None:
        self.session, self.bound = session, bound
        self.pack, self.staged = signature.pack, signature.staged
        self.sizes, self.timers = bound.sizes, list[Timing]()
        self.threads = session.options.threads
        self.feeds = [
            (i, bound.externals_at + place)
            for i, place in enumerate(signature.places)
            if place >= 0
        ]
        fed = set(signature.fed)
        self.inputs = [None if t in fed else self._session_array(t) for t in self.staged.inputs]
        for i, t in enumerate(self.staged.inputs):
            if t not in fed:
                bound.view[bound.externals_at + i] = id(self.inputs[i])
        self.draws = any(isinstance(t.op, RunCounter) for t in self.staged.inputs)
        self.launch = driver().run
        self.launches = len(bound.executable.program.kernels)
        self.small = bound.work < min(MIN_WORK_FOR_HELPERS, MIN_INTERRUPTIBLE_WORK) or (
            self.threads == 1 and bound.work < MIN_INTERRUPTIBLE_WORK
        )
        self._look_up_results()
        stats = session.stats
        stats.arena_planned = max(stats.arena_planned, bound.layout.arena)
        stats.arena_allocated = session.arena.nbytes

    def _session_array(self, tensor: Value) -> Array | None:
        """The session's array for an input that is not fed; None for an unneeded placeholder."""
        if isinstance(tensor.op, RunCounter):
            return self.session.counter
        array = self.session.values.get(tensor)
        assert array is not None or isinstance(tensor.op, Placeholder)
        return array

    def _look_up_results(self) -> None:
        """Plans the arrays that a run makes (`outputs`), and which of them each result is
        (`simple`).  `direct`: each result is exactly one array of its own."""
        bound = self.bound
        self.fresh = len(self.staged.inputs)  # the first external that a run makes
        self.outputs = []
        for n, v in enumerate(bound.outputs):
            shape = dim.numbers(v.type.shape, bound.sizes)
            dtype = v.type.dtype.numpy
            large = math.prod(shape) * dtype.itemsize > MIN_POOLED_BYTES
            self.outputs.append((bound.externals_at + self.fresh + n, shape, dtype, large))
        self.simple = [
            r.external - self.fresh if r.external is not None and not r.is_input else -1
            for r in bound.results
        ]
        self.direct = sorted(self.simple) == list(range(len(self.outputs))) and all(
            self.outputs[result][1] == r.shape
            for result, r in zip(self.simple, bound.results, strict=True)
        )

    # -- the interface `RunPlan`

    @property
    def graph(self) -> Graph:
        """What a run computes."""
        return self.bound.executable.program.graph

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages of the compilation."""
        return self.bound.executable.spans

    @property
    def parts(self) -> tuple[HostPart, ...]:
        """The whole plan."""
        return (HostPart(self.bound),)

    def time(self) -> None:
        """Times every kernel from now on."""
        self.timers = [Timing(self.bound)]

    def variable_bytes(self) -> int:
        """Bytes of the session's arrays that a run uses."""
        return sum(a.nbytes for a in self.inputs if a is not None)

    # -- a run

    def run(self, arrays: list[Fed]) -> Any:
        """One run on converted feeds of this plan's shapes."""
        session, bound, view = self.session, self.bound, self.bound.view
        for i, word in self.feeds:
            view[word] = id(arrays[i])
        results = []
        for word, shape, dtype, large in self.outputs:
            out = session.results.empty(shape, dtype) if large else np.empty(shape, dtype)
            view[word] = id(out)
            results.append(out)
        if self.draws:
            advance(session)
        if bound.thunks:
            session.running = bound
        spare = None if self.direct else self._spare(arrays)
        if self.small:
            self.launch(bound.address)
            interrupted = False
        else:
            interrupted = execute(bound, self.threads)
        if view[bound.status_at]:
            raise_stop(bound)
            index, size = view[bound.status_at + 1], view[bound.status_at + 2]
            inputs = [self._input(i, arrays) for i in range(self.fresh)]
            raise out_of_range(self.staged.graph, inputs, index, size)
        stats = session.stats
        stats.runs += 1
        stats.launches += self.launches
        if interrupted:  # too late to stop this run: it has happened
            raise KeyboardInterrupt
        if spare is None:
            return self.pack([results[e] for e in self.simple])
        return self.pack(self._collect(results, spare))

    def _input(self, external: int, arrays: list[Fed]) -> Array | None:
        """An input of the graph in this run."""
        for i, at in self.feeds:
            if at == self.bound.externals_at + external:
                fed = arrays[i]
                assert isinstance(fed, np.ndarray)  # `HostEngine.converted` made it
                return fed
        return self.inputs[external]

    def _spare(self, arrays: list[Fed]) -> dict[int, Array]:
        """The arrays, by result, of what no kernel makes for the caller alone.  Fetched inputs are
        copied now: a run returns their values at its start.  The others wait for `_collect`, which
        must not run out of memory: then the run has happened."""
        spare = {}
        handed_out: set[int] = set()
        for n, r in enumerate(self.bound.results):
            if r.is_input and r.external is not None:
                array = self._input(r.external, arrays)
                assert array is not None
                spare[n] = array.reshape(r.shape).copy()
            elif r.external is None or r.external in handed_out:
                spare[n] = np.empty(r.shape, r.value.type.dtype.numpy)
            else:
                handed_out.add(r.external)
        return spare

    def _collect(self, fresh: list[Array], spare: dict[int, Array]) -> list[Array]:
        """The results; each is an array that nobody else holds."""
        values: list[Array] = []
        for n, r in enumerate(self.bound.results):
            made = None if r.external is None or r.is_input else fresh[r.external - self.fresh]
            if n in spare and not r.is_input:
                source = r.array if made is None else made.reshape(r.shape)
                assert source is not None
                np.copyto(spare[n], source)
            if n not in spare:
                assert made is not None
                values.append(made.reshape(r.shape))
            else:
                values.append(spare[n])
        return values


def raise_stop(bound: Bound) -> None:
    """Raises the reason why a native run stopped early, unless that is a bad index."""
    status = bound.view[bound.status_at]
    if status == Status.CANCELLED:
        raise KeyboardInterrupt
    if status == Status.RAISED:
        raised = [e for e in [t.taken() for t in bound.thunks] if e is not None]
        raise raised[0] if raised else KeyboardInterrupt
    if status == Status.BROKEN:
        words = bound.view[bound.status_at + 1 : bound.status_at + 4]
        raise broken_kernel(bound.executable.program, words, bound.sizes)


def advance(session: Owner) -> None:
    """Sets the run counter, which random ops draw from: seed and number of runs so far."""
    session.counter[...] = (session.options.seed & 0xFFFFFFFF) << 32 | session.stats.runs
