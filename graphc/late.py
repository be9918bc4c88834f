"""What only sessions with devices, profiles and plans need, imported when they do: 80 ms.

These functions are the only place where graphc's own modules are imported late for that reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from graphc.placed_run import PlacedRunner
    from graphc.runtime.devices import Devices


def placed() -> Any:
    """The module `graphc.placed`."""
    import graphc.placed

    return graphc.placed


def recorder() -> Any:
    """The module `graphc.recorder`."""
    import graphc.recorder

    return graphc.recorder


def placed_runner() -> type[PlacedRunner]:
    """What runs a signature over devices."""
    from graphc.placed_run import PlacedRunner

    return PlacedRunner


def devices(cache_dir: Path) -> Devices:
    """The devices of a session: none is open yet."""
    from graphc.runtime.devices import Devices

    return Devices(cache_dir)
