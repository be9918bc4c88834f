"""Intrinsics that call code outside of the kernel: matrix products, and C's malloc and free."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from graphc.codegen.cpu.intrinsics.buffers import BufferType, stored
from graphc.codegen.cpu.intrinsics.common_scalars import I32, I64, NUMBA
from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.codegen.cpu.intrinsics.scalars import llvm_intrinsic

I8 = ir.IntType(8)
ALIGNMENT_BYTES = 64  # of scratch memory; the word below it holds malloc's address


def _gemm(adds: bool) -> Any:
    """Builds the call of a product, which is skipped if the result has no elements."""

    def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
        real = args[6].type.pointee
        numbers = [bd.trunc(x, I32) for x in args[1:6]]
        one, beta = ir.Constant(real, 1.0), ir.Constant(real, float(adds))
        operands = []
        for at in (6, 9, 12):
            stride = llvm_intrinsic(bd, "smax", args[at + 2], ir.Constant(I64, 1))  # as CBLAS wants
            operands.append((bd.gep(args[at], [args[at + 1]]), bd.trunc(stride, I32)))
        (pa, la), (pb, lb), (pc, lc) = operands
        values = [ir.Constant(I32, 101), *numbers, one, pa, la, pb, lb, beta, pc, lc]
        kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
        some = bd.and_(*(bd.icmp_signed(">", x, ir.Constant(I64, 0)) for x in args[3:5]))
        with bd.if_then(some):
            bd.call(bd.inttoptr(args[0], kind.as_pointer()), values)
        return ctx.get_dummy_value()

    return build


def _product(adds: bool) -> Any:
    """cblas_?gemm(RowMajor, ta, tb, m, n, k, 1, a + a_at, lda, b + b_at, ldb, beta, c + c_at,
    ldc)."""

    @intrinsic
    def product(
        context: Any,
        function: Any,
        ta: Any,
        tb: Any,
        m: Any,
        n: Any,
        k: Any,
        a: Any,
        a_at: Any,
        lda: Any,
        b: Any,
        b_at: Any,
        ldb: Any,
        c: Any,
        c_at: Any,
        ldc: Any,
    ) -> Any:
        word = types.int64
        signature = types.none(
            word, word, word, word, word, word, a, word, word, b, word, word, c, word, word
        )
        return signature, _gemm(adds)

    return product


def outside(module: Any, name: str, result: Any, *operands: Any) -> Any:
    """The declaration of a C function or LLVM intrinsic in a module."""
    kind = ir.FunctionType(result, list(operands))
    return module.globals.get(name) or ir.Function(module, kind, name)


def _scratch(name: str) -> Any:
    """An aligned buffer of `count` elements; the word below it holds the address to free."""

    @intrinsic(prefer_literal=True)
    def scratch(context: Any, count: Any, slot: Any) -> Any:
        buffer_type = BufferType(name, slot.literal_value)

        def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
            element = stored(name)
            size = ir.Constant(I64, ctx.get_abi_sizeof(element))
            malloc = outside(bd.module, "malloc", I8.as_pointer(), I64)
            nbytes = bd.add(bd.mul(args[0], size), ir.Constant(I64, 2 * ALIGNMENT_BYTES))
            start = bd.ptrtoint(bd.call(malloc, [nbytes]), I64)
            beyond = bd.add(start, ir.Constant(I64, 2 * ALIGNMENT_BYTES - 1))
            place = bd.and_(beyond, ir.Constant(I64, -ALIGNMENT_BYTES))
            bd.store(start, bd.inttoptr(bd.sub(place, ir.Constant(I64, 8)), I64.as_pointer()))
            return bd.inttoptr(place, element.as_pointer())

        return buffer_type(types.int64, slot), build

    return scratch


@intrinsic
def free_scratch(context: Any, buffer: Any) -> Any:
    """Gives the memory of a scratch buffer back."""

    def build(ctx: Any, bd: Any, sig: Any, args: Any) -> Any:
        place = bd.ptrtoint(args[0], I64)
        word = bd.inttoptr(bd.sub(place, ir.Constant(I64, 8)), I64.as_pointer())
        free = outside(bd.module, "free", ir.VoidType(), I8.as_pointer())
        bd.call(free, [bd.inttoptr(bd.load(word), I8.as_pointer())])
        return ctx.get_dummy_value()

    return types.none(buffer), build


CALLS: dict[str, Any] = {
    "cblas_gemm": _product(False),
    "cblas_gemm_add": _product(True),
    "free_scratch": free_scratch,
    **{f"{name}_scratch": _scratch(name) for name in NUMBA},
}
