"""Late imports: modules that only devices and profiles need, which would add 80 ms to `import`.

graphc imports its own modules late, for the sake of time, only in these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from graphc.compiler.compile_placed import LoweredPlaced
    from graphc.frontend.stage import Staged
    from graphc.ir.machine import DeviceSpec
    from graphc.profile.report import Profile
    from graphc.runtime.devices import Devices
    from graphc.session.engine import Engine, Owner
    from graphc.session.host_engine import HostPlan
    from graphc.session.runner import Runner


def specs(devices: Sequence[DeviceSpec | str]) -> tuple[DeviceSpec, ...]:
    """The specs of the devices that a session was given."""
    from graphc.compiler.compile_placed import spec

    return tuple(map(spec, devices))


def devices(cache_dir: Path) -> Devices:
    """The devices of a session; none is open yet."""
    from graphc.compiler.targets import families
    from graphc.runtime.devices import Devices

    return Devices(cache_dir, families())


def homes(staged: Staged, devices: Devices) -> dict[int, str]:
    """The device of each graph input that lives on one, by the input's number."""
    from graphc.compiler.compile_placed import places_of

    return places_of(staged.inputs, devices.names())


def placed_engine(
    session: Owner,
    staged: Staged,
    homes: dict[int, str],
    observe: Callable[[LoweredPlaced], None] | None,
) -> Engine:
    """The engine that runs a graph over the devices of a session."""
    from graphc.session.placed_engine import PlacedEngine

    return PlacedEngine.compiled(session, staged.graph, homes, observe)


def nan_plans() -> type[HostPlan]:
    """The class of plans that look for NaN."""
    from graphc.session.debug_nan import NanPlan

    return NanPlan


def record(runner: Runner, feeds: Iterable[Any], steps: int, warmup: int, fastest: bool) -> Profile:
    """A profile of a runner's signature, with these feeds."""
    import graphc.session.recorder

    return graphc.session.recorder.record(runner, feeds, steps, warmup, fastest)
