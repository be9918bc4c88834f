"""Register tiles: the innermost loops of matrix products, as LLVM IR.

A tile computes h rows and up to VECTORS_PER_TILE vectors of columns of C = A B (or C += A B), all
in registers: for each k, it multiplies the elements of a column of A, one after the other, by a row
of B.  It reads A element by element, so A may have any strides; rows of B and C are contiguous, and
the last vector is masked.  h runs from 1 to `Shape.rows`, which leaves registers for B and one
element of A.

A table holds `taps` pairs of places in A and B, for instance the places of a convolution's window;
the sum over k is repeated for each pair.  A product of matrices has one tap.

The scheme is that of K. Goto and R. van de Geijn, "Anatomy of high-performance matrix
multiplication" (ACM TOMS 34, 2008), with tiles as in BLIS (Van Zee, van de Geijn, TOMS 41, 2015).
"""

from __future__ import annotations

from graphc.codegen.cpu.microkernels.transpose import transpose_ir
from graphc.codegen.cpu.microkernels.vectors import VECTORS_PER_TILE, Shape, VectorNames

PARAMETERS = (
    "ptr %a, i64 %rs, i64 %cs, ptr %b, i64 %ldb, ptr %c, i64 %ldc, i64 %adds, i64 %taps, ptr %table"
)


def tiles_ir(shape: Shape, dtype: str) -> str:
    """The functions `gc_tile_f32(rows, cols, k, a, rs, cs, b, ldb, c, ldc, adds, taps, table)`, for
    rows up to `shape.rows` and cols up to `shape.columns`; and `gc_transpose_f32`, which makes
    operands contiguous for them."""
    tile = _Tile(shape, dtype)
    heights = range(1, shape.rows + 1)
    tiles = [tile.function(h, nv) for h in heights for nv in range(1, VECTORS_PER_TILE + 1)]
    return "\n".join([tile.declarations(), *tiles, tile.choice(), transpose_ir(shape, dtype)])


class _Tile(VectorNames):
    """Prints the tiles of one type."""

    def function(self, rows: int, vectors: int) -> str:
        """The tile of `rows` rows and `vectors` vectors of columns."""
        lines = [
            f"define internal void @tile_{self.dtype}_{rows}_{vectors}(i64 %cols, i64 %k, "
            f"{PARAMETERS}) {{",
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
        return [
            "tap:",
            "  %t = phi i64 [0, %entry], [%t2, %next]",
            *(
                f"  %z{r}_{j} = phi {self.type} [zeroinitializer, %entry], [%n{r}_{j}, %next]"
                for r, j in places
            ),
            "  %ta = getelementptr [2 x i64], ptr %table, i64 %t",
            "  %tb = getelementptr i64, ptr %ta, i64 1",
            "  %ja = load i64, ptr %ta",
            "  %jb = load i64, ptr %tb",
            self.at("a.t", "%a", "%ja"),
            self.at("b.t", "%b", "%jb"),
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [0, %tap], [%i2, %loop]",
            "  %pa = phi ptr [%a.t, %tap], [%pa2, %loop]",
            "  %pb = phi ptr [%b.t, %tap], [%pb2, %loop]",
            *(
                f"  %s{r}_{j} = phi {self.type} [%z{r}_{j}, %tap], [%n{r}_{j}, %loop]"
                for r, j in places
            ),
            *self.products(rows, vectors),
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

    def products(self, rows: int, vectors: int) -> list[str]:
        """The products of one k, added to the sums."""
        lines: list[str] = []
        for j in range(vectors):
            lines += [
                self.at(f"pb_{j}", "%pb", str(j * self.lanes)),
                self.load(f"b{j}", f"%pb_{j}", j == vectors - 1),
            ]
        fma, v = f"@llvm.fmuladd.{self.suffix}", self.type
        for r in range(rows):
            lines += [
                self.at(f"pa_{r}", "%pa", f"%o{r}"),
                f"  %e{r} = load {self.element}, ptr %pa_{r}",
                *self.splat(f"a{r}", f"%e{r}", self.element),
            ]
            lines += [
                f"  %n{r}_{j} = call {v} {fma}({v} %a{r}, {v} %b{j}, {v} %s{r}_{j})"
                for j in range(vectors)
            ]
        return lines

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
        cases = [
            (r, nv) for nv in range(1, VECTORS_PER_TILE + 1) for r in range(1, self.shape.rows + 1)
        ]
        words = f"i64 %cols, i64 %k, {PARAMETERS}"
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
