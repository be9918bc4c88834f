"""A program's code on one device, and what lies there for all its plans."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from graphc.codegen.cache import Built
from graphc.codegen.device_source import DeviceSource
from graphc.config import Options
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.ops.shape import Constant
from graphc.ir.program import Kernel, Program, launched, overwritten
from graphc.runtime.device.protocol import (
    Device,
    LoadedKernel,
    MemorySpan,
    Multiplies,
    ProductLibrary,
    uploaded,
)

Key = tuple[Kernel, bool, Hashable]  # of code: 64-bit indices, `DeviceTarget.variant`
NO_SIZES: Mapping[str, int] = MappingProxyType({})


@dataclass
class DeviceProgram:
    """A program's code on one device.  `constants` lie there since they were first needed."""

    device: Device
    program: Program
    options: Options = field(default_factory=Options)
    functions: dict[Key, tuple[LoadedKernel, ...]] = field(default_factory=dict)
    epilogues: dict[tuple[Kernel, bool], tuple[LoadedKernel, ...]] = field(default_factory=dict)
    texts: dict[Key, tuple[DeviceSource, ...]] = field(default_factory=dict)
    constants: dict[Value, MemorySpan] = field(default_factory=dict)
    numbers: dict[int, MemorySpan] = field(default_factory=dict)
    built: Built = field(default_factory=Built)

    def __post_init__(self) -> None:
        self.target = self.device.target
        device = self.device
        library = device.products(self.options) if isinstance(device, Multiplies) else None
        self.products: ProductLibrary | None = library

    def code(
        self, kernel: Kernel, home: Program, wide: bool, sizes: Mapping[str, int]
    ) -> tuple[LoadedKernel, ...]:
        """The functions of a kernel, in order; `wide` ones count with 64 bits.  Where a run can
        fail, those that change variables look first whether it has."""
        key = kernel, wide, self.variant(kernel, sizes)
        if key not in self.functions:
            self.functions[key] = tuple(
                map(self.device.load, self._guarded(kernel, home, wide, sizes))
            )
        return self.functions[key]

    def epilogue(self, kernel: Kernel, wide: bool) -> tuple[LoadedKernel, ...]:
        """The functions of what follows a product that a library has made."""
        if (kernel, wide) not in self.epilogues:
            self.epilogues[kernel, wide] = tuple(
                map(self.device.load, self.target.epilogue(kernel, wide))
            )
        return self.epilogues[kernel, wide]

    def variant(self, kernel: Kernel, sizes: Mapping[str, int]) -> Hashable:
        """What sizes decide of a kernel's text."""
        return self.target.variant(kernel, sizes, self.options.fast_math)

    def library(self, kernel: Kernel) -> ProductLibrary | None:
        """What may make a kernel's product in place of its own code."""
        found = self.products
        usable = found is not None and not self.guards(kernel) and found.may_make(kernel)
        return found if usable else None

    def guards(self, kernel: Kernel) -> bool:
        """Whether a kernel must look whether the run has failed."""
        return kernel.commits and self.fails

    def _guarded(
        self, kernel: Kernel, home: Program, wide: bool, sizes: Mapping[str, int]
    ) -> list[DeviceSource]:
        guard = self.guards(kernel)
        sources = self._sources(kernel, home, wide, sizes)
        return [self.target.guarded(s) if guard else s for s in sources]

    def _sources(
        self, kernel: Kernel, home: Program, wide: bool, sizes: Mapping[str, int] = NO_SIZES
    ) -> tuple[DeviceSource, ...]:
        key = kernel, wide, self.variant(kernel, sizes)
        if key not in self.texts:
            over = overwritten(home, kernel)
            self.texts[key] = self.target.sources(kernel, over, wide, sizes, self.options.fast_math)
        return self.texts[key]

    @functools.cached_property
    def fails(self) -> bool:
        """Whether a kernel can end the run with an error."""
        return any(
            s.uses_status
            for home, kernel in launched(self.program)
            for s in self._sources(kernel, home, False)
        )

    def scratch(self, sizes: Mapping[str, int]) -> int:
        """Bytes that the most demanding kernel wants for itself."""
        wanted = (
            s.scratch
            for home, kernel in launched(self.program)
            for s in self._sources(kernel, home, False, sizes)
        )
        return max((dim.evaluate(n, sizes) for n in wanted), default=0)

    def load(self, sizes: Mapping[str, int] = NO_SIZES) -> None:
        """Compiles every kernel that plans for these sizes need, or finds it in the cache; without
        sizes, all but contractions of symbolic sizes, which a run's decide how to tile."""
        own, after, first = [], [], not self.functions
        for home, kernel in launched(self.program):
            library = self.library(kernel)
            after += [kernel] * (library is not None and (kernel, False) not in self.epilogues)
            known = (kernel, False, self.variant(kernel, sizes)) in self.functions
            waits = not sizes and self.target.awaits_sizes(kernel)
            if not (known or waits or (library is not None and library.forced)):
                own.append((kernel, home))
        texts = [s for kernel, home in own for s in self._guarded(kernel, home, False, sizes)]
        texts += [s for kernel in after for s in self.target.epilogue(kernel, False)]
        texts += [self._copier(1)] * (self.fails and first)
        if texts:
            self.device.prepare(texts, self.options, self.built)
        for kernel, home in own:
            self.code(kernel, home, False, sizes)
        for kernel in after:
            self.epilogue(kernel, False)

    def copier(self, nbytes: int) -> LoadedKernel:
        """What copies bytes unless the run has failed."""
        return self.device.load(self._copier(nbytes))

    def _copier(self, nbytes: int) -> DeviceSource:
        return self.target.guarded(self.target.copying(nbytes))

    def constant(self, v: Value) -> MemorySpan:
        """Where a constant lies."""
        if v not in self.constants:
            assert isinstance(v.op, Constant)
            self.constants[v] = uploaded(self.device, v.op.value.array)
        return self.constants[v]

    def number(self, value: int) -> MemorySpan:
        """Where a whole number lies, as an i64."""
        if value not in self.numbers:
            self.numbers[value] = uploaded(self.device, np.array(value, np.int64))
        return self.numbers[value]
