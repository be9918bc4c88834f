"""Runner: one signature (fetches, fed tensors) of one session, with everything looked up.

The path of a run: check the fed arrays, find the plan for their shapes, write the addresses of
array objects into it, call the driver, commit, hand out the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from graphc.codegen.cache import Built
from graphc.compiler.memory_limit import fitting
from graphc.errors import FeedError, GraphError, SessionError, user_location
from graphc.frontend.stage import Staged
from graphc.frontend.tensor import Tensor
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.op import Array
from graphc.ir.ops.state import Placeholder, RunCounter
from graphc.passes.graph.unify_sizes import Unified
from graphc.runtime.cpu.driver import driver
from graphc.runtime.cpu.executable import Arena, Bound, Executable
from graphc.runtime.cpu.result_pool import LARGE, Results
from graphc.runtime.cpu.threads import LONG_WORK, SHARED_WORK, execute
from graphc.session.bad_index import guilty

KEPT_PLANS = 256
USABLE = 0x101  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED
CANCELLED = 2  # the status of a run that Ctrl-C stopped
RAISED = 3  # that of one in which a Python function raised


class Owner(Protocol):
    """What a runner needs of its session."""

    values: dict[Value, Array]
    counter: Array
    lock: Any
    closed: bool
    running: Any
    stats: Any
    options: Any
    arena: Arena
    results: Results

    @property
    def devices(self) -> Any:
        """The devices of the session."""

    def renew(self, runner: Runner) -> None:
        """Compiles what a runner runs for where its variables live now."""


class Code(Protocol):
    """What is compiled: an `Executable`, or a `PlacedExecutable`."""

    unified: Unified


class Runs(Protocol):
    """What a runner keeps for each set of shapes: a `Ready`, or what watches one."""

    def run(self, arrays: list[Array]) -> Any:
        """One run on converted feeds of these shapes."""


class Runner:
    """Runs one signature."""

    def __init__(
        self,
        session: Owner,
        staged: Staged,
        executable: Code,
        fed: Sequence[Tensor],
        pack: Callable[[list[Any]], Any],
    ) -> None:
        self.session, self.staged, self.executable, self.pack = session, staged, executable, pack
        self.fed = list(fed)
        place = {t: i for i, t in enumerate(staged.inputs)}
        self.places = [place.get(t, -1) for t in fed]
        self.dtypes = [t.dtype.numpy for t in fed]
        self.bounds: dict[tuple[tuple[int, ...], ...], Runs] = {}
        self.run = driver().run
        self.watch: Callable[[Any], Runs] | None = session.options.profile
        self.stale = False  # a variable lives elsewhere since this was compiled
        session.arena.holders.add(self)

    def __call__(self, *feeds: Any) -> Any:
        session = self.session
        require_outside(session)
        with session.lock:
            if session.closed:
                raise SessionError(
                    "Session.run: the session is closed; open a new one", user_location()
                )
            arrays = list(feeds)
            for i, dtype in enumerate(self.dtypes):
                a = arrays[i]
                if (
                    type(a) is not np.ndarray
                    or a.dtype is not dtype
                    or a.flags.num & USABLE != USABLE
                ):
                    arrays[i] = self.converted(i, a)
            key = tuple([a.shape for a in arrays])
            ready = self.bounds.get(key)
            if ready is None:
                ready = self._bind(key)
            return ready.run(arrays)

    def converted(self, number: int, value: Any) -> Any:
        """What is fed in place `number`, as this runner takes it.  Raises `FeedError`."""
        return convert("feed_dict", self.fed[number], value)

    def callable(self) -> Callable[..., Any]:
        """A function of the fed arrays."""
        count = len(self.fed)

        def call(*feeds: Any) -> Any:
            if len(feeds) != count:
                raise FeedError(
                    f"the callable takes {count} arrays, got {len(feeds)}", user_location()
                )
            return self(*feeds)

        return call

    def _bind(self, key: tuple[tuple[int, ...], ...]) -> Runs:
        """The plan for these shapes, checked against what was declared."""
        if self.stale:
            self.session.renew(self)
        ready = self._ready(self._sizes(key))
        if len(self.bounds) >= KEPT_PLANS:
            self.bounds.pop(next(iter(self.bounds)))
        self.bounds[key] = ready
        return ready

    def _ready(self, sizes: dict[str, int]) -> Runs:
        built = Built()
        assert isinstance(self.executable, Executable)
        executable = fitting(self.executable, sizes, self.session.options, built)
        self.session.stats.compilations += built.compilations
        self.session.stats.cache_hits += built.cache_hits
        made = Ready(self, executable.bind(sizes, self.session.arena))
        return self.watch(made) if self.watch is not None else made

    def _sizes(self, key: tuple[tuple[int, ...], ...]) -> dict[str, int]:
        """The values of symbols.  Raises `FeedError` for shapes that do not fit."""
        unified = self.executable.unified
        sizes: dict[str, int] = {}
        where: dict[str, str] = {}
        later: list[tuple[str, dim.Size, int]] = []
        for tensor, place, shape in zip(self.fed, self.places, key, strict=True):
            declared = unified.graph.inputs[place].type.shape if place >= 0 else tensor.shape
            if len(shape) != len(declared):
                raise FeedError(
                    f"feed_dict: {tensor.name!r} is {tensor.type}, got shape {list(shape)}",
                    user_location(),
                )
            for axis, (size, got) in enumerate(zip(declared, shape, strict=True)):
                label = f"axis {axis} of {tensor.name!r}"
                if isinstance(size, int):
                    if size != got:
                        raise FeedError(
                            f"feed_dict: {tensor.name!r} is {tensor.type}: {label} must be "
                            f"{size}, got {got}",
                            user_location(),
                        )
                elif str(size).isidentifier() and str(size) not in sizes:
                    sizes[str(size)], where[str(size)] = got, label
                else:
                    later.append((label, size, got))
        solve(sizes, where, later)
        self._check_sizes(sizes, where, later)
        return sizes

    def _check_sizes(
        self, sizes: dict[str, int], where: dict[str, str], later: list[tuple[str, dim.Size, int]]
    ) -> None:
        unified = self.executable.unified
        missing = {
            s for v in unified.graph.inputs for size in v.type.shape for s in dim.symbols(size)
        } - sizes.keys()
        if missing:
            raise FeedError(
                f"feed_dict: nothing that is fed tells the size {min(missing)}", user_location()
            )
        for label, size, got in later:
            wanted = dim.evaluate(size, sizes)
            if wanted != got:
                first = where.get(str(size), "other feeds")
                raise FeedError(
                    f"feed_dict: {label} is {got}, but {size} is {wanted} by {first}; "
                    "the graph needs them equal",
                    user_location(),
                )
        for check in unified.checks:
            left, right = dim.evaluate(check.left, sizes), dim.evaluate(check.right, sizes)
            if left != right:
                raise FeedError(
                    f"feed_dict: {check.value.op.name} needs {check.left} = {check.right}, but "
                    f"they are {left} and {right}",
                    check.value.loc or user_location(),
                )

    def failure(self, bound: Bound, arrays: Sequence[Array | None]) -> GraphError:
        """The error for an index out of range; `arrays` are the graph's inputs."""
        at = bound.status_at
        return self.out_of_range(bound.view[at + 1], bound.view[at + 2], arrays)

    def out_of_range(self, index: int, size: int, arrays: Sequence[Array | None]) -> GraphError:
        """The same, of an index and a size that are known."""
        culprit = guilty(self.staged.graph, arrays, size)
        name = culprit.op.name if culprit is not None else "index"
        return GraphError(
            f"{name}: index {index} is out of range for a size of {size}; no variable has changed",
            culprit.loc if culprit is not None else user_location(),
        )


def require_outside(session: Owner) -> None:
    """Raises `SessionError` in a Python function that a run of this session is calling."""
    if session.running is not None and any(t.is_here() for t in session.running.thunks):
        raise SessionError(
            "Session: a function that a run calls cannot use the session of that run; "
            "give it what it needs as an input, or use another session",
            user_location(),
        )


def convert(what: str, tensor: Tensor, value: Any) -> Array:
    """A value as an aligned, contiguous array of the tensor's element type.  Raises `FeedError`."""
    dtype = tensor.dtype.numpy
    if isinstance(value, Tensor):
        raise FeedError(f"{what}: {tensor.name!r} is fed a tensor; feed an array", user_location())
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, GraphError) as error:
        raise FeedError(f"{what}: {tensor.name!r}: {error}", user_location()) from None
    if array.dtype != dtype and array.size and not _converts(array, dtype, value):
        raise FeedError(
            f"{what}: {tensor.name!r} is {tensor.type}, got elements of type {array.dtype} that "
            f"do not fit; "
            f"convert them with .astype({dtype.name!r})",
            user_location(),
        )
    return np.require(array.astype(dtype, copy=False), requirements=["C", "A"])


def _converts(array: Array, dtype: np.dtype[Any], value: Any) -> bool:
    """By NumPy's rule `same_kind`; Python integers if none changes."""
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        return False
    if (
        not isinstance(value, np.ndarray | np.generic)
        and array.dtype.kind in "iu"
        and dtype.kind in "iu"
    ):
        return bool(np.all(array == array.astype(dtype)))
    return np.can_cast(array.dtype, dtype, "same_kind")


def solve(
    sizes: dict[str, int], where: dict[str, str], later: list[tuple[str, dim.Size, int]]
) -> None:
    """Symbols that only a formula tells (`2*n` is 6), if they stand in it alone."""
    for label, size, got in later:
        unknown = dim.symbols(size) - sizes.keys()
        if len(unknown) != 1 or not dim.is_linear(size, unknown):
            continue
        (name,) = unknown
        factor = dim.evaluate(dim.coefficient(size, name), sizes)
        rest = got - dim.evaluate(dim.substitute(size, {name: 0}), sizes)
        if factor == 0 or rest % factor or rest // factor < 0:
            raise FeedError(
                f"feed_dict: {label} is {got}, which is not {size} for any {name}", user_location()
            )
        sizes[name], where[name] = rest // factor, label


def raise_stop(bound: Bound) -> None:
    """Raises what ended a native run that did not come to its end, unless that was an index."""
    status = bound.view[bound.status_at]
    if status == CANCELLED:
        raise KeyboardInterrupt
    if status == RAISED:
        raised = [e for e in [t.taken() for t in bound.thunks] if e is not None]
        raise raised[0] if raised else KeyboardInterrupt


def advance(session: Owner) -> None:
    """The run counter, which random ops draw from: the seed, then the number of runs so far."""
    session.counter[...] = (session.options.seed & 0xFFFFFFFF) << 32 | session.stats.runs


class Ready:
    """A plan of a runner, with the addresses of variables filled in."""

    def __init__(self, runner: Runner, bound: Bound) -> None:
        session = runner.session
        self.runner, self.session, self.bound = runner, session, bound
        self.feeds = [(i, bound.externals_at + p) for i, p in enumerate(runner.places) if p >= 0]
        self.inputs: list[Any] = [None] * len(runner.staged.inputs)
        for i, t in enumerate(runner.staged.inputs):
            if t in runner.fed:
                continue
            array = session.counter if isinstance(t.op, RunCounter) else session.values.get(t)
            assert array is not None or isinstance(t.op, Placeholder)
            self.inputs[i] = array
            bound.view[bound.externals_at + i] = id(array)
        first = len(runner.staged.inputs)
        self.outputs = []
        for n, v in enumerate(bound.outputs):
            shape = dim.numbers(v.type.shape, bound.sizes)
            dtype = v.type.dtype.numpy
            large = math.prod(shape) * dtype.itemsize > LARGE
            self.outputs.append((bound.externals_at + first + n, shape, dtype, large))
        self.fresh = first
        self.small = bound.work < min(SHARED_WORK, LONG_WORK) or (
            session.options.threads == 1 and bound.work < LONG_WORK
        )
        self.launch = runner.run
        self.simple = [
            r.external - first if r.external is not None and not r.is_input else -1
            for r in bound.results
        ]
        direct = sorted(self.simple) == list(range(len(self.outputs)))
        self.direct = direct and all(
            self.outputs[e][1] == r.shape for e, r in zip(self.simple, bound.results, strict=True)
        )
        self.draws = any(isinstance(t.op, RunCounter) for t in runner.staged.inputs)
        self.launches = len(bound.executable.program.kernels)
        planned = session.stats.arena_planned
        session.stats.arena_planned = max(planned, bound.layout.arena)
        session.stats.arena_allocated = session.arena.nbytes

    def run(self, arrays: list[Array]) -> Any:
        """One run on converted feeds of this plan's shapes."""
        session, bound, view = self.session, self.bound, self.bound.view
        for i, at in self.feeds:
            view[at] = id(arrays[i])
        made = []
        for at, shape, dtype, large in self.outputs:
            out = session.results.empty(shape, dtype) if large else np.empty(shape, dtype)
            view[at] = id(out)
            made.append(out)
        if self.draws:
            advance(session)
        if bound.thunks:
            session.running = bound
        early = None if self.direct else self._inputs_before(arrays)
        if self.small:
            self.launch(bound.address)
            interrupted = False
        else:
            interrupted = execute(bound, self.session.options.threads)
        if view[bound.status_at]:
            raise_stop(bound)
            inputs = [self._input(i, arrays) for i in range(self.fresh)]
            raise self.runner.failure(bound, inputs)
        stats = session.stats
        stats.runs += 1
        stats.launches += self.launches
        if interrupted:  # too late to stop this run: it has happened
            raise KeyboardInterrupt
        if early is None:
            return self.runner.pack([made[e] for e in self.simple])
        return self.runner.pack(self._collect(made, early))

    def _input(self, external: int, arrays: list[Array]) -> Array:
        for i, at in self.feeds:
            if at == self.bound.externals_at + external:
                return arrays[i]
        return self.inputs[external]  # type: ignore[no-any-return]

    def _inputs_before(self, arrays: list[Array]) -> dict[int, Array]:
        """Copies of inputs that are fetched: their values at the run's start."""
        return {
            n: self._input(r.external, arrays).reshape(r.shape).copy()
            for n, r in enumerate(self.bound.results)
            if r.is_input and r.external is not None
        }

    def _collect(self, made: list[Array], early: dict[int, Array]) -> list[Array]:
        taken: set[int] = set()
        values: list[Array] = []
        for n, r in enumerate(self.bound.results):
            if n in early:
                values.append(early[n])
            elif r.external is None:
                assert r.array is not None
                values.append(r.array.copy())
            else:
                array = made[r.external - self.fresh].reshape(r.shape)
                values.append(array.copy() if r.external in taken else array)
                taken.add(r.external)
        return values
