"""Large graphs: work grows with the number of nodes, no depth is too deep, and what repeats is
compiled once."""

from __future__ import annotations

import inspect
import itertools
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.codegen.cpu.intrinsics.buffers import UNTRACKED_SLOT
from graphc.codegen.cpu.toolchain import build
from graphc.compiler.compile import Compiled, lower
from graphc.config import Options
from graphc.errors import CodegenError
from graphc.frontend.stage import stage
from graphc.nn import functional
from graphc.passes.fusion.acyclic import Dag
from graphc.passes.fusion.fuse import Fuse

Model = Callable[[int], list[Any]]
WIDTH = 32


@pytest.fixture(autouse=True)
def own_graph() -> Any:
    with gc.Graph().as_default():
        yield


def compiled(fetches: list[Any]) -> Compiled:
    flat = [t for f in fetches for t in (f.tensors if isinstance(f, gc.Group) else [f])]
    return lower(stage(flat).graph, Options(threads=1))


def sources(model: Model, size: int) -> set[str]:
    with gc.Graph().as_default():
        return {s.text for s in compiled(model(size)).sources.values()}


def step(loss: Any, optimizer: Any) -> list[Any]:
    return [loss, optimizer.minimize(loss)]


# ---- models of any size


def maps(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, ["n", WIDTH], name="x")
    for i in range(n):
        x = (gc.tanh, gc.abs, gc.negative)[i % 3](x)
    return [x]


def branches(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, ["n", WIDTH], name="x")
    return [gc.tanh(x * float(i + 2)) + 1.0 for i in range(n)]


def layers(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, [None, WIDTH], name="x")
    for _ in range(n):
        x = functional.relu(gc.nn.Linear(WIDTH, WIDTH)(x))
    return step(gc.mean(x * x), gc.optim.SGD(0.01))


def dropped(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, [None, WIDTH], name="x")
    for _ in range(n):
        x = functional.dropout(functional.relu(gc.nn.Linear(WIDTH, WIDTH)(x)), 0.1)
    return step(gc.mean(x * x), gc.optim.AdamW(0.01))


def convolutions(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, [None, 8, 16, 16], name="x")
    for _ in range(n):
        x = x + functional.relu(gc.nn.Conv2d(8, 8, 3, padding=1)(x))
    return step(gc.mean(x * x), gc.optim.SGD(0.01))


def transformer(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, [None, 16, WIDTH], name="x")
    layer = gc.nn.TransformerEncoderLayer(WIDTH, 4, 64, dropout=0.1, batch_first=True)
    y = gc.nn.TransformerEncoder(layer, n)(x)
    return step(gc.mean(y * y), gc.optim.Adam(0.01))


def unrolled(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, ["n", WIDTH], name="x")
    w = gc.variable(np.zeros((WIDTH, WIDTH), np.float32), name="w")
    h = x
    for _ in range(n):
        h = gc.tanh(h @ w + x)
    return step(gc.mean(h * h), gc.optim.SGD(0.01))


def tangled(n: int) -> list[Any]:
    rng = random.Random(7)
    values = [gc.placeholder(gc.float32, [WIDTH, WIDTH], name="x")]
    w = gc.variable(np.zeros((WIDTH, WIDTH), np.float32), name="w")
    for i in range(n):
        u, v = values[-1], rng.choice(values[-10:])
        values.append(u @ w if i % 10 == 9 else rng.choice((gc.add, gc.maximum))(u, v))
    return [values[-1]]


def joined(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, ["n", WIDTH], name="x")
    return [gc.concat([gc.tanh(x * float(i)) for i in range(n)], axis=i) for i in (0, 1)]


def stacked(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, ["n", WIDTH], name="x")
    return [gc.stack([gc.placeholder(gc.float32, [3], name=f"x{i}") for i in range(n)]) * 2.0, x]


def padded(n: int) -> list[Any]:
    x = y = gc.placeholder(gc.float32, [WIDTH], name="x")
    for i in range(n):
        y = gc.pad(y, (1, 1), constant_values=float(i))
    return [y, *gc.gradients(gc.sum(y * y), [x])]


def rolled(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, [WIDTH, 3], name="x")
    for i in range(n):
        x = gc.roll(x, i % 5, 0)
    return [x]


def terms(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, [n], name="x")
    loss = x[0] * 0.0
    for i in range(n):
        loss = loss + gc.sin(x[i] * float(i + 1)) * x[(i + 1) % n]
    return [loss, *gc.gradients(loss, [x])]


def chained(n: int) -> list[Any]:
    x = gc.placeholder(gc.float32, [3], name="x")
    s = x[0]
    for _ in range(n):
        s = gc.sin(s) * s
    return [gc.concat([s[None], x])]


# ---- growth


def calls(work: Callable[[], object]) -> int:
    """How many functions run: a measure of work that no other process disturbs."""
    count = 0

    def tick(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tick)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "model",
    [maps, branches, layers, unrolled, tangled, joined, stacked, padded, rolled, terms, chained],
)
def test_work_grows_with_the_number_of_nodes(model: Model) -> None:
    short, long = model(20), model(80)
    compiled(short)  # what is remembered from the first time on
    assert calls(lambda: compiled(long)) < 5.5 * calls(lambda: compiled(short))


def test_no_depth_is_too_deep() -> None:
    before, limit = sys.getrecursionlimit(), len(inspect.stack()) + 200
    sys.setrecursionlimit(limit)
    try:
        assert len(compiled(unrolled(limit)).program.kernels) > 3 * limit
        x = gc.placeholder(gc.float32, ["n"], name="deep")
        y = x
        for _ in range(3 * limit):
            y = gc.sin(y)
        assert len(compiled(gc.gradients(gc.sum(y), [x])).optimised.nodes()) > 6 * limit
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("model", [joined, stacked, padded, rolled, terms, chained])
def test_no_choice_is_nested_deeply(model: Model) -> None:
    """Python, and so numba, refuses 100 nested parentheses; LLVM's time grows with every branch."""
    texts = sources(model, 300)
    assert max(line.count(" if ") for text in texts for line in text.splitlines()) <= 16
    assert sum(map(len, texts)) < 300 * 1000
    assert len(texts) < (25 if model in (padded, rolled) else 8)


def test_many_parts_are_joined_in_order() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 1 + i % 3)).astype(np.float32) for i in range(300)]
    parts = [gc.placeholder(gc.float32, a.shape) for a in arrays]
    whole = gc.concat(parts, axis=1)
    slopes = gc.gradients(gc.sum(whole * whole), [parts[0], parts[150], parts[-1]])
    nested = parts[0]
    for i in range(120):
        nested = gc.pad(nested, ((0, 0), (0, 1)), constant_values=float(i))
    with gc.Session() as sess:
        found = sess.run([whole, nested, *slopes], dict(zip(parts, arrays, strict=True)))
    np.testing.assert_array_equal(found[0], np.concatenate(arrays, 1))
    np.testing.assert_array_equal(found[1][:, 1:], [range(120)] * 2)
    for slope, a in zip(found[2:], (arrays[0], arrays[150], arrays[-1]), strict=True):
        np.testing.assert_array_equal(slope, 2 * a)


# ---- repeated structure


@pytest.mark.parametrize("model", [layers, dropped, convolutions, transformer, unrolled])
def test_deep_networks_have_no_more_kinds_of_kernels(model: Model) -> None:
    # (one more may be: updates fill kernels of `max_arrays`, and one that is not full)
    assert len(sources(model, 12)) <= len(sources(model, 4)) + 1


def test_a_deeper_network_compiles_nothing_new(tmp_path: Path) -> None:
    made = []
    for depth in (4, 12):
        with gc.Graph().as_default(), gc.Session(cache_dir=tmp_path) as sess:
            sess.run(layers(depth), {"x": np.ones((3, WIDTH), np.float32)})
            made.append(sess.stats.compilations)
    assert made[1] == 0


# ---- who depends on whom


def needs(dag: Dag, a: int, b: int) -> bool:
    return any(n == b or needs(dag, n, b) for n in dag.needs[a])


@pytest.mark.parametrize("seed", range(30))
def test_dependence_is_what_a_search_finds(seed: int) -> None:
    rng, dag = random.Random(seed), Dag()
    for _ in range(60):
        numbers = list(dag.needs)
        if len(numbers) < 2 or rng.random() < 0.3:
            dag.add()
            continue
        a, b = rng.sample(numbers, 2)
        between = [c for c in numbers if needs(dag, c, a) and needs(dag, b, c)]
        assert dag.middle(a, b) == set(between)
        assert dag.between(a, b) == bool(between)
        assert dag.depends(b, a) == needs(dag, b, a)
        if rng.random() < 0.6:
            if not needs(dag, b, a):
                dag.depend(a, b)
        elif not between and not dag.between(b, a):
            dag.merge(a, b)
        assert len(set(dag.place.values())) == len(dag.place) == len(dag.needs)
        assert all(dag.place[n] < dag.place[u] for u in dag.needs for n in dag.needs[u])
        assert all(
            (n in dag.needs[u]) == (u in dag.users[n])
            for n, u in itertools.product(dag.needs, dag.needs)
        )


# ---- several processes


def test_helpers_compile_what_this_process_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "MIN_KERNELS_FOR_HELPERS", 2)
    x = gc.placeholder(gc.float32, ["n", 5], name="x")
    fetches = [gc.sum(x * float(i + 2), axis=1) + float(i) for i in range(3)]
    fetches += [gc.exp(gc.transpose(f[None] * 3.5)) for f in fetches]
    data = np.arange(10, dtype=np.float32).reshape(2, 5) / 10
    with gc.Session(cache_dir=tmp_path, threads=3) as sess:
        results = sess.run(fetches, {x: data})
        assert sess.stats.compilations == len(list(tmp_path.glob("gc_*.o")))
    for i in range(3):
        np.testing.assert_allclose(results[i], data.sum(1) * (i + 2) + i, rtol=1e-6)


def test_what_a_helper_cannot_compile_is_an_error_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "MIN_KERNELS_FOR_HELPERS", 2)
    texts = [f"def kernel(args, lo, hi):\n    v0 = no_such_function({i})\n" for i in range(4)]
    with pytest.raises(CodegenError, match="no_such_function"):
        build.build(texts, Options(cache_dir=tmp_path, threads=2), build.Built())


# ---- many arrays


def test_kernels_have_few_enough_arrays_to_be_vectorised() -> None:
    x = gc.placeholder(gc.float32, [8, WIDTH], name="x")
    weights = [gc.variable(np.ones((8, WIDTH), np.float32), name=f"w{i}") for i in range(40)]
    loss = gc.sum(x * 0.0)
    for w in weights:
        loss = loss + gc.sum(w * x)
    program = compiled(step(loss, gc.optim.Adam(0.1))).program
    assert Fuse().max_arrays < UNTRACKED_SLOT
    assert max(len({*k.reads, *k.writes}) for k in program.kernels if k.commits) <= UNTRACKED_SLOT
    assert len(program.kernels) < 20


def test_a_size_of_any_value_reaches_the_kernel() -> None:
    """Words of arguments that stand for addresses must be no numbers that a size can be."""
    x = gc.placeholder(gc.uint64, ["n", 3], name="x")
    with gc.Session() as sess:  # the fold starts with 2**64 - 1: the word -1
        least = sess.run(gc.min(x, axis=0), {x: np.zeros((0, 3), np.uint64)})
    assert least.tolist() == [2**64 - 1] * 3
