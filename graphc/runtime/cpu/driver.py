"""The native instruction loop: a whole run is one native call, with no Python between kernels.

A plan is a table of 64-bit words (see `Word`).  `gc_run` first clears `status` and patches the
addresses of the caller's arrays into the kernels' arguments (from the arrays' own headers), then
calls each kernel.  `gc_lead` and `gc_join` are the same for several threads at once: they claim
chunks of an instruction by atomic counters and wait for the last chunk before they go on, so a
thread may join late (with the run's ticket) or not at all.  Chunks depend on sizes alone.

Both stop at the first instruction before which `status` or `cancel` is set; instructions from
`commit` on run only if everything before them has succeeded.  A run that `cancel` stops has status
2, so that in `gc_lead`, where every thread goes through all instructions, none of them commits.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from graphc.codegen.cache import Cache
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.errors import GraphcError
from graphc.runtime.cpu.driver_control import CONTROL_IR
from graphc.runtime.cpu.driver_text import DRIVER_IR
from graphc.runtime.cpu.plan_words import ArrayHeader


class NativeDriver:
    """The native functions, callable from Python with the GIL released, and `copy`, a kernel."""

    def __init__(self) -> None:
        loader = jit.loader()
        address = loader.addresses["gc_run"]
        word = ctypes.c_int64
        self.run: Any = ctypes.CFUNCTYPE(word, word)(address)
        self.reset: Any = ctypes.CFUNCTYPE(None, word)(
            loader.engine.get_function_address("gc_reset")
        )
        find = loader.engine.get_function_address
        self.copy: int = find(
            "gc_copy"
        )  # a kernel: copies its extent of bytes to args[0] from args[1]
        self.control: int = find("gc_control")  # a kernel: runs instruction lists of its own
        self.lead: Any = ctypes.CFUNCTYPE(word, word)(find("gc_lead"))
        self.join: Any = ctypes.CFUNCTYPE(None, word, word)(find("gc_join"))
        _check_layout()


def _check_layout() -> None:
    """Checks the layout of NumPy's array header; graphc cannot run on a Python with another."""
    probe = np.zeros(3)
    data = ctypes.c_int64.from_address(id(probe) + ArrayHeader.DATA).value
    if data != probe.__array_interface__["data"][0]:
        raise GraphcError(
            "graphc: this NumPy lays out arrays in an unknown way; CPython's is needed"
        )


def load(cache: Cache) -> None:
    """Loads the driver's machine code into this process, before `driver()` is asked for.

    The cache keeps it, because compiling it would take most of a warm start's time and memory
    (docs/decisions.md).
    """
    if "gc_run" in jit.loader().addresses:
        return
    text = DRIVER_IR + CONTROL_IR
    name = jit.symbol_of(text, host_cpu()).replace("gc_", "driver_")
    data = cache.read(name)
    if data is None:
        data = jit.object_code(text, host_cpu())
        cache.write(name, data)
    jit.loader().load("gc_run", data)


@functools.cache
def driver() -> NativeDriver:
    """The process's driver; call `load` first."""
    return NativeDriver()
