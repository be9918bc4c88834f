"""Short stories of sessions, caches and arenas, each with the end that it must have.

A story is a function of an empty folder that raises `AssertionError`, or another error, where
something went otherwise.  Planted mistakes must spoil at least one of those that they are told to.
"""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import graphc as gc
from graphc.codegen import cache as cache_module
from graphc.codegen.cache import Cache
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import Cpu
from graphc.errors import FeedError, GraphcError
from graphc.frontend import fetches
from graphc.frontend.stage import stage
from graphc.ir import arena
from graphc.ir.arena import ArenaBlock

F32 = np.float32
FRESH = itertools.count()
Story = Callable[[Path], None]


def refused(act: Callable[[], Any], error: type[BaseException] = GraphcError) -> BaseException:
    try:
        act()
    except error as found:
        return found
    raise AssertionError("nothing was refused")


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


# ---- keys and the cache


def keys_of_machine_code(folder: Path) -> None:
    """Each part of a key changes it, and parts do not run together."""
    cpu = Cpu(f"triple{next(FRESH)}", "name", "features")
    others = (
        Cpu(cpu.triple + "x", cpu.name, cpu.features),
        Cpu(cpu.triple, "other", cpu.features),
        Cpu(cpu.triple, cpu.name, "other"),
        Cpu(cpu.triple, "namef", "eatures"),
    )
    keys = [jit.symbol_of("text", c) for c in (cpu, *others)]
    keys += [jit.symbol_of(text, cpu) for text in ("other", "text ", "text\n", "")]
    assert len(set(keys)) == len(keys)
    newer = mock.Mock(llvm_version_info=(99, 0, next(FRESH)))
    fresh = Cpu(f"triple{next(FRESH)}", "name", "features")
    with mock.patch.object(jit, "MACHINE_CODE", jit.MACHINE_CODE[-2:]):
        first = jit.fingerprint.__wrapped__(fresh) if wrapped() else jit.fingerprint(fresh)
        with mock.patch.object(jit, "binding", lambda: newer):
            second = jit.fingerprint.__wrapped__(fresh) if wrapped() else jit.fingerprint(fresh)
    with mock.patch.object(jit, "MACHINE_CODE", jit.MACHINE_CODE[-1:]):
        third = jit.fingerprint.__wrapped__(fresh) if wrapped() else jit.fingerprint(fresh)
    assert len({first, second, third}) == 3


def wrapped() -> bool:
    """Whether `fingerprint` is the real one, which remembers."""
    return hasattr(jit.fingerprint, "__wrapped__")


def hashes_of_files(folder: Path) -> None:
    """Names, contents, depth and further parts of a hash count; what is missing is an error."""
    (folder / "a" / "b").mkdir(parents=True)
    found = []
    for name, text in (("a/x.py", "1"), ("a/x.py", "2"), ("a/y.py", "2"), ("a/b/z.py", "3")):
        (folder / name).write_text(text)
        found.append(cache_module.hash_of(["a"], root=folder))
    (folder / "a/y.py").rename(folder / "a/w.py")
    found.append(cache_module.hash_of(["a"], root=folder))
    for parts in (("ab",), ("a", "b"), ("", "ab")):
        found.append(cache_module.hash_of(["a"], *parts, root=folder))
    assert len(set(found)) == len(found)
    (folder / "empty").mkdir()
    refused(lambda: cache_module.hash_of(["empty"], root=folder), FileNotFoundError)


def sealed_files(folder: Path) -> None:
    """A kernel is read back as written; changed, moved or open to others it is not."""
    cache = Cache(folder / "kernels")
    assert cache.read("gc_a") is None
    cache.write("gc_a", b"code of a")
    cache.write("gc_b", b"code of b")
    assert cache.read("gc_a") == b"code of a" and cache.read("gc_b") == b"code of b"
    path = folder / "kernels" / "gc_a.o"
    good = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(good[:-1] + b"X")
        assert cache.read("gc_a") is None
        (folder / "kernels" / "gc_b.o").write_bytes(good)  # a's code under b's name
        assert cache.read("gc_b") is None
        path.write_bytes(good)
        assert cache.read("gc_a") == b"code of a"
        path.chmod(0o620)
        assert cache.read("gc_a") is None
        path.chmod(0o600)
        (folder / "kernels").chmod(0o770)
        assert cache.read("gc_a") is None
    assert sorted(p.name for p in (folder / "kernels").iterdir()) == ["gc_a.o", "gc_b.o", "key"]


def keys_of_graphs(folder: Path) -> None:
    """A session runs each of two functions of one name, and nests keep their kind."""
    x = gc.placeholder(gc.float32, [2], name="x")

    def made(factor: float) -> Any:
        return gc.py_func(lambda a: a * F32(factor), [x], x.type)

    with gc.Session() as sess:
        assert [sess.run(made(k), {x: [1.0, 1.0]}).tolist() for k in (2, 3)] == [[2, 2], [3, 3]]
    a, b = gc.zeros((2,)), gc.ones((2,))
    nests: list[Any] = [[a], (a,), [[a]], [a, b], [b, a], {"a": a}, {"b": a}, [[a], b], [[a, b]]]
    found = [fetches.key_of(nest) for nest in nests]
    assert len(set(found)) == len(found)
    with gc.device("cuda:sim"):
        pinned = x + 1.0
    assert stage([pinned]).key != stage([x + 1.0]).key
    assert stage([x + 1.0]).key == stage([x + 1.0]).key


# ---- runs


def variables_are_read_before_they_change(folder: Path) -> None:
    a, b = gc.variable(np.ones(3, F32), name="a"), gc.variable(np.full(3, 2, F32), name="b")
    with gc.Session() as sess:
        found = sess.run([a, b, a.assign(b), b.assign(a)])
        close(found[0], 1), close(found[1], 2)
        close(sess.value(a), 2), close(sess.value(b), 1)
        sess.run([a.assign(a + b), b.assign(a * 2.0)])
        close(sess.value(a), 3), close(sess.value(b), 4)
        sess.run(a.assign(a[::-1] + gc.iota((3,), 0, gc.float32)))
        close(sess.value(a), [3, 4, 5])
        kept = sess.value(a)
        kept[:] = 9
        close(sess.value(a), [3, 4, 5])


def failures_change_nothing(folder: Path) -> None:
    w = gc.variable(np.zeros(2, F32), name="w")
    t, i = gc.placeholder(gc.float32, [None], name="t"), gc.placeholder(gc.int64, [2], name="i")

    def picky(a: Any) -> Any:
        if a[0] > 5:
            raise ValueError("too large")
        return a

    noise = gc.random.uniform((3,), name="noise")
    step = [w.assign_add(gc.take(gc.py_func(picky, [t], t.type), i)), noise]
    with gc.Session(seed=1) as sess, gc.Session(seed=1) as other:
        good = {t: np.ones(3, F32), i: [0, 2]}
        assert "out of range" in str(refused(lambda: sess.run(step, {**good, i: [0, 3]})))
        error = refused(lambda: sess.run(step, {**good, t: np.full(3, 9, F32)}))
        assert "too large" in str(error) and isinstance(error.__cause__, ValueError)
        close(sess.value(w), 0)
        found, wanted = sess.run(step, good), other.run(step, good)
        close(found[0], 1), close(sess.value(w), 1)
        np.testing.assert_array_equal(found[1], wanted[1])


def seeds_and_runs_draw_apart(folder: Path) -> None:
    noise = gc.random.uniform((6,), name="noise")
    drawn = []
    for seed in (0, 1, 256, 1 << 16, 1 << 24):
        with gc.Session(seed=seed) as sess:
            drawn += [tuple(sess.run(noise)) for _ in range(3)]
    assert len(set(drawn)) == len(drawn)


def results_are_the_callers_own(folder: Path) -> None:
    """Large ones, whose memory is used again, too."""
    x = gc.placeholder(gc.float32, [None], name="x")
    y = x * 2.0
    n = 1 << 16
    with gc.Session() as sess:
        held = [sess.run(y, {x: np.full(n, k, F32)}) for k in range(6)]
        views = [sess.run(y, {x: np.full(n, k, F32)})[1:] for k in range(6)]
        for k in range(6):
            close(held[k], 2 * k), close(views[k], 2 * k)
        sess.run(y, {x: np.ones(n, F32)}).setflags(write=False)
        assert sess.run(y, {x: np.ones(n, F32)}).flags.writeable
        for size in (4, n):
            given = np.ones(size, F32)
            one, two, same, again = sess.run([y, y, x, gc.reshape(y, (-1, 2))], {x: given})
            one[:] = 7
            close(two, 2), close(same, 1), close(again, 2)
            same[:] = 5
            close(given, 1)


def arenas_grow(folder: Path) -> None:
    """Plans of small sizes run again after the arena has moved."""
    x = gc.placeholder(gc.float32, ["n", 8], name="x")
    h = gc.exp(x @ gc.transpose(x)) @ x
    y = gc.sum(h @ gc.transpose(x), axis=1)
    with gc.Session() as sess:
        for n in (2, 30, 2, 90, 30, 2):
            a = np.random.default_rng(n).normal(size=(n, 8)).astype(F32) / 8
            close(sess.run(y, {x: a}), (np.exp(a @ a.T) @ a @ a.T).sum(1))


def feeds_are_converted_or_refused(folder: Path) -> None:
    x = gc.placeholder(gc.int8, ["n"], name="x")
    y = gc.placeholder(gc.float32, ["n", 2], name="y")
    both = [gc.astype(x, gc.float32) + y[:, 0], gc.concat([y, y])]
    with gc.Session() as sess:
        for n in (3, 1, 3):
            given = {x: np.arange(n), y: np.arange(2.0 * n).reshape(n, 2)}
            close(sess.run(both[0], given), 3.0 * np.arange(n))
        for wrong in ([1, 2, 128], [1, 2, -129], [1.5, 2, 3], [1, 2], [[1, 2, 3]], ["a"] * 3):
            refused(lambda w=wrong: sess.run(both[0], {x: w, y: np.ones((3, 2))}), FeedError)
        refused(lambda: sess.run(both[0], {x: [1, 2, 3], y: np.ones((3, 3))}), FeedError)
        wide = both[1]
        close(sess.run(wide * 2.0, {wide: np.ones((4, 2))}), 2)
        refused(lambda: sess.run(wide * 2.0, {wide: np.ones((5, 2))}), FeedError)
        z = gc.pad(y, [(2, 3), (0, 0)]) * 1.0
        refused(lambda: sess.run(z * 2.0, {z: np.ones((4, 2))}), FeedError)
        backwards = np.arange(6.0, dtype=F32).reshape(3, 2)[::-1]
        close(sess.run(y + 1.0, {y: backwards}), backwards + 1)


def loads_are_all_or_none(folder: Path) -> None:
    a, b = gc.variable(np.zeros(2, F32), name="a"), gc.variable(np.zeros(3, F32), name="b")
    total = gc.sum(a) + gc.sum(b)
    with gc.Session() as sess, gc.Session() as other:
        assert sess.run(total) == 0 == other.run(total)
        refused(lambda: sess.load_all({a: np.ones(2), b: np.ones(4)}), FeedError)
        refused(lambda: sess.load_all({a: np.ones(2), b: np.ones((1, 3))}), FeedError)
        assert sess.run(total) == 0
        sess.load_all({a: [1.0, 2.0], b: [3.0, 4.0, 5.0]})
        assert sess.run(total) == 15 and other.run(total) == 0
        sess.value(a)[:] = 100
        assert sess.run(total) == 15


def python_functions_get_copies(folder: Path) -> None:
    kept: list[Any] = []

    def keeps(a: Any) -> Any:
        kept.append(a)
        a += 1  # the operand's own memory must not change
        return a * 2

    x = gc.placeholder(gc.float32, [3], name="x")
    h = gc.exp(x * 0.0) * x
    y = gc.py_func(keeps, [h], h.type)
    with gc.Session() as sess:
        for k in (1.0, 2.0):
            inner, outer = sess.run([h, y], {x: np.full(3, k, F32)})
            close(inner, k), close(outer, 2 * (k + 1))
        close(kept[0], 2), close(kept[1], 3)


# ---- arenas


def blocks_do_not_overlap(folder: Path) -> None:
    """Whatever order packs them; and the load of each moment is what lives then."""
    for seed in range(120):
        rng = random.Random(seed)
        blocks = []
        for _ in range(rng.randint(1, 14)):
            born = rng.randint(0, 9)
            blocks.append(ArenaBlock(born, rng.randint(born, 10), 64 * rng.randint(0, 5)))
        for packed in (arena.pack(blocks), arena._packed_in_time(blocks)):
            offsets, total = packed
            for i, a in enumerate(blocks):
                assert offsets[i] >= 0 and offsets[i] + a.nbytes <= total
                for j, b in enumerate(blocks[:i]):
                    meet = a.born <= b.dies and b.born <= a.dies
                    apart = (
                        offsets[i] + a.nbytes <= offsets[j] or offsets[j] + b.nbytes <= offsets[i]
                    )
                    assert apart or not meet or 0 in (a.nbytes, b.nbytes)
        loads = arena.loads(blocks, 10)
        assert loads == [sum(b.nbytes for b in blocks if b.born <= t <= b.dies) for t in range(11)]
