"""A case on a device: against the oracle in f64, and timed with its data on the device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.gpu.cases import Case, Inputs
from benchmarks.gpu.report import Failed, Figures
from graphc.frontend.stage import stage
from graphc.ir.interpret import interpret
from graphc.ir.types import DType, as_dtype

ROUNDING = {"f64": 2.0**-52, "f32": 2.0**-23, "f16": 2.0**-10, "bf16": 2.0**-7}
NARROW = 4  # roundings: sums are in f32, so a result is rounded once
ROUNDS, ROUND_SECONDS = 5, 0.03


def session(device: str, graph: gc.Graph) -> gc.Session:
    """A session that runs all of a graph on a device, or fails."""
    return (
        gc.Session(graph)
        if device.startswith("cpu")
        else gc.Session(graph, device=device, strict=True)
    )


def arrays(inputs: Inputs, dtype: DType) -> list[np.ndarray[Any, Any]]:
    """The data of a case: the same each time."""
    rng = np.random.default_rng(0)
    return [i.array(dtype.numpy, rng) for i in inputs]


def outputs(made: Any) -> list[gc.Tensor]:
    return list(made) if isinstance(made, list | tuple) else [made]


def oracle(case: Case, data: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """What is right: the same program, floats in f64, by NumPy."""
    wide = [a if a.dtype.kind in "biu" else a.astype(np.float64) for a in data]
    with gc.Graph().as_default():
        given = [gc.placeholder(as_dtype(a.dtype), a.shape) for a in wide]
        staged = stage(outputs(case.make(*given)))
        return list(interpret(staged.graph, *[wide[given.index(t)] for t in staged.inputs]))


def check(case: Case, inputs: Inputs, dtype: DType, device: str, symbolic: bool) -> Figures:
    """A case's error, in units of the largest element; more than a few roundings are a failure.
    With `symbolic`, the program is compiled for any size of the first axis."""
    data = arrays(inputs, dtype)
    with gc.Graph().as_default() as graph:
        given = [gc.placeholder(as_dtype(a.dtype), _declared(a, data[0], symbolic)) for a in data]
        made = outputs(case.make(*given))
    with session(device, graph) as sess:
        got = sess.run(made, dict(zip(given, data, strict=True)))
    worst = max(map(distance, got, oracle(case, data)), default=0.0)
    slack = NARROW if dtype.bits < 32 else case.slack
    bound = slack * ROUNDING.get(dtype.name, 0.0)
    figures = {"worst": worst, "bound": bound, "shapes": [list(a.shape) for a in data]}
    if not worst <= bound:
        raise Failed(f"the error is {worst:.2e}, at most {bound:.2e} is right", figures)
    return figures


def _declared(
    array: np.ndarray[Any, Any], first: np.ndarray[Any, Any], symbolic: bool
) -> list[int | str]:
    """The shape of an array, where its first axis is as long as that of the `first` array."""
    shape: list[int | str] = list(array.shape)
    if symbolic and shape[0] == first.shape[0]:
        shape[0] = "rows"
    return shape


def distance(got: Any, wanted: np.ndarray[Any, Any]) -> float:
    """The largest difference, relative to the largest element wanted."""
    found = np.asarray(got)
    if found.shape != wanted.shape:
        raise Failed(f"the shape is {found.shape}, wanted {wanted.shape}", {})
    if wanted.dtype.kind in "biu":
        return float(np.any(found != wanted))
    if not wanted.size:
        return 0.0
    apart = np.abs(found.astype(np.float64) - wanted)
    return float(np.max(apart) / (np.max(np.abs(wanted)) or 1.0))


def timed(case: Case, elements: int, dtype: DType, device: str, copy: float) -> Figures:
    """A case's time with all data in variables, which live on the device, and the share of the copy
    bandwidth (bytes a second) at which it reads its inputs and writes its results, once each."""
    assert case.large is not None
    data = arrays(case.large(elements), dtype)
    with gc.Graph().as_default() as graph:
        made = outputs(case.make(*[gc.variable(a) for a in data]))
        kept = [gc.variable(gc.zeros(y.shape, dtype=y.dtype)) for y in made]
        step = gc.group(*[v.assign(y) for v, y in zip(kept, made, strict=True)])
        moved = sum(a.nbytes for a in data) + sum(int(y.type.nbytes) for y in made)
    with session(device, graph) as sess:
        seconds = per_call(sess.make_callable(step), wait_for(sess, graph))
    speed = moved / seconds
    return {
        "ms": seconds * 1e3,
        "bytes": moved,
        "gbs": speed / 1e9,
        "share": speed / copy,
        **({} if case.bar is None else {"bar": case.bar}),
    }


def wait_for(sess: gc.Session, graph: gc.Graph) -> Callable[[], Any]:
    """Waits for the device: the host cannot have this number before all work so far is done."""
    with graph.as_default():
        return sess.make_callable(gc.variable(np.float32(1)) + 1)


def per_call(call: Callable[[], Any], wait: Callable[[], Any]) -> float:
    """Seconds of a call, by rounds of calls that are waited for together: the median."""
    for _ in range(3):
        call()
    wait()
    times = []
    calls = max(1, int(ROUND_SECONDS / max(once(call, wait, 1), 1e-7)))
    for _ in range(ROUNDS):
        times.append(once(call, wait, calls))
    return statistics.median(times)


def once(call: Callable[[], Any], wait: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    wait()
    return (time.perf_counter() - start) / calls
