"""What the checked build of a hand-written kernel calls (`codegen/cpu/checked_source.py`).

A place is the number of an element of a buffer; -1 is none: it is not read, and not written.  A
run's first fault is noted in `status`: `Status.BROKEN`, an index, a size, the code of its `Site`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

from graphc.codegen.cpu.intrinsics.buffers import BufferType, get_element
from graphc.codegen.cpu.intrinsics.common_scalars import I64, NUMBA
from graphc.codegen.cpu.intrinsics.numba_context import intrinsic
from graphc.codegen.status import Status

WORD = types.int64


def _number(value: int) -> Any:
    return ir.Constant(I64, value)


def _note(b: Any, index: Any, size: Any, site: Any, status: Any) -> None:
    """Notes a fault, unless there is one already."""
    words = b.inttoptr(status, I64.as_pointer())
    pair = b.cmpxchg(words, _number(Status.FINE), _number(Status.BROKEN), "seq_cst", "seq_cst")
    with b.if_then(b.extract_value(pair, 1)):
        for i, word in enumerate((index, size, site), 1):
            b.store(word, b.gep(words, [_number(i)]))


def _placed(b: Any, fine: Any, place: Any, fault: tuple[Any, Any, Any, Any]) -> Any:
    """The place if it is `fine`, else -1 after a note."""
    with b.if_then(b.not_(fine), likely=False):
        _note(b, *fault)
    return b.select(fine, place, _number(-1))


def _after(b: Any, before: Any, build: Callable[[], Any]) -> Any:
    """What `build` makes if there was a place before, else -1."""
    start = b.block
    with b.if_then(b.icmp_signed(">=", before, _number(0))):
        found = build()
        end = b.block
    result = b.phi(I64)
    result.add_incoming(_number(-1), start)
    result.add_incoming(found, end)
    return result


@intrinsic
def inside(context: Any, before: Any, index: Any, size: Any, site: Any, status: Any) -> Any:
    """The place of `index` on the next axis, of a size: before * size + index."""
    if not isinstance(index, types.Integer):
        return None

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        previous, at, n, code, words = args

        def here() -> Any:
            place = b.add(b.mul(previous, n), at)
            return _placed(b, b.icmp_unsigned("<", at, n), place, (at, n, code, words))

        return _after(b, previous, here)

    return WORD(WORD, WORD, WORD, WORD, WORD), build


@intrinsic
def own_row(context: Any, row: Any, low: Any, high: Any, site: Any, status: Any) -> Any:
    """The row of the result, if it is one of this call's."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        at, first, end, code, words = args

        def here() -> Any:
            fine = b.and_(b.icmp_signed(">=", at, first), b.icmp_signed("<", at, end))
            return _placed(b, fine, at, (at, end, code, words))

        return _after(b, at, here)

    return WORD(WORD, WORD, WORD, WORD, WORD), build


@intrinsic
def written_at(context: Any, place: Any, written: Any, first: Any, site: Any, status: Any) -> Any:
    """The place, if the element there has been written; `written` begins at element `first`."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        at, flags, start, code, words = args

        def here() -> Any:
            flag = b.load(b.gep(flags, [b.sub(at, start)]))
            fine = b.icmp_unsigned("!=", flag, ir.Constant(flag.type, 0))
            return _placed(b, fine, at, (at, _number(0), code, words))

        return _after(b, at, here)

    return WORD(WORD, written, WORD, WORD, WORD), build


@intrinsic
def element(context: Any, buffer: Any, place: Any) -> Any:
    """The element at a place; 0 if there is none."""
    if not isinstance(buffer, BufferType):
        return None
    result = NUMBA[buffer.element]

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        start, zero = b.block, ir.Constant(ctx.get_value_type(result), None)
        with b.if_then(b.icmp_signed(">=", args[1], _number(0))):
            loaded = get_element(ctx, b, sig, args)
            end = b.block
        found = b.phi(zero.type)
        found.add_incoming(zero, start)
        found.add_incoming(loaded, end)
        return found

    return result(buffer, WORD), build


@intrinsic
def fail(context: Any, index: Any, size: Any, site: Any, status: Any) -> Any:
    """Notes a fault."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _note(b, *args)
        return ctx.get_dummy_value()

    return types.none(WORD, WORD, WORD, WORD), build


@intrinsic
def stopped(context: Any, status: Any) -> Any:
    """Whether the run has failed."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        words = b.inttoptr(args[0], I64.as_pointer())
        return b.icmp_signed("!=", b.load_atomic(words, "monotonic", 8), _number(Status.FINE))

    return types.boolean(WORD), build


CHECK_CALLS: dict[str, Any] = {
    "inside": inside,
    "own_row": own_row,
    "written_at": written_at,
    "element": element,
    "fail": fail,
    "stopped": stopped,
}
