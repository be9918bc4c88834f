"""Each schedule of CUDA kernels at odd sizes, in the warp simulator, against the oracle: that it is
the one expected, that its results are right, and by its text how it reads memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from support.device import SimulatedGraph, few_chunks

import graphc as gc
from graphc.frontend.stage import stage
from graphc.ir.graph import Graph, Value
from graphc.ir.interpret import interpret
from graphc.ir.text.graph import parse_graph
from graphc.runtime.device import launches
from graphc.testing.closeness import disagreements
from graphc.testing.random_values import draw

pytest.importorskip("greenlet", reason="threads that meet are simulated by greenlets")

N = (0, 1, 7, 33)
FEW_CHUNKS = few_chunks(4)


def graph_of(text: str, inputs: str, **changes: Any) -> SimulatedGraph:
    """The compiled graph of a body; `x: f32[n,3]` are its inputs, without their signs."""
    head = ", ".join(f"%{i}" for i in inputs.split("; "))
    return SimulatedGraph(parse_graph(f"graph @g({head}) {{\n{text}\n}}\n"), **changes)


def feed(graph: Graph, n: int, m: int = 5, special: bool = False, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng([seed, n, m, special])

    def one(v: Value) -> Any:
        return np.asarray(draw(rng, v.type, {"n": n, "m": m}, special))

    return [one(v) for v in graph.inputs]


def check(
    made: SimulatedGraph, sizes: Sequence[int] = N, special: bool = False, m: int = 5
) -> None:
    """The results are the oracle's, with 32 bits for indices and with 64."""
    for n in sizes:
        arrays = feed(made.graph, n, m, special)
        wanted = list(interpret(made.graph, *arrays))
        assert not disagreements(made.graph, arrays, wanted, made(arrays)), f"n={n}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launches, "MIN_ELEMENTS_FOR_64_BITS", 0)
        assert not disagreements(made.graph, arrays, wanted, made(arrays)), f"n={n}, 64 bits"
    assert any("u64" in text for text in made.texts)


def accesses(text: str) -> list[str]:
    """How the text reads and writes buffers: those that are parameters."""
    buffers = re.findall(r"v\d+", text.partition(")")[0])
    found = re.findall(r"\b((?:load|read|store)\d?)\((v\d+)", text)
    plain = [x for x in re.findall(r"^ *(v\d+)\[.*\] = ", text, re.MULTILINE) if x in buffers]
    return [name for name, x in found if x in buffers] + ["store"] * len(plain)


def only(made: SimulatedGraph) -> str:
    (text,) = made.texts
    return text


# ---- elementwise ----


@pytest.mark.parametrize(
    ("dtype", "length"),
    [
        ("f32", 4),
        ("f64", 2),
        ("f16", 8),
        ("bf16", 8),
        ("i8", 8),
        ("u8", 8),
        ("i16", 8),
        ("u16", 8),
        ("i32", 4),
        ("u32", 4),
        ("i64", 2),
        ("u64", 2),
    ],
)
def test_maps_of_every_type(dtype: str, length: int) -> None:
    made = graph_of(
        f"%a = add %x, %y : {dtype}[n]\n%b = multiply %a, %x : {dtype}[n]\nreturn %b",
        f"x: {dtype}[n]; y: {dtype}[n]",
    )
    assert made.schedules == ["elementwise"]
    text = only(made)
    assert text.count(f"load{length}(") == 2 and text.count(f"store{length}(") == 1
    assert text.count("load(") == 2  # of the tail
    check(made, (0, 1, 3, 8, 17, 300))


def test_maps_of_bools() -> None:
    made = graph_of("%a = logical_xor %x, %y : bool[n]\nreturn %a", "x: bool[n]; y: bool[n]")
    assert "load8(" in only(made) and "store8(" in only(made)
    check(made, (0, 1, 9, 40))


@pytest.mark.parametrize(
    ("wide", "narrow"), [("f64", "i8"), ("f32", "f16"), ("i64", "bool"), ("f64", "bf16")]
)
def test_maps_of_mixed_types(wide: str, narrow: str) -> None:
    """The narrow elements decide how many neighbours a thread makes."""
    made = graph_of(
        f"%a = cast %x : {wide}[n]\n%b = add %a, %y : {wide}[n]\n"
        f"%c = cast %b : {narrow}[n]\nreturn %b, %c",
        f"x: {narrow}[n]; y: {wide}[n]",
    )
    check(made, (0, 1, 9, 40))


def test_maps_whose_rows_are_vectors_need_no_tail() -> None:
    made = graph_of(
        "%b = broadcast %v {axes=[1]} : f32[n,12]\n%a = add %x, %b : f32[n,12]\nreturn %a",
        "x: f32[n,12]; v: f32[12]",
    )
    assert "load(" not in only(made) and only(made).count("load4(") == 2
    check(made)


def test_maps_that_broadcast_columns() -> None:
    made = graph_of(
        "%b = broadcast %v {axes=[0]} : f32[n,12]\n%a = add %x, %b : f32[n,12]\nreturn %a",
        "x: f32[n,12]; v: f32[n]",
    )
    assert only(made).count("load4(") == 1 and only(made).count("load(") == 1
    check(made)


def test_odd_rows_are_not_split_into_vectors() -> None:
    made = graph_of(
        "%b = broadcast %v {axes=[1]} : f32[n,13]\n%a = add %x, %b : f32[n,13]\nreturn %a",
        "x: f32[n,13]; v: f32[13]",
    )
    assert "load4(" not in only(made)
    check(made)


def test_slices_and_pads_begin_where_no_vector_may() -> None:
    made = graph_of(
        "%a = slice %x {starts=[1], steps=[1], shape=[n-1]} : f32[n-1]\n"
        "%b = negative %a : f32[n-1]\n%c = pad %x {low=[3], high=[2], value=1.0} : f32[n+5]\n"
        "%d = negative %c : f32[n+5]\nreturn %b, %d",
        "x: f32[n]",
    )
    check(made, (1, 2, 7, 33))


# ---- rows ----


SOFTMAX = """%m = reduce_max %x {axes=[1]} : T[n,C]
%mb = broadcast %m {axes=[0]} : T[n,C]
%d = subtract %x, %mb : T[n,C]
%e = exp %d : T[n,C]
%s = reduce_sum %e {axes=[1]} : T[n]
%sb = broadcast %s {axes=[0]} : T[n,C]
%y = divide %e, %sb : T[n,C]
return %y""".replace("reduce_max %x {axes=[1]} : T[n,C]", "reduce_max %x {axes=[1]} : T[n]")


def softmax(columns: int | str, dtype: str = "f32") -> SimulatedGraph:
    text = SOFTMAX.replace("C]", f"{columns}]").replace("T[", f"{dtype}[")
    return graph_of(text, f"x: {dtype}[n,{columns}]")


@pytest.mark.parametrize(
    ("columns", "schedule"),
    [
        (1, "elementwise"),
        (2, "elementwise"),
        (32, "elementwise"),
        (33, "rows by warp"),
        (100, "rows by warp"),
        (128, "rows by warp"),
        (1024, "rows by warp"),
        (1025, "rows by block"),
        (2048, "rows by block"),
        (3000, "rows by block"),
        ("m", "rows by warp"),
    ],
)
def test_softmax(columns: int | str, schedule: str) -> None:
    made = softmax(columns)
    assert made.schedules == [schedule]
    check(made, (0, 1, 9) if columns in (1, 2, 32, 33, "m") else (2,))


@pytest.mark.parametrize("columns", [5, 33])
def test_softmax_of_columns(columns: int) -> None:
    """Threads behind the last column neither write nor read what others write."""
    text = SOFTMAX.replace("T[n,C]", f"f32[37,{columns}]").replace("T[n]", f"f32[{columns}]")
    text = text.replace("axes=[0]", "axes=[2]").replace("axes=[1]", "axes=[0]")
    made = graph_of(text.replace("axes=[2]", "axes=[1]"), f"x: f32[37,{columns}]")
    assert made.schedules == ["rows by columns"]
    check(made, (1,))


@pytest.mark.parametrize("columns", [128, 1024, 2048])
def test_a_row_is_loaded_once_by_vectors(columns: int) -> None:
    text = only(softmax(columns))
    assert accesses(text) == ["load4", "store4"] and text.count("= exp(") == 4


def test_a_row_of_odd_length_is_loaded_once() -> None:
    assert accesses(only(softmax(71))) == ["load", "store"]


@pytest.mark.parametrize("m", [0, 1, 31, 33, 70])
def test_rows_of_a_length_that_the_run_tells(m: int) -> None:
    check(softmax("m"), (1, 9), m=m)


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64"])
@pytest.mark.parametrize("columns", [64, 70, 1100])
def test_softmax_of_other_types(dtype: str, columns: int) -> None:
    check(softmax(columns, dtype), (2,))


FOLDS = """%s = reduce_sum %x {axes=[1]} : T[n]
%p = reduce_max %x {axes=[1]} : T[n]
%q = reduce_min %x {axes=[1]} : T[n]
%a = reduce_argmax %x {axes=[1]} : i64[n]
%b = reduce_argmin %x {axes=[1]} : i64[n]
%y = negative %x : T[n,C]
return %s, %p, %q, %a, %b, %y"""


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "f64", "i8", "i64"])
@pytest.mark.parametrize("columns", [5, 70, 1100])
def test_several_folds_of_a_row(dtype: str, columns: int) -> None:
    text = FOLDS.replace("C]", f"{columns}]").replace("T[", f"{dtype}[")
    made = graph_of(text, f"x: {dtype}[n,{columns}]")
    check(made, (0, 1, 9) if columns < 100 else (2,))
    check(made, (2,), special=True)


@pytest.mark.parametrize(
    ("columns", "schedule"), [(5, "elementwise"), (70, "rows by warp"), (1100, "rows by block")]
)
def test_folds_of_bools(columns: int, schedule: str) -> None:
    made = graph_of(
        "%a = reduce_all %x {axes=[1]} : bool[n]\n"
        "%b = reduce_any %x {axes=[1]} : bool[n]\nreturn %a, %b",
        f"x: bool[n,{columns}]",
    )
    assert made.schedules == [schedule]
    check(made, (1, 3))


def test_ties_and_nans_of_positions() -> None:
    """The first of equals, and of NaNs, whatever lane finds it."""
    for columns in (40, 70, 1100):
        made = graph_of(
            "%a = reduce_argmax %x {axes=[1]} : i64[n]\n"
            "%b = reduce_argmin %x {axes=[1]} : i64[n]\nreturn %a, %b",
            f"x: f32[n,{columns}]",
        )
        x = np.zeros((4, columns), np.float32)
        x[1, [37, 33]] = 1.0
        x[2, [39, 3, 36]] = np.nan, -1.0, np.nan
        x[3] = -np.inf
        for got, wanted in zip(made([x]), interpret(made.graph, x), strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("rows", [40, 300])
@pytest.mark.parametrize("columns", [1, 31, 33, 64])
def test_columns(rows: int, columns: int) -> None:
    """What is folded lies along columns."""
    made = graph_of(
        "%a = reduce_sum %x {axes=[1]} : f32[2,C]\n"
        "%b = reduce_max %x {axes=[1]} : f32[2,C]\nreturn %a, %b".replace("C]", f"{columns}]"),
        f"x: f32[2,{rows},{columns}]",
        disable={"split-reductions"},
    )
    if columns > 1:
        assert made.schedules == ["rows by columns"]
    check(made, (1,))


def test_columns_that_find_positions_and_keep_what_they_map() -> None:
    made = graph_of(
        "%a = reduce_argmax %x {axes=[1]} : i64[n,33]\n%m = reduce_max %x {axes=[1]} : f32[n,33]\n"
        "%b = broadcast %m {axes=[0, 2]} : f32[n,40,33]\n%y = subtract %x, %b : f32[n,40,33]\n"
        "return %a, %y",
        "x: f32[n,40,33]",
    )
    assert "rows by columns" in made.schedules
    check(made, (0, 1, 2))


# ---- chunks of rows ----


LAYER_NORM = """%ones = full {value=1.0} : f32[n,C]
%mb = broadcast %mean {axes=[0]} : f32[n,C]
%rb = broadcast %rstd {axes=[0]} : f32[n,C]
%d = subtract %x, %mb : f32[n,C]
%h = multiply %d, %rb : f32[n,C]
%gh = multiply %g, %h : f32[n,C]
%dw = reduce_sum %gh {axes=[0]} : f32[C]
%db = reduce_sum %g {axes=[0]} : f32[C]
%s = reduce_sum %gh {axes=[1]} : f32[n]
%t = reduce_sum %g {axes=[1]} : f32[n]
%sb = broadcast %s {axes=[0]} : f32[n,C]
%tb = broadcast %t {axes=[0]} : f32[n,C]
%p = multiply %h, %sb : f32[n,C]
%q = add %p, %tb : f32[n,C]
%dx = subtract %g, %q : f32[n,C]
return %dx, %dw, %db"""


@pytest.mark.parametrize(
    ("columns", "schedule"), [(5, "warp"), (70, "warp"), (128, "warp"), (1030, "block")]
)
def test_gradients_of_layer_norm(columns: int, schedule: str) -> None:
    made = graph_of(
        LAYER_NORM.replace("C]", f"{columns}]"),
        f"x: f32[n,{columns}]; mean: f32[n]; rstd: f32[n]; g: f32[n,{columns}]",
        target=FEW_CHUNKS,
    )
    assert f"chunks by {schedule}" in made.schedules
    check(made, (0, 1, 15, 16, 17, 100) if columns < 100 else (1, 17))


@pytest.mark.parametrize("rows", [15, 16, 17, 1000])
def test_chunks_of_a_known_number_of_rows(rows: int) -> None:
    text = LAYER_NORM.replace("[n", f"[{rows}").replace("C]", "40]")
    made = graph_of(
        text, f"x: f32[{rows},40]; mean: f32[{rows}]; rstd: f32[{rows}]; g: f32[{rows},40]"
    )
    check(made, (1,))


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "f16"])
def test_full_folds(dtype: str) -> None:
    """Chunks of single elements, and rows whose folds are folded."""
    made = graph_of(
        "%a = reduce_sum %x {axes=[0]} : T[]\n%b = reduce_max %x {axes=[0]} : T[]\n"
        "%c = reduce_sum %y {axes=[0, 1]} : T[]\nreturn %a, %b, %c".replace("T[", f"{dtype}["),
        f"x: {dtype}[n]; y: {dtype}[n,3]",
        target=FEW_CHUNKS,
    )
    assert "chunks by block" in made.schedules
    check(made, (0, 1, 333))


@pytest.mark.parametrize("columns", [10, 70])
def test_cross_entropy_and_its_gradient(columns: int) -> None:
    made = graph_of(
        SOFTMAX.replace("C]", f"{columns}]").replace("T[", "f32[").replace("return %y", "")
        + "%l = log %y : f32[n,C]\n%w = multiply %l, %t : f32[n,C]\n"
        "%loss = reduce_sum %w {axes=[0, 1]} : f32[]\n%g = subtract %y, %t : f32[n,C]\n"
        "%gb = reduce_sum %g {axes=[0]} : f32[C]\nreturn %loss, %g, %gb".replace(
            "C]", f"{columns}]"
        ),
        f"x: f32[n,{columns}]; t: f32[n,{columns}]",
        target=FEW_CHUNKS,
    )
    check(made, (0, 1, 15, 40))


def test_rows_of_one_element() -> None:
    made = graph_of(
        "%a = reduce_argmax %x {axes=[2]} : i64[2*n,4]\n"
        "%b = reduce_sum %x {axes=[2]} : f32[2*n,4]\n"
        "%c = reduce_sum %y {axes=[1]} : f32[n]\n%d = reduce_sum %c {axes=[0]} : f32[]\n"
        "return %a, %b, %c, %d",
        "x: f32[2*n,4,1]; y: f32[n,1]",
        target=FEW_CHUNKS,
    )
    check(made, (0, 1, 33, 300))


def test_chunks_of_matrices() -> None:
    """What begins a chunk has the loops of what goes on with it."""
    made = graph_of(
        "%a = reduce_min %x {axes=[0]} : f32[3,5]\nreturn %a", "x: f32[n,3,5]", target=FEW_CHUNKS
    )
    check(made, (0, 1, 33, 100))
    made = graph_of(
        "%t = transpose %y {axes=[0, 2, 1]} : f32[n,3,5]\n%s = add %x, %t : f32[n,3,5]\n"
        "%a = reduce_min %s {axes=[0]} : f32[3,5]\nreturn %a",
        "x: f32[n,3,5]; y: f32[n,5,3]",
        target=FEW_CHUNKS,
    )
    check(made, (0, 1, 33, 100))


# ---- tiles ----


@pytest.mark.parametrize("dtype", ["f32", "bf16", "i8", "bool", "f64"])
def test_transposes(dtype: str) -> None:
    made = graph_of(
        "%t = transpose %x {axes=[1, 0]} : T[m,n]\nreturn %t".replace("T[", f"{dtype}["),
        f"x: {dtype}[n,m]",
    )
    assert made.schedules == ["tiles"]
    for m in (1, 31, 33):
        check(made, (0, 1, 33), m=m)


@pytest.mark.parametrize("axes", ["1, 0, 2", "2, 1, 0", "0, 2, 1", "2, 0, 1"])
def test_transposes_of_three_axes(axes: str) -> None:
    order = [int(a) for a in axes.split(", ")]
    sizes = ["n", "9", "10"]
    shape = ",".join(sizes[a] for a in order)
    made = graph_of(
        f"%t = transpose %x {{axes=[{axes}]}} : f32[{shape}]\n"
        f"%e = exp %t : f32[{shape}]\nreturn %e",
        "x: f32[n,9,10]",
    )
    check(made, (0, 1, 9, 33))


def test_several_turned_operands_of_four_axes() -> None:
    made = graph_of(
        "%t = transpose %x {axes=[0, 1, 3, 2]} : f32[2,n,m,9]\n"
        "%u = transpose %y {axes=[0, 1, 3, 2]} : f32[2,n,m,9]\n%v = add %t, %u : f32[2,n,m,9]\n"
        "%w = multiply %v, %z : f32[2,n,m,9]\nreturn %w",
        "x: f32[2,n,9,m]; y: f32[2,n,9,m]; z: f32[2,n,m,9]",
    )
    assert made.schedules == ["tiles"]
    for m in (1, 10, 33):
        check(made, (0, 1, 2), m=m)


def test_turned_under_a_guard() -> None:
    made = graph_of(
        "%t = transpose %x {axes=[1, 0]} : f32[m,n]\n"
        "%p = pad %t {low=[2, 1], high=[1, 3], value=2.0} : f32[m+3,n+4]\n"
        "%e = exp %p : f32[m+3,n+4]\nreturn %e",
        "x: f32[n,m]",
    )
    for m in (0, 1, 33):
        check(made, (0, 1, 33), m=m)


# ---- what threads do alone ----


def test_loops_of_maps() -> None:
    """A scan without products is one kernel; how many steps it made is stored once."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, ["n", 5], name="thread")

        def step(carry: Any, row: Any) -> Any:
            carry = gc.tanh(carry + row)
            return carry, carry * 2.0

        last, rows = gc.scan(step, gc.zeros((5,)), x)
        made = SimulatedGraph(stage([last, rows]).graph)
    assert "serial" in made.schedules
    check(made, (0, 1, 7))


# ---- names ----


WORDS = ["load", "cuda", "status", "u32", "other", "take", "row", "lane"]


@pytest.mark.parametrize("size", ["n", "i0", "load", "status", "u32", "c", "lane", "key0", "v3"])
def test_names_of_values_and_sizes_meet_no_others(size: str) -> None:
    body = "%a0 = exp %load : f32[n,70]\n" + "".join(
        f"%a{i + 1} = add %a{i}, %{w} : f32[n,70]\n" for i, w in enumerate(WORDS[1:])
    )
    body += (
        "%m = reduce_argmax %a7 {axes=[1]} : i64[n]\n"
        "%m_at = reduce_argmax %a6 {axes=[1]} : i64[n]\n"
        "%m_take = reduce_argmin %a5 {axes=[1]} : i64[n]\nreturn %a7, %m, %m_at, %m_take"
    )
    inputs = "; ".join(f"{w}: f32[n,70]" for w in WORDS)
    made = graph_of(body.replace("[n", f"[{size}"), inputs.replace("[n", f"[{size}"))
    assert not any(f.source.uses_status for fs in made.program.functions.values() for f in fs)
    arrays = [np.random.default_rng(i).normal(size=(3, 70)).astype(np.float32) for i in range(8)]
    wanted = list(interpret(made.graph, *arrays))
    assert not disagreements(made.graph, arrays, wanted, made(arrays))
