"""The interfaces between a session, its runners and its engines.

    Owner       the session, as runners and engines see it
    Signature   what one runner runs: a graph, what is fed, how the results are handed out
    Engine      compiled code, which it binds to sizes    (`host_engine`, `placed_engine`)
    RunPlan     one signature bound to sizes, ready to run
    PlanPart    what a plan runs on one device, as timers and profiles see it

A runner asks its engine for a plan for each set of shapes.  When a variable of its graph moves to a
device, the runner gets another engine; the rest of the runner stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import threading
    from weakref import WeakSet

    from graphc.codegen.cache import Built
    from graphc.config import Options
    from graphc.frontend.stage import Staged
    from graphc.frontend.tensor import Tensor
    from graphc.ir.arena import ArenaLayout
    from graphc.ir.graph import Graph, Value
    from graphc.ir.machine import DeviceSpec
    from graphc.ir.op import Array
    from graphc.ir.program import Program
    from graphc.passes.graph.unify_sizes import Unified
    from graphc.passes.trace import StageTime as Stage
    from graphc.runtime.cpu.executable import Arena, Bound
    from graphc.runtime.cpu.result_pool import Results
    from graphc.runtime.cpu.timer import Timed, Times
    from graphc.runtime.device.array import DeviceArray
    from graphc.runtime.devices import Devices

Fed: TypeAlias = "Array | DeviceArray"  # a fed value after its conversion, or a result


@dataclass
class Stats:
    """Counts of what a session has done.  `arena_planned`: bytes that its largest plan needs."""

    compilations: int = 0
    cache_hits: int = 0
    launches: int = 0
    runs: int = 0
    arena_planned: int = 0
    arena_allocated: int = 0

    def count(self, built: Built) -> None:
        """Adds the counts of one compilation."""
        self.compilations += built.compilations
        self.cache_hits += built.cache_hits


class Signature:
    """What a runner runs.  `places[i]` is the number of the graph input that feed `i` goes to, or
    -1 if no fetch needs that feed.  `pack` puts the results into the nest that was fetched.  With
    `on_device`, results stay on the device that makes them."""

    def __init__(
        self,
        staged: Staged,
        fed: Sequence[Tensor],
        pack: Callable[[list[Any]], Any],
        on_device: bool = False,
    ) -> None:
        self.staged, self.fed, self.pack, self.on_device = staged, list(fed), pack, on_device
        number = {t: i for i, t in enumerate(staged.inputs)}
        self.places = [number.get(t, -1) for t in fed]


class PlanHolder(Protocol):
    """A runner, as the session sees it: it keeps plans of one signature."""

    signature: Signature

    def forget(self) -> None:
        """Drops the plans: arrays that they are bound to have moved."""

    def outdate(self) -> None:
        """Drops the plans and the engine: a variable lives on another device now."""


class Owner(Protocol):
    """A session.  Its lock is held wherever plans are bound or run."""

    values: dict[Value, Array]
    counter: Array
    lock: threading.RLock
    closed: bool
    running: Bound | None  # the plan whose Python functions may be called now
    stats: Stats
    options: Options
    arena: Arena
    results: Results
    plan_holders: WeakSet[PlanHolder]

    @property
    def devices(self) -> Devices:
        """The devices of the session."""

    def engine(self, staged: Staged) -> Engine:
        """The engine for a graph, as its variables live now; it compiles what is new."""


class Engine(Protocol):
    """Code of one graph, for every batch size."""

    unified: Unified

    def converted(self, tensor: Tensor, value: Any) -> Fed:
        """The value fed to a tensor, in the form that plans take.  Raises `FeedError`."""

    def bind(self, signature: Signature, sizes: dict[str, int]) -> RunPlan:
        """A plan for these sizes.  Raises `MemoryLimitError`."""


class Runs(Protocol):
    """What a runner keeps for each set of shapes: a plan, or a watcher around one."""

    def run(self, arrays: list[Fed]) -> Any:
        """One run on converted feeds of these shapes; the fetched nest."""


class RunPlan(Runs, Protocol):
    """One signature bound to sizes.  After `time()`, `timers` has one timer for each part."""

    session: Owner
    sizes: dict[str, int]

    @property
    def timers(self) -> Sequence[PartTimer]: ...

    @property
    def graph(self) -> Graph:
        """What a run computes."""

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages of the compilation."""

    @property
    def devices_used(self) -> Sequence[str]:
        """The devices that the parts were placed on; empty if there was only the host."""

    @property
    def parts(self) -> Sequence[PlanPart]:
        """The programs of a run, in order."""

    def time(self) -> None:
        """Times every kernel from now on."""

    def variable_bytes(self) -> int:
        """Bytes of the variables that a run reads or writes, wherever they live."""


class PlanPart(Protocol):
    """A program of a plan.  `spec` describes the device that runs the program; None means the
    host, whose limits are measured, not declared."""

    @property
    def program(self) -> Program: ...

    @property
    def layout(self) -> ArenaLayout: ...

    @property
    def spec(self) -> DeviceSpec | None: ...


class PartTimer(Protocol):
    """Times one part: `places` are its kernels and copies."""

    places: list[Timed]

    def reset(self) -> None:
        """Forgets the last run."""

    def taken(self) -> Times:
        """The last run."""
