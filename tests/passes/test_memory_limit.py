"""`memory_limit`: the arena keeps to it in every batch, results keep their bits, or an error says
what would do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import graphc
from support.run import options

import graphc as gc
from graphc.compiler.compile import lower
from graphc.config import parse_bytes
from graphc.errors import GraphcError, MemoryLimitError
from graphc.frontend.stage import stage
from graphc.ir.arena import layout
from graphc.ir.graph import Graph
from graphc.ir.interpret import bind_sizes
from graphc.ir.program import may_repeat
from graphc.ir.text.program import print_program
from graphc.ir.text.program_parser import parse_program
from graphc.passes.memory.order import OrderKernels
from graphc.passes.memory.recompute import fitted, least
from graphc.passes.memory.verify import verify_layout, verify_program
from graphc.testing.closeness import same_bits
from graphc.testing.compiled import CompiledGraph
from graphc.testing.random_control import control_graph, gradient_graph, staged
from graphc.testing.random_graphs import inputs_for, random_graph

Model = Callable[[Any], Any]


def deep(x: Any) -> Any:
    """Ten layers: what the backward pass needs of each waits in memory."""
    for _ in range(10):
        x = gc.tanh(gc.nn.Linear(32, 32)(x))
    return x


def block(x: Any) -> Any:
    """Two blocks of a transformer, with dropout: draws must not change."""
    x = gc.reshape(x, (-1, 8, 32))
    for _ in range(2):
        layer = gc.nn.TransformerEncoderLayer(
            32, 4, 64, 0.1, "gelu", batch_first=True, norm_first=True
        )
        x = layer(x)
    return gc.reshape(x, (-1, 32))


def training(model: Model) -> tuple[list[Any], Any]:
    """A step of Adam: (loss and the step, what is fed)."""
    x = gc.placeholder(gc.float32, [None, 32], name="x")
    y = gc.placeholder(gc.int64, [None], name="y")
    loss = gc.nn.functional.cross_entropy(gc.nn.Linear(32, 5)(model(x)), y)
    return [loss, gc.optim.Adam(1e-2).minimize(loss)], (x, y)


def losses(model: Model, rows: tuple[int, ...], **given: Any) -> tuple[list[Any], gc.Session]:
    """The losses of a few steps in a fresh session, and the session."""
    rng = np.random.default_rng(1)
    with gc.Graph().as_default() as graph:
        fetches, (x, y) = training(model)
        session = gc.Session(graph, options=options(), **given)
        found = []
        for n in rows:
            data = rng.standard_normal((n, 32)).astype(np.float32), rng.integers(0, 5, n)
            found.append(session.run(fetches, dict(zip((x, y), data, strict=True)))[0])
            assert session.stats.arena_planned == session.stats.arena_allocated
    return found, session


@pytest.mark.parametrize("model", [deep, block])
def test_a_limit_is_kept_and_changes_no_bit(model: Model) -> None:
    rows = (512, 512, 512)
    free, session = losses(model, rows)
    peak = session.stats.arena_allocated
    tight, limited = losses(model, rows, memory_limit=int(0.6 * peak))
    assert 0 < limited.stats.arena_allocated <= 0.6 * peak
    assert limited.stats.launches > session.stats.launches
    assert all(map(same_bits, free, tight))


def test_a_limit_holds_for_every_batch() -> None:
    rows = (16, 512, 1, 256, 700, 512)
    free, session = losses(deep, rows)
    limit = int(0.5 * session.stats.arena_allocated)
    tight, limited = losses(deep, rows, memory_limit=limit)
    assert limited.stats.arena_allocated <= limit
    assert all(map(same_bits, free, tight))


def test_a_limit_compiles_nothing_more() -> None:
    _, session = losses(deep, (512,))
    limit = session.stats.arena_allocated // 2
    _, limited = losses(deep, (512,), memory_limit=limit)
    assert limited.stats.compilations == 0


def test_an_impossible_limit_says_what_would_do() -> None:
    _, session = losses(deep, (512,))
    with pytest.raises(MemoryLimitError) as caught:
        losses(deep, (512,), memory_limit="10 kB")
    message, enough = str(caught.value), caught.value.least
    assert "memory_limit: 10000 bytes do not suffice" in message and str(enough) in message
    assert "f32[n,32]" in message or "f32[512,32]" in message
    assert __file__ in message and "feed smaller batches" in message
    assert 10_000 < enough < session.stats.arena_allocated
    _, limited = losses(deep, (512,), memory_limit=enough)
    assert limited.stats.arena_allocated <= enough


def test_a_failed_limit_changes_nothing() -> None:
    with gc.Graph().as_default() as graph:
        fetches, (x, y) = training(deep)
        w = graph.variables[0]
        with gc.Session(graph, options=options(), memory_limit="300 KB") as session:
            before = session.value(w)
            with pytest.raises(MemoryLimitError):
                session.run(fetches, {x: np.ones((5000, 32)), y: np.zeros(5000, np.int64)})
            np.testing.assert_array_equal(session.value(w), before)
            session.run(fetches, {x: np.ones((8, 32)), y: np.zeros(8, np.int64)})
            assert np.any(session.value(w) != before)


def looped(x: Any, tape_bytes: int | None = None) -> Any:
    """A recurrence whose gradient keeps rows of every step."""
    steps = gc.reshape(x, (-1, 8, 4))
    w = gc.variable(np.eye(4, dtype=np.float32) * 0.5, name="w")

    def step(c: Any, r: Any) -> Any:
        c = gc.tanh(gc.exp(gc.sin(c @ w) + gc.tanh(r)))
        return c, c

    _, rows = gc.scan(step, gc.zeros((8, 4)), steps, tape_bytes=tape_bytes)
    return gc.reshape(rows, (-1, 32))


def test_loops_keep_to_a_limit() -> None:
    """What a loop keeps for its gradient is set by `tape_bytes`; its arrays count like others."""
    rows = (256, 64)
    free, session = losses(looped, rows)
    with pytest.raises(MemoryLimitError, match="smaller tape_bytes") as caught:
        losses(looped, rows, memory_limit=2000)
    least_of_all = caught.value.least
    tight, limited = losses(looped, rows, memory_limit=least_of_all)
    assert limited.stats.arena_allocated <= least_of_all <= session.stats.arena_allocated
    assert all(map(same_bits, free, tight))
    with pytest.raises(MemoryLimitError) as caught:
        losses(lambda x: looped(x, 0), rows, memory_limit=2000)
    assert caught.value.least < least_of_all


CALLS = []


def test_python_functions_are_called_once() -> None:
    """And never run again, however little memory there is."""

    def seen(a: Any) -> Any:
        CALLS.append(len(a))
        return a * 2

    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [64, 32], name="x")
        y = gc.py_func(seen, [gc.exp(x)], x.type)
        w = gc.ones((32, 32))
        z = ((gc.tanh(y @ w) @ w) @ w) @ w + y
        program = lower(stage([z]).graph, options()).program
        with gc.Session(graph, options=options()) as session:
            session.run(z, {x: np.ones((64, 32), np.float32)})
            peak = session.stats.arena_allocated
        CALLS.clear()
        with gc.Session(graph, options=options(), memory_limit=peak) as session:
            session.run(z, {x: np.ones((64, 32), np.float32)})
    assert CALLS == [64]
    assert [may_repeat(k) for k in program.kernels].count(False) == 1


# ---- the pass ----


def deep_graph(seed: int) -> Graph:
    """Many products and maps of one shape, read again long after they were made."""
    return random_graph(5 * seed + 3, nodes=60)


KINDS = {
    "any": random_graph,
    "deep": deep_graph,
    "control": lambda seed: staged(control_graph(seed)),
    "gradient": lambda seed: staged(gradient_graph(seed)),
}
COUNTS = {"any": 20, "deep": 24, "control": 8, "gradient": 4}


@pytest.mark.parametrize("kind", KINDS)
def test_random_graphs_with_little_memory(kind: str) -> None:
    """The least that is reached can be had, is laid out soundly and gives the same bits."""
    again = 0
    for seed in range(COUNTS[kind]):
        graph = KINDS[kind](seed)
        arrays = inputs_for(graph, seed, False, 7)
        made = CompiledGraph(graph)
        program = made.executable.program
        sizes = bind_sizes(made.executable.unified.graph.inputs, arrays)
        if layout(program, sizes).arena == 0:
            continue
        enough = least(program, sizes).nbytes
        tight = fitted(program, sizes, enough)
        assert tight is not None
        places = layout(verify_program(tight), sizes)
        verify_layout(tight, places)
        assert places.arena <= enough
        assert print_program(parse_program(print_program(tight))) == print_program(tight)
        again += len(tight.kernels) > len(program.kernels)
        limited = CompiledGraph(graph, memory_limit=enough)
        assert all(map(same_bits, guarded_run(made, arrays), guarded_run(limited, arrays))), seed
    assert again or kind in ("control", "gradient")


def guarded_run(made: CompiledGraph, arrays: list[Any]) -> list[Any]:
    """The results; none if an index is out of range."""
    try:
        return made(arrays)
    except GraphcError as error:
        return [np.frombuffer(error.message.encode(), np.uint8)]


def test_orders_are_permutations() -> None:
    for seed in range(30):
        program = lower(random_graph(seed, nodes=40), options()).program
        for other in OrderKernels().orders(program):
            assert set(other.kernels) == set(program.kernels)
            verify_program(other if not other.buffers else program)
        verify_program(OrderKernels()(program))


# ---- what is given ----


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("1.5 GiB", 3 << 29),
        ("200MB", 200_000_000),
        ("64 kib", 65536),
        (4096, 4096),
        ("7", 7),
        (np.int64(5), 5),
    ],
)
def test_bytes(given: Any, wanted: int) -> None:
    assert parse_bytes(given) == wanted


@pytest.mark.parametrize("given", ["", "many", "-3", 0, -1, "1 GBit", 1.5, True, "0 MB", [3]])
def test_bad_bytes(given: Any) -> None:
    with pytest.raises(GraphcError, match=r"memory_limit is .*1\.5 GiB"):
        gc.Session(memory_limit=given)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.py"
    model.write_text(
        "import graphc as gc\n"
        "x = gc.placeholder(gc.float32, [64, 64], name='x')\n"
        "y = gc.sum(gc.exp(x @ x) @ x)\n"
    )
    common = ("run", str(model), "--fetch", "y", "--feed", "random")
    assert graphc(capsys, *common, "--memory-limit", "1 MiB")[0] == 0
    code, _, err = graphc(capsys, *common, "--memory-limit", "100")
    assert code == 1 and "100 bytes do not suffice" in err and "model.py:3" in err
    code, _, err = graphc(capsys, *common, "--memory-limit", "lots")
    assert code == 2 and "--memory-limit: memory_limit is 'lots'" in err
