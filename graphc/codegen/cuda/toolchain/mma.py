"""Intrinsics for tensor cores: each does a whole warp's work on tiles in shared memory, because
numba would take long over the hundreds of small calls that it replaces.

`namespace.py` gives `TILE_INTRINSICS` to kernels; `simulator/mma.py` has their twins.  A tile of an
operand is rows of bytes in shared memory, `pitch` apart; `address` is a warp's first byte of it.
Sizes, pitches and layouts are literals in the kernel's text, and so known here.

Invariant: fragments are those of the PTX manual for m16n8k16 (16-bit elements) and m16n8k8 (tf32):
with g = lane // 4 and t = lane % 4, a thread holds rows g and g + 8, and of a result the columns
2t and 2t + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core.errors import TypingError
from numba.cuda import types
from numba.cuda.extending import intrinsic

from graphc.ir.types import NARROW_FLOATS

F32, I16, I32, I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)
SHARED_SPACE = 3  # LLVM's number of the address space of shared memory
MMA_16_BIT = "mma.sync.aligned.m16n8k16.row.col.f32.{0}.{0}.f32"
MMA_TF32 = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
LDMATRIX = "ldmatrix.sync.aligned.m8n8.x4{0}.shared.b16 {{$0,$1,$2,$3}}, [$4];"
CP_ASYNC = "cp.async.{0}.shared.global [$0], [$1], {1}, $2;"
COPY_2_BYTES = (
    "{ .reg .pred p; .reg .u16 h; setp.ne.u32 p, $2, 0; mov.u16 h, 0; "
    "@p ld.global.nc.u16 h, [$1]; st.shared.u16 [$0], h; }"
)
TF32_ROUNDING = 0x1000  # half of the last bit that stays: added to an f32's bits, it rounds them
TF32_BITS = 0xFFFFE000  # the bits of an f32 that a tf32 has: 10 of the fraction


def constant(value: int) -> Any:
    """A u32 constant."""
    return ir.Constant(I32, value)


def assembly(
    builder: Any, text: str, results: Sequence[Any], args: Sequence[Any], volatile: bool = False
) -> list[Any]:
    """Inline PTX; it must be volatile if it touches memory."""
    letters = {F32: "f", I32: "r", I64: "l"}
    outs = [f"={letters[t]}" for t in results]
    ins = [letters.get(a.type, "l") for a in args]
    result = ir.LiteralStructType(list(results)) if results else ir.VoidType()
    constraints = ",".join([*outs, *ins, *(["~{memory}"] if volatile else [])])
    kind = ir.FunctionType(result, [a.type for a in args])
    called = builder.call(ir.InlineAsm(kind, text, constraints, side_effect=volatile), args)
    return [builder.extract_value(called, i) for i in range(len(results))]


def _numbers(*names: int) -> str:
    return "{" + ",".join(f"${n}" for n in names) + "}"


def product(
    builder: Any, name: str, a: Sequence[Any], b: Sequence[Any], c: Sequence[Any]
) -> list[Any]:
    """One mma instruction: c + a b."""
    parts = (_numbers(*range(4)), _numbers(*range(4, 8)), _numbers(8, 9), _numbers(*range(10, 14)))
    return assembly(builder, f"{name} {', '.join(parts)};", [F32] * 4, [*a, *b, *c])


class Warp:
    """Loads fragments of one warp's tiles."""

    def __init__(self, builder: Any, lane: Any) -> None:
        self.builder, self.lane = builder, lane

    def bits(self, shift: int, mask: int, scale: int) -> Any:
        """((lane >> shift) & mask) * scale."""
        low = self.builder.lshr(self.lane, constant(shift))
        return self.builder.mul(self.builder.and_(low, constant(mask)), constant(scale))

    def place(self, address: Any, *parts: Any) -> Any:
        """An address plus offsets."""
        for part in parts:
            address = self.builder.add(address, part)
        return address

    def matrices(self, address: Any, turned: bool) -> list[Any]:
        """Four 8x8 matrices, of 16 bytes a row; each lane gives the address of a row."""
        text = LDMATRIX.format(".trans" if turned else "")
        return assembly(self.builder, text, [I32] * 4, [address], volatile=True)

    def word(self, address: Any) -> Any:
        """A word of shared memory."""
        pointer = self.builder.inttoptr(address, I32.as_pointer(SHARED_SPACE))
        return self.builder.load(pointer, align=4)

    def left(self, address: Any, pitch: int, turned: bool) -> list[Any]:
        """16 rows of the left operand by 32 bytes of k (by 16 elements, if its rows are k)."""
        if turned:
            rows = self.place(self.bits(0, 7, pitch), self.bits(4, 1, 8 * pitch))
            return self.matrices(self.place(address, rows, self.bits(3, 1, 16)), True)
        return self.matrices(
            self.place(address, self.bits(0, 15, pitch), self.bits(4, 1, 16)), False
        )

    def right(self, address: Any, pitch: int, turned: bool) -> list[list[Any]]:
        """16 columns of the right operand by 32 bytes of k (by 16 elements, if its rows are k): two
        fragments."""
        if turned:
            rows = self.place(self.bits(0, 7, pitch), self.bits(4, 1, 8 * pitch))
            four = self.matrices(self.place(address, rows, self.bits(3, 1, 16)), False)
        else:
            where = self.place(address, self.bits(0, 15, pitch), self.bits(4, 1, 16))
            four = self.matrices(where, True)
        return [four[:2], four[2:]]

    def words(self, address: Any, pitch: int, count: int) -> list[Any]:
        """Elements of 4 bytes where rows are k: rows t and t + 4, columns g + 8 i."""
        corner = self.place(address, self.bits(0, 3, pitch), self.bits(2, 7, 4))
        return [
            self.word(self.place(corner, constant(row * pitch + 32 * column)))
            for row in (0, 4)
            for column in range(count)
        ]

    def split(self, words: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """f32 elements as tf32, and the remainders: x = high + low, but for x's last bit."""
        builder, high, low = self.builder, [], []
        for word in words:
            rounded = builder.add(word, constant(TF32_ROUNDING))
            upper = builder.and_(rounded, constant(TF32_BITS))
            remainder = builder.fsub(builder.bitcast(word, F32), builder.bitcast(upper, F32))
            high.append(upper)
            low.append(builder.bitcast(remainder, I32))
        return high, low


def literal(value: Any) -> int:
    """A number in the kernel's text.  numba first tries a type without the value; the error makes
    it try again with the literal."""
    if not isinstance(value, types.Literal):
        raise TypingError("a size that is no literal")
    return int(value.literal_value)


Step = Callable[..., list[Any]]


def _half_step(kind: str) -> Step:
    """A step over 16 of k, for elements of 16 bits."""

    def step(warp: Warp, sums: list[Any], a: Any, b: Any, shape: Sequence[int]) -> list[Any]:
        rows, columns, _, a_pitch, b_pitch, ta, tb = shape
        rights: list[list[Any]] = []
        for j in range(columns // 16):
            at = constant(16 * j * b_pitch if tb else 32 * j)
            rights += warp.right(warp.place(b, at), b_pitch, bool(tb))
        done: list[Any] = []
        for i in range(rows // 16):
            at = constant(32 * i if ta else 16 * i * a_pitch)
            left = warp.left(warp.place(a, at), a_pitch, bool(ta))
            for right in rights:
                have = sums[len(done) : len(done) + 4]
                done += product(warp.builder, MMA_16_BIT.format(kind), left, right, have)
        return done

    return step


def _single_step(exact: bool) -> Step:
    """A step over 8 of k, for f32 elements as tf32; if `exact`, with products of the remainders."""

    def step(warp: Warp, sums: list[Any], a: Any, b: Any, shape: Sequence[int]) -> list[Any]:
        rows, columns, _, a_pitch, b_pitch, ta, tb = shape
        rights: list[Any] = []
        for j in range(columns // 16):
            if tb:
                at = warp.place(b, constant(16 * j * b_pitch))
                rights += [warp.split(x) for x in warp.right(at, b_pitch, True)]
            else:
                four = warp.words(warp.place(b, constant(64 * j)), b_pitch, 2)
                rights += [warp.split(x) for x in (four[::2], four[1::2])]
        done: list[Any] = []
        for i in range(rows // 16):
            at = warp.place(a, constant(64 * i if ta else 16 * i * a_pitch))
            left = warp.words(at, a_pitch, 2) if ta else warp.left(at, a_pitch, False)
            high, low = warp.split(left)
            for right, right_low in rights:
                have = sums[len(done) : len(done) + 4]
                for x, y in ((low, right), (high, right_low)) if exact else ():
                    have = product(warp.builder, MMA_TF32, x, y, have)
                done += product(warp.builder, MMA_TF32, high, right, have)
        return done

    return step


def multiply_tiles(step: Step, k: int, size: int) -> Any:
    """An intrinsic that adds the product of two tiles to the sums, in steps over `k` of k."""

    @intrinsic
    def function(
        context: Any,
        sums: Any,
        a: Any,
        b: Any,
        lane: Any,
        rows: Any,
        columns: Any,
        depth: Any,
        a_pitch: Any,
        b_pitch: Any,
        ta: Any,
        tb: Any,
    ) -> Any:
        shape = [literal(x) for x in (rows, columns, depth, a_pitch, b_pitch, ta, tb)]

        def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
            warp = Warp(builder, args[3])
            now = [builder.extract_value(args[0], i) for i in range(sums.count)]
            for first in range(0, shape[2], k):
                at = [
                    constant(first * pitch if by_k else first * size)
                    for pitch, by_k in ((shape[3], shape[5]), (shape[4], not shape[6]))
                ]
                now = step(warp, now, warp.place(args[1], at[0]), warp.place(args[2], at[1]), shape)
            return ctx.make_tuple(builder, sig.return_type, now)

        u32 = types.uint32
        return sums(sums, u32, u32, u32, rows, columns, depth, a_pitch, b_pitch, ta, tb), build

    return function


@intrinsic
def zero_sums(context: Any, count: Any) -> Any:
    """A warp's sums before the first product: zeros."""
    result = types.UniTuple(types.float32, literal(count))

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ctx.make_tuple(builder, result, [ir.Constant(F32, 0.0)] * result.count)

    return result(count), build


@intrinsic
def store_sums(
    context: Any, sums: Any, address: Any, lane: Any, rows: Any, columns: Any, pitch: Any
) -> Any:
    """Stores a warp's sums as rows of f32 in shared memory."""
    high, wide, step = literal(rows), literal(columns), literal(pitch)

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        warp = Warp(builder, args[2])
        corner = warp.place(args[1], warp.bits(2, 7, step), warp.bits(0, 3, 8))
        pair = ir.VectorType(F32, 2)
        number = 0
        for i in range(high // 16):
            for j in range(wide // 8):
                for row in (16 * i, 16 * i + 8):
                    value: Any = ir.Constant(pair, ir.Undefined)
                    for e in (0, 1):
                        one = builder.extract_value(args[0], number + e)
                        value = builder.insert_element(value, one, constant(e))
                    at = warp.place(corner, constant(row * step + 32 * j))
                    builder.store(
                        value, builder.inttoptr(at, pair.as_pointer(SHARED_SPACE)), align=8
                    )
                    number += 2
        return ctx.get_dummy_value()

    u32 = types.uint32
    return types.void(sums, u32, u32, rows, columns, pitch), build


class TileCopy:
    """Copies a tile of a matrix to shared memory: each thread copies some pieces of rows."""

    def __init__(self, builder: Any, size: int, shape: Sequence[int]) -> None:
        self.builder, self.size = builder, size
        self.rows, self.columns, self.pitch, self.threads, self.width = shape

    def pieces(self, args: Sequence[Any]) -> None:
        """Copies all pieces of a thread."""
        total = self.rows * self.columns // self.width
        for first in range(0, total, self.threads):
            piece = self.builder.add(args[6], constant(first))
            if first + self.threads <= total:
                self.piece(piece, args)
            else:
                with self.builder.if_then(self.builder.icmp_unsigned("<", piece, constant(total))):
                    self.piece(piece, args)

    def piece(self, piece: Any, args: Sequence[Any]) -> None:
        """Copies one piece, with zeros for elements outside of the matrix."""
        address, pointer, start, length, rows_left, columns_left = args[:6]
        builder, line = self.builder, self.columns // self.width
        row = builder.udiv(piece, constant(line))
        column = builder.mul(builder.urem(piece, constant(line)), constant(self.width))
        inside = builder.and_(
            builder.icmp_unsigned("<", row, rows_left),
            builder.icmp_unsigned("<", column, columns_left),
        )
        left = builder.sub(columns_left, column)
        short = builder.icmp_unsigned("<", left, constant(self.width))
        count = builder.select(short, left, constant(self.width))
        count = builder.select(inside, count, constant(0))
        row64, column64, length64 = (builder.zext(x, I64) for x in (row, column, length))
        at = builder.add(start, builder.add(builder.mul(row64, length64), column64))
        target = builder.add(
            address,
            builder.add(
                builder.mul(row, constant(self.pitch)), builder.mul(column, constant(self.size))
            ),
        )
        nbytes = builder.mul(count, constant(self.size))
        copy_element(builder, target, builder.gep(pointer, [at]), nbytes, self.width * self.size)


def copy_element(builder: Any, target: Any, source: Any, nbytes: Any, width: int) -> None:
    """Starts to copy `nbytes` bytes to shared memory, and zeros up to `width` bytes."""
    whole = builder.ptrtoint(source, I64)
    if width == 2:
        text = COPY_2_BYTES
    else:
        text = CP_ASYNC.format("cg" if width == 16 else "ca", width)
    assembly(builder, text, [], [target, whole, nbytes], volatile=True)


@intrinsic
def copy_tile(
    context: Any,
    address: Any,
    pointer: Any,
    start: Any,
    length: Any,
    rows_left: Any,
    columns_left: Any,
    thread: Any,
    rows: Any,
    columns: Any,
    pitch: Any,
    threads: Any,
    width: Any,
) -> Any:
    """Starts to copy the tile at element `start` of a matrix with rows of `length` elements;
    elements beyond the matrix are 0.  One copy moves `width` elements."""
    shape = [literal(x) for x in (rows, columns, pitch, threads, width)]

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        TileCopy(builder, pointer.dtype.bitwidth // 8, shape).pieces(args)
        return ctx.get_dummy_value()

    u32 = types.uint32
    arguments = (u32, pointer, types.uint64, u32, u32, u32, u32)
    return types.void(*arguments, rows, columns, pitch, threads, width), build


@intrinsic
def copy_one(context: Any, address: Any, pointer: Any, index: Any, inside: Any) -> Any:
    """Starts to copy one element, or 0 if it is not inside."""

    def build(ctx: Any, builder: Any, sig: Any, args: Any) -> Any:
        size = pointer.dtype.bitwidth // 8
        count = builder.select(args[3], constant(size), constant(0))
        copy_element(builder, args[0], builder.gep(args[1], [args[2]]), count, size)
        return ctx.get_dummy_value()

    return types.void(types.uint32, pointer, types.uint64, types.boolean), build


TILE_INTRINSICS: dict[str, Any] = {
    "zero_sums": zero_sums,
    "store_sums": store_sums,
    "copy_tile": copy_tile,
    "copy_one": copy_one,
    **{f"multiply_tiles_{t}": multiply_tiles(_half_step(t.name), 16, 2) for t in NARROW_FLOATS},
    "multiply_tiles_f32": multiply_tiles(_single_step(True), 8, 4),
    "multiply_tiles_tf32": multiply_tiles(_single_step(False), 8, 4),
}
