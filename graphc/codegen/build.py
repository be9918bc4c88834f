"""Sources -> addresses: what is in this process, then what is on disk, then the compiler.

Many missing kernels are compiled by several processes at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphc.codegen import jit
from graphc.config import Options

PARALLEL_FROM = 24  # missing kernels; a helper process costs about 0.7 s to start
SHOW_AFTER = 1.0  # seconds


@dataclass
class Built:
    """What building did."""

    compilations: int = 0
    cache_hits: int = 0
    seconds: float = 0.0


def build(texts: Sequence[str], options: Options, built: Built) -> dict[str, int]:
    """The address of each source's machine code."""
    loader, cache = jit.loader(), jit.Cache(options.cache_dir)
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
    items = list(missing.items())
    helpers: list[tuple[list[tuple[str, str]], Any]] = []
    workers = min(options.threads, len(items) // (PARALLEL_FROM // 2), 8)
    if len(items) >= PARALLEL_FROM and workers > 1:
        shares = [items[i::workers] for i in range(workers)]
        items = shares[0]
        helpers = [(share, _start_helper(share)) for share in shares[1:]]
    made = _compile_here(items, options)
    for share, process in helpers:
        made.update(_collect(share, process))
    return made


def _compile_here(items: list[tuple[str, str]], options: Options) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    start = time.perf_counter()
    shown = False
    for number, (text, symbol) in enumerate(items):
        made[text] = jit.compile_kernel(text, symbol)
        if options.progress and time.perf_counter() - start > SHOW_AFTER:
            shown = True
            print(
                f"\rgraphc: compiled {number + 1} of {len(items)} kernels", end="", file=sys.stderr
            )
    if shown:
        print(f" in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return made


def _start_helper(share: list[tuple[str, str]]) -> Any:
    home = str(Path(__file__).parents[2])  # the same graphc, wherever this process found it
    serve = "import sys; sys.path.insert(0, sys.argv[1]); from graphc.codegen import build; "
    process = subprocess.Popen(
        [sys.executable, "-c", f"{serve}build.serve()", home],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(share).encode())
    process.stdin.close()
    return process


def _collect(share: list[tuple[str, str]], process: Any) -> dict[str, bytes]:
    with process:  # closes its pipe
        output = process.stdout.read()
    if process.returncode != 0:  # compile here, for the error that it met
        return {text: jit.compile_kernel(text, symbol) for text, symbol in share}
    objects = json.loads(output)
    return {text: bytes.fromhex(objects[symbol]) for text, symbol in share}


def serve() -> None:
    """What a helper process does: sources in, object code out."""
    share = json.loads(sys.stdin.buffer.read())
    made = {symbol: jit.compile_kernel(text, symbol).hex() for text, symbol in share}
    sys.stdout.write(json.dumps(made))
