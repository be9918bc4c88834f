"""The driver's LLVM text takes its numbers from the enums of `plan_words`."""

from __future__ import annotations

import re

import pytest

from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.runtime.cpu.driver_control import CONTROL_IR, LIST_IR, LOOP_IR, SWITCH_IR
from graphc.runtime.cpu.driver_text import (
    DRIVER_IR,
    LAUNCH_IR,
    RUN_IR,
    TABLES_IR,
    THREADS_IR,
    each,
)
from graphc.runtime.cpu.plan_words import LoopBlock, Word, numbered

TEXTS = TABLES_IR, LAUNCH_IR, RUN_IR, THREADS_IR, LIST_IR, LOOP_IR, SWITCH_IR


def test_a_word_is_named_in_the_text_and_numbered_for_llvm() -> None:
    assert numbered("i64 Word.CANCEL, i64 LoopBlock.ROW_COUNT") == (
        f"i64 {Word.CANCEL.value}, i64 {LoopBlock.ROW_COUNT.value}"
    )
    assert (
        numbered("call void @llvm.memset.p0.i64(ptr %p)") == "call void @llvm.memset.p0.i64(ptr %p)"
    )
    with pytest.raises(KeyError, match="NOWHERE"):
        numbered("i64 Word.NOWHERE")


@pytest.mark.parametrize("text", TEXTS)
def test_no_word_goes_by_a_bare_number(text: str) -> None:
    """A table is read through `@word`, `@at`, `@row` and `getelementptr` alone."""
    reads = re.findall(r"(?:@word|@at|@row|getelementptr)\b[^\n]*", text)
    assert reads
    assert [r for r in reads if re.search(r"i64 \d", r)] == []


def test_a_loop_runs_its_body_so_often() -> None:
    body = "%v = call i64 @word(ptr %p, i64 %i)\n  store i64 %v, ptr %p"
    text = f"define void @f(ptr %p) {{\nentry:\n  br label %head\n{each('3', body)}  ret void\n}}\n"
    verified = jit.parsed(TABLES_IR + text, host_cpu())
    assert [f.name for f in verified.functions] == ["word", "at", "row", "f"]


def test_llvm_takes_the_whole_text() -> None:
    names = {f.name for f in jit.parsed(DRIVER_IR + CONTROL_IR, host_cpu()).functions}
    assert {"gc_run", "gc_reset", "gc_copy", "gc_lead", "gc_join", "gc_control"} <= names
