"""The workloads: for each, graphc's entry and hand-written ones that do the same on the same
arrays."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

import graphc as gc
from benchmarks import THREADS
from benchmarks.timing import Contestants

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def session(graph: Any) -> gc.Session:
    return gc.Session(graph, threads=THREADS)


def noop() -> Contestants:
    """A run that computes nothing."""
    with gc.Graph().as_default() as graph:
        s = session(graph)
    return {"graphc run": lambda: s.run([])}


def tiny() -> Contestants:
    """A 4-16-1 tanh network on one row: the overhead of a call."""
    w1, b1, w2, b2 = normal(4, 16), normal(16), normal(16, 1), normal(1)
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [1, 4], name="x")
        v1, v2, v3, v4 = (gc.variable(w) for w in (w1, b1, w2, b2))
        y = gc.tanh(x @ v1 + v2) @ v3 + v4
    s, row = session(graph), normal(1, 4)
    call = s.make_callable(y, [x])

    @numba.njit(error_model="numpy")
    def by_hand(x, w1, b1, w2, b2):
        out = np.empty((1, 1), np.float32)
        total = b2[0]
        for j in range(16):
            h = b1[j]
            for i in range(4):
                h += x[0, i] * w1[i, j]
            total += np.float32(math.tanh(h)) * w2[j, 0]
        out[0, 0] = total
        return out

    return {
        "graphc run": lambda: s.run(y, {x: row}),
        "graphc callable": lambda: call(row),
        "numba by hand": lambda: by_hand(row, w1, b1, w2, b2),
        "numpy": lambda: np.tanh(row @ w1 + b1) @ w2 + b2,
    }


def elementwise() -> Contestants:
    """Twelve operations on two vectors of 4 million."""
    x, y = normal(1 << 22), normal(1 << 22)
    with gc.Graph().as_default() as graph:
        a, b = (gc.placeholder(gc.float32, [None], name=n) for n in "xy")
        e = gc.tanh(a * b + a) * gc.nn.functional.sigmoid(b)
        i = gc.where(a > b, gc.exp(e) - b, e)
        call = session(graph).make_callable(i / (i * i + 1), [a, b])
    one = np.float32(1)

    @numba.njit(fastmath=True, error_model="numpy")
    def by_hand(x, y, out):
        for k in range(x.size):
            e = math.tanh(x[k] * y[k] + x[k]) * (one / (one + math.exp(-y[k])))
            i = math.exp(e) - y[k] if x[k] > y[k] else e
            out[k] = i / (i * i + one)

    out = np.empty_like(x)
    return {
        "graphc": lambda: call(x, y),
        "numba by hand": lambda: by_hand(x, y, out),
        **_numexpr(x, y),
    }


def _numexpr(x: Any, y: Any) -> Contestants:
    try:
        import numexpr
    except ImportError:
        return {}
    numexpr.set_num_threads(THREADS)
    e = "(tanh(x*y + x) / (1 + exp(-y)))"
    i = f"where(x > y, exp({e}) - y, {e})"
    return {
        "numexpr": lambda: numexpr.evaluate(f"{i} / ({i}*{i} + 1)", local_dict={"x": x, "y": y})
    }


def softmax_xent() -> Contestants:
    """Cross entropy of 4096 rows of 1024 and its gradient."""
    logits, labels = normal(4096, 1024), RNG.integers(0, 1024, 4096).astype(np.int32)
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(gc.float32, [None, 1024], name="x")
        y = gc.placeholder(gc.int32, [None], name="y")
        loss = gc.nn.functional.cross_entropy(x, y)
        call = session(graph).make_callable([loss, *gc.gradients(loss, [x])], [x, y])

    @numba.njit(fastmath=True, error_model="numpy")
    def by_hand(logits, labels, grad):
        rows, columns = logits.shape
        loss = np.float32(0)
        for r in range(rows):
            top = logits[r, 0]
            for c in range(columns):
                top = max(top, logits[r, c])
            total = np.float32(0)
            for c in range(columns):
                grad[r, c] = math.exp(logits[r, c] - top)
                total += grad[r, c]
            scale = np.float32(1) / (total * np.float32(rows))
            for c in range(columns):
                grad[r, c] *= scale
            grad[r, labels[r]] -= np.float32(1) / np.float32(rows)
            loss += math.log(total) - (logits[r, labels[r]] - top)
        return loss / rows

    grad = np.empty_like(logits)
    return {
        "graphc": lambda: call(logits, labels),
        "numba by hand": lambda: by_hand(logits, labels, grad),
    }


def layernorm() -> Contestants:
    """Layer normalization of 4096 rows of 1024, forward and backward."""
    arrays = (normal(4096, 1024), normal(1024), normal(1024), normal(4096, 1024))
    with gc.Graph().as_default() as graph:
        x, dy = (gc.placeholder(gc.float32, [None, 1024], name=n) for n in ("x", "dy"))
        g, b = (gc.placeholder(gc.float32, [1024], name=n) for n in ("g", "b"))
        y = gc.nn.functional.layer_norm(x, (1024,), g, b, 1e-5)
        call = session(graph).make_callable([y, *gc.gradients(y, [x, g, b], dy)], [x, g, b, dy])

    @numba.njit(fastmath=True, error_model="numpy")
    def by_hand(x, g, b, dy, y, dx, dg, db):
        rows, columns = x.shape
        n = np.float32(columns)
        for r in range(rows):
            mean = np.float32(0)
            for c in range(columns):
                mean += x[r, c]
            mean /= n
            square = np.float32(0)
            for c in range(columns):
                square += (x[r, c] - mean) * (x[r, c] - mean)
            inv = np.float32(1) / math.sqrt(square / n + np.float32(1e-5))
            sum_g = sum_gx = np.float32(0)
            for c in range(columns):
                xhat = (x[r, c] - mean) * inv
                y[r, c] = xhat * g[c] + b[c]
                dg[c] += dy[r, c] * xhat
                db[c] += dy[r, c]
                sum_g += dy[r, c] * g[c]
                sum_gx += dy[r, c] * g[c] * xhat
            for c in range(columns):
                xhat = (x[r, c] - mean) * inv
                dx[r, c] = inv * (dy[r, c] * g[c] - sum_g / n - xhat * (sum_gx / n))

    y, dx = np.empty_like(arrays[0]), np.empty_like(arrays[0])
    dg, db = np.zeros(1024, np.float32), np.zeros(1024, np.float32)
    return {
        "graphc": lambda: call(*arrays),
        "numba by hand": lambda: by_hand(*arrays, y, dx, dg, db),
    }


def mlp_step() -> Contestants:
    """A training step of 784-500-10 at batch 128, SGD."""
    images, labels = normal(128, 784), RNG.integers(0, 10, 128).astype(np.int32)
    weights = [
        normal(784, 500) * np.float32(0.03),
        normal(500),
        normal(500, 10) * np.float32(0.04),
        normal(10),
    ]
    with gc.Graph().as_default() as graph:
        w1, b1, w2, b2 = (gc.variable(w) for w in weights)
        x = gc.placeholder(gc.float32, [None, 784], name="x")
        y = gc.placeholder(gc.int32, [None], name="y")
        logits = gc.nn.functional.relu(x @ w1 + b1) @ w2 + b2
        loss = gc.nn.functional.cross_entropy(logits, y)
        step = gc.optim.SGD(0.01).minimize(loss)
        call = session(graph).make_callable([loss, step], [x, y])
    p = [w.copy() for w in weights]
    rows = np.arange(128)

    def by_numpy() -> None:
        h = np.maximum(images @ p[0] + p[1], 0)
        z = h @ p[2] + p[3]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        e /= e.sum(axis=1, keepdims=True)
        e[rows, labels] -= 1
        e /= 128
        dh = (e @ p[2].T) * (h > 0)
        for w, d in zip(p, (images.T @ dh, dh.sum(0), h.T @ e, e.sum(0)), strict=True):
            w -= np.float32(0.01) * d

    return {"graphc": lambda: call(images, labels), "numpy": by_numpy}


WORKLOADS = {f.__name__: f for f in (noop, tiny, elementwise, softmax_xent, layernorm, mlp_step)}
