"""cuda-core without a GPU: objects that stand for its classes and take only calls that fit the real
signatures.

"Device memory" is the host's, so that copies really copy; a "cubin" is the number of a Python
function, which a launch calls with the bytes that cuda-core's own `ParamHolder` made of the
arguments.  What no fake can show: whether the driver does with the calls what we think it does.
"""

from __future__ import annotations

import ctypes
import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

CARD = {
    "multiprocessor_count": 132,
    "memory_clock_rate": 3_201_000,
    "global_memory_bus_width": 6144,
    "clock_rate": 1_980_000,
    "max_shared_memory_per_block_optin": 232_448,
}
TOTAL = 1 << 30


def fit(function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Raises TypeError unless the real function takes these arguments."""
    inspect.signature(function).bind(*arguments, **named)


class Fake:
    """Stands for an object of a class of cuda-core: `answers` are its attributes, by name; the
    class must have each, and a call of a method must fit its signature."""

    def __init__(self, real: type, name: str, log: list[Any], /, **answers: Any) -> None:
        self._real, self._name, self._log, self._answers = real, name, log, answers

    def __repr__(self) -> str:
        return self._name

    def __getattr__(self, attribute: str) -> Any:
        real = inspect.getattr_static(self._real, attribute)  # AttributeError if there is none
        answer = self._answers[attribute]
        if not inspect.isroutine(real):
            return answer

        def call(*arguments: Any, **named: Any) -> Any:
            own = () if isinstance(real, staticmethod | classmethod) else (self,)
            fit(getattr(self._real, attribute), *own, *arguments, **named)
            self._log.append((self._name, attribute, arguments, named))
            return answer(*arguments, **named)

        return call


@dataclass
class FakeCuda:
    """A toolkit of fakes, and what they were asked.  `kernels` are what cubins stand for; of the
    device's memory `free` bytes are free."""

    kernels: dict[bytes, Callable[..., None]] = field(default_factory=dict)
    free: int = TOTAL
    capability: tuple[int, int] = (9, 0)
    log: list[Any] = field(default_factory=list)
    memory: list[Any] = field(default_factory=list)
    attributes: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        import cuda.core
        import cuda.core.graph
        from cuda.bindings import driver
        from cuda.core._utils.cuda_utils import CUDAError

        self.real, self.real_graph, self.real_driver = cuda.core, cuda.core.graph, driver
        self.error = CUDAError
        self.numbers = itertools.count()
        self.capturing: list[Any] = []

    def fake(self, real: type, /, **answers: Any) -> Fake:
        return Fake(real, f"{real.__name__}{next(self.numbers)}", self.log, **answers)

    def toolkit(self) -> Any:
        """What `CudaDevice` takes."""
        from graphc.runtime.cuda.driver import Toolkit

        core = SimpleNamespace(
            Device=self.device,
            LaunchConfig=self.real.LaunchConfig,
            launch=self.launch,
            Buffer=Fake(self.real.Buffer, "Buffer", self.log, from_handle=self.view),
            ObjectCode=Fake(self.real.ObjectCode, "ObjectCode", self.log, from_cubin=self.module),
            LegacyPinnedMemoryResource=lambda: self.fake(
                self.real.LegacyPinnedMemoryResource, allocate=self.buffer
            ),
            utils=SimpleNamespace(
                StridedMemoryView=Fake(
                    self.real.utils.StridedMemoryView,
                    "StridedMemoryView",
                    self.log,
                    from_any_interface=self.foreign,
                    from_buffer=self.strided,
                )
            ),
        )
        graph = SimpleNamespace(GraphDefinition=self.definition)
        driver = SimpleNamespace(
            CUfunction_attribute=self.real_driver.CUfunction_attribute,
            cuMemGetInfo=self.mem_get_info,
            cuKernelSetAttribute=self.set_attribute,
        )
        return Toolkit(core, graph, driver, self.error)

    # -- devices, streams, memory

    def device(self, number: int) -> Fake:
        from cuda.core._device import DeviceProperties

        fit(self.real.Device, number)
        properties = self.fake(DeviceProperties, **CARD)
        return self.fake(
            self.real.Device,
            set_current=lambda: None,
            name="NVIDIA Fake",
            properties=properties,
            compute_capability=self.capability,
            create_stream=self.stream,
            allocate=self.allocate,
            create_event=lambda: self.fake(self.real.Event, sync=lambda: None),
            create_graph_builder=self.builder,
        )

    def stream(self) -> Fake:
        return self.fake(
            self.real.Stream,
            sync=lambda: None,
            record=lambda event: event,
            handle=1000 + next(self.numbers),
        )

    def allocate(self, size: int, *, stream: Any) -> Fake:
        if size > self.free:
            raise self.error("CUDA_ERROR_OUT_OF_MEMORY: the API call failed")
        self.free -= size
        return self.buffer(size)

    def buffer(self, size: int) -> Fake:
        space = np.zeros(size + 256, np.uint8)
        self.memory.append(space)
        return self.view(-(-space.ctypes.data // 256) * 256, size)

    def view(self, ptr: int, size: int, owner: Any = None) -> Fake:
        def copy_from(src: Any, *, stream: Any) -> None:
            assert src.size == size and stream._real is self.real.Stream
            ctypes.memmove(ptr, src.handle, size)

        return self.fake(self.real.Buffer, handle=ptr, size=size, copy_from=copy_from, owner=owner)

    def mem_get_info(self) -> tuple[Any, int, int]:
        fit(self.real_driver.cuMemGetInfo)
        return self.real_driver.CUresult.CUDA_SUCCESS, self.free, TOTAL

    # -- kernels

    def module(self, code: bytes, *, name: str) -> Fake:
        from cuda.core._module import KernelAttributes

        def get_kernel(symbol: str) -> Fake:
            assert symbol == name
            attributes = self.fake(KernelAttributes, shared_size_bytes=1024)
            return self.fake(self.real.Kernel, attributes=attributes, handle=code)

        return self.fake(self.real.ObjectCode, get_kernel=get_kernel)

    def set_attribute(self, *arguments: Any) -> tuple[Any]:
        fit(self.real_driver.cuKernelSetAttribute, *arguments)
        self.attributes.append(arguments)
        return (self.real_driver.CUresult.CUDA_SUCCESS,)

    def launch(self, stream: Any, config: Any, kernel: Any, *arguments: Any) -> None:
        fit(self.real.launch, stream, config, kernel, *arguments)
        self.log.append(("core", "launch", (config, kernel), {}))
        self.run(config, kernel, arguments)

    def run(self, config: Any, kernel: Any, arguments: tuple[Any, ...]) -> None:
        """Calls what the kernel stands for with the words that the GPU would get."""
        from cuda.core._kernel_arg_handler import ParamHolder

        holder = ParamHolder(arguments)
        at = (ctypes.c_void_p * len(arguments)).from_address(holder.ptr)
        words = [
            (ctypes.c_uint32 if isinstance(argument, np.uint32) else ctypes.c_uint64)
            .from_address(place)
            .value
            for argument, place in zip(arguments, at, strict=True)
        ]
        self.kernels[kernel.handle](config, *words)

    # -- graphs

    def definition(self) -> Fake:
        return Graph(self).definition

    def builder(self) -> Fake:
        graph = Graph(self)
        stream = self.stream()
        begin = lambda mode: self.capturing.append((stream.handle, graph))  # noqa: E731
        return self.fake(
            self.real_graph.GraphBuilder,
            stream=stream,
            begin_building=begin,
            end_building=lambda: self.capturing.pop(),
            graph_definition=graph.definition,
        )

    def foreign(self, obj: Any, stream_ptr: int) -> Any:
        return self.fake(self.real.utils.StridedMemoryView, **obj.view)

    def strided(self, buffer: Any, shape: Any, *, dtype: Any) -> Any:
        assert buffer.size == int(np.prod(shape)) * dtype.itemsize
        return SimpleNamespace(buffer=buffer, shape=shape, dtype=dtype)


class Graph:
    """A graph of work: nodes run when all they come after have."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.work: list[tuple[set[int], Callable[[], None], str]] = []
        self.definition = cuda.fake(
            cuda.real_graph.GraphDefinition,
            **self._makers(None),
            instantiate=self._instantiate,
            run=self.run,
        )

    def _makers(self, before: int | None) -> dict[str, Any]:
        after = set() if before is None else {before}
        makers = {
            "launch": lambda config, kernel, *a: self._node(
                after, lambda: self.cuda.run(config, kernel, a), "launch"
            ),
            "memcpy": lambda dst, src, size: self._node(
                after, lambda: ctypes.memmove(dst, src, size) and None, "memcpy"
            ),
            "embed": lambda child: self._node(after, child._answers["run"], "embed"),
            "join": lambda *nodes: self._node(
                after | {n._answers["number"] for n in nodes}, lambda: None, "join"
            ),
        }
        return (
            makers
            if before is not None
            else {**makers, "empty": lambda: self._node(after, lambda: None, "empty")}
        )

    def _node(self, after: set[int], run: Callable[[], None], kind: str) -> Fake:
        from cuda.core.graph._adjacency_set_proxy import AdjacencySetProxy

        number, kinds = len(self.work), self.cuda.real_graph
        edges = set(after)
        self.work.append((edges, run, kind))
        real = {
            "launch": kinds.KernelNode,
            "memcpy": kinds.MemcpyNode,
            "embed": kinds.ChildGraphNode,
        }.get(kind, kinds.EmptyNode)
        pred = self.cuda.fake(AdjacencySetProxy, add=lambda n: edges.add(n._answers["number"]))
        return self.cuda.fake(real, number=number, pred=pred, **self._makers(number))

    def run(self) -> None:
        done: set[int] = set()
        for number, (edges, work, _) in enumerate(self.work):
            assert edges <= done
            work()
            done.add(number)

    def _instantiate(self) -> Fake:
        return self.cuda.fake(
            self.cuda.real_graph.Graph, upload=lambda stream: None, launch=lambda stream: self.run()
        )
