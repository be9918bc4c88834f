"""The kernels of a program as text: each with its line above, and those for GPUs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from graphc.cli.model_file import UsageError
from graphc.codegen.cuda.kernels import device_sources
from graphc.codegen.cuda.source import DeviceSource
from graphc.codegen.cuda.toolchain import cubin
from graphc.ir.program import Kernel, Program, launched, overwritten

Spell = Callable[[Kernel, Mapping[int, int]], str]
CAPABILITY = (9, 0)  # what PTX is printed for: H100


def each(program: Program, spell: Spell, comment: str) -> str:
    """Every kernel that a program launches, under a line that says which it is."""
    parts = []
    kernels = list(launched(program))
    for number, (home, kernel) in enumerate(kernels):
        kind = "commit " if kernel.commits else ""
        name = re.sub(r"[^\w./]", "_", kernel.name)
        parts.append(
            f"{comment} kernel {number} of {len(kernels)}: "
            f"{kind}{kernel.kind.value} {name}\n"
            f"{spell(kernel, overwritten(home, kernel)).rstrip()}\n"
        )
    return "\n".join(parts)


def device_text(program: Program, stage: str, comment: str) -> str:
    """The kernels of a program for a GPU: `kernels` or `ptx`."""
    spell = {"kernels": _kernels, "ptx": _ptx}.get(stage)
    if spell is None:
        raise UsageError(f"--stage {stage} is for CPUs; a GPU's are placed, program, kernels, ptx")
    return each(program, spell, comment)


def _kernels(kernel: Kernel, over: Mapping[int, int]) -> str:
    sources = device_sources(kernel, over, readable=True)
    return "\n\n".join(f"# {launch(s)}\n{s.text.rstrip()}" for s in sources)


def launch(source: DeviceSource) -> str:
    """How a kernel is launched, in a line: `rows by warp: (n+7)//8 blocks of 256 threads`."""
    blocks, threads = (
        " x ".join(str(n) for n in counts if n != 1) or "1"
        for counts in (source.grid, source.threads)
    )
    shared = f", {source.shared} bytes of shared memory" if source.shared else ""
    return f"{source.schedule}: blocks {blocks}, threads {threads}{shared}"


def _ptx(kernel: Kernel, over: Mapping[int, int]) -> str:
    return "\n".join(cubin.ptx(s, CAPABILITY).rstrip() for s in device_sources(kernel, over))
