"""Whole processes: import time, the first step with cold and with warm kernel caches."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

IMPORT = """
import time, numpy
start = time.perf_counter()
import graphc
print(time.perf_counter() - start)
"""
STEP = """
import time
start = time.perf_counter()
import numpy as np, graphc as gc
shapes = ((784, 500), (500,), (500, 10), (10,))
w1, b1, w2, b2 = (gc.variable(np.ones(s, np.float32) * 0.01) for s in shapes)
x, y = gc.placeholder(gc.float32, [None, 784]), gc.placeholder(gc.int32, [None])
hidden = gc.nn.functional.relu(x @ w1 + b1)
loss = gc.nn.functional.cross_entropy(hidden @ w2 + b2, y)
step = gc.optim.SGD(0.01).minimize(loss)
session = gc.Session()
feeds = {x: np.ones((128, 784), np.float32), y: np.zeros(128, np.int32)}
session.run([loss, step], feeds)
print(time.perf_counter() - start, session.stats.compilations)
"""


def _run(code: str, cache: str) -> list[str]:
    env = {**os.environ, "GRAPHC_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def report() -> list[str]:
    """Lines for people; seconds are medians of five processes."""
    with tempfile.TemporaryDirectory() as cache:
        imports = statistics.median(float(_run(IMPORT, cache)[0]) for _ in range(5))
        cold = _run(STEP, cache)
        warm = [_run(STEP, cache) for _ in range(5)]
    seconds = statistics.median(float(w[0]) for w in warm)
    return [
        f"import graphc, after numpy        {imports:7.3f} s",
        f"first MLP step, cold cache        {float(cold[0]):7.3f} s   {cold[1]} kernels compiled",
        f"first MLP step, warm cache        {seconds:7.3f} s   {warm[0][1]} kernels compiled",
    ]
