"""Methods of contractions: each one that is offered gives the oracle's result; the tuner chooses
among them within its budget and remembers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.oracle import stage

import graphc as gc
from graphc.codegen.cpu.kernels import methods
from graphc.compiler.autotune import Tuner
from graphc.compiler.compile import lower
from graphc.config import Method, Options
from graphc.explain.value import explain
from graphc.ir.interpret import interpret
from graphc.nn import functional as F  # noqa: N812

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


def convolution() -> tuple[Any, dict[Any, Any]]:
    x = gc.placeholder(gc.float32, [None, 16, 21, 22])
    w = gc.placeholder(gc.float32, [17, 16, 3, 3])
    feeds = {x: RNG.uniform(-1, 1, (2, 16, 21, 22)), w: RNG.uniform(-1, 1, (17, 16, 3, 3))}
    return F.conv2d(x, w, padding=1), {k: v.astype(np.float32) for k, v in feeds.items()}


def product() -> tuple[Any, dict[Any, Any]]:
    a, b = gc.placeholder(gc.float32, [None, 40]), gc.placeholder(gc.float32, [40, 33])
    feeds = {a: RNG.uniform(-1, 1, (9, 40)), b: RNG.uniform(-1, 1, (40, 33))}
    return a @ b, {k: v.astype(np.float32) for k, v in feeds.items()}


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("make", [convolution, product])
def test_every_method_is_right(make: Any, method: Method) -> None:
    y, feeds = make()
    graph = stage([y])
    (kernel,) = lower(graph, Options()).program.kernels
    want = interpret(graph, *(feeds[v] for v in graph.inputs))[0]
    with gc.Session(options=Options(method=method)) as sess:
        assert np.abs(sess.run(y, feeds) - want).max() < 2e-5
    offered = methods(kernel)
    (source,) = lower(graph, Options(method=method)).sources.values()
    assert source.method is (method if method in offered else offered[0])  # else the best is taken


def test_offers() -> None:
    (conv,) = lower(stage([convolution()[0]]), Options()).program.kernels
    assert methods(conv) == (Method.WINOGRAD, Method.DIRECT, Method.COLUMNS, Method.LOOPS)
    (matmul,) = lower(stage([product()[0]]), Options()).program.kernels
    assert methods(matmul) == (Method.TILES, Method.BLAS)


def test_the_tuner_tries_each_method_and_remembers(tmp_path: Path) -> None:
    y, feeds = convolution()
    options = Options(autotune=60.0, cache_dir=tmp_path, threads=1)
    with gc.Session(options=options) as sess:
        first = sess.run(y, feeds)
    known = json.loads((tmp_path / "tuned.json").read_text())
    (chosen,) = known.values()
    assert chosen in Method.__members__
    (kernel,) = lower(stage([y]), Options()).program.kernels

    def fails(*_: Any) -> Any:
        raise AssertionError("it was timed again")

    assert Tuner(options, fails).choose(kernel) is Method[chosen]
    with gc.Session(options=options) as sess:
        assert (sess.run(y, feeds) == first).all()


def test_without_time_the_cost_model_decides(tmp_path: Path) -> None:
    (kernel,) = lower(stage([convolution()[0]]), Options()).program.kernels
    tuner = Tuner(Options(autotune=1e-9, cache_dir=tmp_path), lambda *_: pytest.fail("timed"))
    assert tuner.choose(kernel) is Method.WINOGRAD
    assert not (tmp_path / "tuned.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}'])
def test_a_damaged_file_is_reported_and_made_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "tuned.json").write_text(text)
    y, feeds = product()
    options = Options(autotune=60.0, cache_dir=tmp_path)
    with pytest.warns(UserWarning, match=r"tuned\.json"), gc.Session(options=options) as sess:
        sess.run(y, feeds)
    assert len(json.loads((tmp_path / "tuned.json").read_text())) == 1


def test_explain_names_the_method() -> None:
    y, _ = convolution()
    graph = stage([y])
    text = explain(graph, graph.outputs[0], Options())
    assert "method      Winograd's F(2x2, 3x3)" in text
    text = explain(graph, graph.outputs[0], Options(method=Method.COLUMNS))
    assert "method      register tiles over columns of windows" in text
