"""The transpose of a matrix by square blocks in vector registers, as LLVM IR."""

from __future__ import annotations

from graphc.codegen.cpu.microkernels.vectors import ELEMENT_BYTES, Shape, VectorNames, nest


def transpose_ir(shape: Shape, dtype: str) -> str:
    """The function `gc_transpose_f32(rows, cols, from, ld, to, ld)`, without what
    `Vectors.declarations` declares."""
    return _Transpose(shape, dtype).ir()


class _Transpose(VectorNames):
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
        n, v, align = self.lanes, self.type, ELEMENT_BYTES[self.dtype]
        arguments = "i64 %h, i64 %w, ptr %from, i64 %ldf, ptr %to, i64 %ldt"
        load, store = (f"@llvm.masked.{x}.{self.suffix}.p0" for x in ("load", "store"))
        operands = f"i32 {align}, {self.bits}"
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
                        f"  %e = call {v} {load}(ptr %s, {operands} %cols, {v} zeroinitializer)",
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
                        f"  call void {store}({v} %f, ptr %d, {operands} %rows)",
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
        n, align = self.lanes, ELEMENT_BYTES[self.dtype]
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
