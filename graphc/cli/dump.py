"""`graphc dump model.py --stage ...`: every stage of a compilation as text."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphc.cli.dump_device import device_text, each
from graphc.cli.model_file import Stages, UsageError, add_model_options, opened
from graphc.codegen.cpu.kernels import loops_of, source_of
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.loops.text import print_loops
from graphc.compiler.compile_placed import LoweredPlaced
from graphc.ir.program import Kernel, Program
from graphc.ir.text.graph import print_graph
from graphc.ir.text.program import print_program
from graphc.passes.cost.kernel import cost_of
from graphc.passes.placement.text import placement_table

SUFFIX = {
    "graph": "gir",
    "optimized": "gir",
    "placed": "txt",
    "program": "gir",
    "loops": "txt",
    "kernels": "py",
    "llvm": "ll",
    "asm": "s",
    "ptx": "ptx",
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
    with opened(args, planning=True) as model:
        texts = [text_of(made, args.stage, not args.full) for made in model.compilations(args)]
    print("\n".join(dict.fromkeys(texts)), end="")
    return model.code


def text_of(made: Stages, stage: str, elide: bool) -> str:
    """A stage as text.  `elide` leaves out the data of constants: then the text does not parse."""
    if isinstance(made, LoweredPlaced):
        return placed_text(made, stage, elide)
    match stage:
        case "placed" | "ptx":
            raise UsageError(f"--stage {stage} is for devices: name some with --device, --devices")
        case "graph":
            return print_graph(made.staged, elide)
        case "optimized":
            return print_graph(made.optimised, elide)
    return program_text(made.program, stage, elide)


def program_text(program: Program, stage: str, elide: bool) -> str:
    """A stage of a program for a CPU."""
    if stage == "program":
        return print_program(program, elide, note)
    spell = {"loops": _loops, "kernels": _kernel, "llvm": _llvm, "asm": _asm}[stage]
    return each(program, spell, {"llvm": ";", "loops": "//"}.get(stage, "#"))


def placed_text(made: LoweredPlaced, stage: str, elide: bool) -> str:
    """A stage of a compilation over devices: from `program` on, of each segment."""
    match stage:
        case "graph":
            return print_graph(made.staged, elide)
        case "optimized":
            return print_graph(made.optimised, elide)
        case "placed":
            table = placement_table(made.placed).replace("\n", "\n// ")
            return f"{print_graph(made.placed.graph, elide)}\n// {table}\n".replace("// \n", "//\n")
    comment = {"program": "//", "loops": "//", "llvm": ";", "ptx": "//"}.get(stage, "#")
    wanted = [(n, p) for n, p in enumerate(made.parts) if p.kind == "cuda" or stage != "ptx"]
    return "\n".join(
        f"{comment} segment {n} of {len(made.parts)}, on {p.segment.device}\n"
        + (
            program_text(p.program, stage, elide)
            if p.kind == "cpu" or stage == "program"
            else device_text(p.program, stage, comment)
        )
        for n, p in wanted
    )


def note(kernel: Kernel) -> str:
    """What the text of a kernel of several ops does not show: the bytes it moves."""
    if len(kernel.body) <= 1:
        return ""
    return f"moves {cost_of(kernel).moved} bytes"


def _loops(kernel: Kernel, over: Mapping[int, int]) -> str:
    loops = loops_of(kernel, bool(over))
    return "// not made of loops: see --stage kernels" if loops is None else print_loops(loops)


def _kernel(kernel: Kernel, over: Mapping[int, int]) -> str:
    return source_of(kernel, readable=True, over=over).text


def _module(kernel: Kernel, over: Mapping[int, int]) -> Any:
    from graphc.codegen.cpu.toolchain.numba_frontend import llvm_ir  # imports numba

    text = source_of(kernel, over=over).text
    return jit.optimise(llvm_ir(text, jit.symbol_of(text)))


def _llvm(kernel: Kernel, over: Mapping[int, int]) -> str:
    return str(_module(kernel, over))


def _asm(kernel: Kernel, over: Mapping[int, int]) -> str:
    return str(jit.target_machine().emit_assembly(_module(kernel, over)))


def write_all(seen: Sequence[Stages], directory: Path) -> None:
    """The readable stages of each compilation, as files `00.graph.gir`, `00.kernels.py`, ..."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for number, made in enumerate(seen):
            between = "placed" if isinstance(made, LoweredPlaced) else "loops"
            for stage in ("graph", "optimized", between, "program", "kernels"):
                path = directory / f"{number:02}.{stage}.{SUFFIX[stage]}"
                path.write_text(text_of(made, stage, False), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {directory}: {error}") from None
