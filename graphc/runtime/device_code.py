"""A program's code on one device, and what lies there for all its plans."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from graphc.codegen.cuda import device_sources, tiling_of
from graphc.codegen.cuda_plan import Tiling
from graphc.codegen.device_source import DeviceSource, copying, guarded
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Kind, Program, launched, overwritten
from graphc.runtime.device import Device, Function, Span


@dataclass
class DeviceProgram:
    """A program's code on one device.  `constants` lie there since they were first needed."""

    device: Device
    program: Program
    functions: dict[
        tuple[Kernel, bool, bool, Tiling | None], tuple[Function, ...]
    ] = field(default_factory=dict)
    constants: dict[Value, Span] = field(default_factory=dict)
    numbers: dict[int, Span] = field(default_factory=dict)

    def code(
        self, kernel: Kernel, home: Program, wide: bool, sizes: Mapping[str, int]
    ) -> tuple[Function, ...]:
        """The functions of a kernel, in order; `wide` ones count with 64 bits.  Where a run can
        fail, those that change variables look first whether it has."""
        guard, tiling = kernel.commits and self.fails, tiling_of(kernel, sizes)
        key = kernel, wide, guard, tiling
        if key not in self.functions:
            sources = self._sources(kernel, home, wide, tiling)
            self.functions[key] = tuple(
                self.device.load(guarded(s) if guard else s) for s in sources)
        return self.functions[key]

    def _sources(
        self, kernel: Kernel, home: Program, wide: bool, tiling: Tiling | None = None
    ) -> tuple[DeviceSource, ...]:
        return device_sources(kernel, overwritten(home, kernel), wide, tiling=tiling)

    @functools.cached_property
    def fails(self) -> bool:
        """Whether a kernel can end the run with an error."""
        return any(s.uses_status for home, kernel in launched(self.program)
                   for s in self._sources(kernel, home, False))

    def scratch(self, sizes: Mapping[str, int]) -> int:
        """Bytes that the most demanding kernel wants for itself."""
        wanted = (s.scratch for home, kernel in launched(self.program)
                  for f in self.code(kernel, home, False, sizes) for s in (f.source,))
        return max((dim.evaluate(n, sizes) for n in wanted), default=0)

    def load(self) -> None:
        """Compiles every kernel, or finds it in the cache; but contractions of symbolic sizes wait
        for a run's, which decide how they are tiled."""
        for home, kernel in launched(self.program):
            symbolic = any(dim.symbols(n) for v in (*kernel.reads, *kernel.writes)
                           for n in v.type.shape)
            if not (symbolic and kernel.kind in (Kind.MATMUL, Kind.CONVOLUTION)):
                self.code(kernel, home, False, {})

    def copier(self, nbytes: int) -> Function:
        """What copies bytes unless the run has failed."""
        return self.device.load(guarded(copying(nbytes)))

    def constant(self, v: Value) -> Span:
        """Where a constant lies."""
        if v not in self.constants:
            assert isinstance(v.op, Constant)
            self.constants[v] = uploaded(self.device, v.op.value.array)
        return self.constants[v]

    def number(self, value: int) -> Span:
        """Where a whole number lies, as an i64."""
        if value not in self.numbers:
            self.numbers[value] = uploaded(self.device, np.array(value, np.int64))
        return self.numbers[value]


def allocated(device: Device, nbytes: int) -> Span:
    """New memory of a device."""
    return Span(device.allocate(max(nbytes, 1)), 0, nbytes)


def uploaded(device: Device, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Span:
    """New memory of a device, with the bytes of an array."""
    span = allocated(device, array.nbytes)
    device.copy(span, array)
    return span
