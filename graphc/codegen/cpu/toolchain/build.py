"""Turns kernel sources into addresses of machine code: it looks in this process, then on disk, then
compiles.

Several processes compile at once if many kernels are missing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple

from graphc.codegen import workers
from graphc.codegen.cache import Built, Cache
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import Cpu, host_cpu
from graphc.codegen.workers import Compiler, compile_all
from graphc.config import Options

MIN_KERNELS_FOR_HELPERS = 12  # this process compiles ten kernels while a helper starts


def build(texts: Sequence[str], options: Options, built: Built) -> dict[str, int]:
    """The address of each source's machine code, loaded into this process."""
    cpu = host_cpu()
    loader, cache = jit.loader(), Cache(options.cache_dir)
    addresses: dict[str, int] = {}
    missing: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        symbol = jit.symbol_of(text, cpu)
        if symbol in loader.addresses:
            addresses[text] = loader.addresses[symbol]
            built.cache_hits += 1
            continue
        data = cache.read(symbol)
        if data is None:
            missing[text] = symbol
        else:
            addresses[text] = loader.load(symbol, data)
            built.cache_hits += 1
    start = time.perf_counter()
    for text, data in _compile(missing, cpu, options).items():
        cache.write(missing[text], data)
        addresses[text] = loader.load(missing[text], data)
        built.compilations += 1
    built.seconds += time.perf_counter() - start
    return addresses


def _compile(missing: dict[str, str], cpu: Cpu, options: Options) -> dict[str, bytes]:
    """Object code of every missing source."""
    compiler = Compiler(__name__, _compile_words, MIN_KERNELS_FOR_HELPERS)
    jobs = {text: (text, symbol, astuple(cpu)) for text, symbol in missing.items()}
    return compile_all(jobs, compiler, options)


def _compile_words(text: str, symbol: str, cpu: Sequence[str]) -> bytes:
    """`compile_kernel` with arguments that JSON can carry."""
    return jit.compile_kernel(text, symbol, Cpu(*cpu))


def serve() -> None:
    """The main loop of a helper process."""
    workers.serve(jit.prepare, _compile_words)
