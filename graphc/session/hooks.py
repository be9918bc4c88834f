"""Hooks: the command line, the profiler and tests watch a session from outside.

What a user's model sets is in `graphc.config.Options`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphc.config import default

if TYPE_CHECKING:
    from graphc.compiler.compile import Compiled
    from graphc.compiler.compile_placed import LoweredPlaced
    from graphc.session.engine import RunPlan, Runs


@dataclass(frozen=True)
class Hooks:
    """`observe` is shown every compilation, stage by stage.  `watch` is given every plan before its
    first run, and returns what runs in its place (`graphc.session.recorder.Recorder.watch`).

    Their defaults are the values of `graphc.config.defaults(observe=..., watch=...)`.
    """

    observe: Callable[[Compiled | LoweredPlaced], None] | None = field(
        default_factory=default("observe", lambda: None)
    )
    watch: Callable[[RunPlan], Runs] | None = field(default_factory=default("watch", lambda: None))
