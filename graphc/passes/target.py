"""What a kind of device is to the passes: a value of its own, not a name that passes compare.

A target says what it cannot compute, which contractions a map may follow, and which passes fit a
graph to it after placement.  Its numbers are fields of these passes.  How it makes code is added in
`graphc.codegen.target`; the targets that there are stand in `graphc.compiler.targets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from graphc.errors import DeviceError, user_location
from graphc.ir.graph import Value
from graphc.passes.base import GraphPass


class Target(Protocol):
    """A kind of device, as passes see it.  Values of a target are frozen and equal by fields."""

    @property
    def kind(self) -> str:
        """What specs of its devices say (`DeviceSpec.kind`), and their names begin with."""

    @property
    def late(self) -> tuple[GraphPass, ...]:
        """The passes that a segment's graph goes through, in order: placement comes before them.
        `Options.disable` leaves them out by name."""

    def cannot(self, v: Value) -> str:
        """Why a device of this kind cannot compute v, for people; "" if it can."""

    def takes_epilogue(self, v: Value) -> bool:
        """Whether a contraction is made so that a map can follow it in one kernel."""


T = TypeVar("T", bound=Target)


def target_for(targets: Mapping[str, T], kind: str) -> T:
    """The target of a kind.  Raises `DeviceError` if there is none."""
    if kind not in targets:
        raise DeviceError(
            f"no target compiles for devices of kind {kind!r}; there are {', '.join(targets)}. "
            "Give the DeviceSpec one of these kinds, or add a target (docs/backends.md)",
            user_location(),
        )
    return targets[kind]
