"""A program's code on one device, and the constants that all its plans share there."""

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

Key = tuple[Kernel, bool, Hashable]  # of code: kernel, 64-bit indices, `DeviceTarget.variant`
NO_SIZES: Mapping[str, int] = MappingProxyType({})


@dataclass
class DeviceProgram:
    """A program's code on one device.  `constants` and `numbers` are uploaded when first needed."""

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
        """The functions of a kernel, in order; `wide` ones have 64-bit indices.  Where a run can
        fail, functions that change variables first check whether it has."""
        key = kernel, wide, self.variant(kernel, sizes)
        if key not in self.functions:
            self.functions[key] = tuple(
                map(self.device.load, self._guarded(kernel, home, wide, sizes))
            )
        return self.functions[key]

    def epilogue(self, kernel: Kernel, wide: bool) -> tuple[LoadedKernel, ...]:
        """The functions of a kernel's epilogue, for a product that a library has made."""
        if (kernel, wide) not in self.epilogues:
            self.epilogues[kernel, wide] = tuple(
                map(self.device.load, self.target.epilogue(kernel, wide))
            )
        return self.epilogues[kernel, wide]

    def variant(self, kernel: Kernel, sizes: Mapping[str, int]) -> Hashable:
        """The part of a kernel's text that sizes decide, as a key."""
        return self.target.variant(kernel, sizes, self.options.fast_math)

    def library(self, kernel: Kernel) -> ProductLibrary | None:
        """The library that may make a kernel's product, in place of the kernel's own code."""
        products = self.products
        usable = products is not None and not self.guards(kernel) and products.may_make(kernel)
        return products if usable else None

    def guards(self, kernel: Kernel) -> bool:
        """Whether a kernel must check whether the run has failed."""
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
        """Bytes of scratch memory of the kernel that needs most."""
        needs = (
            s.scratch
            for home, kernel in launched(self.program)
            for s in self._sources(kernel, home, False, sizes)
        )
        return max((dim.evaluate(n, sizes) for n in needs), default=0)

    def load(self, sizes: Mapping[str, int] = NO_SIZES) -> None:
        """Loads every kernel that plans for these sizes need, from the cache or compiled; without
        sizes, all but contractions of symbolic sizes, whose tiling a run's sizes decide."""
        own, epilogues, first = [], [], not self.functions
        for home, kernel in launched(self.program):
            library = self.library(kernel)
            epilogues += [kernel] * (library is not None and (kernel, False) not in self.epilogues)
            known = (kernel, False, self.variant(kernel, sizes)) in self.functions
            waits = not sizes and self.target.awaits_sizes(kernel)
            if not (known or waits or (library is not None and library.forced)):
                own.append((kernel, home))
        texts = [s for kernel, home in own for s in self._guarded(kernel, home, False, sizes)]
        texts += [s for kernel in epilogues for s in self.target.epilogue(kernel, False)]
        texts += [self._copier(1)] * (self.fails and first)
        if texts:
            self.device.prepare(texts, self.options, self.built)
        for kernel, home in own:
            self.code(kernel, home, False, sizes)
        for kernel in epilogues:
            self.epilogue(kernel, False)

    def copier(self, nbytes: int) -> LoadedKernel:
        """The function that copies `nbytes` bytes, unless the run has failed."""
        return self.device.load(self._copier(nbytes))

    def _copier(self, nbytes: int) -> DeviceSource:
        return self.target.guarded(self.target.copying(nbytes))

    def constant(self, v: Value) -> MemorySpan:
        """The place of a constant on the device."""
        if v not in self.constants:
            assert isinstance(v.op, Constant)
            self.constants[v] = uploaded(self.device, v.op.value.array)
        return self.constants[v]

    def number(self, value: int) -> MemorySpan:
        """The place on the device of a whole number, as an i64."""
        if value not in self.numbers:
            self.numbers[value] = uploaded(self.device, np.array(value, np.int64))
        return self.numbers[value]
