"""Every part of the name of machine code changes it: else old code would run after a change."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphc.codegen.cache import front_end, hash_of
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import Cpu
from graphc.codegen.cuda.toolchain import cubin
from graphc.codegen.device_source import DeviceSource

CPU = Cpu("x86_64-unknown-linux-gnu", "znver4", "+avx2,-avx512f")
SOURCE = DeviceSource("def kernel(): pass", ("f32*", "i64"))


@pytest.fixture(autouse=True)
def nothing_remembered() -> Any:
    yield
    jit.fingerprint.cache_clear()
    cubin.fingerprint.cache_clear()


def renamed(monkeypatch: pytest.MonkeyPatch, act: Callable[[pytest.MonkeyPatch], Any]) -> bool:
    """Whether a kernel of the CPU has another name after `act`."""
    jit.fingerprint.cache_clear()
    before = jit.symbol_of("text", CPU)
    with monkeypatch.context() as patch:
        act(patch)
        jit.fingerprint.cache_clear()
        return jit.symbol_of("text", CPU) != before


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Cpu)])
@pytest.mark.parametrize("end", ["at its end", "at its start"])
def test_each_part_of_the_cpu(name: str, end: str) -> None:
    value = getattr(CPU, name)
    other = value[:-1] + "X" if end == "at its end" else "X" + value[1:]
    changed = dataclasses.replace(CPU, **{name: other})
    assert jit.symbol_of("text", CPU) != jit.symbol_of("text", changed)


def test_parts_do_not_run_together() -> None:
    """What one part loses and its neighbour gains makes another name."""
    names = {
        jit.symbol_of("text", Cpu(*parts))
        for parts in (("ab", "c", "d"), ("a", "bc", "d"), ("a", "b", "cd"), ("abc", "", "d"))
    }
    assert len(names) == 4
    assert hash_of(("ir/types.py",), "ab", "c") != hash_of(("ir/types.py",), "a", "bc")


def test_the_source() -> None:
    texts = ["a", "b", "a ", "a\n", "A", ""]
    assert len({jit.symbol_of(t, CPU) for t in texts}) == len(texts)


def test_the_version_of_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    def newer(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(jit, "binding", lambda: SimpleNamespace(llvm_version_info=(99, 1, 0)))

    assert renamed(monkeypatch, newer)
    assert not renamed(monkeypatch, lambda patch: None)


def another_numba(patch: pytest.MonkeyPatch, folder: Path, version: str) -> None:
    """Puts a numba of another version where graphc looks for it."""
    (folder / "_version.py").write_text(version)
    spec = SimpleNamespace(origin=str(folder / "__init__.py"))
    patch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_the_version_of_numba(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two environments may share a cache folder, and LLVM's version."""
    named = []
    for version in ("0.68.0", "0.68.1"):
        assert renamed(monkeypatch, lambda patch, v=version: another_numba(patch, tmp_path, v))
        with monkeypatch.context() as patch:
            another_numba(patch, tmp_path, version)
            named.append(front_end())
    assert named[0] != named[1]


def test_a_numba_without_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert repr(metadata.version("numba")) in front_end()


def test_the_version_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert renamed(monkeypatch, lambda patch: patch.setattr(sys.implementation, "cache_tag", "x"))


@pytest.mark.parametrize("left_out", jit.MACHINE_CODE)
def test_each_source_of_machine_code(monkeypatch: pytest.MonkeyPatch, left_out: str) -> None:
    fewer = tuple(s for s in jit.MACHINE_CODE if s != left_out)
    assert renamed(monkeypatch, lambda patch: patch.setattr(jit, "MACHINE_CODE", fewer))


OTHER = {
    "text": "def kernel(): return",
    "parameters": ("f32*", "u32"),
    "threads": (128, 1, 1),
    "resident": 2,
}


@pytest.mark.parametrize("part", [*OTHER, "capability", "compilers", "front end"])
def test_each_part_of_a_devices_kernel(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(cubin, "require", lambda: {"numba-cuda": "1"})
    cubin.fingerprint.cache_clear()
    before = cubin.symbol_of(SOURCE, (9, 0))
    assert before == cubin.symbol_of(dataclasses.replace(SOURCE), (9, 0))
    if part == "capability":
        after = cubin.symbol_of(SOURCE, (8, 0))
    elif part == "compilers":
        monkeypatch.setattr(cubin, "require", lambda: {"numba-cuda": "2"})
        cubin.fingerprint.cache_clear()
        after = cubin.symbol_of(SOURCE, (9, 0))
    elif part == "front end":
        monkeypatch.setattr(cubin, "front_end", lambda: "numba 0.1 on another Python")
        cubin.fingerprint.cache_clear()
        after = cubin.symbol_of(SOURCE, (9, 0))
    else:
        changed: dict[str, Any] = {part: OTHER[part]}
        after = cubin.symbol_of(dataclasses.replace(SOURCE, **changed), (9, 0))
    assert after != before
