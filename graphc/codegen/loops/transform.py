"""Loop nests: traversing and transforming the statements of a kernel.

`collapse` merges neighbouring loops whose accesses are dense over both, so that an elementwise
kernel over f32[n,784] walks one loop of n*784.  `generalize` turns large numbers into arguments, so
that equal loops of other extents share one compiled kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphc.codegen.loops.ir import (
    Apply,
    FoldStep,
    For,
    Gemm,
    Guard,
    IndexValue,
    Let,
    Load,
    Ref,
    RowMove,
    Store,
    Tile,
    Transform,
    TransposeMove,
)
from graphc.ir import dim
from graphc.ir.dim import Dim, Size

MAX_LITERAL_OFFSET = 64  # in elements: literals show LLVM which accesses are apart
MAX_UNROLLED_STEPS = 16  # of an innermost loop; LLVM may unroll it
MAX_UNROLLED_OUTER_STEPS = 4  # of a loop around others: a longer one should stay a loop, of vectors
Variable = tuple[str, Size]
Change = Callable[[Size], Size]
Bound = Callable[[For], Size]


def map_sizes(node: Any, change: Change, bound: Bound | None = None) -> Any:
    """The statement or expression with `change` applied to every size, and `bound` to loops for
    their ends."""
    match node:
        case Let(value=value):
            return replace(node, value=map_sizes(value, change))
        case Store(offset=offset, value=value):
            return replace(node, offset=change(offset), value=map_sizes(value, change))
        case FoldStep(value=value):
            return replace(node, value=map_sizes(value, change))
        case For(low=low, high=high, body=body):
            low, high = change(low), bound(node) if bound else change(high)
            inner = tuple(map_sizes(s, change, bound) for s in body)
            return replace(node, low=low, high=high, body=inner)
        case Gemm() | RowMove() | Tile() | TransposeMove() | Transform():
            return _map_routine(node, change)
        case IndexValue(size=size):
            return replace(node, size=change(size))
        case Load(offset=offset):
            return replace(node, offset=change(offset))
        case Apply(args=args):
            return replace(node, args=tuple(map_sizes(a, change) for a in args))
        case Guard(bounds=bounds, then=then, other=other):
            changed = tuple((change(e), change(a), change(b)) for e, a, b in bounds)
            return replace(
                node, bounds=changed, then=map_sizes(then, change), other=map_sizes(other, change)
            )
    return node


def _map_routine(node: Any, change: Change) -> Any:
    """`map_sizes` of a statement that works on whole rows or matrices."""
    match node:
        case Gemm(sizes=sizes, offsets=offsets, strides=strides):
            (m, n, k), (a, b, c), (la, lb, lc) = (
                tuple(map(change, group)) for group in (sizes, offsets, strides)
            )
            return replace(node, sizes=(m, n, k), offsets=(a, b, c), strides=(la, lb, lc))
        case RowMove(source=(x, x_at), target=(y, y_at), count=count, start=start, stop=stop):
            return replace(
                node,
                source=(x, change(x_at)),
                target=(y, change(y_at)),
                count=change(count),
                start=change(start),
                stop=change(stop),
            )
        case Tile():
            return _map_tile(node, change)
        case Transform():
            return _map_transform(node, change)
        case TransposeMove(source=(x, x_at), target=(y, y_at)):
            rows, cols, lds, ldt = map(change, (node.rows, node.cols, node.lds, node.ldt))
            return TransposeMove(
                node.dtype, rows, cols, (x, change(x_at)), lds, (y, change(y_at)), ldt
            )
    raise AssertionError(node)


def _map_tile(node: Tile, change: Change) -> Tile:
    rows, cols, k = map(change, node.sizes)
    a, b, c, table = ((buffer, change(at)) for buffer, at in (node.a, node.b, node.c, node.table))
    rs, cs, ldb, ldc, taps = map(change, (node.rs, node.cs, node.ldb, node.ldc, node.taps))
    return Tile(node.dtype, (rows, cols, k), a, rs, cs, b, ldb, c, ldc, taps, table, node.adds)


def _map_transform(node: Transform, change: Change) -> Transform:
    (x, x_at), (y, y_at) = node.source, node.target
    a, b, c = map(change, node.source_steps)
    d, e, f = map(change, node.target_steps)
    channels, squares = change(node.channels), change(node.squares)
    source, target = (x, change(x_at)), (y, change(y_at))
    return Transform(node.dtype, node.name, channels, squares, source, (a, b, c), target, (d, e, f))


def walk(node: Any) -> Iterator[Any]:
    """The node and everything inside it."""
    yield node
    match node:
        case Let(value=value) | Store(value=value) | FoldStep(value=value):
            yield from walk(value)
        case For(body=inner):
            for s in inner:
                yield from walk(s)
        case Apply(args=args):
            for a in args:
                yield from walk(a)
        case Guard(then=then, other=other):
            yield from walk(then)
            yield from walk(other)


def loads(node: Any, inside_guards: bool = False) -> Iterator[Load]:
    """The loads that a statement always makes; with `inside_guards`, also those it may make."""
    match node:
        case Load():
            yield node
        case Let(value=value) | Store(value=value) | FoldStep(value=value):
            yield from loads(value, inside_guards)
        case For(body=body):
            for s in body:
                yield from loads(s, inside_guards)
        case Apply(args=args):
            for a in args:
                yield from loads(a, inside_guards)
        case Guard(then=then, other=other) if inside_guards:
            yield from loads(then, True)
            yield from loads(other, True)


def names_in(node: Any) -> set[str]:
    """The names of variables and locals that a statement or an expression uses; those of variables
    end with a dot."""
    used = {x.name for x in walk(node) if isinstance(x, Ref | FoldStep)}

    def note(size: Size) -> Size:
        used.update(dim.symbols(size))
        return size

    map_sizes(node, note)
    return used


def renamed(node: Any, names: Mapping[str, str]) -> Any:
    """The statement or expression with other local names."""
    if not names:
        return node
    sizes = {f"{old}.": dim.symbol(f"{new}.") for old, new in names.items()}
    return _renamed(map_sizes(node, lambda size: dim.substitute(size, sizes)), names)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    match node:
        case Ref(name=name):
            return replace(node, name=names.get(name, name))
        case Let(value=value) | Store(value=value) | FoldStep(value=value):
            return replace(node, value=_renamed(value, names))
        case Apply(args=args):
            return replace(node, args=tuple(_renamed(a, names) for a in args))
        case Guard(then=then, other=other):
            return replace(node, then=_renamed(then, names), other=_renamed(other, names))
    return node


def drop_units(body: Sequence[Any], variables: list[Variable]) -> tuple[list[Any], list[Variable]]:
    """Replaces loops of one step by their bodies."""
    units = {f"{v}.": 0 for v, n in variables if n == 1}
    longer = [(v, n) for v, n in variables if n != 1]
    if not units:
        return list(body), longer
    result = list(body)
    for unit in units:
        result = [s for old in result for s in _merge(old, unit[:-1], "", 1, {unit: 0})]
    return result, longer


def collapse(body: Sequence[Any], variables: list[Variable]) -> tuple[list[Any], list[Variable]]:
    """Merges neighbours among `variables` (outermost first) where every access allows it."""
    body, variables = drop_units(body, variables)
    offsets, fixed = _uses(body, {f"{v}." for v, _ in variables})
    result, merged = list(body), list(variables)
    position = len(merged) - 2
    while position >= 0:
        (a, outer), (b, inner) = merged[position], merged[position + 1]
        if not {f"{a}.", f"{b}."} & fixed and all(_dense(o, a, b, inner) for o in offsets):
            removed = {f"{a}.": 0}
            total = outer * inner
            offsets = [dim.substitute(o, removed) for o in offsets]
            result = [s for old in result for s in _merge(old, a, b, total, removed)]
            merged[position : position + 2] = [(b, total)]
        position -= 1
    return result, merged


def _uses(body: Sequence[Any], names: set[str]) -> tuple[list[Size], set[str]]:
    """The distinct offsets, and the variables that occur anywhere but linearly in an offset."""
    offsets: dict[Size, None] = {}
    fixed: set[str] = set()
    for statement in body:
        for node in walk(statement):
            match node:
                case Load(offset=offset) | Store(offset=offset):
                    offsets[offset] = None
                    if not dim.is_linear(offset, names):
                        fixed |= dim.symbols(offset)
                case IndexValue(size=size):
                    fixed |= dim.symbols(size)
                case Guard(bounds=bounds):
                    for bound in bounds:
                        for size in bound:
                            fixed |= dim.symbols(size)
    return list(offsets), fixed


def _dense(offset: Size, a: str, b: str, inner: Size) -> bool:
    outer_step = dim.coefficient(offset, f"{a}.")
    return outer_step == dim.coefficient(offset, f"{b}.") * inner


def _merge(node: Any, a: str, b: str, total: Size, removed: Mapping[str, Size]) -> list[Any]:
    """The statement without loop a; loop b runs over both axes."""
    if not isinstance(node, For):
        return [map_sizes(node, lambda s: dim.substitute(s, removed))]
    body = [s for old in node.body for s in _merge(old, a, b, total, removed)]
    if node.var == f"{a}.":
        return body
    high = total if node.var == f"{b}." else dim.substitute(node.high, removed)
    return [For(node.var, dim.substitute(node.low, removed), high, tuple(body))]


class Parameters:
    """Size arguments of a kernel, in order of first use."""

    def __init__(self) -> None:
        self.values: dict[Size, Dim] = {}

    def __call__(self, value: Size) -> Dim:
        """The argument that carries a size."""
        return self.values.setdefault(value, dim.symbol(f"s{len(self.values)}."))

    def bound(self, loop: For) -> Size:
        """The end of a loop: an argument, unless it is small."""
        outer = any(isinstance(s, For) for s in loop.body)
        most = MAX_UNROLLED_OUTER_STEPS if outer else MAX_UNROLLED_STEPS
        if isinstance(loop.high, int) and loop.high > most:
            return self(loop.high)
        return self.generalize(loop.high)

    def generalize(self, size: Size) -> Size:
        """`size` with symbols and large numbers replaced by arguments."""
        if isinstance(size, int):
            return size if abs(size) <= MAX_LITERAL_OFFSET else self(size)
        total: Size = 0
        for monomial, coefficient in size.terms:
            term = self.generalize(coefficient)
            for atom in monomial:
                term = term * self._atom(atom)
            total = total + term
        return total

    def _atom(self, atom: Any) -> Size:
        if atom.function == "symbol":
            own = Dim((((atom,), 1),))
            return own if atom.text.endswith(".") else self(own)
        a, b = (self.generalize(x) for x in atom.operands)
        if atom.function == "//":
            return dim.floordiv(a, b)
        if atom.function == "%":
            return dim.modulo(a, b)
        return dim.maximum(a, b) if atom.function == "max" else dim.minimum(a, b)
