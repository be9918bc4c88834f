"""Whole sessions through the GPU's driver, with no GPU: cuda-core's stand-ins (`support/cuda.py`)
launch the simulator on their memory.  So graphs, their edges, staging and arguments are those of a
GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cuda.core", reason="cuda-core is not installed: pip install 'graphc[cuda13]'")
pytest.importorskip("greenlet", reason="the simulator needs it: pip install 'graphc[sim]'")

from support.cuda import FakeCuda
from support.gpu import fake_gpu

import graphc as gc
from benchmarks.gpu.cases import CASES, Case
from benchmarks.gpu.kernels import arrays
from graphc.codegen.cache import Cache
from graphc.codegen.cuda.toolchain.cubin import cubin, prepare, symbol_of
from graphc.codegen.device_source import DeviceSource
from graphc.ir.types import as_dtype
from graphc.runtime.cuda import family
from graphc.runtime.cuda.device import CudaDevice


@pytest.mark.cuda_compile
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.family} {c.name}")
def test_the_kernels_of_gpu_check_compile(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba_cuda", reason="pip install 'graphc[cuda13]'")
    cuda, dtype = FakeCuda(), as_dtype(case.dtypes[0])

    def compiler(
        source: DeviceSource, capability: tuple[int, int], cache: Cache
    ) -> tuple[str, bytes]:
        symbol, code = cubin(source, capability, Cache(tmp_path))
        cuda.kernels[code] = lambda *words: None
        return symbol, code

    monkeypatch.setattr(
        family, "open_device", lambda name, cache: CudaDevice(0, cache, cuda.toolkit(), compiler)
    )
    with gc.Graph().as_default() as graph:
        data = arrays(case.shapes[0], dtype)
        given = [gc.placeholder(as_dtype(a.dtype), a.shape) for a in data]
        made = case.make(*given)
    with gc.Session(graph, device="cuda:0", strict=True) as sess:
        sess.run(made, dict(zip(given, data, strict=True)))
    assert cuda.kernels


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    found = FakeCuda()
    monkeypatch.setattr(family, "open_device", fake_gpu(found))
    return found


def test_a_program_runs(cuda: FakeCuda, tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((5, 70)).astype(np.float32)
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, 70])
        y = gc.nn.functional.softmax(gc.exp(x), -1)
        z = gc.sum(x, axis=0)
    with gc.Session(graph, device="cuda:0", strict=True, cache_dir=tmp_path) as sess:
        for rows in (5, 3):
            got = sess.run([y, z], {x: data[:rows]})
            wide = np.exp(data[:rows].astype(np.float64))
            share = np.exp(wide - wide.max(1, keepdims=True))
            np.testing.assert_allclose(got[0], share / share.sum(1, keepdims=True), rtol=1e-5)
            np.testing.assert_allclose(got[1], data[:rows].sum(0), rtol=1e-5, atol=1e-6)
    assert ("Graph", "launch") in {(name[:5], what) for name, what, *_ in cuda.log}


def test_training_is_like_the_cpus(cuda: FakeCuda, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.random((4, 6), np.float32), rng.integers(0, 3, 4)

    def losses(**given: Any) -> list[float]:
        with gc.Graph().as_default() as graph:
            x = gc.placeholder(gc.float32, [4, 6])
            y = gc.placeholder(gc.int64, [4])
            w = gc.variable(gc.init.xavier_uniform((6, 3), seed=1))
            scores = gc.sum(x[:, :, None] * w, axis=1)  # a product would simulate for a minute
            loss = gc.nn.functional.cross_entropy(gc.tanh(scores), y)
            train = gc.optim.Adam(0.01).minimize(loss)
        with gc.Session(graph, seed=1, cache_dir=tmp_path, **given) as sess:
            return [float(sess.run([train, loss], {x: images, y: labels})[1]) for _ in range(2)]

    there = losses(device="cuda:0", strict=True)
    np.testing.assert_allclose(there, losses(), rtol=1e-4)
    assert there[1] < there[0]


@pytest.mark.cuda_compile
def test_compilations_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba_cuda", reason="pip install 'graphc[cuda13]'")
    cuda = FakeCuda()

    def compiler(
        source: DeviceSource, capability: tuple[int, int], cache: Cache
    ) -> tuple[str, bytes]:
        symbol = symbol_of(source, capability)
        code = cache.read(symbol)
        assert code is not None, "it was not prepared"
        cuda.kernels[code] = lambda *words: None
        return symbol, code

    monkeypatch.setattr(
        family,
        "open_device",
        lambda name, cache: CudaDevice(0, cache, cuda.toolkit(), compiler, prepare),
    )
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [4, 8])
        i, w = gc.placeholder(gc.int64, [2]), gc.variable(np.zeros((4, 8), np.float32))
        made = [gc.sum(gc.exp(x), axis=0), w.assign(x), x[i]]  # this may fail
    counts = []
    for _ in range(2):
        with gc.Session(graph, device="cuda:0", strict=True, cache_dir=tmp_path) as sess:
            sess.run(made, {x: np.ones((4, 8), np.float32), i: [2, 3]})
            counts.append((sess.stats.compilations, sess.stats.cache_hits))
    count = len(list(tmp_path.glob("gd_*.o")))
    assert counts == [(count, 0), (0, count)] and count >= 3


def test_the_simulator_compiles_nothing(tmp_path: Path) -> None:
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [2])
        made = gc.exp(x)
    with gc.Session(graph, device="cuda:sim", cache_dir=tmp_path) as sess:
        sess.run(made, {x: [1, 2]})
        assert (sess.stats.compilations, sess.stats.cache_hits) == (0, 0)
