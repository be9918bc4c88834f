"""`graphc devices`: where programs can run on this machine, and what may be planned for."""

from __future__ import annotations

import argparse
import importlib.util
from typing import Any

from graphc.codegen.cache import Cache
from graphc.codegen.cuda.toolchain.cubin import require
from graphc.config import Options, cpus
from graphc.errors import DeviceError
from graphc.ir.machine import HOST, PRESETS, DeviceSpec
from graphc.passes.placement.placed import show_bytes
from graphc.profile.machine_limits import cpu_name
from graphc.runtime.cuda.device import open_device
from graphc.runtime.cuda.driver import find_driver

SIMULATED = "cuda:sim"


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
    rows += _gpus(options)
    rows += [(SIMULATED, _simulated()), ("compiler", _compiler())]
    wide = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{wide}}  {text}" for name, text in rows))
    print("\nto plan for (gc.DeviceSpec(name, like=...), --devices cuda:0=A100):")
    print("\n".join(_preset(name, spec) for name, spec in PRESETS.items()))
    return 0


def _gpus(options: Options) -> list[tuple[str, str]]:
    """The GPUs that the driver lists, and what can be said of each."""
    try:
        names = find_driver("cuda:0").names
    except DeviceError as error:
        return [("cuda:0", _line(error).removeprefix("cuda:0: "))]
    return [(f"cuda:{n}", _gpu(f"cuda:{n}", card, options)) for n, card in enumerate(names)]


def _gpu(name: str, card: str, options: Options) -> str:
    try:
        spec = open_device(name, Cache(options.cache_dir)).spec
    except DeviceError as error:
        return f"{card}; {_line(error).removeprefix(f'{name}: ')}"
    return (
        f"{card}, {show_bytes(spec.memory)}, {spec.multiprocessors} multiprocessors, "
        f"compute capability {'.'.join(map(str, spec.capability))}"
    )


def _simulated() -> str:
    if importlib.util.find_spec("greenlet") is None:
        return "a simulated GPU, for tests; threads that meet need greenlet: " + (
            "pip install 'graphc[sim]'"
        )
    return "a simulated GPU, for tests"


def _compiler() -> str:
    """Whether kernels for GPUs can be compiled here."""
    try:
        found = require()
    except DeviceError as error:
        return _line(error)
    return ", ".join(f"{package} {version}" for package, version in found.items())


def _line(error: DeviceError) -> str:
    return error.message.replace("\n", " ")


def _preset(name: str, spec: DeviceSpec) -> str:
    rates = ", ".join(f"{dtype} {rate / 1e12:g}" for dtype, rate in spec.flops.items())
    return (
        f"  {name:<7} {spec.kind:<5} {show_bytes(spec.memory):>7} "
        f"{spec.bandwidth / 1e9:6.0f} GB/s  Tflop/s: {rates}"
    )
