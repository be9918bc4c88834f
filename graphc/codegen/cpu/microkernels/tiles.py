"""Register tiles: the innermost loops of matrix products, as LLVM IR.

A tile computes h rows and up to NV vectors of columns of C = A B (or C += A B), with all of it in
registers: for each k, the elements of a column of A are multiplied, one after the other, with a row
of B.  A is read element by element, so any strides do; rows of B and C are contiguous, the last
vector is masked.  h runs from 1 to `Shape.rows`, which leaves registers for B and one element of A.

The sum over k is repeated for each of `taps` pairs of places in A and B, which a table holds: the
places of a convolution's window, say.  A product of matrices has one tap.

The scheme is that of K. Goto and R. van de Geijn, "Anatomy of high-performance matrix
multiplication" (ACM TOMS 34, 2008), with tiles as in BLIS (Van Zee, van de Geijn, TOMS 41, 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.ir.types import TILED_FLOATS

NV = 2  # vectors of columns in a tile
LLVM = {"f32": "float", "f64": "double"}
BYTES = {t.name: t.size for t in TILED_FLOATS}  # of an element
WORDS = (
    "ptr %a, i64 %rs, i64 %cs, ptr %b, i64 %ldb, ptr %c, i64 %ldc, i64 %adds, i64 %taps, ptr %table"
)


@dataclass(frozen=True)
class Shape:
    """The tile of a CPU: most rows, and elements in a vector."""

    rows: int
    lanes: int

    @property
    def columns(self) -> int:
        """The columns of a full tile."""
        return NV * self.lanes


def shape_for(features: Mapping[str, bool], dtype: str) -> Shape:
    """The tile for a CPU: its vectors' width, and what its vector registers hold."""
    if features.get("avx512f"):
        return Shape(14, 64 // BYTES[dtype])
    if features.get("avx"):
        return Shape(6, 32 // BYTES[dtype])
    if features.get("neon"):
        return Shape(12, 16 // BYTES[dtype])
    return Shape(6, 16 // BYTES[dtype])


def tiles_ir(shape: Shape, dtype: str) -> str:
    """The functions `gc_tile_f32(rows, cols, k, a, rs, cs, b, ldb, c, ldc, adds, taps, table)`, for
    rows up to `shape.rows` and cols up to `shape.columns`, and `gc_transpose_f32(rows, cols, from,
    ld, to, ld)`."""
    tile = _Tile(shape, dtype)
    heights = range(1, shape.rows + 1)
    tiles = [tile.function(h, nv) for h in heights for nv in range(1, NV + 1)]
    return "\n".join([tile.declarations(), *tiles, tile.choice(), _Transpose(shape, dtype).ir()])


class Vectors:
    """The names of LLVM for vectors of a type."""

    def __init__(self, shape: Shape, dtype: str) -> None:
        self.shape, self.dtype, self.lanes = shape, dtype, shape.lanes
        self.element = LLVM[dtype]
        self.type = f"<{self.lanes} x {self.element}>"
        self.bits = f"<{self.lanes} x i1>"
        self.suffix = f"v{self.lanes}{dtype}"

    def declarations(self) -> str:
        """What the text calls."""
        v, mask = self.type, self.bits
        return "\n".join(
            [
                f"declare {v} @llvm.fmuladd.{self.suffix}({v}, {v}, {v})",
                f"declare {v} @llvm.masked.load.{self.suffix}.p0(ptr, i32, {mask}, {v})",
                f"declare void @llvm.masked.store.{self.suffix}.p0({v}, ptr, i32, {mask})",
                "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
                "declare i64 @llvm.smin.i64(i64, i64)",
            ]
        )

    def splat(self, to: str, element: str, kind: str) -> list[str]:
        """`to`: a vector with one element everywhere."""
        vector = f"<{self.lanes} x {kind}>"
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return [
            f"  %{to}.1 = insertelement {vector} poison, {kind} {element}, i32 0",
            f"  %{to} = shufflevector {vector} %{to}.1, {vector} poison, {zeros}",
        ]

    def first(self, to: str, count: str) -> list[str]:
        """A mask of the first lanes."""
        numbers = ", ".join(f"i32 {i}" for i in range(self.lanes))
        return [
            f"  %{to}.c = trunc i64 {count} to i32",
            *self.splat(f"{to}.l", f"%{to}.c", "i32"),
            f"  %{to} = icmp slt <{self.lanes} x i32> <{numbers}>, %{to}.l",
        ]

    def at(self, to: str, base: str, offset: str) -> str:
        return f"  %{to} = getelementptr {self.element}, ptr {base}, i64 {offset}"

    def load(self, to: str, place: str, last: bool) -> str:
        """A vector; the elements that `%mask` names if it is the last of a row."""
        if not last:
            return f"  %{to} = load {self.type}, ptr {place}, align {BYTES[self.dtype]}"
        call = f"call {self.type} @llvm.masked.load.{self.suffix}.p0"
        rest = f"i32 {BYTES[self.dtype]}, {self.bits} %mask, {self.type} zeroinitializer"
        return f"  %{to} = {call}(ptr {place}, {rest})"

    def store(self, value: str, place: str, last: bool) -> str:
        """Writes a vector, or what `%mask` names of it."""
        if not last:
            return f"  store {self.type} {value}, ptr {place}, align {BYTES[self.dtype]}"
        call = f"call void @llvm.masked.store.{self.suffix}.p0"
        rest = f"i32 {BYTES[self.dtype]}, {self.bits} %mask"
        return f"  {call}({self.type} {value}, ptr {place}, {rest})"


class _Tile(Vectors):
    """Prints the tiles of one type."""

    def function(self, rows: int, vectors: int) -> str:
        """The tile of `rows` rows and `vectors` vectors of columns."""
        lines = [
            f"define internal void @tile_{self.dtype}_{rows}_{vectors}(i64 %cols, i64 %k, "
            f"{WORDS}) {{",
            "entry:",
            *self.mask(vectors),
            *(f"  %o{r} = mul i64 %rs, {r}" for r in range(rows)),
            *(f"  %m{r} = mul i64 %ldc, {r}" for r in range(rows)),
            *self.prefetch(rows),
            "  %least = call i64 @llvm.smin.i64(i64 %k, i64 %taps)",
            "  %some = icmp sgt i64 %least, 0",
            "  br i1 %some, label %tap, label %done",
            *self.loop(rows, vectors),
            *self.finish(rows, vectors),
            "}",
        ]
        return "\n".join(lines)

    def mask(self, vectors: int) -> list[str]:
        """Which columns of the last vector there are."""
        before = (vectors - 1) * self.lanes
        return [f"  %left = sub i64 %cols, {before}", *self.first("mask", "%left")]

    def prefetch(self, rows: int) -> list[str]:
        lines = []
        for r in range(rows):
            lines += [
                self.at(f"pre{r}", "%c", f"%m{r}"),
                f"  call void @llvm.prefetch.p0(ptr %pre{r}, i32 1, i32 3, i32 1)",
            ]
        return lines

    def loop(self, rows: int, vectors: int) -> list[str]:
        """The loops over taps and k."""
        places = [(r, j) for r in range(rows) for j in range(vectors)]
        lines = ["tap:", "  %t = phi i64 [0, %entry], [%t2, %next]"]
        lines += [
            f"  %z{r}_{j} = phi {self.type} [zeroinitializer, %entry], [%n{r}_{j}, %next]"
            for r, j in places
        ]
        lines += [
            "  %ta = getelementptr [2 x i64], ptr %table, i64 %t",
            "  %tb = getelementptr i64, ptr %ta, i64 1",
            "  %ja = load i64, ptr %ta",
            "  %jb = load i64, ptr %tb",
            self.at("a.t", "%a", "%ja"),
            self.at("b.t", "%b", "%jb"),
            "  br label %loop",
        ]
        lines += [
            "loop:",
            "  %i = phi i64 [0, %tap], [%i2, %loop]",
            "  %pa = phi ptr [%a.t, %tap], [%pa2, %loop]",
            "  %pb = phi ptr [%b.t, %tap], [%pb2, %loop]",
        ]
        lines += [
            f"  %s{r}_{j} = phi {self.type} [%z{r}_{j}, %tap], [%n{r}_{j}, %loop]"
            for r, j in places
        ]
        for j in range(vectors):
            lines += [
                self.at(f"pb_{j}", "%pb", str(j * self.lanes)),
                self.load(f"b{j}", f"%pb_{j}", j == vectors - 1),
            ]
        for r in range(rows):
            lines += [
                self.at(f"pa_{r}", "%pa", f"%o{r}"),
                f"  %e{r} = load {self.element}, ptr %pa_{r}",
                *self.splat(f"a{r}", f"%e{r}", self.element),
            ]
            fma, v = f"@llvm.fmuladd.{self.suffix}", self.type
            lines += [
                f"  %n{r}_{j} = call {v} {fma}({v} %a{r}, {v} %b{j}, {v} %s{r}_{j})"
                for j in range(vectors)
            ]
        return [
            *lines,
            self.at("pa2", "%pa", "%cs"),
            self.at("pb2", "%pb", "%ldb"),
            "  %i2 = add i64 %i, 1",
            "  %more = icmp slt i64 %i2, %k",
            "  br i1 %more, label %loop, label %next",
            "next:",
            "  %t2 = add i64 %t, 1",
            "  %again = icmp slt i64 %t2, %taps",
            "  br i1 %again, label %tap, label %done",
        ]

    def finish(self, rows: int, vectors: int) -> list[str]:
        """The sums added to C, or stored."""
        places = [(r, j) for r in range(rows) for j in range(vectors)]
        lines = ["done:"]
        lines += [
            f"  %r{r}_{j} = phi {self.type} [zeroinitializer, %entry], [%n{r}_{j}, %next]"
            for r, j in places
        ]
        lines += [
            x
            for r, j in places
            for x in (
                f"  %q{r}_{j} = add i64 %m{r}, {j * self.lanes}",
                self.at(f"p{r}_{j}", "%c", f"%q{r}_{j}"),
            )
        ]
        lines += [
            "  %add = icmp ne i64 %adds, 0",
            "  br i1 %add, label %plus, label %plain",
            "plus:",
        ]
        for r, j in places:
            last = j == vectors - 1
            lines += [
                self.load(f"old{r}_{j}", f"%p{r}_{j}", last),
                f"  %t{r}_{j} = fadd {self.type} %old{r}_{j}, %r{r}_{j}",
                self.store(f"%t{r}_{j}", f"%p{r}_{j}", last),
            ]
        lines += ["  ret void", "plain:"]
        lines += [self.store(f"%r{r}_{j}", f"%p{r}_{j}", j == vectors - 1) for r, j in places]
        return [*lines, "  ret void"]

    def choice(self) -> str:
        """The tile for a number of rows and columns."""
        cases = [(r, nv) for nv in range(1, NV + 1) for r in range(1, self.shape.rows + 1)]
        words = f"i64 %cols, i64 %k, {WORDS}"
        targets = [f"    i64 {(nv - 1) * self.shape.rows + r}, label %t{r}_{nv}" for r, nv in cases]
        lines = [
            f"define void @gc_tile_{self.dtype}(i64 %rows, {words}) {{",
            "entry:",
            f"  %wide = icmp sgt i64 %cols, {self.lanes}",
            f"  %more = select i1 %wide, i64 {self.shape.rows}, i64 0",
            "  %case = add i64 %rows, %more",
            "  switch i64 %case, label %none [",
            *targets,
            "  ]",
        ]
        for r, nv in cases:
            call = f"tail call void @tile_{self.dtype}_{r}_{nv}({words})"
            lines += [f"t{r}_{nv}:", f"  {call}", "  ret void"]
        return "\n".join([*lines, "none:", "  ret void", "}"])


class _Transpose(Vectors):
    """Prints the transpose of a matrix: square blocks in registers, those at the edges by way of a
    square on the stack."""

    def ir(self) -> str:
        n = self.lanes
        arguments = "i64 %rows, i64 %cols, ptr %from, i64 %ldf, ptr %to, i64 %ldt"
        place = [
            *self.place("src", "%from", "%y", "%ldf", "%x"),
            *self.place("dst", "%to", "%x", "%ldt", "%y"),
            "  %h = sub i64 %rows, %y",
            "  %w = sub i64 %cols, %x",
            "  %least = call i64 @llvm.smin.i64(i64 %h, i64 %w)",
            f"  %whole = icmp sge i64 %least, {n}",
            "  br i1 %whole, label %square, label %edge",
            "square:",
            f"  call void @block_{self.dtype}(ptr %src, i64 %ldf, ptr %dst, i64 %ldt)",
            "  br label %placed",
            "edge:",
            f"  %hh = call i64 @llvm.smin.i64(i64 %h, i64 {n})",
            f"  %ww = call i64 @llvm.smin.i64(i64 %w, i64 {n})",
            f"  call void @edge_{self.dtype}(i64 %hh, i64 %ww, ptr %src, i64 %ldf, ptr %dst, "
            "i64 %ldt)",
            "  br label %placed",
            "placed:",
        ]
        return "\n".join(
            [
                self.block(),
                self.edge(),
                f"define void @gc_transpose_{self.dtype}({arguments}) {{\nentry:",
                *nest("y", "0", "%rows", n, nest("x", "0", "%cols", n, place)),
                "  ret void\n}",
            ]
        )

    def edge(self) -> str:
        """A part of a square, of h rows and w columns."""
        n, v, align = self.lanes, self.type, BYTES[self.dtype]
        arguments = "i64 %h, i64 %w, ptr %from, i64 %ldf, ptr %to, i64 %ldt"
        load, store = (f"@llvm.masked.{x}.{self.suffix}.p0" for x in ("load", "store"))
        rest = f"i32 {align}, {self.bits}"
        return "\n".join(
            [
                f"define internal void @edge_{self.dtype}({arguments}) {{",
                "entry:",
                f"  %in = alloca [{n * n} x {self.element}], align 64",
                f"  %out = alloca [{n * n} x {self.element}], align 64",
                *self.first("cols", "%w"),
                *self.first("rows", "%h"),
                *nest(
                    "i",
                    "0",
                    "%h",
                    1,
                    [
                        *self.place("s", "%from", "%i", "%ldf", "0"),
                        *self.place("t", "%in", "%i", str(n), "0"),
                        f"  %e = call {v} {load}(ptr %s, {rest} %cols, {v} zeroinitializer)",
                        f"  store {v} %e, ptr %t, align 64",
                    ],
                ),
                f"  call void @block_{self.dtype}(ptr %in, i64 {n}, ptr %out, i64 {n})",
                *nest(
                    "j",
                    "0",
                    "%w",
                    1,
                    [
                        *self.place("o", "%out", "%j", str(n), "0"),
                        *self.place("d", "%to", "%j", "%ldt", "0"),
                        f"  %f = load {v}, ptr %o, align 64",
                        f"  call void {store}({v} %f, ptr %d, {rest} %rows)",
                    ],
                ),
                "  ret void\n}",
            ]
        )

    def place(self, to: str, base: str, row: str, ld: str, column: str) -> list[str]:
        return [
            f"  %{to}.r = mul i64 {row}, {ld}",
            f"  %{to}.i = add i64 %{to}.r, {column}",
            self.at(to, base, f"%{to}.i"),
        ]

    def block(self) -> str:
        """A square block: log2(lanes) rounds that exchange halves, quarters, ... of pairs of
        rows."""
        n, align = self.lanes, BYTES[self.dtype]
        lines = [f"define internal void @block_{self.dtype}(ptr %f, i64 %lf, ptr %t, i64 %lt) {{"]
        for i in range(n):
            lines += [
                f"  %fo{i} = mul i64 %lf, {i}",
                self.at(f"f{i}", "%f", f"%fo{i}"),
                f"  %r0_{i} = load {self.type}, ptr %f{i}, align {align}",
            ]
        step, stage = n // 2, 0
        while step:
            low = [i % step + (i // step % 2) * n + i // (2 * step) * 2 * step for i in range(n)]
            for i in range(n):
                if i & step:
                    continue
                pair = f"{self.type} %r{stage}_{i}, {self.type} %r{stage}_{i + step}"
                for at, base in ((i, 0), (i + step, step)):
                    mask = ", ".join(f"i32 {x + base}" for x in low)
                    lines.append(
                        f"  %r{stage + 1}_{at} = shufflevector {pair}, <{n} x i32> <{mask}>"
                    )
            step, stage = step // 2, stage + 1
        for i in range(n):
            lines += [
                f"  %to{i} = mul i64 %lt, {i}",
                self.at(f"t{i}", "%t", f"%to{i}"),
                f"  store {self.type} %r{stage}_{i}, ptr %t{i}, align {align}",
            ]
        return "\n".join([*lines, "  ret void", "}"])


def nest(var: str, low: str, high: str, step: int, body: list[str]) -> list[str]:
    """A loop in LLVM IR; the names of its blocks come from its variable."""
    return [
        f"  br label %{var}.from",
        f"{var}.from:",
        f"  br label %{var}.head",
        f"{var}.head:",
        f"  %{var} = phi i64 [{low}, %{var}.from], [%{var}.next, %{var}.latch]",
        f"  %{var}.more = icmp slt i64 %{var}, {high}",
        f"  br i1 %{var}.more, label %{var}.body, label %{var}.end",
        f"{var}.body:",
        *body,
        f"  br label %{var}.latch",
        f"{var}.latch:",
        f"  %{var}.next = add i64 %{var}, {step}",
        f"  br label %{var}.head",
        f"{var}.end:",
    ]
