"""Sources -> addresses: what is in this process, then what is on disk, then the compiler.

Many missing kernels are compiled by several processes at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphc.codegen import jit
from graphc.config import Options

PARALLEL_FROM = 12  # missing kernels; a helper starts in the time that this process takes for ten
MOST_PROCESSES = 8
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
    """Object code of every missing source: this process and its helpers take them from one queue,
    the longest first, so that none waits for another at the end."""
    waiting = deque(sorted(missing.items(), key=lambda item: -len(item[0])))
    made: dict[str, bytes] = {}
    count = min(options.threads, len(waiting) // (PARALLEL_FROM // 2), MOST_PROCESSES) - 1
    helpers = [_Helper(waiting, made) for _ in range(count if len(waiting) >= PARALLEL_FROM else 0)]
    try:
        _compile_here(waiting, made, len(missing), options)
    finally:
        waiting.clear()
        for helper in helpers:
            helper.end()
    for text in missing.keys() - made.keys():  # compiled again here, for the error that it met
        made[text] = jit.compile_kernel(text, missing[text])
    return made


def _compile_here(
    waiting: deque[tuple[str, str]], made: dict[str, bytes], count: int, options: Options
) -> None:
    start = time.perf_counter()
    shown = False
    while waiting:
        text, symbol = _next(waiting)
        if text:
            made[text] = jit.compile_kernel(text, symbol)
        if options.progress and time.perf_counter() - start > SHOW_AFTER:
            shown = True
            print(f"\rgraphc: compiled {len(made)} of {count} kernels", end="", file=sys.stderr)
    if shown:
        print(f" in {time.perf_counter() - start:.1f} s", file=sys.stderr)


def _next(waiting: deque[tuple[str, str]]) -> tuple[str, str]:
    """The next source and its symbol; empty if another has just taken the last."""
    try:
        return waiting.popleft()
    except IndexError:
        return "", ""


class _Helper:
    """A process that compiles, and the thread that hands it one source after another."""

    def __init__(self, waiting: deque[tuple[str, str]], made: dict[str, bytes]) -> None:
        home = str(Path(__file__).parents[2])  # the same graphc, wherever this process found it
        serve = "import sys; sys.path.insert(0, sys.argv[1]); from graphc.codegen import build; "
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{serve}build.serve()", home],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.ready = False
        self.thread = threading.Thread(target=self._feed, args=(waiting, made), daemon=True)
        self.thread.start()

    def _feed(self, waiting: deque[tuple[str, str]], made: dict[str, bytes]) -> None:
        questions, answers = self.process.stdin, self.process.stdout
        assert questions is not None and answers is not None
        self.ready = bool(answers.readline())
        while self.ready and (job := _next(waiting))[0]:
            questions.write(json.dumps(job) + "\n")
            questions.flush()
            answer = answers.readline().strip()
            self.ready = bool(answer)  # else it has met an error, and ended
            if answer:
                made[job[0]] = bytes.fromhex(answer)

    def end(self) -> None:
        """Waits for the source in hand; one that has not started yet need not go on."""
        if not self.ready:
            self.process.kill()
        self.thread.join()
        self.process.communicate()


def serve() -> None:
    """What a helper process does: sources in, object code out, line by line."""
    jit.prepare()
    print("ready", flush=True)
    for line in sys.stdin:
        print(jit.compile_kernel(*json.loads(line)).hex(), flush=True)
