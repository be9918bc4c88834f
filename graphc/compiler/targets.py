"""The table of targets: a new backend is one line here, and folders of its own (docs/backends.md).

`TARGETS` is read at every use and never copied, so a test may replace it.
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
    """A target, and the devices that run its code; None if this process runs it."""

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
    """The families that open devices, by kind; the host has none."""
    return {b.target.kind: b.family for b in TARGETS if b.family is not None}
