"""The table of targets: a new backend is one line here, and folders of its own (docs/backends.md).

`TARGETS` is looked at when it is needed and never copied, so a test may put another in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.codegen.cpu.target import HOST_TARGET
from graphc.codegen.cuda.target import CUDA
from graphc.codegen.target import CodeTarget
from graphc.runtime.cuda.family import CudaFamily
from graphc.runtime.device.protocol import DeviceFamily


@dataclass(frozen=True)
class Backend:
    """A target, and the devices that run what it prints; None: this process does."""

    target: CodeTarget
    family: DeviceFamily | None = None


HOST_BACKEND = Backend(HOST_TARGET)
TARGETS: tuple[Backend, ...] = (
    HOST_BACKEND,
    Backend(CUDA, CudaFamily()),
)


def targets() -> Mapping[str, CodeTarget]:
    """The targets by kind."""
    return {b.target.kind: b.target for b in TARGETS}


def families() -> Mapping[str, DeviceFamily]:
    """What opens devices, by kind; the host's kind is not in it."""
    return {b.target.kind: b.family for b in TARGETS if b.family is not None}
