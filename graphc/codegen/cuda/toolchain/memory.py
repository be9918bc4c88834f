"""Global memory on a GPU, as numba-cuda intrinsics: loads and stores of elements and vectors.

A pointer is numba's `CPointer`.  Vectors are LLVM vectors of 16 bytes at most, so that LLVM sees
them; the caller promises their alignment.  A kernel must not write memory that it loads with
`load...` (`nc` in PTX); memory that it loads with `read...` it may write.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from graphc.codegen.cuda.toolchain.scalars import I32, I64

GLOBAL_SPACE = 1  # LLVM's numbers of address spaces
SHARED_SPACE = 3
MAX_ACCESS_BYTES = 16


def element(context: Any, pointer: Any) -> Any:
    """The LLVM type of the elements behind a pointer."""
    return context.get_data_type(pointer.dtype)


def place(b: Any, pointer: Any, i: Any, index_type: Any) -> Any:
    """The address of an element in global memory; u32 indices are not sign-extended."""
    if i.type.width < 64:
        i = b.sext(i, I64) if index_type.signed else b.zext(i, I64)
    at = b.gep(pointer, [i])
    return b.addrspacecast(at, at.type.pointee.as_pointer(GLOBAL_SPACE))


def chunks(width: int, count: int) -> list[tuple[int, Any]]:
    """The accesses for `count` elements of `width` bytes: for each, its elements and the LLVM type
    that moves.  Small elements move as words, because NVVM splits a vector of eight of them."""
    each = min(count, MAX_ACCESS_BYTES // width)
    nbytes = each * width
    if width >= 4:
        word = None
    elif nbytes >= 4:
        word = ir.VectorType(I32, nbytes // 4) if nbytes > 4 else I32
    else:
        word = ir.IntType(8 * nbytes)
    return [(each, word)] * (count // each)


def unpacked(b: Any, value: Any, kind: Any) -> list[Any]:
    """The elements of an LLVM vector; of a scalar, itself."""
    if not isinstance(kind, ir.VectorType):
        return [value]
    return [b.extract_element(value, ir.Constant(I32, k)) for k in range(kind.count)]


def elements(b: Any, packed: list[Any], kind: Any) -> list[Any]:
    """The small elements in words, by arithmetic, as in `words`."""
    return [
        b.trunc(b.lshr(word, ir.Constant(word.type, at)), kind)
        for word in packed
        for at in range(0, word.type.width, kind.width)
    ]


def _load(count: int, constant: bool) -> Any:
    @intrinsic
    def load(context: Any, x: Any, i: Any) -> Any:
        result = x.dtype if count == 1 else types.UniTuple(x.dtype, count)

        def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
            at, parts = place(b, args[0], args[1], i), []
            e = element(ctx, x)
            for number, (each, word) in enumerate(chunks(x.dtype.bitwidth // 8, count)):
                moved = word or (ir.VectorType(e, each) if each > 1 else e)
                here = b.gep(at, [ir.Constant(I64, number * each)])
                value = b.load(
                    b.bitcast(here, moved.as_pointer(GLOBAL_SPACE)),
                    align=each * x.dtype.bitwidth // 8,
                )
                if constant:
                    value.set_metadata("invariant.load", b.module.add_metadata([]))
                values = unpacked(b, value, moved)
                parts += elements(b, values, e) if word else values
            return parts[0] if count == 1 else ctx.make_tuple(b, sig.return_type, parts)

        return result(x, i), build

    return load


def vector(b: Any, parts: list[Any]) -> Any:
    """Values as an LLVM vector; a single one stays a scalar."""
    if len(parts) == 1:
        return parts[0]
    packed: Any = ir.Constant(ir.VectorType(parts[0].type, len(parts)), ir.Undefined)
    for k, part in enumerate(parts):
        packed = b.insert_element(packed, part, ir.Constant(I32, k))
    return packed


def words(b: Any, parts: list[Any], word: Any) -> list[Any]:
    """Small elements packed into words, the first one lowest.  By arithmetic, because LLVM would
    undo a bitcast of their vector, and NVVM splits such a vector."""
    kind = getattr(word, "element", word)
    each = kind.width // parts[0].type.width
    packed = []
    for first in range(0, len(parts), each):
        whole = b.zext(parts[first], kind)
        for k in range(1, each):
            up = ir.Constant(kind, k * parts[0].type.width)
            whole = b.or_(whole, b.shl(b.zext(parts[first + k], kind), up))
        packed.append(whole)
    return packed


def _store(count: int) -> Any:
    @intrinsic
    def store(context: Any, x: Any, i: Any, values: Any) -> Any:
        def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
            at = place(b, args[0], args[1], i)
            stored = [
                ctx.cast(b, b.extract_value(args[2], k), t, x.dtype)
                for k, t in enumerate(values.types)
            ]
            for number, (each, word) in enumerate(chunks(x.dtype.bitwidth // 8, count)):
                here = [stored[number * each + k] for k in range(each)]
                moved = vector(b, words(b, here, word) if word else here)
                target = b.gep(at, [ir.Constant(I64, number * each)])
                b.store(
                    moved,
                    b.bitcast(target, moved.type.as_pointer(GLOBAL_SPACE)),
                    align=each * x.dtype.bitwidth // 8,
                )
            return ctx.get_dummy_value()

        return types.void(x, i, values), build

    return store


MEMORY_INTRINSICS: dict[str, Any] = {
    "load": _load(1, True),
    **{f"load{n}": _load(n, True) for n in (2, 4, 8)},
    **{f"read{n}": _load(n, False) for n in (2, 4, 8)},
    **{f"store{n}": _store(n) for n in (2, 4, 8)},
}
