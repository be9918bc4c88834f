"""Devices as placement sees them: speed, memory and links.  The devices need not exist.

    spec = DeviceSpec("cuda:0", memory="80 GB", bandwidth="3.3 TB/s", like="H100")
    machine = Machine([DeviceSpec("cpu:0", like="CPU"), spec], [Link("cpu:0", "cuda:0")])

A device is called `cpu:N`, `cuda:N`, `cuda:sim`, `cuda:sim:N`, or by the name of a declared spec.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from graphc.errors import DeviceError, user_location
from graphc.ir.types import BY_NAME, DType
from graphc.ir.units import BYTES_PER_UNIT

HOST = "cpu:0"
# The kinds that graphc has a target for; their devices have built-in names, which need no
# declaration.  Names are checked where a user writes them, long before targets are imported: so the
# kinds are read off the targets' folders.
CODEGEN_FOLDER = Path(__file__).parents[1] / "codegen"
KINDS = tuple(sorted(path.parent.name for path in CODEGEN_FOLDER.glob("*/target.py")))
NAME_FORMS = tuple(  # the host has no simulator
    form
    for kind in KINDS
    for form in (f"{kind}:N", f"{kind}:sim", f"{kind}:sim:N")[: 1 if HOST.startswith(kind) else 3]
)
BUILT_IN_NAME = re.compile("|".join([*KINDS, *(form.replace("N", r"\d+") for form in NAME_FORMS)]))
NAME = re.compile(r"[A-Za-z_]\w*(:\w+)*")
SECONDS_PER_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_declared: dict[str, DeviceSpec] = {}  # the last spec of each name that is not built in


def device_name(given: Any) -> str:
    """The full name of a device: "cuda" is "cuda:0".  Raises `DeviceError` for an unknown one."""
    name = given.name if isinstance(given, DeviceSpec) else given
    if isinstance(name, str) and name in _declared:
        return name
    if not isinstance(name, str) or BUILT_IN_NAME.fullmatch(name) is None:
        known = ", ".join([*NAME_FORMS, *_declared])
        raise DeviceError(
            f"device: there is no device {given!r}; known are {known}. "
            "Declare others with gc.DeviceSpec",
            user_location(),
        )
    return f"{name}:0" if name in KINDS else name


def declared(name: str) -> DeviceSpec | None:
    """The last spec of that name; None if there is none, or if the name is built in."""
    return _declared.get(name)


T = TypeVar("T")


@dataclass(frozen=True, init=False)
class DeviceSpec:
    """What placement knows of a device.

    `memory` and `bandwidth` are bytes (a second), or text such as "80 GB", "3.3 TB/s"; `flops` are
    operations a second by element type, `launch` is what a kernel costs besides its work, in
    seconds.  What is not given is as in `like`: another spec, or the name of one of `PRESETS`.
    `kind` says which target compiles for it: "cpu", "cuda", or one of another backend
    (docs/backends.md); by default it is that of the name, else as in `like`.

    >>> spec = DeviceSpec("cuda:0", memory="24 GB", like="A100")
    >>> spec.memory, spec.bandwidth, spec.kind
    (24000000000, 2039000000000.0, 'cuda')
    """

    name: str
    kind: str
    memory: int
    bandwidth: float
    flops: Mapping[str, float]
    launch: float

    def __init__(
        self,
        name: str,
        memory: int | str | None = None,
        bandwidth: float | str | None = None,
        flops: Mapping[str, float] | None = None,
        launch: float | str | None = None,
        kind: str | None = None,
        like: DeviceSpec | str | None = None,
    ) -> None:
        base = _base(like)
        if not isinstance(name, str) or NAME.fullmatch(name) is None:
            raise _wrong("DeviceSpec: name", name, "a name such as 'cuda:0' or 'tpu:1'")
        name = f"{name}:0" if name in KINDS else name
        first = name.partition(":")[0]
        default_kind = first if first in KINDS else base.kind if base else ""
        kind = default_kind if kind is None else kind
        if not isinstance(kind, str) or not kind.isidentifier():
            known = " or ".join(map(repr, KINDS))
            raise _wrong("DeviceSpec: kind", kind, f"the kind of a target, such as {known}")
        for field, value in (
            ("name", name),
            ("kind", kind),
            (
                "memory",
                int(_amount("DeviceSpec: memory", _or(memory, base, "memory"), BYTES_PER_UNIT)),
            ),
            (
                "bandwidth",
                _amount("DeviceSpec: bandwidth", _or(bandwidth, base, "bandwidth"), BYTES_PER_UNIT),
            ),
            ("flops", MappingProxyType(_rates(base, flops))),
            (
                "launch",
                _amount(
                    "DeviceSpec: launch", _or(launch, base, "launch"), SECONDS_PER_UNIT, zero=True
                ),
            ),
        ):
            object.__setattr__(self, field, value)
        if BUILT_IN_NAME.fullmatch(name) is None:
            _declared[name] = self

    def __hash__(self) -> int:
        return hash((self.name, self.memory, self.bandwidth, self.launch))

    def rate(self, dtype: DType) -> float:
        """Operations a second on elements of a type; where none is given, that of f32."""
        return self.flops.get(dtype.name, self.flops["f32"])


@dataclass(frozen=True, init=False)
class Link:
    """A way between two devices, as fast in both directions.  `bandwidth` and `latency` may be text
    ("25 GB/s", "10 us")."""

    a: str
    b: str
    bandwidth: float
    latency: float

    def __init__(
        self, a: Any, b: Any, bandwidth: float | str = 25e9, latency: float | str = 10e-6
    ) -> None:
        object.__setattr__(self, "a", device_name(a))
        object.__setattr__(self, "b", device_name(b))
        object.__setattr__(self, "bandwidth", _amount("Link: bandwidth", bandwidth, BYTES_PER_UNIT))
        object.__setattr__(
            self, "latency", _amount("Link: latency", latency, SECONDS_PER_UNIT, zero=True)
        )
        if self.a == self.b:
            raise DeviceError(
                f"Link: {self.a} is linked to itself; expected two devices", user_location()
            )


@dataclass(frozen=True, init=False)
class Machine:
    """Devices and the links between them.  The host, `cpu:0`, is always one (as the preset CPU, if
    it is not given).  Where no link is declared, there is one like PCIe 4 x16."""

    devices: tuple[DeviceSpec, ...]
    links: tuple[Link, ...]

    def __init__(self, devices: Iterable[DeviceSpec], links: Iterable[Link] = ()) -> None:
        specs = _all_of("Machine: devices", devices, DeviceSpec, "a sequence of gc.DeviceSpec")
        checked_links = _all_of("Machine: links", links, Link, "a sequence of gc.Link")
        host = [d for d in specs if d.name == HOST] or [DeviceSpec(HOST, like=PRESETS["CPU"])]
        others = [d for d in specs if d.name != HOST]
        names = [d.name for d in (*host, *others)]
        repeated = [n for n in names if names.count(n) > 1]
        if repeated:
            raise DeviceError(
                f"Machine: {repeated[0]} is declared twice; give one another name", user_location()
            )
        object.__setattr__(self, "devices", (*host, *others))
        object.__setattr__(self, "links", checked_links)
        for link in self.links:
            for end in (link.a, link.b):
                self.device(end)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the devices, the host first."""
        return tuple(d.name for d in self.devices)

    def device(self, name: str) -> DeviceSpec:
        """The device of that name.  Raises `DeviceError`."""
        spec = next((d for d in self.devices if d.name == name), None)
        if spec is None:
            raise DeviceError(
                f"no device {name!r} in this machine; it has {', '.join(self.names)}",
                user_location(),
            )
        return spec

    def link(self, a: str, b: str) -> Link:
        """The way from one device to another."""
        return next((k for k in self.links if {k.a, k.b} == {a, b}), None) or Link(a, b)

    def seconds(self, nbytes: float, a: str, b: str) -> float:
        """How long bytes take from one device to another."""
        if a == b:
            return 0.0
        link = self.link(a, b)
        return link.latency + nbytes / link.bandwidth


def _base(like: Any) -> DeviceSpec | None:
    """The spec that `like` gives or names."""
    if like is None or isinstance(like, DeviceSpec):
        return like
    if not isinstance(like, str) or like not in PRESETS:
        raise _wrong("DeviceSpec: like", like, f"a DeviceSpec or one of {', '.join(PRESETS)}")
    return PRESETS[like]


def _all_of(what: str, given: Any, kind: type[T], expected: str) -> tuple[T, ...]:
    """A sequence as a tuple.  Raises `DeviceError` unless all elements are of that class."""
    try:
        items = tuple(given)
    except Exception:  # an object may raise anything when asked for its elements
        items = (None,)  # type: ignore[assignment]
    if not all(isinstance(x, kind) for x in items):
        raise _wrong(what, given, expected)
    return items


def _or(given: Any, base: DeviceSpec | None, field: str) -> Any:
    """The given value; if there is none, the field of the base spec."""
    return getattr(base, field, None) if given is None else given


def _amount(field: str, given: Any, units: Mapping[str, float], zero: bool = False) -> float:
    """The quantity that a number or a text with a unit gives; `zero` allows 0."""
    example = "'80 GB', '3.3 TB/s'" if units is BYTES_PER_UNIT else "'5 us', '2 ms'"
    text = given.strip().lower().removesuffix("/s") if isinstance(given, str) else ""
    quantity = re.fullmatch(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-z]*)", text)
    if quantity is not None and quantity[2] in units:
        value = float(quantity[1]) * units[quantity[2]]
    elif isinstance(given, int | float) and not isinstance(given, bool):
        value = float(given)
    else:
        raise _wrong(field, given, f"a number, or text such as {example}")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise _wrong(field, given, "a positive, finite number")
    return value


def _rates(base: DeviceSpec | None, flops: Any) -> dict[str, float]:
    """Operations a second by element type: the given rates, else those of the base spec."""
    if not isinstance(flops, Mapping | None):
        raise _wrong("DeviceSpec: flops", flops, "a dict from element types to rates")
    rates = {**(base.flops if base else {}), **(flops or {})}
    for name, rate in rates.items():
        if name not in BY_NAME:
            raise _wrong("DeviceSpec: flops", name, f"element types: {', '.join(BY_NAME)}")
        _amount(f"DeviceSpec: flops[{name!r}]", rate, {})
    if "f32" not in rates:
        raise _wrong("DeviceSpec: flops", dict(rates), "at least the rate of 'f32'")
    return {n: float(r) for n, r in rates.items()}


def _wrong(field: str, given: Any, expected: str) -> DeviceError:
    return DeviceError(f"{field} is {given!r}; expected {expected}", user_location())


def _table() -> dict[str, DeviceSpec]:
    """Peaks by the vendors' data sheets, dense (no sparsity): NVIDIA H100 SXM, H200 SXM, A100 80GB
    SXM, GeForce RTX 4060 Laptop (115 W); the rate of bf16, f16 is the tensor cores', that of f32
    and f64 is not, for products in f32 stay in f32.  CPU: 8 cores of AVX2 at 3 GHz, 2 x 8 f32 FMA
    a cycle, two channels of DDR5-4800.  A launch: 2.5 us for a node of a CUDA graph, 1 us for a
    call of a kernel and its fork and join on a CPU."""
    rows: tuple[tuple[str, str, str, str, str, dict[str, float]], ...] = (
        ("CPU", "cpu", "16 GB", "77 GB/s", "1 us", {"f32": 768e9, "f64": 384e9}),
        (
            "H100",
            "cuda",
            "80 GB",
            "3.35 TB/s",
            "2.5 us",
            {"f32": 67e12, "f64": 34e12, "f16": 989e12, "bf16": 989e12},
        ),
        (
            "H200",
            "cuda",
            "141 GB",
            "4.8 TB/s",
            "2.5 us",
            {"f32": 67e12, "f64": 34e12, "f16": 989e12, "bf16": 989e12},
        ),
        (
            "A100",
            "cuda",
            "80 GB",
            "2039 GB/s",
            "2.5 us",
            {"f32": 19.5e12, "f64": 9.7e12, "f16": 312e12, "bf16": 312e12},
        ),
        (
            "LAPTOP",
            "cuda",
            "8 GB",
            "256 GB/s",
            "2.5 us",
            {"f32": 15.6e12, "f64": 0.24e12, "f16": 62e12, "bf16": 62e12},
        ),
    )
    return {
        name: DeviceSpec(kind, memory, bandwidth, flops, launch)
        for name, kind, memory, bandwidth, launch, flops in rows
    }


PRESETS = _table()
