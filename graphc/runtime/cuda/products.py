"""Chooses what makes a matrix product on a device: graphc's kernel, or a library, whose product a
kernel of the epilogue follows.

graphc's kernel does, unless the session's method is `Method.BLAS`.  If the session may try
(`autotune`), both are timed on memory of their own, and the faster one is remembered.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from graphc.codegen.cpu.kernels import buffers_of
from graphc.codegen.lower.contraction import operands, slots_of
from graphc.config import Method, Options
from graphc.errors import DeviceError
from graphc.ir.dim import Size, product
from graphc.ir.program import Kernel, Kind, contraction_of, storage
from graphc.runtime.cuda.cublas import CUBLAS_TYPES, OPERAND_ALIGNMENT_BYTES, Library, ProductSizes
from graphc.runtime.device.hazards import with_edges
from graphc.runtime.device.protocol import Device, LaunchNode, MemorySpan, Node, NodeMaker, uploaded

TRIAL_RUNS = 5  # timed runs of a trial's graph, after one that warms up
PRODUCTS_PER_RUN = 8  # times that a trial's graph has the product


class HasLibrary(Device, Protocol):
    """A device for which cublasLt may be installed."""

    def library(self) -> Library | None:
        """cublasLt, if it is installed."""


@functools.cache
def remembered() -> dict[object, bool]:
    """Whether the library was faster, by device, product, and text and sizes of graphc's kernel."""
    return {}


class Products:
    """The choice for one program on one device.  If `forced`, the library makes all products that
    it can; `seconds` are left for trials."""

    def __init__(self, device: HasLibrary, options: Options) -> None:
        self.device, self.seconds = device, options.autotune
        self.forced = options.method is Method.BLAS
        self.library = device.library()
        if self.forced and self.library is None:
            raise DeviceError(
                f"{device.name}: the method BLAS is cublasLt there, which is not installed: pip "
                "install 'graphc[cuda13-blas]', or leave out the method, and graphc uses kernels "
                "of its own"
            )

    def may_make(self, kernel: Kernel) -> bool:
        """Whether the library may make a kernel's contraction."""
        return (
            self.library is not None
            and kernel.kind is Kind.MATMUL
            and contraction_of(kernel).type.dtype.name in CUBLAS_TYPES
        )

    def nodes(
        self,
        kernel: Kernel,
        number: Callable[[Size], int],
        places: Sequence[MemorySpan],
        own: NodeMaker,
        after: NodeMaker,
    ) -> list[Node]:
        """The nodes of a product's kernel: `own`, or the library's and then the epilogue's."""
        sizes = product_of(kernel, number)
        slots, (_, a, b, c) = slots_of(kernel), operands(kernel)
        ends = [slots[storage(a)], slots[storage(b)], slots[c]]
        assert self.library is not None
        plan = None
        if sizes is not None and all(
            places[i].address % OPERAND_ALIGNMENT_BYTES == 0 for i in ends
        ):
            plan = self.library.plan(sizes)
        if sizes is None or plan is None:
            return own(places)

        def library(at: Sequence[MemorySpan]) -> list[Node]:
            left, right, result = (at[i] for i in ends)
            return [replace(plan.call(left, right, result), kernel=kernel), *after(at)]

        fast = self.forced or self._faster(sizes, kernel, places, own, library)
        return (library if fast else own)(places)

    def _faster(
        self,
        sizes: ProductSizes,
        kernel: Kernel,
        places: Sequence[MemorySpan],
        own: NodeMaker,
        library: NodeMaker,
    ) -> bool:
        """Whether the library is faster; False if no time is left for a trial."""
        nodes = [x for x in own(places) if isinstance(x, LaunchNode)]
        key = (
            self.device.name,
            sizes,
            *(
                (x.function.source.text, x.grid, *(a for a in x.arguments if isinstance(a, int)))
                for x in nodes
            ),
        )
        known = remembered()
        if key not in known:
            if self.seconds <= 0:
                return False
            start = time.perf_counter()
            at = trial_places(self.device, kernel, places)
            known[key] = self._seconds(library(at)) < self._seconds(own(at))
            self.seconds -= time.perf_counter() - start
        return known[key]

    def _seconds(self, nodes: Sequence[Node]) -> float:
        """The shortest time of several runs, or of as many as there is time for."""
        replay = self.device.graph(with_edges([*nodes] * PRODUCTS_PER_RUN))
        best, end = float("inf"), time.perf_counter() + self.seconds / 2
        for n in range(TRIAL_RUNS + 1):  # the first warms up
            start = time.perf_counter()
            replay.run()
            self.device.synchronize()
            now = time.perf_counter()
            best = min(best, now - start) if n else best
            if now > end and n:
                break
        return best


def product_of(kernel: Kernel, number: Callable[[Size], int]) -> ProductSizes | None:
    """The sizes of a kernel's product; None if it is empty, or of a type that the library does not
    multiply."""
    op, a, b, out = operands(kernel)
    m, k, _, n = map(number, op.sizes(a.type, b.type))
    batch = number(product(out.type.shape[:-2]))
    if out.type.dtype.name not in CUBLAS_TYPES or 0 in (m, n, k, batch):
        return None
    return ProductSizes(m, n, k, out.type.dtype, op.ta, op.tb, batch)


def trial_places(device: Device, kernel: Kernel, places: Sequence[MemorySpan]) -> list[MemorySpan]:
    """Memory like a kernel's own, for a trial.  The product's operands are random numbers, because
    a GPU's speed depends on their values; all else is zeros."""
    _, a, b, _ = operands(kernel)
    copies, rng = [], np.random.default_rng(0)
    for v, place in zip(buffers_of(kernel), places, strict=True):
        array = np.zeros(place.nbytes, np.uint8)
        if v in (storage(a), storage(b)):
            count = place.nbytes // v.type.dtype.size
            array = rng.standard_normal(count, np.float32).astype(v.type.dtype.numpy)
        copies.append(uploaded(device, array))
    return copies
