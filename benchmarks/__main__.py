"""`python -m benchmarks [NAME ...]`: one table; ratios are to graphc's last entry of a workload."""

from __future__ import annotations

import sys

from benchmarks import startup
from benchmarks.networks import NETWORKS
from benchmarks.timing import median_times
from benchmarks.workloads import WORKLOADS

ALL = {**WORKLOADS, **NETWORKS}


def main(names: list[str]) -> int:
    """Runs the named workloads (default: all, and start-up)."""
    unknown = set(names) - {*ALL, "startup"}
    if unknown:
        print(
            f"no workload {', '.join(sorted(unknown))}; "
            f"there are {', '.join([*ALL, 'startup'])}"
        )
        return 2
    for name in names or ALL:
        if name in ALL:
            times = median_times(ALL[name]())
            own = [t for n, t in times.items() if n.startswith("graphc")][-1]
            print(f"{name}: {(ALL[name].__doc__ or '').strip()}")
            for contestant, seconds in times.items():
                print(f"    {contestant:<18} {seconds * 1e6:10.2f} us   {seconds / own:6.2f}")
    if not names or "startup" in names:
        print("startup:")
        print("\n".join(f"    {line}" for line in startup.report()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
