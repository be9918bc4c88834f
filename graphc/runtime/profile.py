"""Runs a plan one kernel at a time, on one thread, and says how long each took."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from graphc.ir.program import Kernel
from graphc.runtime.driver import Instruction, Word, driver
from graphc.runtime.executable import Bound

Show = Callable[[Kernel, float], None]


def run_each(bound: Bound, show: Show) -> int:
    """Like the driver's `run`: the number of the kernel before which it stopped, or the count."""
    native, kernels = driver(), bound.executable.program.kernels
    head = np.array(bound.words[: Word.SIZE])
    first, commit = int(head[Word.INSTRUCTIONS]), int(head[Word.COMMIT])
    copies = int(head[Word.COUNT]) - len(kernels)
    head[Word.COUNT] = 1
    for number, kernel in enumerate(kernels):
        if bound.view[Word.CANCEL] and number < commit:
            return number
        head[Word.INSTRUCTIONS] = first + 8 * Instruction.SIZE * number
        head[Word.COMMIT] = 0 if number >= commit else 1
        start = time.perf_counter()
        native.run(head.__array_interface__["data"][0])
        show(kernel, time.perf_counter() - start)
        if bound.view[bound.status_at]:
            return number + 1
    head[Word.INSTRUCTIONS] = first + 8 * Instruction.SIZE * len(kernels)  # copies to variables
    head[Word.COUNT], head[Word.COMMIT] = copies, 0
    native.run(head.__array_interface__["data"][0])
    return len(kernels)
