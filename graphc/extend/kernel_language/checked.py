"""The checked build of a hand-written Python loop: each index is compared with its axis.

As in machine code, a literal below 0 counts from the end, and any other index below 0 is out of
range; Python, which runs the reference, counts from the end with both.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from graphc.errors import Location
from graphc.extend.kernel_language.source import KernelFunction
from graphc.extend.kernel_language.translate import Translator, whole
from graphc.ir.site import CheckedSource, Site
from graphc.ir.types import TensorType


def translate_checked(
    code: KernelFunction, out: TensorType, types: Sequence[TensorType]
) -> CheckedSource:
    """The checked body of the kernel for operands of these types."""
    return CheckedTranslator(code, out, types).checked()


class CheckedTranslator(Translator):
    """One translation."""

    def __init__(self, code: KernelFunction, out: TensorType, types: Sequence[TensorType]) -> None:
        super().__init__(code, out, types)
        self.sites: list[Site] = []

    def checked(self) -> CheckedSource:
        """The body, its sites, and what of the result a call writes."""
        text = self.run().text
        if not self.code.rows:
            return CheckedSource(text, tuple(self.sites), ("0", "count_out"))
        row = " * ".join(
            ast.unparse(self._size(s)) for s in self.arrays[self.code.out][1].shape[1:]
        )
        times = f" * {row}" if row else ""
        return CheckedSource(text, tuple(self.sites), (f"lo{times}", f"(hi - lo){times}"))

    def _place(
        self, node: ast.Subscript, buffer: str, t: TensorType, indices: Sequence[ast.expr]
    ) -> ast.expr:
        verb = "writes" if isinstance(node.ctx, ast.Store) else "reads"
        does = f"{verb} {ast.unparse(node)}"
        at = "0"
        written = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for axis, (index, size) in enumerate(zip(indices, t.shape, strict=True)):
            shown = ast.unparse(self._size(size))
            fixed = whole(written[axis])
            wrong = f"index {'{index}' if fixed is None else fixed} is out of range for axis "
            wrong += f"{axis} of size {{size}}" + ("{below}" if fixed is None else "")
            site = self._site(node, f"{does}: {wrong}")
            at = f"inside({at}, {ast.unparse(index)}, {shown}, {site}, status)"
            if axis == 0 and buffer == "out" and self.code.rows:
                wrong = f"row {{index}} belongs to another call: {self.code.rows} ends at {{size}}"
                at = f"own_row({at}, lo, hi, {self._site(node, f'{does}: {wrong}')}, status)"
        if verb == "reads" and buffer == "out":
            site = self._site(node, f"{does} before element {{element}} is written")
            at = f"written_at({at}, written, start_of_share, {site}, status)"
        return ast.parse(at, mode="eval").body

    def _site(self, node: ast.expr, fault: str) -> int:
        """The code of a new site."""
        where = Location(self.code.file, self.code.first + node.lineno - 1)
        self.sites.append(Site(self.code.name, fault, where))
        return self.sites[-1].code
