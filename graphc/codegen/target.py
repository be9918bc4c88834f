"""A target as code sees it: what it prints of a kernel, to be run and to be read.

The host's kernels are called in this process (`graphc.compiler.compile`); a device's are launched
(`graphc.runtime.device`), so its target says more.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from graphc.codegen.device_source import DeviceSource
from graphc.ir.control import Loop
from graphc.ir.graph import Value
from graphc.ir.op import Control, Foreign, Item, Opaque
from graphc.ir.program import Kernel
from graphc.passes.autodiff.control import makes_all_steps
from graphc.passes.target import Target


@dataclass(frozen=True)
class DumpStage:
    """A stage of `graphc dump` in which each kernel has a text: `text` is given a kernel and which
    of its results lie where operands lay (`program.overwritten`).  `comment` begins a comment
    there, `suffix` is that of a file."""

    name: str
    suffix: str
    comment: str
    text: Callable[[Kernel, Mapping[int, int]], str]


class CodeTarget(Target, Protocol):
    """A target that makes code."""

    @property
    def stages(self) -> tuple[DumpStage, ...]:
        """What can be read of its kernels, in order."""

    def schedule(self, kernel: Kernel) -> str:
        """How threads share a kernel, for `explain`; "" if its method says it all."""


class DeviceTarget(CodeTarget, Protocol):
    """A target whose kernels are launched on devices."""

    def variant(self, kernel: Kernel, sizes: Mapping[str, int], fast_math: bool) -> Hashable:
        """What a run's sizes decide of a kernel's text: sizes of one variant share it."""

    def awaits_sizes(self, kernel: Kernel) -> bool:
        """Whether a kernel need not be compiled before sizes are known: they decide its text."""

    def sources(
        self,
        kernel: Kernel,
        over: Mapping[int, int],
        wide: bool,
        sizes: Mapping[str, int],
        fast_math: bool,
    ) -> tuple[DeviceSource, ...]:
        """The launches of a kernel, one after another, over the same buffers.  `wide` ones count
        with 64 bits.  Raises `CodegenError` for what the target `cannot`."""

    def epilogue(self, kernel: Kernel, wide: bool) -> tuple[DeviceSource, ...]:
        """The launches of what follows a product that a library has made."""

    def guarded(self, source: DeviceSource) -> DeviceSource:
        """The kernel that does nothing once a run has failed."""

    def copying(self, nbytes: int) -> DeviceSource:
        """A kernel that copies so many bytes from its first buffer to its second."""


def beyond_devices(
    v: Value, by_hand: tuple[type[Opaque], ...], cannot: Callable[[Value], str]
) -> str:
    """Why no device can compute v: it belongs to the host, or is a kernel written by hand of none
    of the families `by_hand`, which a target has kernels for; "" otherwise.  `cannot` is the
    target's own answer, which is asked for what is inside of v."""
    match v.op:
        case Foreign():
            return "it calls a Python function"
        case Opaque() if not isinstance(v.op, by_hand):
            return f"{v.op.name} is a kernel written by hand for CPUs"
        case Loop() if makes_all_steps(v):
            return next(filter(None, map(cannot, v.op.body.nodes())), "")
        case Control():
            return "control flow that only the run decides is the host's"
        case Item():
            return cannot(v.args[0])
    return ""
