"""`python -m benchmarks [NAME ...]`: ratios are to graphc's last entry of a workload; those of the
tables `gemm` and `conv` (only by name: they take minutes) say how many times as fast as the best of
the others graphc is."""

from __future__ import annotations

import statistics
import sys

from benchmarks import startup
from benchmarks.contractions import TABLES, Case
from benchmarks.networks import NETWORKS
from benchmarks.timing import median_times, ratio, round_times
from benchmarks.workloads import WORKLOADS

SHORT = 0.02  # seconds of a contestant's round in a table
ALL = {**WORKLOADS, **NETWORKS}


def main(names: list[str]) -> int:
    """Runs the named workloads (default: all but tables, and start-up)."""
    known = [*ALL, *TABLES, "startup"]
    unknown = set(names) - set(known)
    if unknown:
        print(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return 2
    for name in names or [*ALL, "startup"]:
        if name in ALL:
            workload(name)
        elif name in TABLES:
            table(name)
        else:
            print("startup:")
            print("\n".join(f"    {line}" for line in startup.report()))
    return 0


def workload(name: str) -> None:
    """Times of all contestants."""
    times = median_times(ALL[name]())
    own = [t for n, t in times.items() if n.startswith("graphc")][-1]
    print(f"{name}: {(ALL[name].__doc__ or '').strip()}")
    for contestant, seconds in times.items():
        print(f"    {contestant:<18} {seconds * 1e6:10.2f} us   {seconds / own:6.2f}")


def table(name: str) -> None:
    """A line for each case: GF/s of all, and graphc's ratio to the best peer."""
    print(f"{name}: {(TABLES[name].__doc__ or '').strip()}")
    for case in TABLES[name]():
        print(f"    {line(case)}", flush=True)


def line(case: Case) -> str:
    """GF/s of each contestant, and how many times as fast as the best peer graphc's best is."""
    rounds = round_times(case.make(), SHORT)
    rates = {n: case.flops / statistics.median(times) / 1e9 for n, times in rounds.items()}
    own, peer = (
        max((n for n in rates if n.startswith("graphc") is ours), key=rates.__getitem__)
        for ours in (True, False)
    )
    figures = "  ".join(f"{n} {rate:6.1f}" for n, rate in rates.items())
    return f"{case.name:<46} {ratio(rounds, own, peer):5.2f}   {figures}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
