"""`graphc dump model.py --stage ...`: every stage of a compilation as text."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphc.cli.model import UsageError, add_model_options, opened
from graphc.codegen import jit
from graphc.codegen.kernels import loops_of, source_of
from graphc.codegen.loops_text import print_loops
from graphc.compile import Compiled
from graphc.ir.program import Kernel, Program, launched, overwritten
from graphc.ir.program_text import print_program
from graphc.ir.text import print_graph
from graphc.passes.cost import cost_of

SUFFIX = {
    "graph": "gir",
    "optimized": "gir",
    "program": "gir",
    "loops": "txt",
    "kernels": "py",
    "llvm": "ll",
    "asm": "s",
}


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser(
        "dump",
        help="print a stage of the compilation",
        description=(
            "Prints what is computed after a stage: of --fetch, else of every signature that the "
            "file's sessions "
            "run, else of all that the file computes and does not use."
        ),
    )
    add_model_options(p)
    p.add_argument("--stage", choices=list(SUFFIX), default="program", help="(default: program)")
    p.add_argument("--full", action="store_true", help="print the data of large constants, too")
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    with opened(args) as model:
        texts = [text_of(made, args.stage, not args.full) for made in model.compilations(args)]
    print("\n".join(dict.fromkeys(texts)), end="")
    return model.code


def text_of(made: Compiled, stage: str, elide: bool) -> str:
    """A stage as text.  `elide` leaves out the data of constants: then the text does not parse."""
    match stage:
        case "graph":
            return print_graph(made.staged, elide)
        case "optimized":
            return print_graph(made.optimised, elide)
        case "program":
            return print_program(made.program, elide, note)
    spell = {"loops": _loops, "kernels": _kernel, "llvm": _llvm, "asm": _asm}[stage]
    return _each(made.program, spell, {"llvm": ";", "loops": "//"}.get(stage, "#"))


def note(kernel: Kernel) -> str:
    """What the text of a kernel of several ops does not show: the bytes it moves."""
    if len(kernel.body) <= 1:
        return ""
    return f"moves {cost_of(kernel).moved} bytes"


def _each(program: Program, spell: Callable[[Kernel, Mapping[int, int]], str], comment: str) -> str:
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


def _loops(kernel: Kernel, over: Mapping[int, int]) -> str:
    loops = loops_of(kernel, bool(over))
    return "// not made of loops: see --stage kernels" if loops is None else print_loops(loops)


def _kernel(kernel: Kernel, over: Mapping[int, int]) -> str:
    return source_of(kernel, readable=True, over=over).text


def _module(kernel: Kernel, over: Mapping[int, int]) -> Any:
    from graphc.codegen.frontend import llvm_ir  # imports numba

    text = source_of(kernel, over=over).text
    return jit.optimise(llvm_ir(text, jit.symbol_of(text)))


def _llvm(kernel: Kernel, over: Mapping[int, int]) -> str:
    return str(_module(kernel, over))


def _asm(kernel: Kernel, over: Mapping[int, int]) -> str:
    return str(jit.target_machine().emit_assembly(_module(kernel, over)))


def write_all(seen: Sequence[Compiled], directory: Path) -> None:
    """The readable stages of each compilation, as files `00.graph.gir`, `00.kernels.py`, ..."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for number, made in enumerate(seen):
            for stage in ("graph", "optimized", "program", "loops", "kernels"):
                path = directory / f"{number:02}.{stage}.{SUFFIX[stage]}"
                path.write_text(text_of(made, stage, False), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {directory}: {error}") from None
