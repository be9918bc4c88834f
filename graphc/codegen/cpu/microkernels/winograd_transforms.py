"""The transforms of Winograd's F(2x2, 3x3), as LLVM IR.

Each is `M v M^T` for a square v of numbers and a small matrix M, for many squares and many channels
at once; channels are contiguous, and go through vectors.
"""

from __future__ import annotations

from graphc.codegen.cpu.microkernels.vectors import Shape, VectorNames, nest

Matrix = tuple[tuple[float, ...], ...]
MATRICES: dict[str, Matrix] = {
    "winput": ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),  # B^T
    "wkernel": ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),  # G
    "wresult": ((1, 1, 1, 0), (0, 1, -1, -1)),  # A^T
}
PARAMETERS = (
    "i64 %channels, i64 %squares, ptr %from, i64 %fi, i64 %fj, i64 %fs, ptr %to, i64 %ti, i64 %tj, "
    "i64 %ts"
)


def transforms_ir(shape: Shape, dtype: str) -> str:
    """The functions `gc_winput_f32(channels, squares, from, fi, fj, fs, to, ti, tj, ts)` and so on:
    element (i, j) of a square lies `i * fi + j * fj` behind its start, the next square `fs`."""
    printer = _Transform(shape, dtype)
    return "\n".join([printer.declarations(), *(printer.function(name) for name in MATRICES)])


class _Transform(VectorNames):
    """Prints the transforms of one type."""

    def function(self, name: str) -> str:
        """One of them."""
        matrix = MATRICES[name]
        size, result_size = len(matrix[0]), len(matrix)
        body = [
            "  %left = sub i64 %channels, %c",
            *self.first("mask", "%left"),
            "  %f.s = mul i64 %s, %fs",
            "  %t.s = mul i64 %s, %ts",
            "  %f.c = add i64 %f.s, %c",
            "  %t.c = add i64 %t.s, %c",
        ]
        for i in range(size):
            for j in range(size):
                body += [
                    *self._place(f"p{i}{j}", "f", "%from", i, j),
                    self.load(f"v{i}{j}", f"%p{i}{j}", True),
                ]
        for r, row in enumerate(matrix):
            for j in range(size):
                body += self._sum(f"h{r}{j}", row, [f"%v{i}{j}" for i in range(size)])
        for r in range(result_size):
            for q, row in enumerate(matrix):
                body += [
                    *self._sum(f"m{r}{q}", row, [f"%h{r}{j}" for j in range(size)]),
                    *self._place(f"q{r}{q}", "t", "%to", r, q),
                    self.store(f"%m{r}{q}", f"%q{r}{q}", True),
                ]
        loops = nest("s", "0", "%squares", 1, nest("c", "0", "%channels", self.lanes, body))
        head = f"define void @gc_{name}_{self.dtype}({PARAMETERS}) {{"
        return "\n".join([head, "entry:", *loops, "  ret void", "}"])

    def _place(self, to: str, side: str, base: str, i: int, j: int) -> list[str]:
        """Where element (i, j) of the current square and channels lies."""
        return [
            f"  %{to}.i = mul i64 %{side}i, {i}",
            f"  %{to}.j = mul i64 %{side}j, {j}",
            f"  %{to}.k = add i64 %{to}.i, %{to}.j",
            f"  %{to}.l = add i64 %{to}.k, %{side}.c",
            self.at(to, base, f"%{to}.l"),
        ]

    def _sum(self, to: str, row: tuple[float, ...], values: list[str]) -> list[str]:
        """The inner product with a row whose numbers are 0 or all of one size (LLVM drops a
        multiplication by 1, and -0.0 + x)."""
        terms = [(f, v) for f, v in zip(row, values, strict=True) if f]
        size = abs(terms[0][0])
        zeros = ", ".join([f"{self.element} -0.0"] * self.lanes)  # -0.0 + x is x, -0.0 too
        total, lines = f"<{zeros}>", []
        for number, (factor, value) in enumerate(terms):
            kind = "fadd" if factor > 0 else "fsub"
            lines.append(f"  %{to}.{number} = {kind} {self.type} {total}, {value}")
            total = f"%{to}.{number}"
        factors = ", ".join([f"{self.element} {float(size)}"] * self.lanes)
        return [*lines, f"  %{to} = fmul {self.type} {total}, <{factors}>"]
