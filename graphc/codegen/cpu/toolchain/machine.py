"""`Cpu` describes the CPU that code is compiled for; it is part of each kernel's name in the cache.

Only `host_cpu` asks what this machine is; everything else is told.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from graphc.codegen.cpu.microkernels.vectors import Shape, shape_for
from graphc.interrupts import undisturbed


@functools.cache
def binding() -> Any:
    """llvmlite's binding, imported when first needed: it takes longer than `import numpy`."""
    with undisturbed():  # what Ctrl-C imports by halves stays so
        import llvmlite.binding

    return llvmlite.binding


@dataclass(frozen=True)
class Cpu:
    """A CPU as LLVM names it: `x86_64-unknown-linux-gnu`, `znver4`, `+avx2,-avx512f,...`."""

    triple: str
    name: str
    features: str

    def flags(self) -> dict[str, bool]:
        """Which features it has.

        >>> Cpu("x86_64-unknown-linux-gnu", "haswell", "+avx2,-avx512f").flags()
        {'avx2': True, 'avx512f': False}
        """
        return {f[1:]: f[0] == "+" for f in self.features.split(",") if f}


@functools.cache
def host_cpu() -> Cpu:
    """This machine's, with 512-bit vectors where it has them: wide vectors are preferred (measured:
    docs/decisions.md)."""
    features = f"{binding().get_host_cpu_features().flatten()},-prefer-256-bit"
    return Cpu(binding().get_default_triple(), binding().get_host_cpu_name(), features)


@functools.cache
def target_machine(cpu: Cpu) -> Any:
    """What makes LLVM's code for a CPU of this machine's architecture."""
    binding().initialize_native_target()
    binding().initialize_native_asmprinter()
    return (
        binding()
        .Target.from_triple(cpu.triple)
        .create_target_machine(
            cpu=cpu.name,
            features=cpu.features,
            opt=3,
            reloc="pic",
            codemodel="small",
            jit=True,
        )
    )


@functools.cache
def tile_shape(cpu: Cpu, dtype: str) -> Shape:
    """The register tile of a CPU."""
    return shape_for(cpu.flags(), dtype)
