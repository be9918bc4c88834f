"""The protocols of targets that make code: what a target prints of a kernel, to run and to read.

This process calls the host's kernels (`graphc.compiler.compile`).  A device's kernels are launched
(`graphc.runtime.device`), so its target has more methods.
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
    """A stage of `graphc dump` in which each kernel has a text.  `text` takes a kernel and the
    results that lie where operands lay (`program.overwritten`).  `comment` begins a comment in the
    text, `suffix` ends the name of its file."""

    name: str
    suffix: str
    comment: str
    text: Callable[[Kernel, Mapping[int, int]], str]


class CodeTarget(Target, Protocol):
    """A target that makes code."""

    @property
    def stages(self) -> tuple[DumpStage, ...]:
        """The texts of its kernels that people can read, in order."""

    def schedule(self, kernel: Kernel) -> str:
        """How threads share a kernel, for `explain`; "" if the method already says it."""


class DeviceTarget(CodeTarget, Protocol):
    """A target whose kernels are launched on devices."""

    def variant(self, kernel: Kernel, sizes: Mapping[str, int], fast_math: bool) -> Hashable:
        """The variant of a kernel's text that a run's sizes choose; sizes of one variant share a
        text."""

    def awaits_sizes(self, kernel: Kernel) -> bool:
        """Whether a kernel is compiled only once sizes are known, because they decide its text."""

    def sources(
        self,
        kernel: Kernel,
        over: Mapping[int, int],
        wide: bool,
        sizes: Mapping[str, int],
        fast_math: bool,
    ) -> tuple[DeviceSource, ...]:
        """The launches of a kernel, one after another, over the same buffers.  `wide` ones have
        indices of 64 bits.  Raises `CodegenError` for what the target `cannot`."""

    def epilogue(self, kernel: Kernel, wide: bool) -> tuple[DeviceSource, ...]:
        """The launches of the epilogue of a product that a library computes."""

    def guarded(self, source: DeviceSource) -> DeviceSource:
        """The kernel, changed to do nothing once a run has failed."""

    def copying(self, nbytes: int) -> DeviceSource:
        """A kernel that copies so many bytes from its first buffer to its second."""


def beyond_devices(
    v: Value, by_hand: tuple[type[Opaque], ...], cannot: Callable[[Value], str]
) -> str:
    """Why no device can compute v: v belongs to the host, or is a kernel written by hand outside of
    the families `by_hand`, for which the target has kernels; "" otherwise.  `cannot` is the
    target's own answer; it judges the values inside of v."""
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
