"""Kernels of all kinds -> source: chooses the method of a contraction, lowers, prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from graphc.codegen.cpu.checked_source import CheckedText
from graphc.codegen.cpu.printer import KernelSource, print_kernel
from graphc.codegen.cpu.schedules.conv_columns import lower_columns, uses_columns
from graphc.codegen.cpu.schedules.conv_direct import fits_tiles, lower_direct
from graphc.codegen.cpu.schedules.conv_direct_weight import fits_weight_tiles, lower_weight_direct
from graphc.codegen.cpu.schedules.conv_winograd import fits_winograd, lower_winograd
from graphc.codegen.cpu.schedules.gemm import lower_gemm
from graphc.codegen.loops.accesses import certified
from graphc.codegen.loops.ir import NOWHERE, Loops
from graphc.codegen.lower.contraction import lower_product, uses_gemm
from graphc.codegen.lower.conv_loops import lower_windows
from graphc.codegen.lower.fused import lower_fused
from graphc.codegen.lower.scan import lower_scan
from graphc.codegen.lower.scatter import lower_scatter
from graphc.config import Method
from graphc.errors import CodegenError
from graphc.ir.dim import Size
from graphc.ir.graph import Value
from graphc.ir.op import Foreign, Opaque
from graphc.ir.program import Kernel, Kind, Program, launched, storage
from graphc.ir.site import CheckedSource, KnowsPlaces, Site
from graphc.ir.types import DType

NO_SIZES: Mapping[str, Size] = MappingProxyType({})


def methods(kernel: Kernel) -> tuple[Method, ...]:
    """The ways to compute a kernel's contraction, the one expected to be fastest first; empty
    without a contraction."""
    if kernel.kind is Kind.MATMUL:
        return (Method.TILES, Method.BLAS) if uses_gemm(kernel) else (Method.LOOPS,)
    if kernel.kind is not Kind.CONVOLUTION:
        return ()
    loops = (Method.LOOPS,) if len(kernel.body) == 1 else ()  # they make no epilogues
    if not uses_columns(kernel):
        return loops
    direct = fits_tiles(kernel) or fits_weight_tiles(kernel)
    fits = {Method.WINOGRAD: fits_winograd(kernel), Method.DIRECT: direct}
    return (*(m for m, fit in fits.items() if fit), Method.COLUMNS, *loops)


def method_of(kernel: Kernel, wanted: Method | None = None) -> Method | None:
    """The method for a kernel's contraction: the wanted one if the kernel allows it, else the
    first."""
    allowed = methods(kernel)
    return wanted if wanted in allowed else next(iter(allowed), None)


def _direct(kernel: Kernel) -> Loops:
    return lower_direct(kernel) if fits_tiles(kernel) else lower_weight_direct(kernel)


CONVOLUTIONS = {
    Method.WINOGRAD: lower_winograd,
    Method.DIRECT: _direct,
    Method.COLUMNS: lower_columns,
    Method.LOOPS: lower_windows,
}


def loops_of(
    kernel: Kernel, in_place: bool = False, method: Method | None = None, checked: bool = False
) -> Loops | None:
    """The loops of a kernel; None for one written by hand, and for one that runs programs.
    `in_place` says of a scatter that its result lies where its operand lay
    (`program.scatters_in_place`); `method` is how to compute a contraction.  With `checked`, every
    access is checked, else those of fused loops that are not proved to lie inside."""
    loops = _loops(kernel, in_place, method_of(kernel, method))
    if loops is None or (kernel.kind in (Kind.MATMUL, Kind.CONVOLUTION) and not checked):
        return loops
    return certified(loops, checked)


def _loops(kernel: Kernel, in_place: bool, method: Method | None) -> Loops | None:
    match kernel.kind:
        case Kind.LOOPS:
            return lower_fused(kernel)
        case Kind.SCATTER:
            return lower_scatter(kernel, in_place)
        case Kind.MATMUL:
            return lower_product(kernel) if method is Method.LOOPS else lower_gemm(kernel)
        case Kind.CONVOLUTION:
            assert method is not None
            return CONVOLUTIONS[method](kernel)
        case Kind.SCAN:
            return lower_scan(kernel)
        case Kind.OPAQUE | Kind.CONTROL:
            return None


def buffers_of(kernel: Kernel) -> tuple[Value, ...]:
    """The values whose addresses are a kernel's first arguments, in order."""
    if kernel.kind is Kind.OPAQUE:
        (out,) = kernel.body
        return (*(storage(a) for a in out.args), out)
    return (*kernel.reads, *kernel.writes)


def source_of(
    kernel: Kernel,
    readable: bool = False,
    over: Mapping[int, int] = NOWHERE,
    method: Method | None = None,
    checked: bool = False,
) -> KernelSource:
    """The numba source of a kernel; `over` tells which results lie where operands lay
    (`program.overwritten`), `method` and `checked` are as for `loops_of`."""
    loops = loops_of(kernel, bool(over), method, checked)
    if loops is None:
        return _checked_opaque(kernel)[0] if checked else _opaque(kernel, readable)
    return replace(print_kernel(loops, readable, over), method=method_of(kernel, method))


def blamed(error: CodegenError, sources: Mapping[Kernel, KernelSource]) -> CodegenError:
    """The error of a kernel that could not be compiled, at the user's line if a user wrote it."""
    for kernel, source in sources.items():
        if kernel.kind is Kind.OPAQUE and source.text in error.message:
            (out,) = kernel.body
            assert isinstance(out.op, Opaque)
            types = [a.type for a in out.args]
            body = out.op.source(out.type, *types)
            place = re.search(r'File "<gc_\w+>", line (\d+)', error.message)
            above = source.text.removesuffix(body).count("\n")
            line = int(place[1]) - 1 - above if place and source.text.endswith(body) else -1
            where = out.op.origin(line, out.type, *types) or out.loc
            return CodegenError(f"{out.op.name}: {_reason(error.message)}", where)
    return error


def _reason(message: str) -> str:
    """A compiler's complaint, without the places in text that the user never saw."""
    lines = [line.strip() for line in message.split("\n") if line.strip()]
    head = lines[0].partition(": Failed in")[0]
    end = next(
        (i for i, line in enumerate(lines) if line.startswith(("There are", "During:"))), len(lines)
    )
    return f"{head}: {' '.join(lines[1:end])}" if end > 1 else lines[0]


def site_of(program: Program, code: int) -> tuple[Value, Site]:
    """The result of the checked kernel of a program that noted a fault, and what it says."""
    for _, kernel in launched(program):
        if kernel.kind is Kind.OPAQUE and code in (sites := _checked_opaque(kernel)[1]):
            return kernel.body[0], sites[code]
    raise AssertionError(f"no kernel has the site {code}")


def _checked_opaque(kernel: Kernel) -> tuple[KernelSource, Mapping[int, Site]]:
    """The checked build of a kernel written by hand, and the faults that it may note."""
    (out,) = kernel.body
    assert isinstance(out.op, Opaque)
    types = [a.type for a in out.args]
    if isinstance(out.op, Foreign):
        return _opaque(kernel, False), {}
    if isinstance(out.op, KnowsPlaces):
        body = out.op.checked_source(out.type, *types)
    else:
        body = CheckedSource(out.op.source(out.type, *types))
    buffers = [*((f"a{i}", t) for i, t in enumerate(types)), ("out", out.type)]
    counts = {name: f"count_{name}" for name, _ in buffers}
    extra = {counts[name]: t.count for name, t in buffers}
    plain = _opaque(kernel, False, body.text, extra)
    made = CheckedText(plain.text, out.op.name, out.loc, counts, body.share)
    sites = {site.code: site for site in body.sites} | made.sites
    shared = body.share is not None and plain.extent != 1
    least = 1 if shared else plain.extent  # if not shared, one call makes the result
    return replace(plain, text=made.text, least=least, apart=shared), sites


def _opaque(
    kernel: Kernel,
    readable: bool,
    body: str | None = None,
    extra: Mapping[str, Size] = NO_SIZES,
) -> KernelSource:
    """The source of a kernel written by hand; in a checked build with another `body`, which gets
    `extra` sizes and `status`."""
    (out,) = kernel.body
    op = out.op
    assert isinstance(op, Opaque)
    types = [a.type for a in out.args]
    sizes = op.size_arguments(out.type, *types)
    can_fail = op.can_fail or body is not None
    values = [*((f"a{i}", a) for i, a in enumerate(out.args)), ("out", out)]
    locals_ = [
        (name, f"{v.type.dtype}_buffer(args, {i})", f"{v.name or v.op.name}: {v.type}")
        for i, (name, v) in enumerate(values)
    ]
    words = [(f"n{i}", str(size)) for i, size in enumerate(sizes)]
    words += [(name, str(size)) for name, size in extra.items()]
    routines = tuple(named(r, out.type.dtype) for r in op.routines)
    words += [("status", "")] * can_fail + [(f"f{i}", r) for i, r in enumerate(routines)]
    words += [("call", "")] * isinstance(op, Foreign)
    locals_ += [(name, f"args[{len(values) + i}]", shown) for i, (name, shown) in enumerate(words)]
    lines = [
        f"    {name} = {text}" + (f"  # {shown}" if readable and shown else "")
        for name, text, shown in locals_
    ]
    text = "\n".join(["def kernel(args, lo, hi):", *lines, body or op.source(out.type, *types)])
    return KernelSource(
        text,
        (*sizes, *extra.values()),
        op.extent(out.type),
        can_fail,
        calls=isinstance(op, Foreign),
        routines=routines,
    )


def named(routine: str, dtype: DType) -> str:
    """The routine for an element type: `?potrf` is `spotrf` for f32 and `dpotrf` for f64."""
    return routine.replace("?", {"f32": "s", "f64": "d"}.get(dtype.name, "?"))
