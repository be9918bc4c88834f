"""Products and convolutions for tensor cores: in the simulator against NumPy in f64; as machine
code, by what it consists of."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from support.sass import instructions, registers

from graphc.codegen.cuda.simulator.simulate import SimulatorError, simulate
from graphc.codegen.cuda.tensorcores.block import TileShape
from graphc.codegen.cuda.tensorcores.convolution import convolution_source, convolution_split
from graphc.codegen.cuda.tensorcores.gemm import gemm_source, gemm_split
from graphc.codegen.cuda.tensorcores.tiling import Split
from graphc.codegen.cuda.toolchain.cubin import compile_kernel
from graphc.codegen.device_source import DeviceSource
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Contraction
from graphc.ir.ops.matmul import Matmul
from graphc.ir.program import Kernel, Kind, holds, storage
from graphc.ir.text.graph import parse_graph

pytest.importorskip("greenlet", reason="the simulator needs greenlet")

SMALL = TileShape(16, 16, 1, 1, stages=3)  # one warp
PAIRS = TileShape(32, 32, 2, 1, stages=2)
TOLERANCE = {"f32": 3e-6, "f16": 2e-3, "bf16": 1.6e-2}


def kernel_of(graph: Graph) -> Kernel:
    """One kernel of a graph: its contraction and all that follows it."""
    inputs = list(graph.inputs)
    members = [v for v in graph.nodes() if v not in inputs]
    out = next(v for v in members if isinstance(v.op, Contraction))
    writes = tuple(dict.fromkeys(storage(v) for v in graph.outputs))
    if not any(holds(w, out) for w in writes):
        writes = (out, *writes)
    kind = Kind.MATMUL if isinstance(out.op, Matmul) else Kind.CONVOLUTION
    last = writes[-1]
    return Kernel("k", kind, tuple(inputs), writes, tuple(members), last.type.shape)


def stored(array: Any, name: str) -> Any:
    """An array as it lies in memory."""
    flat = np.ascontiguousarray(array).reshape(-1).copy()
    return flat.view(np.uint16) if name in ("f16", "bf16") else flat


def simulated(
    kernel: Kernel,
    source: DeviceSource | Split | None,
    feeds: Sequence[Any],
    sizes: Mapping[str, int] | None = None,
) -> list[Any]:
    """The results of a kernel that the simulator ran."""
    known = sizes or {}
    results = [
        np.full(tuple(dim.evaluate(n, known) for n in v.type.shape), 7, v.type.dtype.numpy)
        for v in kernel.writes
    ]
    values = (*kernel.reads, *kernel.writes)
    memory = [stored(a, v.type.dtype.name) for a, v in zip((*feeds, *results), values, strict=True)]
    if isinstance(source, Split):
        scratch = np.full(dim.evaluate(source.scratch, known) // 4, np.nan, np.float32)
        run(source.first, [*memory, scratch], known)
        run(source.second, [*memory, scratch], known)
    else:
        run(source, memory, known)
    return [
        m.view(r.dtype).reshape(r.shape)
        for m, r in zip(memory[len(kernel.reads) :], results, strict=True)
    ]


def run(source: DeviceSource | None, memory: list[Any], known: Mapping[str, int]) -> None:
    """One launch."""
    assert source is not None
    numbers = [dim.evaluate(n, known) for n in source.sizes]
    x, y, z = (dim.evaluate(n, known) for n in source.grid)
    simulate(source, (x, y, z), dim.evaluate(source.shared, known), [*memory, *numbers])


def check(text: str, make: Any, sizes: Mapping[str, int] | None = None) -> DeviceSource:
    """The simulated kernel of a graph against the graph's meaning in f64."""
    graph, rng, known = parse_graph(text), np.random.default_rng(0), sizes or {}
    shapes = [tuple(dim.evaluate(n, known) for n in v.type.shape) for v in graph.inputs]
    feeds = [
        rng.uniform(-1, 1, shape).astype(v.type.dtype.numpy)
        for shape, v in zip(shapes, graph.inputs, strict=True)
    ]
    wide = parse_graph(re.sub(r"(bf16|f16|f32)\b", "f64", text))
    want = interpret(wide, *(x.astype("f8") for x in feeds))
    kernel = kernel_of(graph)
    source = make(kernel)
    found = dict(zip(kernel.writes, simulated(kernel, source, feeds, known), strict=True))
    for v, expected in zip(graph.outputs, want, strict=True):
        error = np.abs(found[v].astype("f8") - expected).max(initial=0)
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        assert error <= TOLERANCE[v.type.dtype.name] * scale, (error, scale)
    return source


def product(m: int, n: int, k: int, ta: bool, tb: bool, dtype: str, batch: str = "") -> str:
    """A graph of one product."""
    a, b = (k, m) if ta else (m, k), (n, k) if tb else (k, n)
    fields = [f"{name}=true" for name, on in (("ta", ta), ("tb", tb)) if on]
    given = f" {{{', '.join(fields)}}}" if fields else ""
    return f"""graph @k(%a: {dtype}[{batch}{a[0]},{a[1]}], %b: {dtype}[{batch}{b[0]},{b[1]}]) {{
      %y = matmul %a, %b{given} : {dtype}[{batch}{m},{n}]
      return %y
    }}"""


def small(kernel: Kernel) -> DeviceSource | None:
    """One warp's tile."""
    return gemm_source(kernel, SMALL)


SIZES = ((16, 16, 16), (17, 33, 5), (1, 1, 1), (40, 7, 35), (5, 40, 70), (24, 24, 0), (20, 16, 64))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_products_of_every_layout(sizes: tuple[int, int, int], dtype: str) -> None:
    for ta, tb in itertools.product((False, True), repeat=2):
        check(product(*sizes, ta, tb, dtype), small)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_batches(dtype: str) -> None:
    check(product(9, 18, 20, False, True, dtype, "2,3,"), small)
    check(product(20, 8, 16, True, False, dtype, "3,"), small)


EPILOGUES = {
    "bias and relu": """graph @k(%a: T[21,19], %b: T[19,20], %c: T[20]) {
      %y = matmul %a, %b : T[21,20]
      %e = broadcast %c {axes=[1]} : T[21,20]
      %s = add %y, %e : T[21,20]
      %z = maximum %s, 0.0T : T[21,20]
      return %z
    }""",
    "two results": """graph @k(%a: T[21,19], %b: T[19,20], %row: T[21,20]) {
      %y = matmul %a, %b : T[21,20]
      %place = tanh %y : T[21,20]
      %s = add %place, %row : T[21,20]
      %m = greater %y, 0.0T : bool[21,20]
      %sums = where %m, %s, %row : T[21,20]
      return %sums, %y
    }""",
    "other rows": """graph @k(%a: T[24,19], %b: T[19,10], %c: T[2,12,10], %d: T[12]) {
      %y = matmul %a, %b : T[24,10]
      %r = reshape %y : T[2,12,10]
      %e = broadcast %d {axes=[1]} : T[2,12,10]
      %s = multiply %r, %e : T[2,12,10]
      %z = add %s, %c : T[2,12,10]
      return %z
    }""",
    "batch": """graph @k(%a: T[3,9,7], %b: T[3,7,18], %c: T[18], %d: T[3,9]) {
      %y = matmul %a, %b : T[3,9,18]
      %e = broadcast %c {axes=[2]} : T[3,9,18]
      %f = broadcast %d {axes=[0,1]} : T[3,9,18]
      %s = add %y, %e : T[3,9,18]
      %z = multiply %s, %f : T[3,9,18]
      return %z
    }""",
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", EPILOGUES)
def test_what_follows_a_product(name: str, dtype: str) -> None:
    check(EPILOGUES[name].replace("T", dtype), small)


def test_sizes_known_at_run_time_are_arguments() -> None:
    text = """graph @k(%a: f32[n,12], %b: f32[12,n], %c: f32[n]) {
      %y = matmul %a, %b : f32[n,n]
      %e = broadcast %c {axes=[1]} : f32[n,n]
      %s = add %y, %e : f32[n,n]
      return %s
    }"""
    check(text, small, sizes={"n": 19})
    check(text, small, sizes={"n": 0})


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_tiles_as_they_are_used(dtype: str) -> None:
    for m, n, k, batch in ((130, 70, 40, ""), (100, 10, 50, ""), (9, 70, 33, "")):
        check(product(m, n, k, False, False, dtype, batch), gemm_source)
    wide = TileShape(128, 128)
    check(product(100, 136, 72, False, True, dtype), lambda kernel: gemm_source(kernel, wide))


def test_a_missing_barrier_and_a_wait_too_short_are_seen() -> None:
    kernel = kernel_of(parse_graph(product(32, 32, 200, False, False, "f32")))
    source = gemm_source(kernel, TileShape(32, 32, 2, 1, stages=3))
    assert source is not None
    feeds = [np.ones(v.type.shape, np.float32) for v in kernel.reads]
    for right, wrong in (
        ("        cuda.syncthreads()", "        pass"),
        ("cp_async_wait(1)", "cp_async_wait(2)"),
    ):
        assert right in source.text
        planted = dataclasses.replace(source, text=source.text.replace(right, wrong, 1))
        try:
            (got,) = simulated(kernel, planted, feeds)
        except SimulatorError as error:
            assert "race" in str(error)
        else:
            assert not (got == 200).all()


def test_equal_products_of_other_sizes_are_one_text() -> None:
    first, second = (
        gemm_source(kernel_of(parse_graph(product(m, n, k, False, False, "f32"))))
        for m, n, k in ((512, 1024, 2048), (4096, 384, 640))
    )
    assert first is not None and second is not None
    assert first.text == second.text and first.sizes != second.sizes


def test_what_is_not_finite_spreads_as_in_f32() -> None:
    """semantics 19.2

    3xTF32 makes NaN of infinities and of numbers near them; such sums are made again."""
    graph = parse_graph(product(8, 8, 20, False, False, "f32"))
    a, b = (np.ones(v.type.shape, np.float32) for v in graph.inputs)
    a[0, 3], a[1, 3], a[2, 0], a[3, 5] = np.inf, -np.inf, np.nan, 3.402e38
    b[:, 1], b[3, 2], b[4, 4] = 0.25, 0, np.inf
    with np.errstate(all="ignore"):
        want = a @ b
    (got,) = simulated(kernel_of(graph), small(kernel_of(graph)), [a, b])
    assert np.array_equal(np.isnan(got), np.isnan(want))
    assert np.array_equal(got[np.isinf(want)], want[np.isinf(want)])
    assert np.allclose(got[np.isfinite(want)], want[np.isfinite(want)], rtol=1e-5)


FIELDS = "strides={s}, dilations={d}, before={b}, after={a}, groups={g}"
CONVOLUTIONS: dict[str, tuple[list[int], list[int], dict[str, Any]]] = {
    "3x3": ([2, 3, 6, 5], [5, 3, 3, 3], {"b": [1, 1], "a": [1, 1]}),
    "plain": ([1, 2, 5, 6], [4, 2, 2, 3], {}),
    "strides": ([2, 2, 8, 7], [3, 2, 3, 2], {"s": [2, 3], "b": [1, 0], "a": [1, 1]}),
    "strides beyond the window": ([1, 2, 9, 9], [3, 2, 2, 2], {"s": [3, 4], "a": [-1, 0]}),
    "dilations": ([1, 3, 9, 8], [4, 3, 3, 2], {"d": [2, 3], "b": [2, 1], "a": [2, 1]}),
    "groups": ([2, 8, 5, 4], [10, 4, 3, 3], {"g": 2, "b": [1, 1], "a": [1, 1]}),
    "line": ([2, 3, 11], [4, 3, 4], {"s": [2], "d": [1], "b": [1], "a": [2]}),
    "cube": (
        [1, 2, 4, 3, 3],
        [3, 2, 2, 2, 2],
        {"s": [1, 2, 1], "d": [2, 1, 1], "b": [1, 0, 1], "a": [1, 1, 0]},
    ),
    "points": ([2, 5, 4, 3], [6, 5, 1, 1], {}),
    "depthwise": ([1, 6, 5, 5], [6, 1, 3, 3], {"g": 6}),
    "points at strides": ([2, 5, 4, 5], [6, 5, 1, 1], {"s": [2, 2]}),
}


def convolutions(name: str, dtype: str, image: str = "") -> dict[str, str]:
    """Graphs of a convolution and its two gradients."""
    x, w, given = CONVOLUTIONS[name]
    rank = len(x) - 2
    fields = {"s": [1] * rank, "d": [1] * rank, "b": [0] * rank, "a": [0] * rank, "g": 1, **given}
    zipped = zip(x[2:], w[2:], *(fields[f] for f in "sdba"), strict=True)
    y = [x[0], w[0], *((n + b + a - d * (k - 1) - 1) // s + 1 for n, k, s, d, b, a in zipped)]
    texts = {}
    for op, (p, q, r), more in (
        ("convolution", (x, w, y), ""),
        ("convolution_input", (y, w, x), f", spatial={x[2:]}"),
        ("convolution_weight", (x, y, w), f", kernel={w[2:]}"),
    ):
        p, q, r = (f"{dtype}{t}".replace(" ", "") for t in (p, q, r))
        texts[op] = f"""graph @k(%a: {p}, %b: {q}) {{
          %y = {op} %a, %b {{{FIELDS.format(**fields)}{more}}} : {r}
          return %y
        }}"""
    return texts


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", sorted({*CONVOLUTIONS} - {"depthwise"}))
def test_convolutions_and_gradients(name: str, dtype: str) -> None:
    for text in convolutions(name, dtype).values():
        check(text, lambda kernel: convolution_source(kernel, SMALL))


@pytest.mark.parametrize("batch", [3, 0])
def test_images_counted_at_run_time(batch: int) -> None:
    for name in ("strides", "points"):
        for text in convolutions(name, "f32").values():
            check(
                text.replace("f32[2,", "f32[n,"),
                lambda kernel: convolution_source(kernel, SMALL),
                sizes={"n": batch},
            )


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_pieces_of_k(dtype: str) -> None:
    """Also more pieces than there are steps."""

    def split(kernel: Kernel) -> Split | None:
        return gemm_split(kernel, SMALL, pieces=3)

    for sizes in ((17, 20, 150), (5, 3, 20), (16, 16, 0)):
        for ta, tb in ((False, True), (True, False)):
            check(product(*sizes, ta, tb, dtype), split)
    check(product(9, 18, 70, False, False, dtype, "2,"), split)
    check(EPILOGUES["bias and relu"].replace("T", dtype), split)
    check(EPILOGUES["batch"].replace("T", dtype), split)
    for text in convolutions("groups", dtype).values():
        check(text, lambda kernel: convolution_split(kernel, SMALL, pieces=4))


def test_only_small_results_of_long_sums_are_cut() -> None:
    def pieces(m: int, n: int, k: int) -> int:
        split = gemm_split(kernel_of(parse_graph(product(m, n, k, False, False, "f32"))))
        return split.scratch // (4 * m * n) if split else 1  # type: ignore[operator]

    assert pieces(4096, 4096, 4096) == pieces(64, 64, 60) == 1
    assert pieces(128, 128, 4096) == 64 and pieces(64, 576, 100_352) == 29


MMA = {
    "f32": ("HMMA.1688.F32.TF32", 96),
    "f16": ("HMMA.16816.F32", 32),
    "bf16": ("HMMA.16816.F32.BF16", 32),
}  # of a warp's 64 x 32 sums, in one turn


def machine_code(source: DeviceSource) -> list[str]:
    """The instructions of a kernel, of which none is in f64 or moves registers to memory."""
    pytest.importorskip("numba_cuda", reason="compiling for a GPU needs graphc[cuda13]")
    cubin = compile_kernel(source, (9, 0))
    found = instructions(cubin)
    wrong = [i for i in found if i.startswith(("LDL", "STL", "D", "CALL")) and i[:3] != "DEP"]
    assert wrong == [] and not any("F64" in i for i in found)
    assert registers(cubin) <= 65536 // (source.threads[0] * source.resident or 1024)
    return found


@pytest.mark.cuda_compile
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_machine_code_of_products(dtype: str) -> None:
    name, count = MMA[dtype]
    for ta, tb in itertools.product((False, True), repeat=2):
        source = gemm_source(kernel_of(parse_graph(product(4096, 4096, 4096, ta, tb, dtype))))
        assert source is not None and source.threads == (256, 1, 1)
        found = machine_code(source)
        assert found.count(name) == count
        assert sum(i.startswith("LDGSTS") and "128" in i for i in found) == 4


@pytest.mark.cuda_compile
@pytest.mark.parametrize("name", EPILOGUES)
def test_machine_code_of_what_follows(name: str) -> None:
    kernel = kernel_of(parse_graph(EPILOGUES[name].replace("T", "bf16")))
    source, split = gemm_source(kernel), gemm_split(kernel, pieces=2)
    assert source is not None and split is not None
    for each in (source, split.first, split.second):
        machine_code(each)


@pytest.mark.cuda_compile
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("name", ["strides", "groups"])
def test_machine_code_of_convolutions(name: str, dtype: str) -> None:
    for text in convolutions(name, dtype).values():
        source = convolution_source(kernel_of(parse_graph(text)), TileShape(64, 64, 2, 2))
        assert source is not None
        assert any(i.startswith("HMMA") for i in machine_code(source))


@pytest.mark.cuda_compile
def test_machine_code_for_other_cards_and_large_arrays() -> None:
    source = gemm_source(kernel_of(parse_graph(product(70_000, 70_000, 8, False, False, "f32"))))
    assert source is not None and "u64(row)" in source.text
    machine_code(source)
    assert any(i.startswith("HMMA") for i in instructions(compile_kernel(source, (8, 0))))


def test_large_arrays_have_wide_indices() -> None:
    check(
        EPILOGUES["batch"].replace("T", "f32"), lambda kernel: gemm_source(kernel, SMALL, wide=True)
    )


def test_fast_math_multiplies_once() -> None:
    graph = parse_graph(product(20, 20, 40, False, True, "f32"))
    kernel = kernel_of(graph)
    source = gemm_source(kernel, SMALL, fast_math=True)
    assert source is not None and "multiply_tiles_tf32" in source.text
    a, b = (
        np.random.default_rng(0).uniform(-1, 1, v.type.shape).astype("f4") for v in graph.inputs
    )
    (got,) = simulated(kernel, source, [a, b])
    error = np.abs(got - a.astype("f8") @ b.T).max()
    assert 1e-6 < error < 5e-3


def test_what_tensor_cores_do_not_take() -> None:
    assert gemm_source(kernel_of(parse_graph(product(8, 8, 8, False, False, "f64")))) is None
    for text in convolutions("depthwise", "f32").values():
        assert convolution_source(kernel_of(parse_graph(text))) is None
    for text in convolutions("plain", "i32").values():
        assert convolution_source(kernel_of(parse_graph(text))) is None
