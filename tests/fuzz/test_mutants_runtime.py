"""Planted mistakes in keys, caches, runs and arenas: a story that each is told finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz import stories
from fuzz.planting import Mutant, m, plant
from fuzz.stories import Story

import graphc as gc

JIT, CACHE, FOLDER = "codegen.cpu.toolchain.jit", "codegen.cache", "codegen.private_folder"
KEYS = (
    m(f"{JIT}:fingerprint", ", cpu.features", ""),
    m(f"{JIT}:fingerprint", " cpu.name,", ""),
    m(f"{JIT}:fingerprint", " cpu.triple,", ""),
    m(f"{JIT}:fingerprint", " llvm,", ""),
    m(f"{JIT}:fingerprint", "MACHINE_CODE,", "MACHINE_CODE[-1:],"),
    m(f"{JIT}:fingerprint", "cpu.name, cpu.features", "cpu.name + cpu.features"),
    m(f"{JIT}:symbol_of", " + fingerprint(cpu)", ""),
    m(f"{JIT}:symbol_of", "text.encode()", "text.strip().encode()"),
    m(f"{CACHE}:hash_of", "repr(parts)", "''.join(parts)"),
    m(f"{CACHE}:hash_of", "(name, path.read_bytes())", "path.read_bytes()"),
    m(f"{CACHE}:hash_of", "(name, path.read_bytes())", "name"),
    m(f"{CACHE}:files_of", "rglob", "glob"),
    m(f"{CACHE}:files_of", "if not inside:", "if False:"),
    m(f"{CACHE}:Cache.read", "hmac.compare_digest(head, MAGIC + folder.seal(name, data))", "True"),
    m(f"{FOLDER}:_sealed", " + name.encode() + data", " + data"),
    m(f"{FOLDER}:_sealed", " + name.encode() + data", " + name.encode()"),
    m(f"{FOLDER}:_require_mine", "info.st_mode & WRITABLE_BY_OTHERS", "False"),
    m(f"{FOLDER}:PrivateFolder._unfinished", "0o600", "0o666"),
    m("frontend.stage:Staged.key", "tuple(v.op for v in nodes),", ""),
    m("frontend.stage:Staged.key", "tuple(v.device for v in (*self.graph.inputs, *nodes)),", ""),
    m("frontend.fetches:key_of", "(type(fetches), *", "(None, *"),
    m("frontend.fetches:key_of", "(k, key_of(v))", "key_of(v)"),
)
ENGINE, FEEDS, VARIABLES = "session.host_engine", "session.feeds", "session.variables"
RUNS = (
    m("runtime.cpu.executable:Bound._copies", "before + after", "after + before"),
    m("runtime.cpu.executable:Bound._copies", "if result.is_input", "if False"),
    m("runtime.cpu.result_pool:_free", "first == count == last", "True"),
    m("runtime.cpu.result_pool:_free", "first == count == last", "count <= first + 1"),
    m("runtime.cpu.result_pool:_as_new", " and flags.writeable", ""),
    m("runtime.cpu.python_calls:Thunk._call", "[a.copy() for a in operands]", "operands"),
    m(f"{ENGINE}:HostPlan.run", "if view[bound.status_at]:", "if False:"),
    m(f"{ENGINE}:raise_stop", "raised[0] if raised else KeyboardInterrupt", "KeyboardInterrupt"),
    m(f"{ENGINE}:raise_stop", "status == Status.RAISED", "False"),
    m(f"{ENGINE}:advance", "<< 32", "<< 1"),
    m(f"{ENGINE}:advance", "0xFFFFFFFF", "0xFFFF"),
    m(f"{ENGINE}:advance", " | session.stats.runs", ""),
    m(f"{ENGINE}:HostPlan.run", "advance(session)", "advance(session); session.stats.runs += 1"),
    m(f"{ENGINE}:HostPlan._spare", "r.external in handed_out", "False"),
    m(f"{ENGINE}:HostPlan._spare", ".copy()", ""),
    m("session.runner:Runner.__call__", "a.shape for a in arrays", "a.ndim for a in arrays"),
    m("session.runner:Runner.__call__", "or a.dtype is not dtype", ""),
    m(
        "session.runner:Runner.__call__",
        "or a.flags.num & CONTIGUOUS_AND_ALIGNED != CONTIGUOUS_AND_ALIGNED",
        "",
    ),
    m(f"{FEEDS}:_converts", "int(array.min()) >= bounds.min and", ""),
    m(f"{FEEDS}:_converts", "and int(array.max()) <= bounds.max", ""),
    m(f"{FEEDS}:convert", "and not _converts(array, dtype, value)", "and False"),
    m(f"{FEEDS}:sizes_of_feeds", "if size != got:", "if False:"),
    m(f"{FEEDS}:sizes_of_feeds", "if len(shape) != len(declared):", "if False:"),
    m(f"{FEEDS}:_solve", "or remainder // factor < 0", ""),
    m(f"{FEEDS}:_check_sizes", "if wanted != got:", "if False:"),
    m(f"{VARIABLES}:load", "[v for v in new if session.home(v) is None]", "[]"),
    m(f"{VARIABLES}:_fitting", "if array.shape != v.shape:", "if array.size != v.type.count:"),
    m(f"{VARIABLES}:value_of", "session.values[v].copy()", "session.values[v]"),
    m(f"{VARIABLES}:unshare", "if not values[v].flags.writeable", "if False"),
    m(f"{VARIABLES}:unshare", "holder.forget()", "pass"),
)
ARENAS = (
    m("ir.arena:_packed_in_time", "alive[0][0] < block.born", "alive[0][0] <= block.born"),
    m("ir.arena:_packed_in_time", "if end - start >= block.nbytes", "if end > start"),
    m("ir.arena:_packed_in_time", "max(total, at + block.nbytes)", "max(total, at)"),
    m("ir.arena:_release", "end = free.pop(i)[1]", "end = free.pop(i)[1] + 64"),
    m("ir.arena:place_of", "block.nbytes <= gap", "block.nbytes <= gap + 64"),
    m("ir.arena:place_of", "other.born <= block.dies", "other.born < block.dies"),
    m("ir.arena:place_of", "max(end, start + other.nbytes)", "start + other.nbytes"),
    m("ir.arena:_packed_in_order", "insort(placed, (offsets[i], block))", "pass"),
    m("ir.arena:loads", "change[b.dies + 1]", "change[b.dies]"),
    m("ir.arena:loads", "change[b.born] += b.nbytes", "change[b.born] = b.nbytes"),
)
FAMILIES: tuple[tuple[tuple[Mutant, ...], tuple[Story, ...]], ...] = (
    (
        KEYS,
        (
            stories.keys_of_machine_code,
            stories.hashes_of_files,
            stories.sealed_files,
            stories.keys_of_graphs,
        ),
    ),
    (
        RUNS,
        (
            stories.variables_are_read_before_they_change,
            stories.failures_change_nothing,
            stories.seeds_and_runs_draw_apart,
            stories.results_are_the_callers_own,
            stories.arenas_grow,
            stories.feeds_are_converted_or_refused,
            stories.loads_are_all_or_none,
            stories.python_functions_get_copies,
        ),
    ),
    (ARENAS, (stories.blocks_do_not_overlap,)),
)


def shown(x: object) -> str:
    return str(x) if isinstance(x, Mutant) else "told"


@pytest.fixture(autouse=True)
def own_graph() -> Iterator[None]:
    with gc.Graph().as_default():
        yield


def spoilt(story: Story, folder: Path) -> bool:
    """Whether a story does not end as it must; any exception says so."""
    folder.mkdir()
    try:
        with gc.Graph().as_default():
            story(folder)
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        return True
    return False


@pytest.mark.parametrize(
    ("mutant", "told"), [(x, told) for family, told in FAMILIES for x in family], ids=shown
)
def test_a_wrong_runtime_is_found(
    mutant: Mutant, told: tuple[Story, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        plant(patch, mutant)
        found = [s.__name__ for k, s in enumerate(told) if spoilt(s, tmp_path / str(k))]
    assert found


@pytest.mark.parametrize(
    "story", [s for _, told in FAMILIES for s in told], ids=lambda s: s.__name__
)
def test_the_stories_end_well_without_a_mutant(story: Story, tmp_path: Path) -> None:
    story(tmp_path)


def test_there_are_enough_mutants() -> None:
    assert sum(len(family) for family, _ in FAMILIES) >= 60
