"""Devices and placement: pins, scopes, colocation, soft and strict, the cut, memory, machines."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from support.place import THREE, TWO, at, of_op, pin_some, placed, staged

import graphc as gc
from graphc.codegen.cpu.target import HOST_TARGET
from graphc.codegen.cuda.target import CUDA
from graphc.compiler.targets import targets
from graphc.errors import DeviceError, located, user_location
from graphc.ir.graph import Graph, Value, topological
from graphc.ir.ops.transfer import Transfer
from graphc.ir.text.graph import parse_graph, print_graph
from graphc.passes.placement.footprint import check_memory
from graphc.passes.placement.min_cut import Crossing, Problem, solve
from graphc.passes.placement.place import place
from graphc.passes.placement.placed import Placed, PlaceOptions
from graphc.passes.placement.text import explain_placement, placement_table
from graphc.passes.rewrite.engine import rebuild
from graphc.testing.random_graphs import random_graph


@pytest.fixture(autouse=True)
def own_graph() -> Any:
    with gc.Graph().as_default():
        yield


# ---- scopes ----


def test_scopes_nest_and_none_undoes() -> None:
    x = gc.placeholder(gc.float32, [3])
    assert x.device == "" and (x + 1.0).device == ""
    with gc.device("cuda"):
        assert (x + 1.0).device == "cuda:0"
        with gc.device("cpu:1"):
            assert (x * 2.0).device == "cpu:1"
            with gc.device(None):
                assert gc.exp(x).device == ""
        w = gc.variable(np.zeros(3, np.float32))
        assert w.device == "cuda:0" and gc.matmul(x, w).device == "cuda:0"
    assert (x - w).device == ""


def test_a_scope_belongs_to_its_thread() -> None:
    x, seen = gc.placeholder(gc.float32, [3]), []
    with gc.device("cuda:1"):
        other = threading.Thread(target=lambda: seen.append((x + 1.0).device))
        other.start()
        other.join()
    assert seen == [""]


def test_a_scope_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), gc.device("cuda:0"):
        raise ZeroDivisionError
    assert gc.placeholder(gc.float32, [3]).device == ""


@pytest.mark.parametrize("name", ["cpu:3", "cuda:0", "cuda:sim", "cuda:sim:2"])
def test_names_that_are_known(name: str) -> None:
    with gc.device(name):
        assert gc.placeholder(gc.float32, []).device == name


@pytest.mark.parametrize("name", ["gpu:0", "cuda:x", "cuda:-1", "cpu:", "", 0, "cuda:0 ", "tpu:9"])
def test_names_that_are_not(name: Any) -> None:
    with pytest.raises(DeviceError, match=r"there is no device .*cpu:N, cuda:N, cuda:sim") as e:
        gc.device(name)
    assert e.value.location is not None and e.value.location.file == __file__


def test_a_declared_device_is_known() -> None:
    spec = gc.DeviceSpec("npu:1", memory="4 GB", like="LAPTOP")
    with gc.device("npu:1"):
        assert gc.placeholder(gc.float32, []).device == "npu:1"
    with gc.device(spec):
        assert gc.placeholder(gc.float32, []).device == "npu:1"


def test_import_graphc_imports_nothing_of_cuda() -> None:
    code = (
        "import graphc, sys; print([m for m in sys.modules if m.split('.')[0] in "
        "('cuda', 'networkx', 'greenlet') or m.startswith('numba.cuda')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- gradients ----


def test_gradients_follow_their_forward_op() -> None:
    x = gc.placeholder(gc.float32, [4, 3], name="x")
    with gc.device("cuda:0"):
        w = gc.variable(np.ones((3, 3), np.float32), name="w")
        h = gc.tanh(x @ w)
    with gc.device("cuda:1"):
        y = gc.exp(h)
    (d,) = gc.gradients(gc.sum(y), [w])
    pins = {v.op.name: v.device for v in topological([d]) if v not in topological([y])}
    assert pins["matmul"] == "cuda:0"
    products = [v for v in topological([d]) if v.op.name == "multiply"]
    assert {v.device for v in products} == {"cuda:0", "cuda:1"}
    assert d.loc is not None and d.loc.line == h.loc.line


def test_gradients_of_what_is_not_pinned_follow_the_scope() -> None:
    x = gc.placeholder(gc.float32, [4], name="x")
    y = gc.exp(x)
    with gc.device("cuda:1"):
        (d,) = gc.gradients(gc.sum(y * y), [x])
    assert d.device == "cuda:1"


def test_gradients_through_stabilised_formulas_keep_their_pins() -> None:
    x = gc.placeholder(gc.float32, [4, 3], name="x")
    with gc.device("cuda:0"):
        y = gc.log(gc.sum(gc.exp(x), axis=1))
    (d,) = gc.gradients(gc.sum(y), [x])
    new = [v for v in topological([d]) if v.args and v.op.name in ("multiply", "exp", "divide")]
    assert new and {v.device for v in new} == {"cuda:0"}


def test_code_of_the_users_keeps_its_own_line() -> None:
    made = []

    def backward(ct: Any, out: Any, x: Any) -> Any:
        made.append(ct * 2.0)
        return made[0]

    x = gc.placeholder(gc.float32, [4], name="x")
    with gc.device("cuda:0"):
        y = gc.custom_gradient(backward)(lambda x: x * 1.0)(x)
    gc.gradients(gc.sum(y), [x])
    assert made[0].device == "cuda:0"
    assert made[0].loc.line == backward.__code__.co_firstlineno + 1


def test_located_without_a_location_changes_nothing() -> None:
    with located(None):
        here = user_location()
    assert here is not None and here.file == __file__


# ---- pins ----


def test_pins_are_followed_and_values_are_sent_once() -> None:
    x = gc.placeholder(gc.float32, [64, 8], name="x")
    with gc.device("cuda:0"):
        w = gc.variable(np.ones((8, 8), np.float32), name="w")
        h = gc.tanh(x @ w)
    with gc.device("cpu:0"):
        a, b = h + 1.0, h * 3.0
    made = placed([a, b])
    assert {made.device[v] for v in of_op(made, "tanh")} == {"cuda:0"}
    assert {made.device[v] for v in of_op(made, "add")} == {"cpu:0"}
    sent = [(v.args[0].op.name, v.op.device) for v in of_op(made, "transfer")]  # type: ignore[attr-defined]
    assert sorted(sent) == [("placeholder", "cuda:0"), ("tanh", "cpu:0")]
    assert "pinned to cuda:0 at " + __file__ in made.why[of_op(made, "tanh")[0]]


def test_transfers_are_text() -> None:
    text = """graph @f(%w: f32[4]) {
  %w1 = transfer %w {device="cuda:0"} : f32[4]
  return %w1
}"""
    assert print_graph(parse_graph(text)).strip() == text


def test_equal_values_on_two_devices_stay_two() -> None:
    x = gc.placeholder(gc.float32, [4], name="x")
    made = []
    for name in ("cuda:0", "cuda:1", "cuda:1"):
        with gc.device(name):
            made.append(gc.exp(x))
    graph = rebuild(Graph("g", (x,), tuple(made)), lambda v: v)
    assert len({*graph.outputs}) == 2 and graph.outputs[1] is graph.outputs[2]


def test_results_come_to_the_host_and_constants_are_not_sent() -> None:
    with gc.device("cuda:0"):
        w = gc.variable(np.ones(8, np.float32), name="w")
        y = w * np.arange(8, dtype=np.float32) + 2.0
    made = placed([y])
    (out,) = made.graph.outputs
    assert out.op == Transfer("cpu:0") and made.device[out] == "cpu:0"
    assert len(of_op(made, "transfer")) == 1


def test_homes_hold_unless_pinned() -> None:
    x = gc.placeholder(gc.float32, [8], name="x")
    v = gc.variable(np.ones(8, np.float32), name="v")
    with gc.device("cpu:0"):
        w = gc.variable(np.ones(8, np.float32), name="w")
    graph = staged([x + v + w])
    homes = {u: "cuda:0" for u in graph.inputs if u.name in "vw"}
    made = place(graph, TWO, targets(), homes)
    assert at(made, "v") == "cuda:0" and at(made, "w") == "cpu:0"
    with pytest.raises(DeviceError, match="no device 'cuda:5'"):
        place(graph, TWO, targets(), {u: "cuda:5" for u in homes})


# ---- colocation ----


def test_variables_stay_with_their_updates_and_state() -> None:
    x = gc.placeholder(gc.float32, [16, 8], name="x")
    with gc.device("cuda:1"):
        w = gc.variable(np.ones((8, 8), np.float32), name="w")
    step = gc.optim.Adam(0.1).minimize(gc.mean((x @ w) ** 2))
    made = placed([], step.tensors, THREE)
    state = [v for v in made.graph.inputs if v.type.shape == (8, 8)]
    assert len(state) == 3 and {made.device[v] for v in state} == {"cuda:1"}
    for old, new in made.graph.updates:
        if old in state:
            assert made.device[new] == "cuda:1" and not isinstance(new.op, Transfer)


def test_an_update_that_is_pinned_elsewhere_is_sent_home() -> None:
    with gc.device("cuda:0"):
        w = gc.variable(np.ones(8, np.float32), name="w")
    with gc.device("cpu:0"):
        step = w.assign(gc.exp(w))
    made = placed([], [step])
    ((_, new),) = made.graph.updates
    assert new.op == Transfer("cuda:0") and made.device[new.args[0]] == "cpu:0"


# ---- soft and strict ----


def test_soft_placement_is_reported_and_strict_refuses() -> None:
    x = gc.placeholder(gc.float32, [4, 4], name="x")
    with gc.device("cuda:0"):
        y = gc.sort(x)
        here = user_location()
    with pytest.warns(UserWarning, match="pinned to cuda:0 but placed on cpu:0") as seen:
        made = placed([y])
    assert len(seen) == 1 and seen[0].filename == __file__
    assert here is not None and seen[0].lineno == here.line - 1
    moved = next(v for v in made.graph.nodes() if v.device and made.device[v] == "cpu:0")
    assert "which cannot be" in made.why[moved]
    with pytest.raises(DeviceError, match="pinned to cuda:0, which cannot run it") as e:
        placed([y], strict=True)
    assert e.value.location is not None and e.value.location.line == here.line - 1


def test_a_device_that_the_machine_lacks() -> None:
    x = gc.placeholder(gc.float32, [4], name="x")
    with gc.device("cuda:3"):
        y = gc.exp(x)
    with pytest.warns(UserWarning, match="this machine has only cpu:0, cuda:0"):
        placed([y])
    with pytest.raises(DeviceError, match="has only cpu:0, cuda:0"):
        placed([y], strict=True)


def test_what_a_gpu_cannot_run() -> None:
    x = gc.placeholder(gc.float32, [4, 4], name="x")
    calls = gc.py_func(lambda a: a, [x], x.type)
    count = gc.while_loop(lambda i: i < 3, lambda i: i + 1, [gc.astype(gc.sum(x), gc.int32)])
    for tensor in (calls, gc.sort(x), *count):
        values = topological([tensor])
        assert any(map(CUDA.cannot, values)) and not any(map(HOST_TARGET.cannot, values))
    assert CUDA.cannot(x @ x) == CUDA.cannot(gc.cumsum(x)) == ""


# ---- cost ----


def test_large_work_goes_to_the_gpu_and_small_work_stays() -> None:
    for rows, device in ((8, "cpu:0"), (4096, "cuda:0")):
        with gc.Graph().as_default():
            x = gc.placeholder(gc.float32, [rows, 2048], name="x")
            w = gc.variable(np.zeros((2048, 2048), np.float32), name="w")
            v = gc.variable(np.zeros((2048, 8), np.float32), name="v")
            y = (gc.tanh(x @ w) if rows > 8 else x * 2.0) @ v
            made = placed([gc.sum(y)])
            assert {made.device[p] for p in of_op(made, "matmul")} == {device}
            assert at(made, "v") == device


def test_a_slow_link_keeps_work_where_its_data_is() -> None:
    x = gc.placeholder(gc.float32, [2048, 2048], name="x")
    w = gc.variable(np.zeros((2048, 64), np.float32), name="w")
    graph = staged([x @ w])
    gpu = gc.DeviceSpec("cuda:0", like="H100")
    for bandwidth, device in (("100 GB/s", "cuda:0"), ("1 MB/s", "cpu:0")):
        machine = gc.Machine([gpu], [gc.Link("cpu:0", "cuda:0", bandwidth)])
        made = place(graph, machine, targets())
        assert {made.device[p] for p in of_op(made, "matmul")} == {device}


def brute_force(problem: Problem, count: int) -> int:
    """The least cost of all labellings."""
    able = [[i for i in range(count) if math.isfinite(c[i])] for c in problem.costs]
    return min(problem.total(labels) for labels in itertools.product(*able))


def random_ways(rng: random.Random, count: int) -> tuple[tuple[float, ...], ...]:
    """Costs of crossings: any for two devices, for more a metric, as links are."""
    if count == 2:
        return tuple(tuple(rng.random() * 1e-6 for _ in range(2)) for _ in range(2))
    size = rng.random() * 1e-6
    ways = {
        frozenset(p): size * rng.uniform(0.5, 1.0) for p in itertools.combinations(range(count), 2)
    }
    return tuple(
        tuple(ways.get(frozenset((a, b)), 0.0) for b in range(count)) for a in range(count)
    )


def random_problem(seed: int, count: int) -> Problem:
    rng = random.Random(seed)
    units = rng.randint(1, 8 if count == 2 else 6)
    costs = [[rng.random() * 1e-6 for _ in range(count)] for _ in range(units)]
    for c in costs:
        if rng.random() < 0.3:
            keep = rng.randrange(count)
            c[:] = [x if i == keep else math.inf for i, x in enumerate(c)]
    crossings = []
    for u in range(units):
        readers = tuple(r for r in range(units) if r != u and rng.random() < 0.3)
        ways = random_ways(rng, count)
        crossings += [Crossing(u, readers, ways)] if readers else []
    return Problem(costs, crossings)


@pytest.mark.parametrize("seed", range(60))
def test_two_devices_are_cut_at_the_least_cost(seed: int) -> None:
    problem = random_problem(seed, 2)
    assert problem.total(solve(problem)) == brute_force(problem, 2)


def test_three_devices_are_cut_almost_at_the_least_cost() -> None:
    found, least = 0, 0
    for seed in range(60):
        problem = random_problem(seed, 3)
        one, best = problem.total(solve(problem)), brute_force(problem, 3)
        assert best <= one <= 1.2 * best
        found, least = found + one, least + best
    assert found <= 1.01 * least


@pytest.mark.parametrize("seed", range(12))
def test_placed_graphs_are_the_same_each_time(seed: int) -> None:
    graph = random_graph(seed, 30)
    one, two = (place(graph, THREE, targets()) for _ in range(2))
    assert print_graph(one.graph) == print_graph(two.graph)
    assert list(one.device.values()) == list(two.device.values())
    assert list(one.why.values()) == list(two.why.values())


def test_placement_does_not_depend_on_hashes() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); from support.place import *; "
        "from graphc.compiler.targets import *; "
        "from graphc.testing import random_graph; from graphc.passes.placement.text import *; "
        "print([placement_table(place(random_graph(s, 30), THREE, targets())) "
        "for s in range(4)])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": str(n), "PYTHONPATH": "."},
            check=True,
        ).stdout
        for n in range(2)
    }
    assert len(seen) == 1


# ---- machines ----


@pytest.mark.parametrize(
    "given",
    [
        {"memory": "80 XB"},
        {"memory": -1},
        {"memory": 0},
        {"bandwidth": "fast"},
        {"bandwidth": math.inf},
        {"flops": {"f33": 1e12}},
        {"flops": {"f32": 0.0}},
        {"launch": "-1 us"},
        {"like": "H9000"},
        {"kind": "a tpu"},
        {"memory": True},
    ],
)
def test_nonsense_about_devices(given: dict[str, Any]) -> None:
    with pytest.raises(DeviceError, match="expected") as e:
        gc.DeviceSpec("cuda:0", **{"like": "H100", **given})
    assert e.value.location is not None


def test_a_kind_that_nothing_compiles_for() -> None:
    spec = gc.DeviceSpec("cuda:0", kind="tpu", like="H100")
    says = "devices of kind 'tpu'; there are cpu, cuda"
    with pytest.raises(DeviceError, match=says) as e:
        gc.Session(devices=[spec])
    assert e.value.location is not None
    with pytest.raises(DeviceError, match=says):
        gc.plan(gc.placeholder(gc.float32, [3]) * 2.0, gc.Machine([spec]))


def test_a_device_needs_its_figures() -> None:
    with pytest.raises(DeviceError, match="memory is None"):
        gc.DeviceSpec("cuda:0")
    with pytest.raises(DeviceError, match="at least the rate of 'f32'"):
        gc.DeviceSpec("cuda:0", "1 GB", "1 GB/s", {"bf16": 1e12}, "1 us")
    with pytest.raises(DeviceError, match="linked to itself"):
        gc.Link("cuda:0", "cuda")
    with pytest.raises(DeviceError, match="declared twice"):
        gc.Machine([gc.DeviceSpec("cuda:0", like="A100")] * 2)
    with pytest.raises(DeviceError, match="no device 'cuda:7' in this machine"):
        gc.Machine([], [gc.Link("cpu:0", "cuda:7")])


def test_a_spec_takes_the_rest_from_another() -> None:
    spec = gc.DeviceSpec(
        "cuda:0",
        memory="12 GiB",
        flops={"f32": 60e12},
        launch="3 us",
        like=gc.DeviceSpec("cuda:1", like="H200"),
    )
    assert spec.memory == 12 * 2**30 and spec.bandwidth == 4.8e12 and spec.launch == 3e-6
    assert spec.flops["f32"] == 60e12 and spec.flops["bf16"] == 989e12


# ---- memory ----


def two_layers() -> Any:
    x = gc.placeholder(gc.float32, [1024, 512], name="x")
    w = gc.variable(np.zeros((512, 4096), np.float32), name="w")
    v = gc.variable(np.zeros((4096, 4096), np.float32), name="v")
    return gc.sum(gc.exp(x @ w) @ v, axis=1)


def machine_of(memory: str) -> gc.Machine:
    return gc.Machine([gc.DeviceSpec("cuda:0", memory=memory, like="LAPTOP")])


def test_predicted_memory_is_that_of_the_parts() -> None:
    with gc.device("cuda:0"):
        made = placed([two_layers()], machine=machine_of("1 GB"))
    need = made.memory["cuda:0"]
    assert need.variables == 4 * (512 * 4096 + 4096 * 4096)
    assert need.inputs == 4 * 1024 * 512  # pinned: it is fed there
    assert need.values == 4 * (2 * 1024 * 4096)  # of the map and the second product
    assert need.total < 1e9 and made.memory["cpu:0"].outputs == 4 * 1024


def test_memory_that_does_not_suffice_is_told_before_a_run() -> None:
    with gc.device("cuda:0"):
        y = two_layers()
    with pytest.raises(DeviceError, match=r"cuda:0 has 64 MB, but a run needs") as e:
        placed([y], machine=machine_of("64 MB"))
    assert "67.1 MB  %v: f32[4096,4096]\n" not in e.value.message  # the line is named
    assert f"67.1 MB  %v: f32[4096,4096]  at {__file__}" in e.value.message
    assert "smaller batch" in e.value.message


def test_memory_of_symbolic_sizes_is_checked_when_they_are_known() -> None:
    with gc.device("cuda:0"):
        x = gc.placeholder(gc.float32, ["n", 1024], name="x")
        y = gc.sum(gc.exp(x), axis=1)
    made = placed([y], machine=machine_of("10 MB"), assumed=10**6)
    check_memory(made, {"n": 100})
    with pytest.raises(DeviceError, match="needs 4"):
        check_memory(made, {"n": 100_000})


# ---- text ----


def test_explanations() -> None:
    x = gc.placeholder(gc.float32, [64, 8], name="x")
    with gc.device("cuda:0"):
        h = gc.matmul(x, gc.variable(np.ones((8, 8), np.float32), name="w"))
    made = placed([gc.sort(h)])
    (product,) = of_op(made, "matmul")
    lines = explain_placement(made, product)
    assert lines[0].startswith("  device      cuda:0: pinned to cuda:0 at ")
    assert "on cpu:0" in lines[1] and "on cuda:0" in lines[1]
    assert any("reads %x, sent from cpu:0 to cuda:0: 2.05 kB" in s for s in lines)
    assert any("sent from cuda:0 to cpu:0" in s for s in lines)
    assert explain_placement(made, made.origin[product]) == lines
    (sent,) = (v for v in of_op(made, "transfer") if v.args[0] is product)
    assert explain_placement(made, sent)[0].endswith("from cuda:0, for what reads it on cpu:0")
    with pytest.raises(DeviceError, match="no value of the placed graph"):
        explain_placement(made, gc.exp(x))
    table = placement_table(made)
    assert all(f"{v.op.name} " in table for v in made.graph.nodes())
    assert "cuda:0 -> cpu:0" in table and "of 80 GB" in table


def test_every_value_has_a_device_and_a_reason() -> None:
    for seed in range(20):
        graph = pin_some(random_graph(seed, 25), random.Random(seed), 0.0, THREE.names)
        made: Placed = place(graph, THREE, targets(), options=PlaceOptions(assumed=1000))
        every: list[Value] = [*made.graph.inputs, *made.graph.nodes()]
        assert all(made.device[v] in THREE.names and made.why[v] for v in every)
        for v in every:
            assert explain_placement(made, v)[0].startswith(f"  device      {made.device[v]}: ")
