"""`graphc devices`: the devices of this machine, and the models that plans can be made for."""

from __future__ import annotations

import argparse
from typing import Any

from graphc.codegen.cache import Cache
from graphc.compiler.targets import families
from graphc.config import Options, cpus
from graphc.ir.machine import HOST, PRESETS, DeviceSpec
from graphc.passes.placement.placed import show_bytes
from graphc.profile.machine_limits import cpu_name


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser(
        "devices",
        help="list the devices of this machine, and those to plan for",
        description="Lists where programs can run, or why not, and the presets of gc.DeviceSpec.",
    )
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    options = Options()
    rows = [(HOST, f"{cpu_name()}, {cpus()} CPUs, {options.threads} threads")]
    cache = Cache(options.cache_dir)
    rows += [row for family in families().values() for row in family.listed(cache)]
    wide = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{wide}}  {text}" for name, text in rows))
    print("\nto plan for (gc.DeviceSpec(name, like=...), --devices cuda:0=A100):")
    print("\n".join(_preset(name, spec) for name, spec in PRESETS.items()))
    return 0


def _preset(name: str, spec: DeviceSpec) -> str:
    rates = ", ".join(f"{dtype} {rate / 1e12:g}" for dtype, rate in spec.flops.items())
    return (
        f"  {name:<7} {spec.kind:<5} {show_bytes(spec.memory):>7} "
        f"{spec.bandwidth / 1e9:6.0f} GB/s  Tflop/s: {rates}"
    )
