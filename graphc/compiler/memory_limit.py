"""Chooses, for each set of sizes, the executable whose arena fits the memory limit.

The program that was compiled first runs wherever its arena fits.  Elsewhere a variant of it runs
that computes values again (`passes/memory/recompute.py`) and shares its kernels' code.  The limit
counts the arena: everything that is stored between kernels of a run and is neither fed, nor a
variable, nor fetched.
"""

from __future__ import annotations

from graphc.codegen.cache import Built
from graphc.compiler.compile import assemble, sources_of
from graphc.config import Options
from graphc.errors import Location, MemoryLimitError
from graphc.ir.arena import layout
from graphc.ir.graph import Value, topological
from graphc.ir.op import Item
from graphc.ir.program import Kind
from graphc.passes.memory.recompute import Least, fitted, least
from graphc.passes.memory.verify import verify_program
from graphc.passes.trace import Trace
from graphc.runtime.cpu.executable import Executable


def fitting(
    executable: Executable, sizes: dict[str, int], options: Options, built: Built
) -> Executable:
    """The executable, or a variant of it, whose arena fits at these sizes.  Raises
    `MemoryLimitError` if no variant can fit."""
    limit = options.memory_limit
    if limit is None:
        return executable
    variants = sorted(executable.variants, key=lambda e: len(e.program.kernels))
    for candidate in (executable, *variants):
        if layout(candidate.program, sizes).arena <= limit:
            return candidate
    program = fitted(executable.program, sizes, limit)
    if program is None:
        raise _too_small(executable, sizes, limit)
    sources = sources_of(
        verify_program(program), lambda _: options.method, options, executable.code
    )
    variant = assemble(
        program, executable.unified, options, built, sources, Trace(), executable.code
    )
    executable.variants.append(variant)
    return variant


def _too_small(executable: Executable, sizes: dict[str, int], limit: int) -> MemoryLimitError:
    peak = least(executable.program, sizes)
    given = ", ".join(f"{name} = {n}" for name, n in sorted(sizes.items()))
    remedies = ["raise the limit"] + ["feed smaller batches"] * bool(sizes)
    if peak.kernel.kind is Kind.CONTROL or (peak.value and isinstance(peak.value.op, Item)):
        remedies.append("give the loop a smaller tape_bytes")
    return MemoryLimitError(
        f"memory_limit: {limit} bytes do not suffice{f' for {given}' if given else ''}; the least "
        f"that reordering and computing again reach is {peak.nbytes} bytes.  {_culprit(peak)}  "
        f"You can {' or '.join(remedies)}",
        _line(peak),
        peak.nbytes,
    )


def _culprit(peak: Least) -> str:
    kernel = f"{peak.kernel.kind.value} {peak.kernel.name}"
    if peak.value is None:
        return f"Where {kernel} runs, what it needs inside takes {peak.share} of them."
    shown = f"{peak.value.name or peak.value.op.name}: {peak.value.type}"
    return f"Where {kernel} runs, {shown} takes {peak.share} of them."


def _line(peak: Least) -> Location | None:
    """The user's line of the value, or of the nearest operand that has one."""
    value: Value = peak.value if peak.value is not None else peak.kernel.body[0]
    lines = (v.loc for v in reversed(topological([value])) if v.loc is not None)
    return next(lines, None)
