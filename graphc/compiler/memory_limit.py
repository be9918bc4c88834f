"""Executables that keep to a memory limit: which one runs, decided once for each set of sizes.

The program that was compiled first runs wherever its arena fits.  Where it does not, a variant is
made that computes values again (`passes/memory/recompute.py`); its kernels are those that are there
already.  What a limit counts is the arena: everything that is stored between kernels of a run and
is neither fed, nor a variable, nor fetched.
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
    `MemoryLimitError` if there can be none."""
    limit = options.memory_limit
    if limit is None:
        return executable
    variants = sorted(executable.variants, key=lambda e: len(e.program.kernels))
    for known in (executable, *variants):
        if layout(known.program, sizes).arena <= limit:
            return known
    program = fitted(executable.program, sizes, limit)
    if program is None:
        raise _too_small(executable, sizes, limit)
    sources = sources_of(verify_program(program), lambda _: options.method, executable.code)
    made = assemble(program, executable.unified, options, built, sources, Trace(), executable.code)
    executable.variants.append(made)
    return made


def _too_small(executable: Executable, sizes: dict[str, int], limit: int) -> MemoryLimitError:
    found = least(executable.program, sizes)
    given = ", ".join(f"{name} = {n}" for name, n in sorted(sizes.items()))
    remedies = ["raise the limit"] + ["feed smaller batches"] * bool(sizes)
    if found.kernel.kind is Kind.CONTROL or (found.value and isinstance(found.value.op, Item)):
        remedies.append("give the loop a smaller tape_bytes")
    return MemoryLimitError(
        f"memory_limit: {limit} bytes do not suffice{f' for {given}' if given else ''}; the least "
        f"that reordering and computing again reach is {found.nbytes} bytes.  {_culprit(found)}  "
        f"You can {' or '.join(remedies)}",
        _line(found),
        found.nbytes,
    )


def _culprit(found: Least) -> str:
    kernel = f"{found.kernel.kind.value} {found.kernel.name}"
    if found.value is None:
        return f"Where {kernel} runs, what it needs inside takes {found.share} of them."
    shown = f"{found.value.name or found.value.op.name}: {found.value.type}"
    return f"Where {kernel} runs, {shown} takes {found.share} of them."


def _line(found: Least) -> Location | None:
    """The user's line of the value, or the nearest one behind it."""
    value: Value = found.value if found.value is not None else found.kernel.body[0]
    lines = (v.loc for v in reversed(topological([value])) if v.loc is not None)
    return next(lines, None)
