"""Runs products and convolutions on arrays between pages that may not be touched.

    python -m support.guarded KIND

A process of its own, which the system kills at the first access outside: what it printed last is
the guilty case.  Operands and results end at such a page in one round, and begin at one in another.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from support.oracle import stage

import graphc as gc
from graphc.codegen.cpu.kernels import methods
from graphc.compiler.compile import lower
from graphc.config import Method, Options
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.nn import functional as F  # noqa: N812
from graphc.session import host_engine
from graphc.testing.compiled import CompiledGraph, small_chunks, small_products

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
SIDES = ("end", "start")  # of an array, where the guard page lies
PRODUCTS = (0, 1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129)
IMAGES: tuple[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    ((0, 8, 9, 9), (8, 8, 3, 3), {"padding": 1}),
    ((2, 3, 5, 7), (5, 3, 3, 3), {"padding": 1}),
    ((1, 8, 17, 31), (13, 8, 3, 3), {}),
    ((2, 9, 19, 25), (17, 9, 3, 5), {"stride": (2, 3), "padding": (1, 2)}),
    ((1, 8, 17, 21), (33, 8, 3, 2), {"dilation": (2, 4), "padding": (2, 3)}),
    ((1, 8, 6, 7), (8, 8, 2, 2), {"padding": 4}),
    ((2, 16, 21, 23), (17, 16, 3, 3), {"padding": 1}),
    ((1, 17, 13, 13), (31, 17, 3, 3), {"padding": 1}),
    ((2, 16, 9, 10), (8, 16, 1, 1), {}),
)


def guarded(shape: tuple[int, ...], dtype: Any, side: str) -> Any:
    """An array that ends, or begins, at a page that may not be touched."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    nbytes = count * dtype.itemsize
    inner = max(1, -(-nbytes // PAGE)) * PAGE
    area = mmap.mmap(-1, inner + 2 * PAGE)
    memory = np.frombuffer(area, np.uint8)
    start = memory.__array_interface__["data"][0]
    for page in (start, start + PAGE + inner):
        if LIBC.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    at = PAGE + (inner - nbytes if side == "end" else 0)
    return memory[at : at + nbytes].view(dtype).reshape(shape)


class Numpy:
    """NumPy, whose `empty` makes guarded arrays."""

    def __init__(self, side: str) -> None:
        self.side = side

    def empty(self, shape: Any, dtype: Any) -> Any:
        return guarded(shape, dtype, self.side)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def run(made: CompiledGraph, arrays: list[Any], wanted: Any) -> None:
    """Runs a graph between guards, by one thread and by two, and compares the results."""
    scale = 1 + (np.abs(wanted).max() if wanted.size else 0)
    for side in SIDES:
        given = [guarded(a.shape, a.dtype, side) for a in arrays]
        for to, a in zip(given, arrays, strict=True):
            to[...] = a
        pooled = mock.patch.object(host_engine, "MIN_POOLED_BYTES", 1 << 40)
        with pooled, mock.patch.object(host_engine, "np", Numpy(side)):
            for threads in (1, 2):
                (found,) = made(given, threads)
                assert np.abs(found - wanted).max(initial=0) <= 1e-4 * scale
                made.forget()


def products() -> Iterator[Callable[[], None]]:
    """Products of all layouts and methods; one compilation serves all sizes."""
    rng = np.random.default_rng(0)
    sizes = [tuple(rng.choice(PRODUCTS, 3).tolist()) for _ in range(30)]
    sizes += [(s, t, u) for s in (0, 1, 17) for t in (0, 1, 33) for u in (0, 1, 65)]
    for dtype in (np.float32, np.float64):
        for method in (Method.TILES, Method.BLAS, Method.LOOPS):
            for ta, tb in ((False, False), (True, False), (False, True), (True, True)):
                with gc.Graph().as_default():
                    a = gc.placeholder(dtype, ["k", "m"] if ta else ["m", "k"])
                    b = gc.placeholder(dtype, ["n", "k"] if tb else ["k", "n"])
                    graph: Graph = stage([gc.matmul(a.T if ta else a, b.T if tb else b)])
                with small_products():
                    made = CompiledGraph(graph, method=method)
                for s in sizes:
                    yield partial(product, made, s, ta, tb, dtype, method)


def product(made: CompiledGraph, s: Any, ta: bool, tb: bool, dtype: Any, method: Method) -> None:
    """One product."""
    m, n, k = s
    print(f"{m} x {n} x {k}, {dtype.__name__}, ta={ta}, tb={tb}, {method.name}", flush=True)
    rng = np.random.default_rng(m + n + k)
    a = rng.uniform(-1, 1, (k, m) if ta else (m, k)).astype(dtype)
    b = rng.uniform(-1, 1, (n, k) if tb else (k, n)).astype(dtype)
    run(made, [a, b], (a.T if ta else a) @ (b.T if tb else b))


def convolutions() -> Iterator[Callable[[], None]]:
    """Convolutions, and both of their gradients, by all methods that can do them."""
    for case in IMAGES:
        for part in ("result", "image", "kernel"):
            yield partial(convolution, case, part)


def convolution(case: Any, part: str) -> None:
    """One convolution, or one of its gradients."""
    image, kernel, arguments = case
    with gc.Graph().as_default():
        x, w = (gc.placeholder(np.float32, s) for s in (image, kernel))
        y = F.conv2d(x, w, **arguments)
        seed = gc.placeholder(np.float32, y.shape)
        dx, dw = gc.gradients(y, [x, w], [seed])
        graph = stage([{"result": y, "image": dx, "kernel": dw}[part]])
    rng = np.random.default_rng(1)
    arrays = [rng.uniform(-1, 1, v.type.shape).astype(np.float32) for v in graph.inputs]
    (wanted,) = interpret(graph, *arrays)
    kernels = lower(graph, Options(progress=False)).program.kernels
    for method in dict.fromkeys(m for k in kernels for m in methods(k)):
        print(f"{image} {kernel} {arguments}, {part}, {method.name}", flush=True)
        with small_chunks():
            run(CompiledGraph(graph, method=method), arrays, wanted)


def probe() -> Iterator[Callable[[], None]]:
    """A read behind an array, which must end the process."""

    def beyond() -> None:
        print("probe", flush=True)
        array = guarded((3,), np.float32, sys.argv[2])
        at = array.__array_interface__["data"][0]
        ctypes.c_float.from_address(at + (12 if sys.argv[2] == "end" else -4)).value  # noqa: B018

    yield beyond


if __name__ == "__main__":
    tried = {"products": products, "convolutions": convolutions, "probe": probe}
    for check in tried[sys.argv[1]]():
        check()
    print("done")
