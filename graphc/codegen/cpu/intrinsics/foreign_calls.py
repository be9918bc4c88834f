"""Calls of routines by address, and the memory that such calls need: for kernels written by hand.

A kernel gets the addresses (f0, f1, ...) of its op's routines as arguments, never in its code, so
machine code on disk serves every process.  Whole numbers, characters among them, are passed as
32-bit integers: the machines that graphc runs on pass both alike.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from graphc.codegen.cpu.intrinsics.buffers import UNTRACKED_SLOT, BufferType, stored
from graphc.codegen.cpu.intrinsics.common_scalars import I64
from graphc.codegen.cpu.intrinsics.numba_context import intrinsic

MEMORY_TYPES = ("i32", "i64", "f32", "f64")


def routine(address: Any, *args: Any) -> Any:
    """The i32 that a routine returns, as i64; its operands are buffers and numbers."""
    raise NotImplementedError


def procedure(address: Any, *args: Any) -> Any:
    """Calls a routine that returns nothing."""
    raise NotImplementedError


@infer_global(routine)
class CallRoutine(AbstractTemplate):
    """`routine(address, ...)`."""

    def generic(self, args: Any, kws: Any) -> Any:
        plain = map(types.unliteral, args)  # type: ignore[attr-defined]
        return signature(types.int64, *plain)


@infer_global(procedure)
class CallProcedure(AbstractTemplate):
    """`procedure(address, ...)`."""

    def generic(self, args: Any, kws: Any) -> Any:
        plain = map(types.unliteral, args)  # type: ignore[attr-defined]
        return signature(types.none, *plain)


def _call(builder: Any, result: Any, values: Any) -> Any:
    i32 = ir.IntType(32)
    narrow = [builder.trunc(v, i32) if v.type == I64 else v for v in values[1:]]
    function = ir.FunctionType(result, [v.type for v in narrow]).as_pointer()
    return builder.call(builder.inttoptr(values[0], function), narrow)


@lower_builtin(routine, types.VarArg(types.Any))  # type: ignore[attr-defined]
def lower_routine(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """The result, widened."""
    return builder.sext(_call(builder, ir.IntType(32), args), I64)


@lower_builtin(procedure, types.VarArg(types.Any))  # type: ignore[attr-defined]
def lower_procedure(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """No result."""
    _call(builder, ir.VoidType(), args)
    return context.get_dummy_value()


@intrinsic
def acquire(context: Any, malloc: Any, size: Any) -> Any:
    """The address of `size` bytes from `malloc`; 0 if there are none."""

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = ir.FunctionType(I64, [I64]).as_pointer()
        return builder.call(builder.inttoptr(args[0], function), [args[1]])

    return types.int64(types.int64, types.int64), build


@intrinsic
def release(context: Any, free: Any, address: Any) -> Any:
    """Gives memory back."""

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = ir.FunctionType(ir.VoidType(), [I64]).as_pointer()
        builder.call(builder.inttoptr(args[0], function), [args[1]])
        return ctx.get_dummy_value()

    return types.none(types.int64, types.int64), build


@intrinsic
def at(context: Any, buffer: Any, offset: Any) -> Any:
    """The buffer from element `offset` on."""

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return buffer(buffer, types.int64), build


@intrinsic
def call_python(context: Any, function: Any, args: Any, status: Any) -> Any:
    """Calls `function(args, status)`, which sets the second word of `status` to 1 when it is done;
    if it is not, the run has failed with status 3."""

    def build(ctx: Any, b: Any, sig: Any, values: Any) -> Any:
        address, words, at = values
        status_words = b.inttoptr(at, I64.as_pointer())
        done = b.gep(status_words, [ir.Constant(I64, 1)])
        b.store(ir.Constant(I64, 0), done)
        kind = ir.FunctionType(ir.VoidType(), [words.type, I64])
        b.call(b.inttoptr(address, kind.as_pointer()), [words, at])
        with b.if_then(b.icmp_signed("!=", b.load(done), ir.Constant(I64, 1)), likely=False):
            b.store(ir.Constant(I64, 3), status_words)
        return ctx.get_dummy_value()

    return types.none(types.int64, args, types.int64), build


def _memory(name: str) -> Any:
    @intrinsic
    def make(context: Any, address: Any) -> Any:
        def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], stored(name).as_pointer())

        return BufferType(name, UNTRACKED_SLOT)(types.int64), build

    return make


FOREIGN: dict[str, Any] = {
    "routine": routine,
    "procedure": procedure,
    "call_python": call_python,
    "acquire": acquire,
    "release": release,
    "at": at,
    **{f"{name}_memory": _memory(name) for name in MEMORY_TYPES},
}
