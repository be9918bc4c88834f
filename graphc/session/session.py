"""Session: runs graphs and keeps variables.

    with gc.Session() as sess:
        value = sess.run(loss, feed_dict={x: images, y: labels})

A run is a transaction: every read of a variable sees its value at the run's start, all assignments
take effect together at its end, and a run that fails changes nothing.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from graphc.codegen.forks import lose_in_forks
from graphc.config import Options, parse_bytes
from graphc.errors import FeedError, FetchError, SessionError, user_location
from graphc.frontend.boundary import guard_methods
from graphc.frontend.fetches import flatten, key_of
from graphc.frontend.scope import GraphScope, current
from graphc.frontend.stage import Staged, is_placed, stage
from graphc.frontend.tensor import Tensor, Variable
from graphc.ir.graph import Graph, Value
from graphc.ir.machine import DeviceSpec, device_name
from graphc.ir.op import Array
from graphc.ir.ops.state import Placeholder
from graphc.runtime.cpu.executable import Arena
from graphc.runtime.cpu.result_pool import Results
from graphc.session import lazy, variables
from graphc.session.engine import Signature, Stats
from graphc.session.hooks import Hooks
from graphc.session.host_engine import HostEngine
from graphc.session.own_passes import own_passes
from graphc.session.runner import Runner
from graphc.session.turns import require_outside

if TYPE_CHECKING:
    from graphc.passes.rewrite.engine import Rule
    from graphc.profile.report import Profile
    from graphc.runtime.cpu.executable import Bound
    from graphc.runtime.devices import Devices, Home
    from graphc.session.engine import Engine, PlanHolder

Key = tuple[Hashable, tuple[Any, ...], bool]  # of a runner: fetches, fed tensors, `on_device`


class Session:
    """Runs tensors of one graph; holds the values of its variables.

    `threads`: at most so many work on a run (default: GRAPHC_THREADS, else all CPUs).
    `memory_limit`: the most bytes for what is stored between the kernels of a run, as a number or
    text ("1.5 GiB", "200MB"); what does not fit is computed again, and results keep their bits
    (docs/memory.md says what counts).  `seed`: chooses the random numbers.  `cache_dir`: where
    compiled kernels are kept.  `passes`: your own, each a function from `graphc.ir.graph.Graph` to
    `Graph`, verified like graphc's; `rules`: your own, applied with graphc's.  `device`: where all
    runs that can, such as "cuda:0"; or `devices`: names or `gc.DeviceSpec`s to choose from by cost;
    `strict` refuses what they cannot
    do, instead of moving it (docs/gpu.md).  `options` are those and more
    (`graphc.config.Options`); `hooks`: who watches (`graphc.session.hooks.Hooks`).  Safe to use
    from many threads: runs of one session happen one after another.

    >>> import graphc as gc
    >>> x = gc.placeholder(gc.float32, ["sn"], name="sx")
    >>> with gc.Session() as sess:
    ...     sess.run({"twice": x * 2, "sum": gc.sum(x)}, {x: [1, 2, 3]})
    {'twice': array([2., 4., 6.], dtype=float32), 'sum': array(6., dtype=float32)}
    """

    def __init__(
        self,
        graph: GraphScope | None = None,
        *,
        threads: int | None = None,
        memory_limit: int | str | None = None,
        seed: int | None = None,
        cache_dir: str | Path | None = None,
        passes: Sequence[Callable[[Graph], Graph]] = (),
        rules: Sequence[Rule] = (),
        device: str | None = None,
        devices: Sequence[DeviceSpec | str] = (),
        strict: bool = False,
        options: Options | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        if graph is not None and not isinstance(graph, GraphScope):
            raise SessionError(f"Session: graph is {graph!r}; expected a gc.Graph", user_location())
        self.graph = graph or current()
        options_given = {
            "threads": _whole("threads", threads, 1),
            "seed": _whole("seed", seed, None),
            "memory_limit": None if memory_limit is None else parse_bytes(memory_limit),
            "cache_dir": Path(cache_dir) if cache_dir is not None else None,
            "passes": own_passes(passes, rules, options) or None,
            "device": None if device is None else device_name(device),
            "devices": lazy.specs(devices) if devices else None,
            "strict": strict or None,
        }
        chosen: dict[str, Any] = {k: v for k, v in options_given.items() if v is not None}
        self.options = dataclasses.replace(options or Options(), **chosen)
        self.hooks = hooks or Hooks()
        self.stats = Stats()
        self.values: dict[Value, Array] = {}
        self.first_count = np.array((self.options.seed & 0xFFFFFFFF) << 32, np.uint64)
        self.counter = self.first_count.copy()
        self.lock, self.lock_name = threading.RLock(), "Session: this session"
        self.closed = False
        self.running: Bound | None = None
        self.plan_holders: WeakSet[PlanHolder] = (
            WeakSet()
        )  # the session's runners and those of profiles
        self.arena, self.results = Arena(self.plan_holders), Results()
        self._devices: Devices | None = None  # imported and made when first needed
        self._runners: dict[Key, Runner] = {}
        self._engines: dict[Hashable, Engine] = {}
        lose_in_forks(self)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Forgets variables and plans; a later run is an error."""
        require_outside(self)
        with self.lock:
            self.closed = True
            self.values.clear()
            self._runners.clear()
            self._engines.clear()
            self.arena, self.results = Arena(self.plan_holders), Results()
            if self._devices is not None:
                self._devices.close()

    def run(
        self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None, *, on_device: bool = False
    ) -> Any:
        """The values of `fetches` (a tensor, its name, a group, or nested lists, tuples and dicts
        of them).

        `feed_dict` maps tensors (or their names) to arrays; any tensor may be fed.  Arrays on a
        device of the session (with `__dlpack__` or `__cuda_array_interface__`) are fed without
        going by way of the host; with `on_device`, results made on a device stay there.  Raises
        `FeedError`, `FetchError`, `SessionError`, `MemoryLimitError`, `NanError` (with
        `Options(debug_nan=True)`), or `GraphcError` for an index out of range; then no variable
        changes.
        """
        if (
            feed_dict is not None
            and type(feed_dict) is not dict
            and not isinstance(feed_dict, Mapping)
        ):
            raise FeedError(
                f"feed_dict: expected a dict from tensors to arrays, got {feed_dict!r}",
                user_location(),
            )
        feeds = tuple(feed_dict) if feed_dict else ()
        key = (key_of(fetches), feeds, on_device)
        runner = self._runners.get(key)
        if runner is None:
            runner = self._runner(key, fetches)
        return runner(*feed_dict.values()) if feed_dict else runner()

    def make_callable(self, fetches: Any, feed_list: Sequence[Any] = ()) -> Callable[..., Any]:
        """A function of the arrays for `feed_list`, in order, that returns the fetches: `run` with
        all look-ups done once."""
        return self._runner((key_of(fetches), tuple(feed_list), False), fetches).callable()

    def profile(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        *,
        steps: int = 20,
        warmup: int = 3,
        fastest: bool = False,
    ) -> Profile:
        """Where the time goes of `run(fetches, feed_dict)`: runs it `warmup` times, then times
        every kernel in `steps` runs, of which the median counts, or the `fastest`.

        These are real runs: variables change.  The machine's limits are measured first, once for
        each cache directory.  Raises what `run` raises, and `SessionError` unless there is a step.

        >>> import graphc as gc
        >>> x = gc.placeholder(gc.float32, ["pn"], name="px")
        >>> with gc.Session() as sess:
        ...     p = sess.profile(gc.exp(x), {x: [1.0, 2.0]}, steps=5)
        >>> [(row.kind, row.name, row.moved, row.flops) for row in p.rows]
        [('kernel', 'exp', 16.0, 16.0)]
        """
        feeds = feed_dict or {}
        runner = self._runner((key_of(fetches), tuple(feeds), False), fetches)
        return lazy.record(runner, feeds.values(), steps, warmup, fastest)

    def value(self, variable: Variable | str) -> Array:
        """A copy of a variable's value."""
        (value,) = self.values_of([variable], "value")
        return value

    def values_of(
        self, chosen: Iterable[Variable | str], what: str = "values_of"
    ) -> tuple[Array, ...]:
        """Copies of the values of several variables, between the same two runs.

        Errors name the method `what`.
        """
        require_outside(self)
        with self.lock:
            self._require_open()
            found = [variables.found(self, v, what) for v in chosen]
            return tuple(variables.value_of(self, v) for v in found)

    def load(self, variable: Variable | str, value: Any) -> None:
        """Gives a variable a value.  Raises `FeedError` unless its shape and element type fit."""
        self.load_all({variable: value}, "load")

    def load_all(self, values: Mapping[Variable | str, Any], what: str = "load_all") -> None:
        """Gives variables values, all or none, between two runs.

        Raises what `load` raises; then nothing has changed.  Errors name the method `what`.
        """
        require_outside(self)
        with self.lock:
            self._require_open()
            variables.load(self, values, what)

    # -- internals

    def _require_open(self) -> None:
        if self.closed:
            raise SessionError("Session: the session is closed; open a new one", user_location())

    def _runner(self, key: Key, fetches: Any) -> Runner:
        require_outside(self)
        _, feeds, on_device = key
        with self.lock:
            self._require_open()
            if key in self._runners:
                return self._runners[key]
            flat: list[Tensor] = []
            effects: list[Tensor] = []
            pack = flatten(fetches, flat, effects, lambda f: self.tensor(f, FetchError, "fetch"))
            fed = [self.tensor(f, FeedError, "feed") for f in feeds]
            if len(set(fed)) != len(fed):
                raise FeedError("feed_dict: one tensor is fed twice", user_location())
            staged = stage(flat, fed, effects)
            self._check_feeds(staged, fed)
            read = [t for t in staged.inputs if isinstance(t, Variable) and t not in set(fed)]
            variables.initialise(self, read)
            tensors = dict(zip(staged.graph.inputs, staged.inputs, strict=True))
            variables.unshare(self, [tensors[old] for old, _ in staged.graph.updates])
            signature = Signature(staged, fed, pack, on_device)
            runner = Runner(self, signature, self.engine(staged), self.hooks.watch)
            self._runners[key] = runner
            return runner

    def engine(self, staged: Staged) -> Engine:
        """The engine for a graph, as its variables live now; it compiles what is new."""
        key: Hashable = staged.key
        if not is_placed(staged.graph, self.options) and self._devices is None:
            if key not in self._engines:
                engine = HostEngine.compiled(self, staged.graph, self.hooks.observe)
                if self.options.debug_nan:
                    engine.plans = lazy.nan_plans()
                self._engines[key] = engine
            return self._engines[key]
        homes = lazy.homes(staged, self.devices)
        key = key, tuple(homes.items())
        if key not in self._engines:
            self._engines[key] = lazy.placed_engine(self, staged, homes, self.hooks.observe)
        return self._engines[key]

    @property
    def devices(self) -> Devices:
        """The devices of this session."""
        if self._devices is None:
            self._devices = lazy.devices(self.options.cache_dir)
        return self._devices

    def home(self, v: Value) -> Home | None:
        """The device where a variable lives, or None for the host."""
        return None if self._devices is None else self._devices.home(v)

    def _check_feeds(self, staged: Staged, fed: Sequence[Tensor]) -> None:
        fed_set, used = set(fed), set(staged.inputs)
        for t in staged.inputs:
            if isinstance(t.op, Placeholder) and t not in fed_set:
                inside = t.graph.by_name.get(t.name) is not t  # nothing a user can feed
                raise FeedError(
                    f"feed_dict: {t.name!r} ({t.type}) exists only inside a function that a loop "
                    "or branch was made of: give what you want of it back, as a carry or a row"
                    if inside
                    else f"feed_dict: placeholder {t.name!r} ({t.type}) is needed but not fed",
                    user_location(),
                )
        for t in fed:
            if t not in used and not isinstance(t.op, Placeholder):
                raise FeedError(
                    f"feed_dict: {t!r} is fed but nothing fetched depends on it", user_location()
                )

    def tensor(self, x: Any, error: type[FeedError] | type[FetchError], what: str) -> Tensor:
        """The tensor that a tensor or a name of this session's graph stands for; else `error`."""
        if isinstance(x, str):
            if x not in self.graph.by_name:
                known = ", ".join(sorted(self.graph.by_name)) or "none"
                raise error(
                    f"{what}: no tensor is called {x!r}; named ones: {known}", user_location()
                )
            return self.graph.by_name[x]  # type: ignore[no-any-return]
        if not isinstance(x, Tensor):
            raise error(
                f"{what}: {x!r} is no tensor; expected a tensor, its name, or a nest of them",
                user_location(),
            )
        if x.graph is not self.graph:
            raise error(
                f"{what}: {x!r} belongs to another graph than the session's", user_location()
            )
        return x


def _whole(name: str, given: Any, least: int | None) -> int | None:
    """An option that is a whole number, or None."""
    if given is None:
        return None
    if (
        isinstance(given, bool)
        or not hasattr(given, "__index__")
        or (least is not None and given < least)
    ):
        wanted = "an int" if least is None else f"an int of at least {least}"
        raise SessionError(f"Session: {name} is {given!r}; expected {wanted}", user_location())
    return int(given)


guard_methods(Session, "__init__")
