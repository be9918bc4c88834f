"""Kernel -> source, whatever its kind: the door from programs to code."""

from __future__ import annotations

from graphc.codegen.contraction import lower_gemm, lower_product, uses_blas
from graphc.codegen.convolution import lower_columns, uses_gemm
from graphc.codegen.cpu import Source, print_kernel
from graphc.codegen.fused import lower_fused
from graphc.codegen.loops import Loops
from graphc.codegen.scatter import lower_scatter
from graphc.codegen.windows import lower_windows
from graphc.ir.graph import Value
from graphc.ir.op import Opaque
from graphc.ir.program import Kernel, Kind
from graphc.passes.fuse import storage


def loops_of(kernel: Kernel) -> Loops | None:
    """The loops of a kernel; None for one written by hand."""
    match kernel.kind:
        case Kind.LOOPS:
            return lower_fused(kernel)
        case Kind.SCATTER:
            return lower_scatter(kernel)
        case Kind.MATMUL:
            return lower_gemm(kernel) if uses_blas(kernel) else lower_product(kernel)
        case Kind.CONVOLUTION:
            return lower_columns(kernel) if uses_gemm(kernel) else lower_windows(kernel)
        case Kind.OPAQUE:
            return None


def buffers_of(kernel: Kernel) -> tuple[Value, ...]:
    """The values whose addresses are a kernel's first arguments, in order."""
    if kernel.kind is Kind.OPAQUE:
        (out,) = kernel.body
        return (*(storage(a) for a in out.args), out)
    return (*kernel.reads, *kernel.writes)


def source_of(kernel: Kernel, readable: bool = False) -> Source:
    """The numba source of a kernel."""
    loops = loops_of(kernel)
    return _opaque(kernel) if loops is None else print_kernel(loops, readable)


def _opaque(kernel: Kernel) -> Source:
    (out,) = kernel.body
    op = out.op
    assert isinstance(op, Opaque)
    lines = ["def kernel(args, lo, hi):"]
    for i, a in enumerate(out.args):
        lines.append(f"    a{i} = {a.type.dtype}_buffer(args, {i})")
    at = len(out.args)
    lines.append(f"    out = {out.type.dtype}_buffer(args, {at})")
    lines += [f"    n{i} = args[{at + 1 + i}]" for i in range(len(op.sizes))]
    text = "\n".join([*lines, op.source(out.type, *(a.type for a in out.args))])
    return Source(text, op.sizes, 1, False)


