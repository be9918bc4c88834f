"""Sources -> addresses: what is in this process, then what is on disk, then the compiler.

Many missing kernels are compiled by several processes at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from graphc.codegen import workers
from graphc.codegen.cache import Built, Cache
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.workers import Compiler, compile_all
from graphc.config import Options

PARALLEL_FROM = 12  # missing kernels; a helper starts in the time that this process takes for ten


def build(texts: Sequence[str], options: Options, built: Built) -> dict[str, int]:
    """The address of each source's machine code."""
    loader, cache = jit.loader(), Cache(options.cache_dir)
    found: dict[str, int] = {}
    missing: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        symbol = jit.symbol_of(text)
        if symbol in loader.addresses:
            found[text] = loader.addresses[symbol]
            built.cache_hits += 1
            continue
        data = cache.read(symbol)
        if data is None:
            missing[text] = symbol
        else:
            found[text] = loader.load(symbol, data)
            built.cache_hits += 1
    start = time.perf_counter()
    for text, data in _compile(missing, options).items():
        cache.write(missing[text], data)
        found[text] = loader.load(missing[text], data)
        built.compilations += 1
    built.seconds += time.perf_counter() - start
    return found


def _compile(missing: dict[str, str], options: Options) -> dict[str, bytes]:
    """Object code of every missing source."""
    compiler = Compiler(__name__, jit.compile_kernel, PARALLEL_FROM)
    jobs = {text: (text, symbol) for text, symbol in missing.items()}
    return compile_all(jobs, compiler, options)


def serve() -> None:
    """What a helper process does."""
    workers.serve(jit.prepare, jit.compile_kernel)
