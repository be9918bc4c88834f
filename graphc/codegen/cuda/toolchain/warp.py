"""Intrinsics by which threads work together: shuffles, shared memory, asynchronous copies, mma.

These are PTX instructions that have an effect or need the whole warp: LLVM may neither move them
into a branch nor copy them (`convergent`).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.cudaimpl import _generic_array
from numba.cuda.extending import intrinsic

from graphc.codegen.cuda.toolchain.memory import SHARED_SPACE, place
from graphc.codegen.cuda.toolchain.scalars import F32, I1, I32, I64, assembly, unary
from graphc.ir.types import NARROW_FLOATS

ALL_LANES = ir.Constant(I32, -1)  # the mask of a whole warp
SHUFFLES = {  # mode, and the last lane that a source may be
    "shuffle": (0, 31),
    "shuffle_up": (1, 0),
    "shuffle_down": (2, 31),
    "shuffle_xor": (3, 31),
}


def effect(b: Any, text: str, constraints: str, result: Any, *args: Any) -> Any:
    """A PTX instruction that touches memory or needs the whole warp."""
    kind = ir.FunctionType(result, [a.type for a in args])
    call = b.call(ir.InlineAsm(kind, text, constraints, side_effect=True), args)
    call.attributes.add("convergent")
    return call


def _shuffle(name: str) -> Any:
    mode, clamp = (ir.Constant(I32, n) for n in SHUFFLES[name])

    @intrinsic
    def exchange(context: Any, value: Any, lane: Any) -> Any:
        def word(b: Any, bits: Any, operand: Any) -> Any:
            kind = ir.FunctionType(ir.LiteralStructType([I32, I1]), [I32] * 5)
            full = "llvm.nvvm.shfl.sync.i32"
            function = b.module.globals.get(full) or ir.Function(b.module, kind, full)
            return b.extract_value(b.call(function, [ALL_LANES, mode, bits, operand, clamp]), 0)

        def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
            own, operand = args
            width = own.type.width if isinstance(own.type, ir.IntType) else value.bitwidth
            bits = b.bitcast(own, ir.IntType(width))
            if width < 64:
                moved = word(b, b.zext(bits, I32) if width < 32 else bits, operand)
                return b.bitcast(b.trunc(moved, bits.type) if width < 32 else moved, own.type)
            half = ir.Constant(I64, 32)
            low = word(b, b.trunc(bits, I32), operand)
            high = word(b, b.trunc(b.lshr(bits, half), I32), operand)
            whole = b.or_(b.zext(low, I64), b.shl(b.zext(high, I64), half))
            return b.bitcast(whole, own.type)

        return value(value, types.uint32), build

    return exchange


@intrinsic
def dynamic_shared(context: Any, dtype: Any) -> Any:
    """All dynamic shared memory, as an array; every call gives the same memory."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        name = f"graphc_dynamic_{len(b.module.globals)}"  # all of them begin at one address
        return _generic_array(
            ctx,
            b,
            shape=(0,),
            dtype=dtype.dtype,
            symbol_name=name,
            addrspace=SHARED_SPACE,
            can_dynsized=True,
            alignment=16,
        )

    return types.Array(dtype.dtype, 1, "C")(dtype), build


@intrinsic
def shared_address(context: Any, array: Any) -> Any:
    """The address of a shared array, for `cp_async16` and `ldmatrix_x4`."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        data = ctx.make_array(array)(ctx, b, args[0]).data
        return b.ptrtoint(b.addrspacecast(data, data.type.pointee.as_pointer(SHARED_SPACE)), I32)

    return types.uint32(array), build


CP_ASYNC_16 = "cp.async.cg.shared.global [$0], [$1], 16"


@intrinsic
def cp_async16(context: Any, address: Any, x: Any, i: Any) -> Any:
    """Starts to copy 16 bytes from global to shared memory."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        effect(
            b,
            CP_ASYNC_16 + ";",
            "r,l,~{memory}",
            ir.VoidType(),
            args[0],
            place(b, args[1], args[2], i),
        )
        return ctx.get_dummy_value()

    return types.void(types.uint32, x, i), build


@intrinsic
def cp_async16_or_zero(context: Any, address: Any, x: Any, i: Any, nbytes: Any) -> Any:
    """Like `cp_async16`, but of `nbytes` bytes; the others become 0."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        effect(
            b,
            CP_ASYNC_16 + ", $2;",
            "r,l,r,~{memory}",
            ir.VoidType(),
            args[0],
            place(b, args[1], args[2], i),
            args[3],
        )
        return ctx.get_dummy_value()

    return types.void(types.uint32, x, i, types.uint32), build


@intrinsic
def cp_async_commit(context: Any) -> Any:
    """Makes a group of the copies since the last group."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        effect(b, "cp.async.commit_group;", "~{memory}", ir.VoidType())
        return ctx.get_dummy_value()

    return types.void(), build


@intrinsic
def cp_async_wait(context: Any, pending: Any) -> Any:
    """Waits until at most `pending` groups, a literal, are under way."""
    if not isinstance(pending, types.Literal):
        return None  # numba asks again, with the literal

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        effect(b, f"cp.async.wait_group {pending.literal_value};", "~{memory}", ir.VoidType())
        return ctx.get_dummy_value()

    return types.void(pending), build


def _ldmatrix(suffix: str) -> Any:
    text = f"ldmatrix.sync.aligned.m8n8.x4{suffix}.shared.b16 {{$0,$1,$2,$3}}, [$4];"

    @intrinsic
    def load(context: Any, address: Any) -> Any:
        def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
            four = ir.LiteralStructType([I32] * 4)
            words = effect(b, text, "=r,=r,=r,=r,r,~{memory}", four, *args)
            return ctx.make_tuple(b, sig.return_type, [b.extract_value(words, k) for k in range(4)])

        return types.UniTuple(types.uint32, 4)(types.uint32), build

    return load


def _product(shape: str, kind: str) -> Any:
    """a @ b + c on the tensor cores: a and b are u32 registers, c is f32."""
    text = (
        f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 {{$0,$1,$2,$3}}, "
        "{$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};"
    )
    constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)

    @intrinsic
    def multiply(context: Any, a: Any, b: Any, c: Any) -> Any:
        def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
            parts = [
                b.extract_value(fragment, k)
                for fragment, n in zip(args, (4, 2, 4), strict=True)
                for k in range(n)
            ]
            sums = assembly(b, text, constraints, ir.LiteralStructType([F32] * 4), *parts)
            sums.attributes.add("convergent")
            return ctx.make_tuple(b, sig.return_type, [b.extract_value(sums, k) for k in range(4)])

        four, two = (types.UniTuple(types.uint32, n) for n in (4, 2))
        floats = types.UniTuple(types.float32, 4)
        return floats(four, two, floats), build

    return multiply


WARP_INTRINSICS: dict[str, Any] = {
    **{name: _shuffle(name) for name in SHUFFLES},
    "dynamic_shared": dynamic_shared,
    "shared_address": shared_address,
    "cp_async16": cp_async16,
    "cp_async16_or_zero": cp_async16_or_zero,
    "cp_async_commit": cp_async_commit,
    "cp_async_wait": cp_async_wait,
    "ldmatrix_x4": _ldmatrix(""),
    "ldmatrix_x4_trans": _ldmatrix(".trans"),
    **{f"mma_{t}": _product("m16n8k16", t.name) for t in NARROW_FLOATS},
    "mma_tf32": _product("m16n8k8", "tf32"),
    "to_tf32": unary(
        lambda b, x, t: assembly(b, "cvt.rna.tf32.f32 $0, $1;", "=r,f", I32, x), types.uint32
    ),
}
