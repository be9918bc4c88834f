"""A GPU: `Device` by cuda-core.  Kernels are cubins from the cache, all work is on one stream, and
a program is one CUDA graph.

Not yet run on a GPU: tested against the signatures of cuda-core 1.2.2
(tests/runtime/test_cuda_device.py).
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.codegen.cache import Built, Cache
from graphc.codegen.cuda.target import CUDA
from graphc.codegen.cuda.toolchain.cubin import MIN_CAPABILITY, Held, cubin, prepare, require
from graphc.codegen.device_source import DeviceSource
from graphc.config import Method, Options
from graphc.errors import DeviceError
from graphc.ir.op import Array
from graphc.ir.types import DType, as_dtype
from graphc.runtime.cuda.cublas import Library, library
from graphc.runtime.cuda.driver import (
    Toolkit,
    check,
    find_driver,
    reported,
    require_number,
    spec_of,
    toolkit,
)
from graphc.runtime.cuda.graph import (
    CudaReplay,
    arguments,
    build,
    configuration,
    nothing,
)
from graphc.runtime.cuda.products import Products
from graphc.runtime.cuda.shared_array import SharedArray
from graphc.runtime.cuda.staging import Staging
from graphc.runtime.device.protocol import (
    Allocation,
    LaunchNode,
    LoadedKernel,
    MemorySpan,
    Node,
    Pinned,
)

ALIGNMENT_BYTES = 16  # of buffers: kernels read and write vectors of 16 bytes
DEFAULT_SHARED_BYTES = 48 << 10  # shared memory that a block may have without asking
OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"

Compiler = Callable[[DeviceSource, tuple[int, int], Cache], tuple[str, bytes]]
Preparer = Callable[[Sequence[DeviceSource], tuple[int, int], Cache, Options, Built], None]


def open_device(name: str, cache: Cache) -> CudaDevice:
    """The GPU called `cuda:N`.  Raises `DeviceError` if it, its driver or a package is missing or
    too old; the message says what to install."""
    number = require_number(name, find_driver(name))
    require()
    return CudaDevice(number, Held(cache.directory), toolkit(), cubin, prepare)


class CudaDevice:
    """A GPU.  Its methods may be called from any thread, one at a time."""

    def __init__(
        self,
        number: int,
        cache: Cache,
        toolkit: Toolkit,
        compiler: Compiler,
        preparer: Preparer | None = None,
    ) -> None:
        self.name, self.number = f"cuda:{number}", number
        self.cache, self.toolkit = cache, toolkit
        self.compiler, self.preparer = compiler, preparer
        self.functions: dict[DeviceSource, LoadedKernel] = {}
        self.lock = threading.RLock()
        with reported(self.name, "opening the device", toolkit.error):
            self.device = self._current()
            self.stream = self.device.create_stream()
            self.spec = spec_of(self.device, self.free_memory()[1])
        if self.spec.capability < MIN_CAPABILITY:
            raise DeviceError(
                f"{self.name}: {self.spec.name} has compute capability "
                f"{'.'.join(map(str, self.spec.capability))}; graphc needs "
                f"{'.'.join(map(str, MIN_CAPABILITY))} (Ampere) or newer"
            )
        self.target = replace(CUDA, capability=self.spec.capability)
        self.staging = Staging(toolkit, self.device, self.stream)

    def _current(self) -> Any:
        """The device, made current in this thread (other libraries may have changed that)."""
        device = self.toolkit.core.Device(self.number)
        device.set_current()
        return device

    def free_memory(self) -> tuple[int, int]:
        """Bytes of memory: free, and in total."""
        free, total = check(self.name, "asking for memory", self.toolkit.driver.cuMemGetInfo())
        return int(free), int(total)

    def allocate(self, nbytes: int) -> Allocation:
        """Memory, freed when the last span over it is gone and all work so far is done."""
        try:
            buffer = self._current().allocate(max(nbytes, 1), stream=self.stream)
        except self.toolkit.error as error:
            if OUT_OF_MEMORY not in str(error):
                raise DeviceError(f"{self.name}: allocating {nbytes} bytes: {error}") from error
            free, total = self.free_memory()
            raise DeviceError(
                f"{self.name}: out of memory: {nbytes:,} bytes asked for, {free:,} of {total:,} "
                "free; make the batch smaller, give the session a memory_limit, or close what else "
                "uses the device"
            ) from None
        return Allocation(int(buffer.handle), nbytes, buffer)

    def pinned(self, nbytes: int) -> Pinned:
        """Host memory that graphs copy from and to."""
        with self.lock, reported(self.name, "pinning host memory", self.toolkit.error):
            self._current()
            buffer = self.staging.resource.allocate(max(nbytes, 1))
        return Pinned(
            np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(int(buffer.handle))),
            buffer,
        )

    def copy(self, target: MemorySpan | Array, source: MemorySpan | Array) -> None:
        """Copies bytes after all work so far.  A source array may change when it returns."""
        with self.lock, reported(self.name, "a copy", self.toolkit.error):
            self._current()
            match target, source:
                case MemorySpan(), MemorySpan():
                    self._within(target, source)
                case MemorySpan(), np.ndarray():
                    assert target.nbytes == source.nbytes
                    self.staging.upload(target, source)
                case np.ndarray(), MemorySpan():
                    assert target.nbytes == source.nbytes and target.flags.c_contiguous
                    self.staging.download(target, source)
                case _:
                    raise AssertionError("one side of a copy is on the device")

    def _within(self, target: MemorySpan, source: MemorySpan) -> None:
        assert target.nbytes == source.nbytes
        if target.nbytes:
            buffer = self.toolkit.core.Buffer.from_handle
            buffer(target.address, target.nbytes).copy_from(
                buffer(source.address, source.nbytes), stream=self.stream
            )

    def prepare(self, sources: Sequence[DeviceSource], options: Options, built: Built) -> None:
        """Compiles the sources that no cache has, in several processes; `built` counts them."""
        if self.preparer is not None:
            self.preparer(sources, self.spec.capability, self.cache, options, built)

    def load(self, source: DeviceSource) -> LoadedKernel:
        """Loads a source's code into the device's memory; equal sources share it."""
        with self.lock:
            if source not in self.functions:
                symbol, code = self.compiler(source, self.spec.capability, self.cache)
                with reported(self.name, f"loading {symbol}", self.toolkit.error):
                    self._current()
                    module = self.toolkit.core.ObjectCode.from_cubin(code, name=symbol)
                    kernel = module.get_kernel(symbol)
                self._allow_shared(source, kernel)
                self.functions[source] = LoadedKernel(source, kernel)
            return self.functions[source]

    def _allow_shared(self, source: DeviceSource, kernel: Any) -> None:
        """Lets a kernel have more dynamic shared memory than the default."""
        if isinstance(source.shared, int) and source.shared <= DEFAULT_SHARED_BYTES:
            return
        driver = self.toolkit.driver
        most = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        allowed = self.spec.shared - kernel.attributes.shared_size_bytes
        if isinstance(source.shared, int) and source.shared > allowed:
            raise DeviceError(
                f"{self.name}: a kernel wants {source.shared:,} bytes of shared memory a block, "
                f"{self.spec.name} has {allowed:,}"
            )
        check(
            self.name,
            "asking for shared memory",
            driver.cuKernelSetAttribute(most, allowed, kernel.handle, self.number),
        )

    def launch(self, launch: LaunchNode) -> None:
        """Runs one kernel after all work so far; returns at once."""
        if nothing(launch):
            return
        with reported(self.name, "a launch", self.toolkit.error):
            self._current()
            self.toolkit.core.launch(
                self.stream,
                configuration(self.toolkit, launch),
                launch.function.handle,
                *arguments(launch),
            )

    def graph(self, nodes: Sequence[Node]) -> CudaReplay:
        """The nodes, to be run by one launch."""
        return build(self.name, self.toolkit, self._current(), self.stream, nodes)

    def mark(self) -> Mark:
        """The end of all work so far, as an event on the stream."""
        with self.lock, reported(self.name, "marking the end of a run", self.toolkit.error):
            event = self._current().create_event()
            self.stream.record(event)
        return Mark(self.name, self.toolkit, event)

    def synchronize(self) -> None:
        """Waits for all work; raises the errors of that work."""
        with reported(self.name, "waiting for the device", self.toolkit.error):
            self._current()
            self.stream.sync()

    def products(self, options: Options) -> Products | None:
        """cublasLt for one program; None if the options neither demand it nor allow trials.  Raises
        `DeviceError` if they demand it and it is not installed."""
        wanted = options.method is Method.BLAS or options.autotune > 0
        return Products(self, options) if wanted else None

    def library(self) -> Library | None:
        """cublasLt, if its packages are installed."""
        return self._library

    @functools.cached_property
    def _library(self) -> Library | None:
        self._current()
        return library(self)

    def adopt(self, array: Any) -> tuple[MemorySpan, tuple[int, ...], str]:
        """An array of another library on this device (`__dlpack__` or `__cuda_array_interface__`),
        without a copy: its place, shape and element type.  Work here waits for the work that the
        library has put on its stream."""
        with reported(self.name, "taking an array", (self.toolkit.error, BufferError)):
            self._current()
            view = self.toolkit.core.utils.StridedMemoryView.from_any_interface(
                array, stream_ptr=int(self.stream.handle)
            )
        if view.device_id != self.number or not view.is_device_accessible:
            where = f"cuda:{view.device_id}" if view.device_id >= 0 else "the host"
            raise DeviceError(
                f"{self.name}: an array on {where} was given; move it to {self.name}, or give it "
                "as a NumPy array"
            )
        shape, dtype = tuple(view.shape), as_dtype(view.dtype)
        if not _contiguous(shape, view.strides):
            raise DeviceError(
                f"{self.name}: an array of shape {list(shape)} has strides {list(view.strides)}; "
                "make it contiguous first (in torch: .contiguous())"
            )
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.size
        span = MemorySpan(Allocation(int(view.ptr), nbytes, (array, view)), 0, nbytes)
        return self._aligned(span), shape, dtype.name

    def _aligned(self, span: MemorySpan) -> MemorySpan:
        """The span, or a copy of it if its address is not aligned."""
        if span.address % ALIGNMENT_BYTES == 0:
            return span
        copy = MemorySpan(self.allocate(span.nbytes), 0, span.nbytes)
        self.copy(copy, span)
        self.synchronize()  # the owner may change or free it when this returns
        return copy

    def shared(self, span: MemorySpan, shape: tuple[int, ...], dtype: DType) -> SharedArray:
        """An array over a span that other libraries can take without a copy."""
        return SharedArray(self, span, shape, dtype)

    def export(self, span: MemorySpan, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A view with `__dlpack__` of memory that no work writes any more; it keeps the memory."""
        self.synchronize()
        buffer = self.toolkit.core.Buffer.from_handle(span.address, span.nbytes, owner=span.memory)
        return self.toolkit.core.utils.StridedMemoryView.from_buffer(buffer, shape, dtype=dtype)


@dataclass(frozen=True)
class Mark:
    """A moment in the work of a GPU."""

    name: str
    toolkit: Toolkit
    event: Any

    def wait(self) -> None:
        """Waits until all work before the mark is done; raises the errors of that work."""
        with reported(self.name, "waiting for a run", self.toolkit.error):
            self.event.sync()


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...] | None) -> bool:
    """Whether strides (in elements) are those of a contiguous row-major array."""
    if strides is None or 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True
