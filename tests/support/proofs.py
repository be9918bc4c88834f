"""Proofs about sizes and accesses, judged by trying all small sizes and positions.

Each judge returns what is wrong, or "".  A proof may fail to find what is true, except for what
`PROVABLE` lists; it must never claim what is not.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.codegen.loops.accesses import certified
from graphc.codegen.loops.ir import (
    Apply,
    BufferArgument,
    Const,
    For,
    Guard,
    IndexValue,
    Let,
    Load,
    Loops,
    Store,
)
from graphc.errors import ShapeError
from graphc.ir import bounds as proofs, dim, inside as certificates
from graphc.ir.dim import Size, parse, symbol
from graphc.ir.op import Piece, View
from graphc.ir.requirement import Relation, Requirement
from graphc.ir.types import TensorType, f32, i64

SMALL = range(5)
RANGES: Mapping[str, tuple[str, str]] = {
    "i.": ("0", "n-1"),
    "j.": ("-2", "3"),
    "k.": ("m", "n+m"),
}
UNKNOWN = "q."  # a variable without a range: it may be anything
PROVABLE = (
    "0", "n", "n+2*m", "n-min(5, n)", "max(n, m)-n", "n-1-i.", "i.", "j.+2",
    "3-j.", "k.-m", "n+m-k.",
    "2*i.+j.+2", "n-i.//2-1", "n*m", "i.*m", "n//2", "n-n//2", "n%3", "2-n%3",
    "min(n, m)+min(n, 3)", "max(n-4, 0)", "n-max(n-4, 0)", "(n+1)//2-n//2", "n//2-i.//2",
)  # fmt: skip


def ranges() -> dict[str, tuple[Size, Size]]:
    return {name: (written(a), written(b)) for name, (a, b) in RANGES.items()}


def written(text: str) -> Size:
    """A size in which loop variables end with a dot, which text has no way to write."""
    names = {f"{name[0]}_": symbol(name) for name in ("i.", "j.", "k.")}
    return dim.substitute(
        parse(text.replace("i.", "i_").replace("j.", "j_").replace("k.", "k_")), names
    )


def size_of(seed: int) -> Size:
    """A random size over n, m and the variables of RANGES."""
    rng = random.Random(seed)

    def made(depth: int) -> Size:
        kind = rng.randrange(10) if depth else rng.randrange(3)
        if kind < 2:
            return symbol(rng.choice(["n", "m", "n", "i.", "j.", "k.", UNKNOWN]))
        if kind == 2:
            return rng.randint(-3, 4)
        a, b = made(depth - 1), made(depth - 1)
        match kind:
            case 3 | 4:
                return a + b
            case 5:
                return a - b
            case 6:
                return rng.randint(1, 3) * a
            case 7:
                return a * b if depth < 3 else a + 1
            case 8:
                return dim.floordiv(a, rng.randint(2, 3)) if rng.random() < 0.5 else a % 3
            case _:
                return (dim.minimum if rng.random() < 0.5 else dim.maximum)(a, b)

    return made(3)


def assignments(names: set[str]) -> Iterator[dict[str, int]]:
    """All values of n and m up to four, and of the ranged names that are among `names`."""
    for n, m in itertools.product(SMALL, SMALL):
        at = {"n": n, "m": m}
        ends = (
            (dim.evaluate(written(a), at), dim.evaluate(written(b), at)) for a, b in RANGES.values()
        )
        spans = {name: range(low, high + 1) for name, (low, high) in zip(RANGES, ends, strict=True)}
        spans[UNKNOWN] = range(-2, 3)
        used = [name for name in spans if name in names]
        for values in itertools.product(*(spans[name] for name in used)):
            yield at | dict(zip(used, values, strict=True))


def proof_fault(seed: int) -> str:
    """A size that is said to be natural and is not, or a bound that does not bound."""
    size = size_of(seed)
    given, names = ranges(), dim.symbols(size)
    natural = proofs.never_negative(size, given)
    top, bottom = proofs.greatest(size, given), proofs.least(size, given)
    every = names | dim.symbols(top) | (dim.symbols(bottom) if bottom is not None else set())
    for at in assignments(every):
        value = dim.evaluate(size, at)
        if natural and value < 0:
            return f"{size} is {value} at {at}"
        if dim.evaluate(top, at) < value:
            return f"{size} is {value} at {at}, above {top}"
        if bottom is not None and dim.evaluate(bottom, at) > value:
            return f"{size} is {value} at {at}, below {bottom}"
    return ""


def unprovable() -> str:
    """What a proof used to find and does not."""
    missing = [text for text in PROVABLE if not proofs.never_negative(written(text), ranges())]
    return f"not proved: {missing}" if missing else ""


# ---- requirements


def requirement_fault(seed: int) -> str:
    """A requirement that claims to hold, or not to, and is wrong for some sizes."""
    rng = random.Random(seed)
    names = {name: symbol("n") for name in (*RANGES, UNKNOWN)}
    left, right, count = (dim.substitute(size_of(3 * seed + k), names) for k in range(3))
    if rng.random() < 0.5:
        right = rng.randint(0, 3)
    for relation in Relation:
        asked = Requirement(left, relation, right, "", count if rng.random() < 0.3 else 1)
        claimed = asked.holds()
        for n, m in itertools.product(SMALL, SMALL):
            at = {"n": n, "m": m}
            true = _true(asked, at)
            if asked.holds_for(at) is not true:
                return f"{asked} at {at}: {not true}"
            if (
                claimed is not None
                and claimed is not true
                and dim.evaluate(asked.unless_empty, at) >= 0
            ):
                return f"{asked}: {claimed}, at {at} it is {true}"
    return ""


def _true(r: Requirement, at: dict[str, int]) -> bool:
    a, b, count = (dim.evaluate(x, at) for x in (r.left, r.right, r.unless_empty))
    if count == 0:
        return True
    match r.relation:
        case Relation.EQUAL:
            return a == b
        case Relation.AT_LEAST:
            return a >= b
    return a % b == 0 if b else a == 0


# ---- views


class JudgedView(View):
    """out[i] = x[index] within bounds, of a length that is said."""

    length: Size
    index: Size
    low: Size
    high: Size
    second: Size

    def infer(self, *types: TensorType) -> TensorType:
        return types[0].with_shape((self.length,))

    def pieces(self, index: Any, *types: TensorType) -> Any:
        (i,) = index
        first, second = (dim.substitute(x, {"i.": i}) for x in (self.index, self.second))
        return (Piece(0, (first,), ((i, self.low, self.high),)), Piece(0, (second,)))

    def reference(self, *arrays: Any) -> Any:
        (x,) = arrays

        def at(size: Size, i: int) -> int:
            return dim.evaluate(size, {"n": len(x), "i.": i})

        taken = (
            self.index if at(self.low, i) <= i < at(self.high, i) else self.second
            for i in range(at(self.length, 0))
        )
        return np.array([x[at(place, i)] for i, place in enumerate(taken)], x.dtype)


def view_fault(seed: int) -> str:
    """A view that is taken to read inside of its operand and does not."""
    rng = random.Random(seed)
    n, i = symbol("n"), symbol("i.")
    lengths: list[Size] = [n, n + 2, 2 * n, 4, dim.maximum(n - 1, 0)]
    indices: list[Size] = [i, i - 2, n - 1 - i, i % dim.maximum(n, 1), dim.floordiv(i, 2), 3 - i]
    bounds: list[Size] = [0, 1, 2, n, n - 1, n + 2]
    op = JudgedView(
        rng.choice(lengths), rng.choice(indices), rng.choice(bounds), rng.choice(bounds),
        rng.choice(indices),
    )  # fmt: skip
    try:
        conditions = [*certificates.stays_inside(op, (f32[n,],))]
    except ShapeError as error:
        return str(error)
    for size in range(7):
        at = {"n": size}
        inside = _reads_inside(op, at)
        if all(c.holds_for(at) for c in conditions) and not inside:
            return f"{op} at n={size} reads outside"
    return ""


def _reads_inside(op: JudgedView, at: dict[str, int]) -> bool:
    for place in range(dim.evaluate(op.length, at)):
        here = {**at, "i.": place}
        low, high = dim.evaluate(op.low, here), dim.evaluate(op.high, here)
        index = op.index if low <= place < high else op.second
        if not 0 <= dim.evaluate(index, here) < at["n"]:
            return False
    return True


# ---- accesses of loops


@dataclass
class Walk:
    """Runs loops over positions alone: what they touch outside of their buffers, and whether a
    check ends them."""

    counts: list[int]
    outside: list[str] = field(default_factory=list)
    stopped: bool = False

    def statements(self, body: Any, at: dict[str, int]) -> None:
        for s in body:
            if self.stopped:
                return
            match s:
                case Let(name=name, value=value):
                    at[f"{name}."] = self.value(value, at)
                case Store(buffer=buffer, offset=offset, value=value):
                    self.value(value, at)
                    self.touch(buffer, dim.evaluate(offset, at))
                case For(var=var, low=low, high=high, body=inner):
                    for i in range(dim.evaluate(low, at), dim.evaluate(high, at)):
                        self.statements(inner, at | {var: i})

    def value(self, e: Any, at: dict[str, int]) -> int:
        match e:
            case Load(buffer=buffer, offset=offset):
                self.touch(buffer, dim.evaluate(offset, at))
            case IndexValue(size=size):
                return dim.evaluate(size, at)
            case Guard(bounds=bounds, then=then, other=other):
                hold = all(
                    dim.evaluate(a, at) <= dim.evaluate(x, at) < dim.evaluate(b, at)
                    for x, a, b in bounds
                )
                return self.value(then if hold else other, at)
            case Apply(spelling=spelling, args=args):
                values = [self.value(a, at) for a in args]
                if "check_index" in spelling:
                    self.stopped |= not 0 <= values[0] < values[1]
                    return values[0]
        return 0

    def touch(self, buffer: int, offset: int) -> None:
        if not self.stopped and not 0 <= offset < self.counts[buffer]:
            self.outside.append(f"buffer {buffer} of {self.counts[buffer]} at {offset}")


def loops_of_seed(seed: int) -> Loops:
    """One or two nested loops that load under guards, and store."""
    rng = random.Random(seed)
    n, m, i, k, c = map(symbol, ("n", "m", "i0.", "k.", "cut."))
    places: list[Size] = [
        i,
        i + 1,
        n - 1 - i,
        i * m + k,
        2 * i,
        dim.floordiv(i, 2),
        i - 2,
        c,
        k,
        i + k,
    ]
    places += [i - n, i - n + 1]
    counts: list[Size] = [n, n + 1, n * m, n + m, 2 * n, 3]
    buffers = tuple(BufferArgument(f"b{b}", f32, b == 2, rng.choice(counts)) for b in range(3))

    def load() -> Any:
        there: Any = Load(rng.randrange(2), rng.choice(places), f32)
        for _ in range(rng.randrange(3)):
            ends = rng.choice(
                [(i, 1, n), (i, 0, n - 1), (i, 2, n + 1), (k, 0, n), (i - 1, 0, n), (c, 1, 3)]
            )
            bounds = (ends,) if rng.random() < 0.8 else (ends, (i, 0, m))
            pair = (there, Const(0, f32)) if rng.random() < 0.6 else (Const(0, f32), there)
            there = Guard(bounds, *pair, f32)
        return there

    cut = Let("cut", IndexValue(dim.modulo(i, 3), i64, 3))
    store = Store(2, rng.choice(places), Apply("({0} + {1})", (load(), load()), f32))
    inner = For("k.", rng.choice([0, 0, 1]), rng.choice([m, m, n, m + 1]), (store,))
    return Loops("f", buffers, (), n, (For("i0.", symbol("lo."), symbol("hi."), (cut, inner)),))


def access_fault(seed: int, everything: bool = False) -> str:
    """Loops whose certificate is wrong: they touch what no check has stopped, or are stopped where
    they touch nothing outside."""
    loops = loops_of_seed(seed)
    safe = certified(loops, everything)
    for n, m in itertools.product(SMALL, range(4)):
        at = {"n": n, "m": m, "lo.": 0, "hi.": n}
        counts = [dim.evaluate(b.count, at) for b in loops.buffers]
        plain, checked = Walk(counts), Walk(counts)
        plain.statements(loops.body, dict(at))
        checked.statements(safe.body, dict(at))
        if checked.outside:
            return f"at n={n}, m={m}: {checked.outside[0]}"
        if checked.stopped and not plain.outside:
            return f"at n={n}, m={m}: stopped, and nothing is wrong"
    return ""
