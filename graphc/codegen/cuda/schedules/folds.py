"""Combines the partial folds of a group's threads: by shuffles, and through shared memory.

The order is fixed, so a fold has the same bits in every run.  Afterwards, all threads of the group
have the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.codegen.cuda.printer import keeping, kept, kept_type
from graphc.codegen.loops.ir import Apply, FoldStep, For, Let, Ref
from graphc.codegen.loops.printer import bare, fold_step
from graphc.ir.types import DType

WARP_THREADS = 32
WARPS_PER_BLOCK = 8
POSITIONS = "at_part_"  # name of the shared array of positions, in kernel text


@dataclass(frozen=True)
class FoldLocal:
    """A local that a loop folds into.  A fold that also finds where its result lies (argmax) has
    a second local, `position`."""

    name: str
    combine: str
    dtype: DType
    position: str = ""

    @property
    def part(self) -> str:
        """The name of the shared array for the threads' partial folds."""
        return f"{self.dtype}_part_"

    def step(self, other: str, at: str) -> list[str]:
        """Lines that fold another thread's partial fold, `other`, into this one."""
        if not self.position:
            return [f"{self.name} = {bare(fold_step(self.combine, self.name, other, self.dtype))}"]
        better, worse = (
            self.combine.format(*pair) for pair in ((self.name, "other_"), ("other_", self.name))
        )
        return [
            f"other_ = {other}",
            f"other_at_ = {at}",
            f"take_ = {better} or (not {worse} and other_at_ < {self.position})",
            f"{self.name} = other_ if take_ else {self.name}",
            f"{self.position} = other_at_ if take_ else {self.position}",
        ]


def folds_of(loop: For) -> list[FoldLocal]:
    """The folds over a whole loop, without those that each of its steps begins anew."""
    return [fold for name, fold in _folds(loop).items() if name not in _begun(loop)]


def folds_in_steps(loop: For) -> bool:
    """Whether each step of a loop has a fold of its own, as where rows have one element."""
    return bool(_folds(loop).keys() & _begun(loop))


def _begun(loop: For) -> set[str]:
    """The locals that each step begins anew."""
    return {s.name for s in _inside(loop.body) if isinstance(s, Let) and not _from_itself(s)}


def _folds(loop: For) -> dict[str, FoldLocal]:
    folds: dict[str, FoldLocal] = {}
    for s in _inside(loop.body):
        if isinstance(s, FoldStep):
            folds[s.name] = FoldLocal(s.name, s.combine, s.dtype)
    for taken, chosen, at in _positional(loop.body):
        assert isinstance(taken.value, Apply) and isinstance(chosen.value, Apply)
        folds[chosen.name] = FoldLocal(
            chosen.name, taken.value.spelling, chosen.value.dtype.accumulates, at.name
        )
    return folds


def _inside(body: Sequence[Any]) -> Iterator[Any]:
    for s in body:
        yield s
        if isinstance(s, For):
            yield from _inside(s.body)


def _from_itself(s: Let) -> bool:
    """Whether a local is assigned from itself."""
    return isinstance(s.value, Apply) and any(
        isinstance(a, Ref) and a.name == s.name for a in s.value.args
    )


def _positional(body: Sequence[Any]) -> Iterator[tuple[Let, Let, Let]]:
    """The three statements of each fold that finds a position: whether the new element is better,
    the better one, its position (`Fused._step`)."""
    statements = list(_inside(body))
    for taken, s, at in zip(statements, statements[1:], statements[2:]):
        chosen = isinstance(s, Let) and isinstance(taken, Let) and taken.name == f"{s.name}_take_"
        if chosen and _from_itself(s):
            yield taken, s, at


def shared_parts(fold: FoldLocal, kind: str) -> dict[str, tuple[int, str]]:
    """The shared arrays that a fold needs, by name: length and element type."""
    if kind == "warp":
        return {}
    size = WARPS_PER_BLOCK if kind == "block" else WARP_THREADS * WARPS_PER_BLOCK
    arrays = {fold.part: (size, kept_type(fold.dtype))}
    return arrays | ({POSITIONS: (size, "i64")} if fold.position else {})


def meet(fold: FoldLocal, kind: str, lane: str) -> list[str]:
    """Lines after which every thread of a group has the whole fold."""
    if kind == "columns":
        return _columns(fold, lane)
    lines = [x for d in (16, 8, 4, 2, 1) for x in _shuffled(fold, d)]
    return lines if kind == "warp" else [*lines, *_block(fold, lane)]


def _shuffled(fold: FoldLocal, distance: int) -> list[str]:
    at = f"shuffle_xor({fold.position}, {distance})" if fold.position else ""
    return fold.step(f"shuffle_xor({fold.name}, {distance})", at)


def _kept(fold: FoldLocal, place: str) -> list[str]:
    """Lines that put a thread's partial fold into shared memory."""
    lines = [f"{fold.part}[{place}] = {keeping(fold.name, fold.dtype)}"]
    return lines + ([f"{POSITIONS}[{place}] = {fold.position}"] if fold.position else [])


def _read(fold: FoldLocal, place: str) -> tuple[str, str]:
    """A partial fold and its position, read from shared memory."""
    return kept(f"{fold.part}[{place}]", fold.dtype), f"{POSITIONS}[{place}]"


def _taken(fold: FoldLocal, place: str) -> list[str]:
    """Lines that replace a thread's partial fold by one from shared memory."""
    value, at = _read(fold, place)
    return [f"{fold.name} = {value}"] + ([f"{fold.position} = {at}"] if fold.position else [])


def _block(fold: FoldLocal, lane: str) -> list[str]:
    """Lines that combine the partial folds of a block's warps."""
    return [
        f"if {lane} % {WARP_THREADS} == 0:",
        *("    " + x for x in _kept(fold, f"u32({lane} // {WARP_THREADS})")),
        "cuda.syncthreads()",
        *_taken(fold, f"u32({lane} % {WARPS_PER_BLOCK})"),
        *(x for d in (4, 2, 1) for x in _shuffled(fold, d)),
        "cuda.syncthreads()",
    ]


def _columns(fold: FoldLocal, lane: str) -> list[str]:
    """Lines that combine the partial folds of threads with the same `threadIdx.x`."""
    lines = [
        *_kept(fold, f"u32({lane}*{WARP_THREADS} + cuda.threadIdx.x)"),
        "cuda.syncthreads()",
        *_taken(fold, "u32(cuda.threadIdx.x)"),
    ]
    for k in range(1, WARPS_PER_BLOCK):
        value, at = _read(fold, f"u32(cuda.threadIdx.x + {k * WARP_THREADS})")
        lines += fold.step(value, at)
    return [*lines, "cuda.syncthreads()"]
