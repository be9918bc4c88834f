"""Compiles many sources: this process and its helpers take them from one queue.

A helper is a Python process that answers a line of JSON, a job's words, with a line of code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphc.config import Options

MAX_PROCESSES = 8  # this one included
SHOW_AFTER_SECONDS = 1.0  # progress is shown for builds that take longer
Words = tuple[Any, ...]  # what a compiler is called with, the source first; JSON takes them
Queue = deque[tuple[str, Words]]


@dataclass(frozen=True)
class Compiler:
    """`compile` compiles words in this process; a helper imports `module` and calls its `serve`.
    Helpers start if there are `parallel_from` jobs or more."""

    module: str
    compile: Callable[..., bytes]
    parallel_from: int


def compile_all(
    jobs: Mapping[str, Words], compiler: Compiler, options: Options
) -> dict[str, bytes]:
    """The code of every job.  The longest sources go first, so that no process waits for one at
    the end."""
    waiting = deque(sorted(jobs.items(), key=lambda item: -len(item[1][0])))
    codes: dict[str, bytes] = {}
    least = compiler.parallel_from
    count = min(options.threads, len(waiting) // (least // 2), MAX_PROCESSES) - 1
    helpers = [
        _Helper(compiler.module, waiting, codes)
        for _ in range(count if len(waiting) >= least else 0)
    ]
    try:
        _compile_here(waiting, codes, len(jobs), compiler, options)
    finally:
        waiting.clear()
        for helper in helpers:
            helper.end()
    for key in jobs.keys() - codes.keys():  # again, to raise the error that a helper met
        codes[key] = compiler.compile(*jobs[key])
    return codes


def _compile_here(
    waiting: Queue, codes: dict[str, bytes], count: int, compiler: Compiler, options: Options
) -> None:
    start = time.perf_counter()
    shown, live = False, sys.stderr.isatty()  # a log gets one line, at the end
    while waiting:
        key, words = _next(waiting)
        if words:
            codes[key] = compiler.compile(*words)
        if options.progress and time.perf_counter() - start > SHOW_AFTER_SECONDS:
            shown = True
            if live:
                print(f"\r{_counted(codes, count)}", end="", file=sys.stderr)
    if shown:
        print("" if live else _counted(codes, count), end="", file=sys.stderr)
        print(f" in {time.perf_counter() - start:.1f} s", file=sys.stderr)


def _counted(codes: dict[str, bytes], count: int) -> str:
    return f"graphc: compiled {len(codes)} of {count} kernels"


def _next(waiting: Queue) -> tuple[str, Words]:
    """The next job; one without words if another thread has just taken the last."""
    try:
        return waiting.popleft()
    except IndexError:
        return "", ()


class _Helper:
    """A process that compiles, and the thread that hands it one source after another."""

    def __init__(self, module: str, waiting: Queue, codes: dict[str, bytes]) -> None:
        home = str(Path(__file__).parents[2])  # the same graphc, wherever this process found it
        serve = f"import sys; sys.path.insert(0, sys.argv[1]); import {module}; {module}.serve()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", serve, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready = False
        self.thread = threading.Thread(target=self._feed, args=(waiting, codes), daemon=True)
        self.thread.start()

    def _feed(self, waiting: Queue, codes: dict[str, bytes]) -> None:
        try:
            self._ask(waiting, codes)
        except (OSError, ValueError):  # it has died, or answers nonsense; this process does its job
            self.ready = False

    def _ask(self, waiting: Queue, codes: dict[str, bytes]) -> None:
        questions, answers = self.process.stdin, self.process.stdout
        assert questions is not None and answers is not None
        self.ready = bool(answers.readline())
        while self.ready and (job := _next(waiting))[1]:
            questions.write(json.dumps(job[1]) + "\n")
            questions.flush()
            answer = answers.readline().strip()
            self.ready = bool(answer)  # else it has met an error, and ended
            if answer:
                codes[job[0]] = bytes.fromhex(answer)

    def end(self) -> None:
        """Waits for the source in hand; kills a helper that is not ready yet."""
        if not self.ready:
            self.process.kill()
        self.thread.join()
        self.process.communicate()


def serve(prepare: Callable[[], object], compile: Callable[..., bytes]) -> None:
    """The main loop of a helper process: reads words, prints code, line by line."""
    prepare()
    print("ready", flush=True)
    for line in sys.stdin:
        print(compile(*json.loads(line)).hex(), flush=True)
