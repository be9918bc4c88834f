"""Makes the rows of a profile: the times of a plan's places, against what its device can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.errors import Location
from graphc.ir import dim
from graphc.ir.arena import ArenaLayout
from graphc.ir.dim import Size
from graphc.ir.machine import DeviceSpec
from graphc.ir.op import Array
from graphc.ir.program import Kernel, Kind, Program, scatters_in_place
from graphc.ir.types import f64
from graphc.passes.cost.cache_reuse import touches
from graphc.passes.cost.kernel import Cost, cost_of
from graphc.profile.machine_limits import WORKING_SETS, Limits
from graphc.profile.report import Label, ProfileRow
from graphc.runtime.cpu.timer import Timed

Typical = Callable[[Any], Any]  # one time out of many: their median, or the least


class ProfileTable:
    """The rows of one plan.  `calls` and `spent` (seconds) have a row for each run and a column for
    each place.  Subclasses say what their device can do."""

    def __init__(
        self,
        program: Program,
        sizes: Mapping[str, int],
        places: Sequence[Timed],
        calls: Array,
        spent: Array,
        typical: Typical,
    ) -> None:
        self.sizes, self.places, self.typical = sizes, places, typical
        self.calls, self.spent = calls, spent
        self.costs: dict[Kernel, Cost] = {}
        homes = [program]
        for home in homes:
            for k in home.kernels:
                self.costs[k] = cost_of(k, scatters_in_place(home, k))
                homes += k.programs

    def memory_seconds(self, kernel: Kernel) -> float:
        """The least seconds for moving a kernel's bytes."""
        raise NotImplementedError

    def peak(self, kernel: Kernel) -> float:
        """Operations a second, at best, on a kernel's elements."""
        raise NotImplementedError

    def copy_seconds(self, place: Timed, nbytes: float) -> float:
        """The least seconds for copying bytes."""
        raise NotImplementedError

    def number(self, size: Size) -> int:
        """A size as a number."""
        return dim.evaluate(size, self.sizes)

    def rows(self, within: Kernel | None = None) -> tuple[ProfileRow, ...]:
        """The rows of the run, or of a control kernel's steps; copies only if they happened."""
        shown = [(i, p) for i, p in enumerate(self.places) if p.within is within]
        return tuple(
            self._row(i, p) for i, p in shown if p.kernel is not None or self.calls[:, i].any()
        )

    def _row(self, number: int, place: Timed) -> ProfileRow:
        calls, spent = self.calls[:, number], self.spent[:, number]
        ran = calls > 0
        seconds = float(self.typical(spent[ran]) * ran.mean()) if ran.any() else 0.0
        launches = float(calls.mean() if place.within else ran.mean())  # chunks make one launch
        if place.kernel is None:
            moved = launches * place.nbytes
            return ProfileRow(
                place.name,
                "copy",
                (),
                launches,
                seconds,
                moved,
                moved,
                0.0,
                self.copy_seconds(place, moved),
                0.0,
            )
        kernel = place.kernel
        if kernel.kind is Kind.CONTROL:
            return _around(kernel, launches, seconds, self.rows(kernel))
        cost = self.costs[kernel]
        flops = launches * self.number(cost.flops)
        return ProfileRow(
            kernel.name,
            kernel.kind.value,
            lines_of(kernel),
            launches,
            seconds,
            launches * self.number(cost.read),
            launches * self.number(cost.written),
            flops,
            launches * self.memory_seconds(kernel),
            flops / self.peak(kernel),
        )

    def labels(self) -> tuple[Label, ...]:
        """The labels of all places, for a trace."""
        labels = []
        for place in self.places:
            if place.kernel is None:
                labels.append(Label(place.name, "copy", "", 2 * place.nbytes, 0))
                continue
            kernel, cost = place.kernel, self.costs[place.kernel]
            lines = lines_of(kernel)
            labels.append(
                Label(
                    kernel.name,
                    kernel.kind.value,
                    str(lines[0]) if lines else "",
                    self.number(cost.moved),
                    self.number(cost.flops),
                )
            )
        return tuple(labels)


class HostTable(ProfileTable):
    """The rows of a plan on the host."""

    def __init__(
        self,
        program: Program,
        sizes: Mapping[str, int],
        places: Sequence[Timed],
        calls: Array,
        spent: Array,
        typical: Typical,
        layout: ArenaLayout,
        limits: Limits,
    ) -> None:
        super().__init__(program, sizes, places, calls, spent, typical)
        self.limits = limits
        self.touches = touches(program, self.number, layout)

    def memory_seconds(self, kernel: Kernel) -> float:
        used = self.touches[kernel]
        return sum(self.limits.seconds(t.read, t.written, t.distance) for t in used)

    def peak(self, kernel: Kernel) -> float:
        return self.limits.peaks["f64" if has_f64(kernel) else "f32"]

    def copy_seconds(self, place: Timed, nbytes: float) -> float:
        reading = self.limits.seconds(nbytes, 0, 2 * place.nbytes)
        return reading + self.limits.seconds(0, nbytes, 2 * place.nbytes)


class DeviceTable(ProfileTable):
    """The rows of a plan on a device, whose spec declares its limits."""

    def __init__(
        self,
        program: Program,
        sizes: Mapping[str, int],
        places: Sequence[Timed],
        calls: Array,
        spent: Array,
        typical: Typical,
        spec: DeviceSpec,
    ) -> None:
        super().__init__(program, sizes, places, calls, spent, typical)
        self.spec = spec

    def memory_seconds(self, kernel: Kernel) -> float:
        return self.number(self.costs[kernel].moved) / self.spec.bandwidth

    def peak(self, kernel: Kernel) -> float:
        rates = [
            self.spec.rate(v.type.dtype)
            for v in (*kernel.reads, *kernel.writes)
            if v.type.dtype.is_float
        ]
        return min(rates, default=self.spec.flops["f32"])

    def copy_seconds(self, place: Timed, nbytes: float) -> float:
        return 2 * nbytes / self.spec.bandwidth


def limits_of(spec: DeviceSpec) -> Limits:
    """A device's limits in the form of the host's; its memory has one speed for all sizes."""
    rates = (spec.bandwidth,) * len(WORKING_SETS)
    return Limits(
        spec.name,
        1,
        WORKING_SETS,
        dict.fromkeys(("read", "copy", "triad", "update"), rates),
        dict(spec.flops),
    )


def has_f64(kernel: Kernel) -> bool:
    """Whether a kernel reads or writes f64."""
    return f64 in {v.type.dtype for v in (*kernel.reads, *kernel.writes)}


def _around(
    kernel: Kernel, launches: float, seconds: float, inner: tuple[ProfileRow, ...]
) -> ProfileRow:
    """The row of a loop or switch: the sum of its kernels' costs."""

    def total(figure: Callable[[ProfileRow], float]) -> float:
        return sum(map(figure, inner))

    return ProfileRow(
        kernel.name,
        kernel.kind.value,
        lines_of(kernel),
        launches,
        seconds,
        total(lambda r: r.read),
        total(lambda r: r.written),
        total(lambda r: r.flops),
        total(lambda r: r.best_memory),
        total(lambda r: r.best_compute),
        inner,
    )


def lines_of(kernel: Kernel) -> tuple[Location, ...]:
    """The user's lines that a kernel computes; the line of its last result comes first."""
    locations = [
        v.loc for v in (*reversed(kernel.writes), *reversed(kernel.body)) if v.loc is not None
    ]
    return tuple(dict.fromkeys(locations))
