"""What only sessions with devices, profiles and plans need, imported when they do: 80 ms.

These functions are the only place where graphc's own modules are imported late for that reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from graphc.runtime.devices import Devices
    from graphc.session.placed_engine import PlacedRunner


def placed() -> Any:
    """The module `graphc.compiler.compile_placed`."""
    import graphc.compiler.compile_placed

    return graphc.compiler.compile_placed


def recorder() -> Any:
    """The module `graphc.session.recorder`."""
    import graphc.session.recorder

    return graphc.session.recorder


def placed_runner() -> type[PlacedRunner]:
    """What runs a signature over devices."""
    from graphc.session.placed_engine import PlacedRunner

    return PlacedRunner


def devices(cache_dir: Path) -> Devices:
    """The devices of a session: none is open yet."""
    from graphc.runtime.devices import Devices

    return Devices(cache_dir)
