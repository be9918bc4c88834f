"""Products of programs by cublasLt, with no GPU: whole sessions through the GPU's driver, where
cuda-core and cublasLt are stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cuda.core", reason="cuda-core is not installed: pip install 'graphc[cuda13]'")
pytest.importorskip("greenlet", reason="the simulator needs it: pip install 'graphc[sim]'")

from support.cublas import FakeLt
from support.cuda import FakeCuda
from support.gpu import fake_gpu

import graphc as gc
from graphc.config import Method, Options
from graphc.errors import DeviceError, GraphcError
from graphc.ir.types import DType, bf16, f16, f32, f64
from graphc.runtime.cuda import device as driver, family, products
from graphc.runtime.cuda.cublas import WORKSPACE_BYTES, Library
from graphc.runtime.cuda.products import remembered
from graphc.runtime.cuda.simulated import SimulatedDevice
from graphc.runtime.device.protocol import Call, Device, MemorySpan, allocated


class Gpu:
    """A fake GPU with a fake cublasLt."""

    def __init__(self) -> None:
        self.cuda = FakeCuda()
        self.lt = FakeLt(self.put)

    def put(self, stream: int, work: Callable[[], None]) -> None:
        """Captures a product."""
        address, graph = self.cuda.capturing[-1]
        assert address == stream
        graph._node(set(), work, "launch")

    def library(self, device: Device) -> Library:
        return Library(self.lt, self.lt.create(), device.name, allocated(device, WORKSPACE_BYTES))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    found = Gpu()
    monkeypatch.setattr(family, "open_device", fake_gpu(found.cuda))
    monkeypatch.setattr(driver, "library", found.library)
    monkeypatch.setattr(products, "remembered", dict)  # nothing is
    return found


def random(dtype: DType, *shape: int) -> Any:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype.numpy)


def ran(make: Callable[..., Any], arrays: list[Any], cache: Path, **given: Any) -> list[Any]:
    """What a session makes of placeholders for the arrays."""
    options = Options(cache_dir=cache, **given)
    with gc.Graph().as_default() as graph:
        fed = [gc.placeholder(a.dtype, a.shape) for a in arrays]
        made = make(*fed)
    with gc.Session(graph, options=options) as sess:
        found: list[Any] = sess.run(made, dict(zip(fed, arrays, strict=True)))
        return found


def near(got: list[Any], wanted: list[Any], dtype: DType) -> None:
    bound = {"f64": 1e-12, "f32": 1e-5, "f16": 1e-2, "bf16": 6e-2}[dtype.name]
    for g, w in zip(got, wanted, strict=True):
        assert g.dtype == w.dtype and g.shape == w.shape
        np.testing.assert_allclose(
            g.astype(np.float64), w.astype(np.float64), rtol=bound, atol=bound
        )


BLAS = {"device": "cuda:0", "strict": True, "method": Method.BLAS}
DTYPES = (f64, f32, f16, bf16)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
def test_products_and_what_follows_them(
    gpu: Gpu, tmp_path: Path, dtype: DType, ta: bool, tb: bool
) -> None:
    a, b = random(dtype, *((5, 3) if ta else (3, 5))), random(dtype, *((4, 5) if tb else (5, 4)))
    bias = random(dtype, 4)

    def make(x: Any, y: Any, c: Any) -> list[Any]:
        product = (gc.transpose(x) if ta else x) @ (gc.transpose(y) if tb else y)
        return [gc.tanh(product + c), product, gc.sum(product)]

    wanted = ran(make, [a, b, bias], tmp_path)
    near(ran(make, [a, b, bias], tmp_path, **BLAS), wanted, dtype)
    assert gpu.lt.products == 1


@pytest.mark.parametrize("dtype", [f64, f16], ids=lambda d: d.name)
def test_batches(gpu: Gpu, tmp_path: Path, dtype: DType) -> None:
    arrays = [random(dtype, 2, 3, 4, 5), random(dtype, 2, 3, 5, 2)]

    def make(x: Any, y: Any) -> list[Any]:
        return [gc.exp(x @ y) * 2]

    near(ran(make, arrays, tmp_path, **BLAS), ran(make, arrays, tmp_path), dtype)
    assert gpu.lt.products == 1


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0)])
def test_empty_products_are_graphcs_own(
    gpu: Gpu, tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    m, k, n = shape
    arrays = [random(f64, m, k), random(f64, k, n)]

    def make(x: Any, y: Any) -> list[Any]:
        return [(x @ y) + 1]

    near(ran(make, arrays, tmp_path, **BLAS), ran(make, arrays, tmp_path), f64)
    assert gpu.lt.products == 0


def test_integers_are_graphcs_own(gpu: Gpu, tmp_path: Path) -> None:
    arrays = [np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2)]
    assert ran(lambda x, y: [x @ y], arrays, tmp_path, **BLAS)[0].tolist() == [[10, 13], [28, 40]]
    assert gpu.lt.products == 0


def test_what_cublas_does_not_know_is_graphcs_own(gpu: Gpu, tmp_path: Path) -> None:
    gpu.lt.knows = 0
    arrays = [random(f64, 2, 3), random(f64, 3, 2)]
    near(ran(lambda x, y: [x @ y], arrays, tmp_path, **BLAS), [arrays[0] @ arrays[1]], f64)
    assert gpu.lt.products == 0


def test_own_kernels_are_the_usual_way(gpu: Gpu, tmp_path: Path) -> None:
    arrays = [random(f64, 2, 3), random(f64, 3, 2)]
    near(ran(lambda x, y: [x @ y], arrays, tmp_path, device="cuda:0"), [arrays[0] @ arrays[1]], f64)
    assert gpu.lt.products == 0 and gpu.lt.made == 0


def training(**given: Any) -> list[Any]:
    """Losses of an MLP, and the weights at the end; other batch sizes come between."""
    rng = np.random.default_rng(0)
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float64, ["n", 3])
        w = gc.variable(rng.standard_normal((3, 5)), name="w")
        u = gc.variable(rng.standard_normal((5, 4)), name="u")
        loss = gc.sum(gc.square(gc.tanh(x @ w) @ u - 1.0))
        train = gc.optim.SGD(0.1).minimize(loss)
    made: list[Any] = []
    with gc.Session(graph, options=Options(seed=1, **given)) as sess:
        for rows in (3, 2, 3):
            made.append(sess.run([train, loss], {x: rng.standard_normal((rows, 3))})[1])
        return [*made, sess.value(w), sess.value(u)]


def test_training_is_like_the_cpus(gpu: Gpu, tmp_path: Path) -> None:
    near(training(cache_dir=tmp_path, **BLAS), training(cache_dir=tmp_path), f64)
    assert gpu.lt.products >= 3 * 4  # two forward and at least two backward in each run


def test_products_in_loops(gpu: Gpu, tmp_path: Path) -> None:
    """Each step is a product of its own rows; odd rows are copied to where vectors may begin."""
    arrays = [random(f64, 3, 3), random(f64, 4, 3, 3)]

    def make(start: Any, steps: Any) -> list[Any]:
        return list(gc.scan(lambda carry, x: (gc.tanh(carry @ x), gc.sum(carry)), start, steps))

    near(ran(make, arrays, tmp_path, **BLAS), ran(make, arrays, tmp_path), f64)
    assert gpu.lt.products == 4


def test_a_run_that_can_fail_changes_variables_by_own_kernels(gpu: Gpu, tmp_path: Path) -> None:
    """A library would write over the variable before anyone knows whether the run has failed."""
    with gc.Graph().as_default() as graph:
        x, i = gc.placeholder(gc.float64, [2, 2]), gc.placeholder(gc.int64, [2])
        w = gc.variable(np.zeros((2, 2)), name="w")
        change = w.assign(x @ x)
        taken = x[i]
    with gc.Session(graph, options=Options(cache_dir=tmp_path, **BLAS)) as sess:
        data = random(f64, 2, 2)
        sess.run([change, taken], {x: data, i: [0, 1]})
        np.testing.assert_allclose(sess.value(w), data @ data)
        with pytest.raises(GraphcError, match="out of range"):
            sess.run([change, taken], {x: data + 1, i: [0, 7]})
        np.testing.assert_allclose(sess.value(w), data @ data)
    assert gpu.lt.products == 0


def test_a_product_is_timed_with_what_follows_it(gpu: Gpu, tmp_path: Path) -> None:
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float64, [2, 2])
        y = gc.tanh(x @ x)
    with gc.Session(graph, options=Options(cache_dir=tmp_path, **BLAS)) as sess:
        p = sess.profile(y, {x: np.ones((2, 2))}, steps=2, warmup=1)
    (row,) = [r for r in p.rows if r.kind == "matmul"]
    assert row.launches == 1 and row.flops == 2 * 8 + 10 * 4 and gpu.lt.products == 3
    assert [list(run.events[:, 0]).count(0) for run in p.recorded] == [2, 2]  # it, and tanh


# -- what is faster


@pytest.mark.parametrize("fast", [True, False])
def test_the_faster_is_kept_and_remembered(
    gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    timed: list[bool] = []
    known: dict[object, bool] = {}

    def seconds(self: Any, nodes: Any) -> float:
        timed.append(any(isinstance(x, Call) for x in nodes))
        return 1.0 if timed[-1] == fast else 2.0

    monkeypatch.setattr(products.Products, "_seconds", seconds)
    monkeypatch.setattr(products, "remembered", lambda: known)
    arrays = [random(f64, 2, 3), random(f64, 3, 2)]
    for _ in range(2):
        got = ran(lambda x, y: [gc.exp(x @ y)], arrays, tmp_path, device="cuda:0", autotune=1.0)
        near(got, [np.exp(arrays[0] @ arrays[1])], f64)
    assert timed == [True, False] and list(known.values()) == [fast]
    assert gpu.lt.products == 2 * fast


def test_both_are_run_on_memory_of_their_own(gpu: Gpu, tmp_path: Path) -> None:
    """The trial really runs, many times, and no variable changes."""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float64, [2, 2])
        w = gc.variable(np.ones((2, 2)), name="w")
        change = w.assign(x @ x)
    with gc.Session(
        graph, options=Options(cache_dir=tmp_path, device="cuda:0", autotune=60.0)
    ) as sess:
        data = random(f64, 2, 2)
        sess.run(change, {x: data})
        np.testing.assert_allclose(sess.value(w), data @ data)
    assert gpu.lt.products >= products.PRODUCTS_PER_RUN * products.TRIAL_RUNS


def test_without_time_nothing_is_tried(gpu: Gpu, tmp_path: Path) -> None:
    arrays = [random(f64, 2, 3), random(f64, 3, 2)]
    ran(lambda x, y: [x @ y], arrays, tmp_path, device="cuda:0", autotune=1e-9)
    assert gpu.lt.products <= products.PRODUCTS_PER_RUN * 2 + 1  # two graphs, and the run


# -- devices without


def test_without_its_packages_the_method_is_an_error(
    gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "library", lambda device: None)
    arrays = [random(f64, 2, 3), random(f64, 3, 2)]
    with pytest.raises(DeviceError, match=r"cuda:0: the method BLAS .* 'graphc\[cuda13-blas\]'"):
        ran(lambda x, y: [x @ y], arrays, tmp_path, **BLAS)
    got = ran(lambda x, y: [x @ y], arrays, tmp_path, device="cuda:0", autotune=1.0)
    near(got, [arrays[0] @ arrays[1]], f64)


def test_the_simulator_has_no_library(tmp_path: Path) -> None:
    arrays = [random(f64, 2, 3), random(f64, 3, 2)]
    given = {**BLAS, "device": "cuda:sim"}
    near(ran(lambda x, y: [x @ y], arrays, tmp_path, **given), [arrays[0] @ arrays[1]], f64)
    device = SimulatedDevice()
    span = MemorySpan(device.allocate(8), 0, 8)
    with pytest.raises(DeviceError, match="cuda:sim: a library's work cannot be simulated"):
        device.graph([Call(lambda stream: None, (span,), (span,))])


def test_what_is_remembered_is_one_table() -> None:
    """A choice is made once in a process, whoever asks."""
    key: object = ("a test's own", object())
    remembered()[key] = True
    assert remembered()[key]
    del remembered()[key]
    assert key not in remembered()
