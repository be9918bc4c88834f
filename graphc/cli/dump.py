"""`graphc dump model.py --stage ...`: every stage of a compilation as text."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphc.cli.model_file import Stages, UsageError, add_model_options, opened
from graphc.codegen.cpu.target import HOST_TARGET
from graphc.codegen.target import CodeTarget, DumpStage
from graphc.compiler.compile_placed import LoweredPlaced
from graphc.compiler.targets import targets
from graphc.ir.program import Kernel, Program, launched, overwritten
from graphc.ir.text.graph import print_graph
from graphc.ir.text.program import print_program
from graphc.passes.cost.kernel import cost_of
from graphc.passes.graph.unify_sizes import Unified
from graphc.passes.placement.text import placement_table

GRAPH_STAGE_SUFFIX = {
    "graph": "gir",
    "optimized": "gir",
    "placed": "txt",
    "program": "gir",
}  # stages before code


def code_stages() -> dict[str, DumpStage]:
    """The stages of all targets that print each kernel as a text, by name."""
    return {stage.name: stage for target in targets().values() for stage in target.stages}


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
    p.add_argument(
        "--stage",
        choices=[*GRAPH_STAGE_SUFFIX, *code_stages()],
        default="program",
        help="(default: program)",
    )
    p.add_argument("--full", action="store_true", help="print the data of large constants, too")
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    with opened(args, planning=True) as model:
        texts = [text_of(made, args.stage, not args.full) for made in model.compilations(args)]
    print("\n".join(dict.fromkeys(texts)), end="")
    return model.code


def text_of(stages: Stages, stage: str, elide: bool) -> str:
    """A stage as text.  `elide` leaves out the data of constants: then the text does not parse."""
    if isinstance(stages, LoweredPlaced):
        return placed_text(stages, stage, elide)
    match stage:
        case "graph":
            return print_graph(stages.staged, elide)
        case "optimized":
            return print_graph(stages.optimised, elide) + required(stages.unified)
    if stage != "program" and _of(HOST_TARGET, stage) is None:
        raise UsageError(f"--stage {stage} is for devices: name some with --device, --devices")
    return program_text(stages.program, HOST_TARGET, stage, elide)


def required(unified: Unified) -> str:
    """What sizes must satisfy that the types of the inputs do not say, as comments."""
    return "".join(f"// {check}\n" for check in unified.checks)


def _of(target: CodeTarget, stage: str) -> DumpStage | None:
    """A target's printer for a stage; None if it has no such stage."""
    return next((s for s in target.stages if s.name == stage), None)


def program_text(program: Program, target: CodeTarget, stage: str, elide: bool) -> str:
    """A stage of a program for one device."""
    if stage == "program":
        return print_program(program, elide, note)
    printer = _of(target, stage)
    if printer is None:
        known = ", ".join(["placed", "program", *(s.name for s in target.stages)])
        raise UsageError(f"--stage {stage} is not for {target.kind}, which has {known}")
    return each(program, printer)


def placed_text(lowered: LoweredPlaced, stage: str, elide: bool) -> str:
    """A stage of a compilation over devices: from `program` on, of each segment; of a stage that
    the host lacks, only of those that have it."""
    match stage:
        case "graph":
            return print_graph(lowered.staged, elide)
        case "optimized":
            return print_graph(lowered.optimised, elide) + required(lowered.unified)
        case "placed":
            table = placement_table(lowered.placed).replace("\n", "\n// ")
            return f"{print_graph(lowered.placed.graph, elide)}\n// {table}\n".replace(
                "// \n", "//\n"
            )
    comment = "//" if stage == "program" else code_stages()[stage].comment
    everywhere = stage == "program" or _of(HOST_TARGET, stage) is not None
    return "\n".join(
        f"{comment} segment {n} of {len(lowered.parts)}, on {p.segment.device}\n"
        + program_text(p.program, p.target, stage, elide)
        for n, p in enumerate(lowered.parts)
        if everywhere or _of(p.target, stage) is not None
    )


def each(program: Program, stage: DumpStage) -> str:
    """Every kernel that a program launches, under a line that says which it is."""
    parts = []
    kernels = list(launched(program))
    for number, (home, kernel) in enumerate(kernels):
        kind = "commit " if kernel.commits else ""
        name = re.sub(r"[^\w./]", "_", kernel.name)
        parts.append(
            f"{stage.comment} kernel {number} of {len(kernels)}: "
            f"{kind}{kernel.kind.value} {name}\n"
            f"{stage.text(kernel, overwritten(home, kernel)).rstrip()}\n"
        )
    return "\n".join(parts)


def note(kernel: Kernel) -> str:
    """A note with the bytes that a kernel of several ops moves; its text does not show them."""
    if len(kernel.body) <= 1:
        return ""
    return f"moves {cost_of(kernel).moved} bytes"


def write_all(seen: Sequence[Stages], directory: Path) -> None:
    """The readable stages of each compilation, as files `00.graph.gir`, `00.kernels.py`, ..."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for number, stages in enumerate(seen):
            between = "placed" if isinstance(stages, LoweredPlaced) else "loops"
            for stage in ("graph", "optimized", between, "program", "kernels"):
                suffix = (
                    GRAPH_STAGE_SUFFIX[stage]
                    if stage in GRAPH_STAGE_SUFFIX
                    else code_stages()[stage].suffix
                )
                path = directory / f"{number:02}.{stage}.{suffix}"
                path.write_text(text_of(stages, stage, False), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {directory}: {error}") from None
