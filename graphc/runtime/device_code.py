"""A program's code on one device, and what lies there for all its plans."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from graphc.codegen.cuda import device_sources
from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Program, launched, overwritten
from graphc.runtime.device import Device, Function, Span


@dataclass
class DeviceProgram:
    """A program's code on one device.  `constants` lie there since they were first needed."""

    device: Device
    program: Program
    functions: dict[tuple[Kernel, bool], tuple[Function, ...]] = field(default_factory=dict)
    constants: dict[Value, Span] = field(default_factory=dict)
    numbers: dict[int, Span] = field(default_factory=dict)

    def code(self, kernel: Kernel, home: Program, wide: bool) -> tuple[Function, ...]:
        """The functions of a kernel, in order; `wide` ones count with 64 bits."""
        if (kernel, wide) not in self.functions:
            sources = device_sources(kernel, overwritten(home, kernel), wide)
            self.functions[kernel, wide] = tuple(map(self.device.load, sources))
        return self.functions[kernel, wide]

    def load(self) -> None:
        """Compiles every kernel, or finds it in the cache."""
        for home, kernel in launched(self.program):
            self.code(kernel, home, False)

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
