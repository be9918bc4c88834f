"""Graph -> Executable: the forty lines to read first.

tensors   --stage-->     Graph      what a run computes                (stage.py)
          --unify-->     Graph      equal sizes have one symbol        (passes/graph/unify_sizes.py)
          --optimise-->  Graph      rules, folding, split reductions   (passes/pipeline.py)
          --fuse-->      Program    kernels                            (passes/fusion/fuse.py)
          --order-->     Program    what frees memory first            (passes/memory/order.py)
          --plan-->      Program    buffers, in place                  (passes/memory/plan.py)
          --lower-->     Loops      index arithmetic                   (codegen/lower/emitter.py,
          fused.py) --print-->     source     numba code a person can read
          (codegen/cpu/printer.py) --build-->     addresses  machine code, cached on disk
          (codegen/cpu/toolchain/build.py)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from graphc.codegen.cache import Built, Cache
from graphc.codegen.cpu.kernels import blamed, source_of
from graphc.codegen.cpu.printer import KernelSource
from graphc.codegen.cpu.toolchain.build import build
from graphc.compiler.autotune import Tuner
from graphc.config import Method, Options
from graphc.errors import CodegenError
from graphc.ir.graph import Graph
from graphc.ir.program import Kernel, Program, launched, overwritten
from graphc.passes.graph.unify_sizes import Unified, unify_sizes
from graphc.passes.oracle.check_passes import Checker
from graphc.passes.pipeline import optimise, schedule
from graphc.passes.trace import StageTime, Trace
from graphc.runtime.cpu import driver
from graphc.runtime.cpu.executable import Executable, KernelCode
from graphc.runtime.cpu.openblas import routine_address


@dataclass
class Compiled:
    """Every stage of one compilation, for dumps and tests."""

    staged: Graph
    unified: Unified
    optimised: Graph
    program: Program
    sources: dict[Kernel, KernelSource]
    trace: Trace
    options: Options


Observe = Callable[[Compiled], None]


def lower(
    graph: Graph, options: Options, trace: Trace | None = None, observe: Observe | None = None
) -> Compiled:
    """Every step before machine code; `observe` is shown what the autotuner compiles."""
    trace = trace or Trace()
    with trace.span("unify sizes"):
        unified = unify_sizes(graph)
    watch = None
    if options.check == "passes":
        watch = Checker(unified.graph, options.fast_math, options.cache_dir / "wrong").watch
    optimised = optimise(unified.graph, options, trace, watch)
    with trace.span("fuse and plan"):
        program = schedule(optimised, disable=options.disable)
    choose = (
        Tuner(options, lambda g, o: compile_graph(g, o, Built(), observe)).choose
        if options.autotune > 0
        else lambda _: options.method
    )
    with trace.span("write source"):
        sources = sources_of(program, choose, options)
    return Compiled(graph, unified, optimised, program, sources, trace, options)


def compile_graph(
    graph: Graph, options: Options, built: Built, observe: Observe | None = None
) -> Executable:
    """The executable of a graph; `built` counts compilations and cache hits, `observe` is shown
    each."""
    compiled = lower(graph, options, observe=observe)
    if observe:
        observe(compiled)
    driver.load(Cache(options.cache_dir))
    return assemble(
        compiled.program, compiled.unified, options, built, compiled.sources, compiled.trace
    )


def assemble(
    program: Program,
    unified: Unified,
    options: Options,
    built: Built,
    sources: Mapping[Kernel, KernelSource],
    trace: Trace,
    known: Mapping[Kernel, KernelCode] | None = None,
) -> Executable:
    """The executable of a program; `known` has the code of kernels that `sources` lacks."""
    start, before = time.perf_counter_ns(), built.seconds
    try:
        addresses = build([s.text for s in sources.values()], options, built)
    except CodegenError as error:
        raise blamed(error, sources) from error.__cause__
    end = time.perf_counter_ns()
    loaded = end - int((built.seconds - before) * 1e9)
    trace.spans += [StageTime("load", start, loaded), StageTime("compile", loaded, end)]
    cache = Cache(options.cache_dir)
    code = {
        k: KernelCode(
            s, addresses[s.text], tuple(routine_address(r, s.method, cache) for r in s.routines)
        )
        for k, s in sources.items()
    }
    return Executable(program, unified, {**(known or {}), **code}, trace.spans)


def sources_of(
    program: Program,
    choose: Callable[[Kernel], Method | None],
    options: Options,
    known: Mapping[Kernel, KernelCode] = MappingProxyType({}),
) -> dict[Kernel, KernelSource]:
    """The source of every kernel whose code is not known, or was made for other overwritten
    buffers."""
    sources, checked = {}, options.check == "bounds"
    for home, k in launched(program):
        over = overwritten(home, k)
        if k not in known or known[k].source.over != tuple(over.items()):
            sources[k] = source_of(k, over=over, method=choose(k), checked=checked)
    return sources
