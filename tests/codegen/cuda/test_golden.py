"""CUDA source that people read (`golden/cuda/*.txt`), and the machine code that it becomes.

Both are made with no GPU.  `pytest --update-golden` rewrites the texts; the budgets are by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from support.golden import GOLDEN, differing
from support.run import kernel_cache
from support.sass import instructions, registers

import graphc as gc
from graphc.codegen.cuda.kernels import device_sources
from graphc.codegen.cuda.target import CUDA, launch
from graphc.codegen.device_source import DeviceSource
from graphc.compiler.compile_placed import lower_placed, planned_machine
from graphc.config import Options
from graphc.frontend.stage import stage
from graphc.ir.program import launched, overwritten

F = gc.nn.functional
DEVICE = "cuda:0"
H100 = (9, 0)
LOCAL = re.compile(r"LDL|STL")  # memory of a thread's own: what registers could not hold
DOUBLE = re.compile(r"D(ADD|MUL|FMA|SETP|MNMX)|.*F64")


def tensor(name: str, *shape: Any, dtype: Any = gc.float32) -> gc.Tensor:
    return gc.placeholder(dtype, list(shape), name=name)


def elementwise() -> list[Any]:
    return [gc.tanh(gc.exp(tensor("x", "n", 64)) * tensor("scale", 64) + 1.0)]


def softmax() -> list[Any]:
    return [F.softmax(tensor("x", "n", 2048), -1)]


def layer_norm() -> list[Any]:
    x, gain, bias = tensor("x", "n", 1024), tensor("gain", 1024), tensor("bias", 1024)
    return [F.layer_norm(x, (1024,), gain, bias)]


def layer_norm_gradient() -> list[Any]:
    x, gain, bias = tensor("x", "n", 256), tensor("gain", 256), tensor("bias", 256)
    return list(
        gc.gradients(
            F.layer_norm(x, (256,), gain, bias), [x, gain, bias], tensor("slope", "n", 256)
        )
    )


def cross_entropy() -> list[Any]:
    return [F.cross_entropy(tensor("x", "n", 128), tensor("label", "n", dtype=gc.int64))]


def cross_entropy_gradient() -> list[Any]:
    x = tensor("x", "n", 128)
    loss = F.cross_entropy(x, tensor("label", "n", dtype=gc.int64))
    return list(gc.gradients(loss, [x]))


def transpose() -> list[Any]:
    return [gc.permute_dims(tensor("x", "m", "n"), (1, 0)) * 2.0]


def column_sum() -> list[Any]:
    return [gc.sum(tensor("x", "n", 64), axis=0)]


def full_sum() -> list[Any]:
    return [gc.sum(tensor("x", "n"))]


def gather() -> list[Any]:
    return [gc.take(tensor("x", 1000, 64), tensor("at", "n", dtype=gc.int64), axis=0)]


def gather_gradient() -> list[Any]:
    x = tensor("x", 1000, 64)
    found = gc.take(x, tensor("at", "n", dtype=gc.int64), axis=0)
    return list(gc.gradients(found, [x], tensor("slope", "n", 64)))


def argmax() -> list[Any]:
    return [gc.argmax(tensor("x", "n", 1000), axis=1)]


def half() -> list[Any]:
    x = tensor("x", "n", 64, dtype=gc.float16)
    return [gc.maximum(x * 2.0, 0.0)]


def truth() -> list[Any]:
    return [gc.logical_and(tensor("x", "n", 64) > 0.0, tensor("mask", "n", 64, dtype=gc.bool_))]


def product() -> list[Any]:
    return [gc.maximum(tensor("x", "n", 256) @ tensor("w", 256, 512) + tensor("b", 512), 0.0)]


def long_product() -> list[Any]:
    return [gc.tanh(tensor("x", 64, 8192) @ tensor("w", 8192, 64))]


def convolution() -> list[Any]:
    image, kernel = tensor("image", "n", 16, 32, 32), tensor("kernel", 32, 16, 3, 3)
    return [gc.maximum(F.conv2d(image, kernel, padding=1), 0.0)]


@dataclass(frozen=True)
class Case:
    """What a golden text is of, and the most registers that a thread of each kernel may have."""

    make: Callable[[], list[Any]]
    registers: tuple[int, ...]


CASES = {
    "elementwise": Case(elementwise, (24,)),
    "softmax": Case(softmax, (40,)),
    "layer_norm": Case(layer_norm, (128,)),
    "layer_norm_gradient": Case(layer_norm_gradient, (88, 64)),
    "cross_entropy": Case(cross_entropy, (40, 24, 48)),
    "cross_entropy_gradient": Case(cross_entropy_gradient, (24, 32, 32)),
    "transpose": Case(transpose, (32,)),
    "column_sum": Case(column_sum, (56, 32)),
    "full_sum": Case(full_sum, (24, 32)),
    "gather": Case(gather, (24,)),
    "gather_gradient": Case(gather_gradient, (16, 16, 40)),
    "argmax": Case(argmax, (24,)),
    "half": Case(half, (16,)),
    "truth": Case(truth, (24,)),
    "product": Case(product, (128,)),
    "long_product": Case(long_product, (128, 40)),
    "convolution": Case(convolution, (128,)),
}


def sources(name: str, readable: bool) -> list[DeviceSource]:
    """The kernels of a case, in order."""
    with gc.Graph().as_default():
        graph = stage(CASES[name].make()).graph
    options = Options(device=DEVICE)
    made = lower_placed(graph, options, planned_machine(graph, options))
    assert {p.target for p in made.parts} == {CUDA}
    return [
        source
        for part in made.parts
        for home, kernel in launched(part.program)
        for source in device_sources(kernel, overwritten(home, kernel), readable=readable)
    ]


@pytest.mark.parametrize("name", CASES)
def test_text_reads_as_expected(name: str, pytestconfig: pytest.Config) -> None:
    got = "\n".join(f"# {launch(s)}\n{s.text}" for s in sources(name, readable=True))
    path = GOLDEN / "cuda" / f"{name}.txt"
    if pytestconfig.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(got, encoding="utf-8")
        return
    wanted = path.read_text(encoding="utf-8")
    assert got == wanted, differing(wanted, got, f"cuda/{name}.txt")


def test_every_text_has_a_case() -> None:
    assert {p.stem for p in (GOLDEN / "cuda").iterdir()} == set(CASES)


NAMES = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def shape_of(text: str) -> str:
    """The text with every name replaced in order of appearance."""
    found: dict[str, str] = {}
    _, _, body = text.partition("(")
    return NAMES.sub(lambda m: found.setdefault(m[0], f"v{len(found)}"), body)


@pytest.mark.parametrize("name", CASES)
def test_the_text_for_people_is_the_one_that_runs(name: str) -> None:
    """It has other names, and no other difference."""
    shown, run = sources(name, readable=True), sources(name, readable=False)
    assert [shape_of(s.text) for s in shown] == [shape_of(s.text) for s in run]
    assert [(s.grid, s.threads, s.shared) for s in shown] == [
        (s.grid, s.threads, s.shared) for s in run
    ]


def wide(source: DeviceSource, kind: str) -> int:
    """How many accesses of 16 bytes a text has: of four f32, of eight f16."""
    sizes = dict(zip(parameters(source.text), source.parameters, strict=True))
    found = 0
    for count, pointer in re.findall(rf"\b{kind}(\d)\((\w+),", source.text):
        width = int(re.findall(r"\d+", sizes[pointer])[0]) // 8
        found += int(count) * width == 16
    return found


def parameters(text: str) -> Sequence[str]:
    (found,) = re.findall(r"def \w+\((.*)\):", text)
    return str(found).split(", ")


@pytest.mark.cuda_compile
@pytest.mark.parametrize("name", CASES)
def test_machine_code(name: str) -> None:
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: 'graphc[cuda13]'")
    from graphc.codegen.cache import Cache
    from graphc.codegen.cuda.toolchain import cubin as gcuda

    for source, budget in zip(sources(name, False), CASES[name].registers, strict=True):
        _, cubin = gcuda.cubin(source, H100, Cache(kernel_cache()))
        found = instructions(cubin)
        assert registers(cubin) <= budget, source.text
        assert [i for i in found if LOCAL.match(i)] == [], source.text
        assert [i for i in found if DOUBLE.match(i)] == [], source.text
        loads = sum(i.startswith("LDG.E.128") for i in found)
        stores = sum(i.startswith("STG.E.128") for i in found)
        assert loads >= wide(source, "load") + wide(source, "read"), source.text
        assert stores >= wide(source, "store"), source.text


def test_what_is_counted() -> None:
    text = "def kernel(x, y, n):\n    v = load4(x, 0)\n    store8(y, 0, v)\n    load2(x, 4)\n"
    source = DeviceSource(text, ("f32*", "u16*", "u32"))
    assert [wide(source, kind) for kind in ("load", "read", "store")] == [1, 0, 1]
    assert LOCAL.match("STL.64") and DOUBLE.match("DFMA") and DOUBLE.match("F2F.F32.F64")
    assert not DOUBLE.match("DEPBAR.LE") and not LOCAL.match("LDG.E")
