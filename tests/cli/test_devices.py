"""Devices as users see them: options of the command line, dumps, explanations, `graphc devices`,
`gc.plan`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.cli import DECLARED, Capture, graphc, written

import graphc as gc
from graphc.errors import DeviceError, FetchError, GraphcError
from graphc.ir.text.graph import parse_graph, print_graph

SIM = pytest.mark.skipif(
    importlib.util.find_spec("greenlet") is None,
    reason="the simulator needs greenlet: pip install 'graphc[sim]'",
)
NO_DRIVER = ("--device", "cuda:0")


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    return written(tmp_path / "model.py", DECLARED)


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[object]:
    with gc.Graph().as_default() as graph:
        yield graph


# ---- run ----


@SIM
@pytest.mark.parametrize(
    "options",
    [
        ("--device", "cuda:sim"),
        ("--devices", "cpu:0,cuda:sim"),
        ("--device", "cpu:0"),
        ("--devices", "cuda:sim=A100", "--device", "cuda:sim", "--strict"),
    ],
)
def test_runs_are_the_same_everywhere(
    options: tuple[str, ...], declared: Path, tmp_path: Path, capsys: Capture
) -> None:
    np.save(tmp_path / "y.npy", np.array([0, 1, 2]))
    feeds = ["--feed", "random", "--feed", f"y={tmp_path / 'y.npy'}"]
    command = ["run", declared, "--fetch", "loss", "--fetch", "logits", *feeds]
    plain = graphc(capsys, *command)
    assert plain[0] == 0 and graphc(capsys, *command, *options)[:2] == plain[:2]


@pytest.mark.parametrize("command", ["run", "dump", "explain", "profile"])
@pytest.mark.parametrize(
    "options, says",
    [
        (("--device", "nonsense"), "there is no device 'nonsense'"),
        (("--devices", "cpu:0,cuda:0=H1"), "expected a DeviceSpec or one of"),
        (("--devices", "cuda:0,cuda:0"), "declared twice"),
    ],
)
def test_nonsense_is_wrong_usage(
    command: str, options: tuple[str, ...], says: str, declared: Path, capsys: Capture
) -> None:
    more = ["loss"] if command == "explain" else []
    code, _, err = graphc(capsys, command, declared, *more, *options)
    assert code == 2 and says in err


def test_a_device_that_is_not_there(declared: Path, capsys: Capture) -> None:
    if "no NVIDIA driver" not in graphc(capsys, "devices")[1]:
        pytest.skip("this machine has a driver")
    code, _, err = graphc(
        capsys, "run", declared, "--fetch", "loss", "--feed", "random", *NO_DRIVER
    )
    assert code == 1 and "no NVIDIA driver" in err and "cuda:sim" in err


def test_strict_refuses(tmp_path: Path, capsys: Capture) -> None:
    text = "import graphc as gc\nx = gc.placeholder(gc.float32, [4], name='x')\n"
    text += "with gc.device('cuda:0'):\n    y = gc.sort(x)\n    z = gc.py_func(abs, [x], x.type)\n"
    model = written(tmp_path / "m.py", text)
    code, _, err = graphc(capsys, "dump", model, "--fetch", "z", "--strict", "--stage", "placed")
    assert code == 1 and "is pinned to cuda:0, which cannot run it" in err


# ---- dump ----


def test_dump_placed(declared: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "dump", declared, "--stage", "placed", *NO_DRIVER)
    assert code == 0
    graph = parse_graph(out)
    assert print_graph(graph) == out.partition("\n//")[0]
    assert any(v.op.name == "transfer" for v in graph.nodes())
    assert "// %w = variable : f32[6,3]" in out and "the session's device" in out
    assert re.search(r"^// cuda:0 +[\d.]+ us +\S+ k?B of 80 GB$", out, re.MULTILINE)


@pytest.mark.parametrize(
    "stage, marks",
    [
        ("graph", ["graph @main("]),
        ("program", ["// segment 0 of 1, on cuda:0", "program @main_0("]),
        ("kernels", ["# kernel 0 of", "# tensor cores: blocks", "def matmul(x, w, matmul, "]),
    ],
)
def test_dump_of_a_device(stage: str, marks: list[str], declared: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "dump", declared, "--fetch", "loss", "--stage", stage, *NO_DRIVER)
    assert code == 0
    for mark in marks:
        assert mark in out


def test_pinned_lines_need_no_option(tmp_path: Path, capsys: Capture) -> None:
    text = "import graphc as gc\nx = gc.placeholder(gc.float32, [64, 64], name='x')\n"
    text += "with gc.device('cuda:0'):\n    y = gc.exp(x)\nz = gc.sort(y)\n"
    model = written(tmp_path / "m.py", text)
    out = graphc(capsys, "dump", model, "--stage", "kernels")[1]
    assert "on cuda:0" in out and "on cpu:0" in out
    assert "cuda.threadIdx" in out and "(args, lo, hi)" in out


@pytest.mark.parametrize(
    "stage, options, says",
    [
        ("placed", (), "name some with --device"),
        ("ptx", (), "name some with --device"),
        ("asm", NO_DRIVER, "--stage asm is not for cuda, which has placed, program, kernels, ptx"),
        ("loops", NO_DRIVER, "--stage loops is not for cuda"),
    ],
)
def test_stages_that_there_are_not(
    stage: str, options: tuple[str, ...], says: str, declared: Path, capsys: Capture
) -> None:
    code, _, err = graphc(capsys, "dump", declared, "--fetch", "loss", "--stage", stage, *options)
    assert code == 2 and says in err


@pytest.mark.cuda_compile
def test_ptx(declared: Path, capsys: Capture) -> None:
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: 'graphc[cuda13]'")
    code, out, _ = graphc(
        capsys, "dump", declared, "--fetch", "logits", "--stage", "ptx", *NO_DRIVER
    )
    assert code == 0 and ".target sm_90" in out and ".visible .entry gd_" in out


def test_ptx_without_the_compiler(
    declared: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphc.codegen.cuda.toolchain import cubin

    monkeypatch.setitem(cubin.REQUIRED_PACKAGES, "no-such-package", ((1,), (2,)))
    cubin.fingerprint.cache_clear()
    code, _, err = graphc(
        capsys, "dump", declared, "--fetch", "logits", "--stage", "ptx", *NO_DRIVER
    )
    cubin.fingerprint.cache_clear()
    assert code == 1 and "pip install 'graphc[cuda13]'" in err


@SIM
def test_what_a_script_ran_on_devices(tmp_path: Path, capsys: Capture) -> None:
    model = written(
        tmp_path / "s.py",
        (
            "import numpy as np, graphc as gc\nx = gc.placeholder(gc.float32, [None], name='x')\n"
            "with gc.Session() as s:\n    s.run(gc.exp(x), {x: np.ones(3, np.float32)})\n"
        ),
    )
    options = ("--device", "cuda:sim")
    assert graphc(capsys, "run", model, *options, "--dump-ir", tmp_path / "ir")[0] == 0
    assert sorted(p.name for p in (tmp_path / "ir").iterdir()) == [
        "00.graph.gir",
        "00.kernels.py",
        "00.optimized.gir",
        "00.placed.txt",
        "00.program.gir",
    ]


def test_a_script_is_planned_for_devices_that_are_not_there(
    tmp_path: Path, capsys: Capture
) -> None:
    model = written(
        tmp_path / "s.py",
        (
            "import numpy as np, graphc as gc\nx = gc.placeholder(gc.float32, [None], name='x')\n"
            "y = gc.exp(x)\nwith gc.Session() as s:\n    s.run(y, {x: np.ones(3, np.float32)})\n"
        ),
    )
    options = ("--device", "cuda:7")
    out = graphc(capsys, "dump", model, "--stage", "placed", *options)[1]
    assert "exp %x.1" in out and "cuda:7" in out
    assert "device      cuda:7" in graphc(capsys, "explain", model, "y", *options)[1]


# ---- explain, devices ----


def test_explain_on_a_device(declared: Path, capsys: Capture) -> None:
    code, out, _ = graphc(
        capsys, "explain", declared, "logits", "--fetch", "loss", *NO_DRIVER, "--size", "n=1000"
    )
    assert code == 0
    for mark in (
        "device      cuda:0: the session's device",
        "on cpu:0",
        "segment     0 of",
        "schedule    tensor cores",
        "kernel      0 of",
    ):
        assert mark in out, out
    out = graphc(capsys, "explain", declared, "x", "--fetch", "loss", *NO_DRIVER)[1]
    assert "an input, which comes from the host" in out and "to cuda:0" in out


def test_devices(capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "devices")
    assert code == 0 and out.startswith("cpu:0")
    assert re.search(r"^cuda:0 +\S", out, re.MULTILINE) and "cuda:sim" in out
    assert re.search(r"^  A100 +cuda +80 GB +2039 GB/s", out, re.MULTILINE)


# ---- plan ----


def wide(memory: str = "80 GB") -> list[gc.DeviceSpec]:
    return [gc.DeviceSpec("cuda:0", memory=memory, like="A100")]


def test_a_plan_says_time_and_memory() -> None:
    x = gc.placeholder(gc.float32, [None, 1024], name="x")
    w = gc.variable(gc.zeros((1024, 1024)), name="w")
    y = x @ w
    made = gc.plan({"y": y}, wide(), {x: (4096, 1024)})
    assert set(made.seconds) == {"cpu:0", "cuda:0"} and made.seconds["cuda:0"] > 0
    assert made.link_seconds["cpu:0", "cuda:0"] == pytest.approx(10e-6 + 4096 * 4096 / 25e9)
    assert made.total == pytest.approx(sum(made.seconds.values()) + sum(made.link_seconds.values()))
    assert made.memory["cuda:0"].variables == 4 << 20
    assert "cheapest for the whole graph" in str(made) and str(made).endswith(made.summary)
    assert gc.plan(y, ["cpu:0"], {x: (4096, 1024)}).total > made.total


def test_sizes_by_name_reach_equal_ones() -> None:
    a = gc.placeholder(gc.float32, ["n", 8], name="a")
    b = gc.placeholder(gc.float32, ["m", 8], name="b")
    both = a + b  # n and m become one
    memory = [
        gc.plan(both, ["cpu:0"], sizes).memory["cpu:0"].total
        for sizes in ({"n": 1000}, {"m": 1000}, {a: (1000, 8)}, {b: [1000, 8]})
    ]
    assert len(set(memory)) == 1 and memory[0] >= 3 * 32_000


def test_too_little_memory_is_told_before_a_run() -> None:
    x = gc.placeholder(gc.float32, ["n", 1024], name="x")
    with pytest.raises(DeviceError, match="cuda:0 has 1 MB, but a run needs"):
        gc.plan(gc.exp(x), wide("1 MB"), {"n": 4096}, device="cuda:0")
    gc.plan(gc.exp(x), wide("1 MB"), device="cuda:0")  # n is not known


@pytest.mark.parametrize(
    "sizes, says",
    [
        ({"k": 3}, "one of the graph's sizes: n"),
        ({"n": -1}, "whole number"),
        ({"n": 1.5}, "whole number"),
    ],
)
def test_nonsense_sizes(sizes: dict[str, object], says: str) -> None:
    x = gc.placeholder(gc.float32, ["n", 4], name="x")
    with pytest.raises(DeviceError, match=says):
        gc.plan(gc.exp(x), wide(), sizes)


def test_nonsense_plans() -> None:
    x, z = (gc.placeholder(gc.float32, ["n", 4], name=n) for n in "xz")
    y = gc.exp(x)
    for shape in ((3,), (3, 5), (3, -4), ("n", 4)):
        with pytest.raises(DeviceError, match="got shape"):
            gc.plan(y, wide(), {x: shape})
    with pytest.raises(DeviceError, match="no input of what is planned"):
        gc.plan(y, wide(), {z: (3, 4)})
    with pytest.raises(DeviceError, match="expected a gc"):
        gc.plan(y, "cuda:0")  # type: ignore[arg-type]
    with pytest.raises(FetchError, match="is no tensor"):
        gc.plan("x", wide())
    with pytest.raises(GraphcError):
        gc.plan(y, ["nonsense"])
