"""A simulator of a GPU's threads: runs a kernel's text unchanged, on NumPy arrays, anywhere.

Threads that meet (barriers, shuffles, shared memory) are greenlets, one each, run in order until
all of them wait; others are a plain loop.  What compiled code would do silently is an error here:
accesses out of bounds or misaligned, races in shared and in global memory, barriers and shuffles
that some threads do not reach.

Limits: a matrix product is summed as NumPy does, and mathematics is NumPy's, so results differ from
a GPU's in the last bits; lanes run in order, so a race is found by who touched what, not by chance.
"""

from __future__ import annotations

import ast
import contextvars
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, SimpleNamespace
from typing import Any

import numpy as np

from graphc.codegen.cuda.simulator.memory import (
    Access,
    Index,
    LaunchState,
    Local,
    Pointer,
    Races,
    SimulatedBlock,
    SimulatorError,
    Thread,
)
from graphc.codegen.cuda.simulator.mma import Copies
from graphc.codegen.cuda.simulator.scalars import DTYPES, SCALARS, TYPES
from graphc.codegen.cuda.simulator.warp import COLLECTIVES, WARP_THREADS
from graphc.codegen.cuda.source import POINTER_SUFFIX
from graphc.codegen.device_source import DeviceSource
from graphc.errors import DeviceError
from graphc.ir.op import Array

__all__ = ["SimulatorError", "names", "simulate"]

KERNEL_FILE = "<kernel>"  # the file name of compiled kernel text, in frames
MAX_STATIC_SHARED_BYTES = 48 << 10  # of a block
MAX_DYNAMIC_SHARED_BYTES = 227 << 10  # of a block
VECTOR_STORES = ("store2", "store4", "store8")
# Calls in kernel text for which the threads of a block must run side by side.
MEETING_CALLS = {*COLLECTIVES, "syncthreads", "shared", "dynamic_shared"}


@dataclass(frozen=True)
class SimulatedKernel:
    """A text, compiled by Python.  `stored` are the numbers of parameters that it stores through,
    `meets` says whether its threads meet, `unit` is the size in bytes of its smallest type."""

    code: CodeType
    lines: tuple[str, ...]
    stored: frozenset[int]
    meets: bool
    unit: int


@functools.lru_cache(maxsize=256)
def _kernel(text: str) -> SimulatedKernel:
    tree = ast.parse(text)
    (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "kernel")
    parameters = [a.arg for a in function.args.args]
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    called = names | {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    stored = {parameters.index(n) for n in _stored(tree) if n in parameters}
    sizes = [DTYPES[TYPES[n]].itemsize for n in names if n in TYPES]
    return SimulatedKernel(
        compile(tree, KERNEL_FILE, "exec"),
        tuple(text.splitlines()),
        frozenset(stored),
        bool(called & MEETING_CALLS),
        min([4, *sizes]),
    )


def _stored(tree: ast.AST) -> set[str]:
    """The names of pointers that a text stores through."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name):
                names.add(node.value.id)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in VECTOR_STORES
            and isinstance(node.args[0], ast.Name)
        ):
            names.add(node.args[0].id)
    return names


def simulate(
    source: DeviceSource,
    grid: tuple[int, int, int],
    shared: int,
    arguments: Sequence[Array | int],
) -> None:
    """Runs a kernel: `arguments` are one-dimensional arrays of the stored types, which it changes,
    and whole numbers; `shared` is the bytes of dynamic shared memory.  Raises `SimulatorError`."""
    launch = SimulatedLaunch(source, grid, shared)
    scope: dict[str, Any] = launch.namespace()
    exec(launch.kernel.code, scope)
    with np.errstate(all="ignore"):
        launch.run(functools.partial(scope["kernel"], *launch.bound(arguments)))


class SimulatedLaunch(LaunchState):
    """One run of a kernel."""

    def __init__(self, source: DeviceSource, grid: tuple[int, int, int], shared: int) -> None:
        super().__init__()
        self.source, self.grid, self.dynamic = source, grid, shared
        self.kernel, self.races, self.where = _kernel(source.text), Races(), self._where
        self.memory = SimulatedBlock(self, MAX_STATIC_SHARED_BYTES, 0, 1)
        self.cuda = SimpleNamespace(
            gridDim=Index(*grid),
            blockDim=Index(*source.threads),
            syncthreads=self._syncthreads,
            syncwarp=self._syncwarp,
            shared=SimpleNamespace(array=self._shared),
            local=SimpleNamespace(array=self._local),
        )
        if shared > MAX_DYNAMIC_SHARED_BYTES:
            raise SimulatorError(
                f"a kernel wants {shared} bytes of dynamic shared memory; "
                f"a block has at most {MAX_DYNAMIC_SHARED_BYTES}"
            )

    def bound(self, arguments: Sequence[Array | int]) -> list[Any]:
        """The arguments as the kernel gets them.  Raises `SimulatorError` if they do not fit."""
        types = self.source.parameters
        if len(arguments) != len(types):
            raise SimulatorError(f"a kernel takes {len(types)} arguments, got {len(arguments)}")
        arrays = {k: a for k, a in enumerate(arguments) if isinstance(a, np.ndarray)}
        written = [
            np.lib.array_utils.byte_bounds(arrays[k])
            for k in self.kernel.stored
            if k in arrays and arrays[k].size
        ]
        bound: list[Any] = []
        for k, (argument, name) in enumerate(zip(arguments, types, strict=True)):
            if not name.endswith(POINTER_SUFFIX):
                bound.append(TYPES[name](argument))
                continue
            dtype = DTYPES[TYPES[name.removesuffix(POINTER_SUFFIX)]]
            if (
                not isinstance(argument, np.ndarray)
                or argument.ndim != 1
                or argument.dtype != dtype
            ):
                raise SimulatorError(
                    f"argument {k} of a kernel must be a one-dimensional array of "
                    f"{dtype}, got {_described(argument)}"
                )
            low, high = np.lib.array_utils.byte_bounds(argument)
            watched = any(low < end and start < high for start, end in written)
            bound.append(Pointer(self, self.races, f"argument {k}", argument, watched))
        return bound

    def run(self, call: Callable[[], None]) -> None:
        """All blocks, one after another."""
        x, y, z = self.source.threads
        places = [Index(i, j, k) for k in range(z) for j in range(y) for i in range(x)]
        blocks = [
            (i, j, k)
            for k in range(self.grid[2])
            for j in range(self.grid[1])
            for i in range(self.grid[0])
        ]
        for number, place in enumerate(blocks):
            self.block = self.cuda.blockIdx = Index(*place)
            threads = [Thread(k, p, number) for k, p in enumerate(places)]
            if self.kernel.meets:
                self.memory = SimulatedBlock(
                    self, MAX_STATIC_SHARED_BYTES, self.dynamic, self.kernel.unit
                )
                self._together(threads, call)
            else:
                for thread in threads:
                    self.thread, self.cuda.threadIdx = thread, thread.index
                    call()

    def _together(self, threads: list[Thread], call: Callable[[], None]) -> None:
        """Runs the threads of a block in turn, each up to where it waits, until all are done."""
        greenlet = _greenlet()
        for thread in threads:
            thread.coroutine = greenlet(call)
            thread.coroutine.gr_context = contextvars.copy_context()  # has np.errstate
        ready = threads
        while ready:
            for thread in ready:
                self.thread, self.cuda.threadIdx, thread.request = thread, thread.index, None
                thread.coroutine.switch()
            ready = [
                t for k in range(0, len(threads), WARP_THREADS) for t in self._warp(threads, k)
            ]
            ready = ready or self._barrier(threads)

    def _warp(self, threads: list[Thread], first: int) -> list[Thread]:
        """The threads of a warp, if all of them have come to the same collective, which it runs."""
        warp = threads[first : first + WARP_THREADS]
        waiting = [t for t in warp if t.request and t.request[0] != "syncthreads"]
        if not waiting:
            return []
        self.thread = waiting[0]
        name, (line, _), _ = waiting[0].request or ()
        if len({(t.request or ())[:2] for t in warp}) > 1 or len(warp) < WARP_THREADS:
            raise self.fail(
                f"is at {name} in line {line}, where not all {WARP_THREADS} of its "
                "warp are: it is divergent"
            )
        results = COLLECTIVES[name]([(t.request or ())[2] for t in warp], self.memory)
        for thread, result in zip(warp, results, strict=True):
            thread.result = result
            if name == "syncwarp":
                thread.now = thread.now._replace(warp_epoch=thread.now.warp_epoch + 1)
        return warp

    def _barrier(self, threads: list[Thread]) -> list[Thread]:
        """All threads, which must have come to the same barrier; none if all are done."""
        live = [t for t in threads if not t.coroutine.dead]
        sites = sorted({t.request[1][0] for t in live if t.request})
        if live and (len(live) < len(threads) or len({t.request for t in live}) > 1):
            self.thread = live[0]
            raise self.fail(
                f"is at a barrier in line {sites[0]}, as are {len(live)} of "
                f"{len(threads)} threads, in lines {sites}: it is divergent"
            )
        for thread in live:
            now = thread.now
            thread.now = Access(now.block, now.thread, now.epoch + 1, now.warp, 0)
        return live

    def _wait(self, name: str, payload: Any = None) -> Any:
        """Lets the other threads run until they have come, too; returns the collective's result."""
        thread, frame = self.thread, sys._getframe(2)
        thread.request = (name, (frame.f_lineno, frame.f_lasti), payload)
        thread.coroutine.parent.switch()
        return thread.result

    def _syncthreads(self) -> None:
        self._wait("syncthreads")

    def _syncwarp(self) -> None:
        self._wait("syncwarp")

    def _shared(self, shape: Any, dtype: Any, alignment: int | None = None) -> Any:
        frame = sys._getframe(1)
        return self.memory.array((frame.f_lineno, frame.f_lasti), shape, DTYPES[dtype], alignment)

    def _local(self, shape: Any, dtype: Any, alignment: int | None = None) -> Local:
        return Local(self, shape, DTYPES[dtype])

    def _where(self) -> str:
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != KERNEL_FILE:
            frame = frame.f_back  # type: ignore[assignment]
        if frame is None:
            return ""
        return f"\n  line {frame.f_lineno}: {self.kernel.lines[frame.f_lineno - 1].strip()}"

    def _copy(
        self, address: Any, pointer: Pointer, i: Any, nbytes: Any = WARP_THREADS // 2
    ) -> None:
        """Starts a copy of 16 bytes, which arrives when it is waited for."""
        at, count = self.memory.row(address), int(nbytes)
        if not 0 <= count <= 16:
            raise self.fail(f"copies {count} bytes at once; 0 to 16 can be")
        data = np.zeros(16, np.uint8)
        data[:count] = pointer.bytes_at(i, count)
        self.memory.note(self.memory.races.write, at, 16)

        def land() -> None:
            self.memory.note(self.memory.races.write, at, 16)
            self.memory.bytes[at : at + 16] = data

        self.thread.copies[-1].append(land)

    def _commit(self) -> None:
        self.thread.copies.append([])

    def _land(self, pending: Any) -> None:
        """Waits until at most `pending` groups of copies are under way."""
        groups = self.thread.copies
        while len(groups) - 1 > int(pending):
            for land in groups.pop(0):
                land()

    def namespace(self) -> dict[str, Any]:
        """Every name that a kernel's text may call."""
        loads = {f"load{n}": lambda x, i, n=n: x.constant(i, n) for n in (2, 4, 8)}
        reads = {f"read{n}": lambda x, i, n=n: x.read(i, n) for n in (2, 4, 8)}
        return {
            **SCALARS,
            "cuda": self.cuda,
            "load": lambda x, i: x.constant(i, 1)[0],
            **loads,
            **reads,
            **{name: self._store(int(name[5:])) for name in VECTOR_STORES},
            **{name: self._collective(name) for name in COLLECTIVES if name != "syncwarp"},
            "dynamic_shared": lambda dtype: self.memory.dynamic_array(DTYPES[dtype]),
            "shared_address": lambda array: np.uint32(array.base),
            "cp_async16": self._copy,
            "cp_async16_or_zero": self._copy,
            "cp_async_commit": self._commit,
            "cp_async_wait": self._land,
            **Copies(self).functions(),
        }

    def _store(self, n: int) -> Callable[..., None]:
        def store(x: Pointer, i: Any, values: tuple[Any, ...]) -> None:
            if len(values) != n:
                raise self.fail(f"stores {len(values)} values by store{n}")
            x.write(i, values)

        return store

    def _collective(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: self._wait(
            name, arguments if len(arguments) > 1 else arguments[0]
        )


def _described(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        return f"one of {argument.ndim} dimensions of {argument.dtype}"
    return type(argument).__name__


def _greenlet() -> Any:
    """Cooperative threads, imported when first needed."""
    try:
        from greenlet import greenlet
    except ImportError:
        raise DeviceError(
            "simulating a GPU needs the package greenlet, which is not installed: "
            "pip install 'graphc[sim]'"
        ) from None
    return greenlet


def names() -> frozenset[str]:
    """Every name that a kernel's text may call."""
    return frozenset(
        SimulatedLaunch(DeviceSource("def kernel(): pass", ()), (1, 1, 1), 0).namespace()
    )
