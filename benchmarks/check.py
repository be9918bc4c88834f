"""`make bench-check`: whether graphc has become slower than benchmarks/baseline.json says.

    python -m benchmarks.check             fails where one is more than 15 % slower
    python -m benchmarks.check --update    measures anew and writes the baseline

Each figure is the time of one call in times of a calibration loop, the median over rounds in which
both take turns: it depends less on the machine and its load than seconds do.  Still the machine
should be quiet, and the one that the baseline was measured on.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gc
from benchmarks import THREADS
from benchmarks.networks import NETWORKS
from benchmarks.timing import ratio, round_times
from benchmarks.workloads import WORKLOADS, normal

BASELINE = Path(__file__).with_name("baseline.json")
LIMIT = 0.15  # of the baseline's figure: how much slower a call may be
ATTEMPTS = 3  # a call fails if it is too slow in each of them
CALIBRATION = "calibration"

Figures = dict[str, float]


def calibration() -> Callable[[], object]:
    """A call of fixed work: the interpreter, the vector units and the memory have a share each."""
    small, large = normal(1 << 16), normal(1 << 20)
    out = np.empty_like(large)

    def call() -> float:
        counts: dict[int, int] = {}
        for i in range(4_000):
            counts[i % 97] = counts.get(i % 97, 0) + i
        np.copyto(out, large)
        return float(np.exp(small)[0] + out[0] + counts[0])

    return call


def declare() -> Callable[[], object]:
    """Declaring a deep network, with its gradients."""

    def call() -> int:
        with gc.Graph().as_default():
            return len(gc.gradients(*_network()))

    return call


def compile_known() -> Callable[[], object]:
    """Declaring and compiling a network whose kernels are in the cache, and its first run."""
    row = normal(4, 64)

    def call() -> Any:
        with gc.Graph().as_default() as graph:
            loss, (x, *_) = _network()
            return gc.Session(graph, threads=THREADS).run(loss, {x: row})

    return call


def _network() -> tuple[Any, list[Any]]:
    """The loss of sixteen layers, and what it depends on: the input first."""
    x = gc.placeholder(gc.float32, [None, 64], name="x")
    weights = [gc.variable(gc.init.zeros((64, 64))) for _ in range(16)]
    y = x
    for w in weights:
        y = gc.tanh(y @ w) + y
    return gc.mean(y * y), [x, *weights]


def _of(workload: Callable[[], Any]) -> Callable[[], object]:
    """graphc's entry of a workload; the last, where it has several."""
    return [call for name, call in workload().items() if name.startswith("graphc")][-1]


WATCHED: dict[str, Callable[[], Callable[[], object]]] = {
    "declare": declare,
    "compile_known": compile_known,
    **{
        name: lambda workload=workload: _of(workload)
        for name, workload in {**WORKLOADS, "cnn_step": NETWORKS["cnn_step"]}.items()
    },
}


def measured(names: Iterable[str]) -> Figures:
    """The figure of each call that is named."""
    calls = {CALIBRATION: calibration(), **{name: WATCHED[name]() for name in names}}
    rounds = round_times(calls)
    return {name: ratio(rounds, CALIBRATION, name) for name in calls if name != CALIBRATION}


def slower(found: Figures, baseline: Figures) -> list[str]:
    """The names of those beyond the limit."""
    return [name for name in found if found[name] > baseline[name] * (1 + LIMIT)]


def judged(baseline: Figures, measure: Callable[[Iterable[str]], Figures] = measured) -> Figures:
    """The figures, the best of as many attempts as one that is too slow gets."""
    best = measure(baseline)
    for _ in range(ATTEMPTS - 1):
        again = slower(best, baseline)
        if again:
            best |= {name: min(best[name], figure) for name, figure in measure(again).items()}
    return best


def surroundings() -> dict[str, str]:
    """What figures depend on besides graphc."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    packages = {name: metadata.version(name) for name in ("numpy", "numba", "llvmlite")}
    return {"cpu": cpu, "python": platform.python_version(), "threads": str(THREADS), **packages}


def written(figures: Figures) -> str:
    """The text of a baseline."""
    rounded = {name: float(f"{figure:.4g}") for name, figure in figures.items()}
    return json.dumps({"measured on": surroundings(), "figures": rounded}, indent=2) + "\n"


def report(found: Figures, baseline: Figures) -> list[str]:
    """A line for each call: its figure, the baseline's, the difference."""
    beyond = set(slower(found, baseline))
    return [
        f"{name:<16} {found[name]:9.4g}  baseline {baseline[name]:9.4g}  "
        f"{found[name] / baseline[name] - 1:+7.1%}{'  SLOWER' if name in beyond else ''}"
        for name in found
    ]


def main(arguments: list[str]) -> int:
    """Measures, and judges by the baseline or writes it: 0, 1 (slower) or 2 (no fit baseline)."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--update", action="store_true", help="write the baseline")
    options.add_argument("--baseline", type=Path, default=BASELINE)
    given = options.parse_args(arguments)
    if given.update:
        given.baseline.write_text(written(measured(WATCHED)), encoding="utf-8")
        print(f"wrote {given.baseline}")
        return 0
    if not given.baseline.exists():
        print(f"no {given.baseline}; on a quiet machine: python -m benchmarks.check --update")
        return 2
    kept = json.loads(given.baseline.read_text(encoding="utf-8"))
    baseline: Figures = kept["figures"]
    if baseline.keys() != WATCHED.keys():
        print(f"the baseline is not of {', '.join(WATCHED)}; write it anew with --update")
        return 2
    for what, here in surroundings().items():
        if kept["measured on"].get(what) != here:
            print(f"{what} is {here}; the baseline is of {kept['measured on'].get(what)}")
    found = judged(baseline)
    print("\n".join(report(found, baseline)))
    return int(bool(slower(found, baseline)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
