"""MLP inference (784-500-10) at 40 batch sizes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built


def build_graphc(spec: Any, ctx: Any) -> Built:
    with gc.Graph().as_default() as graph:
        w1, b1, w2, b2 = (gc.variable(v, name=k) for k, v in spec.params.items())
        x = gc.placeholder(gc.float32, [None, 784], name="x")
        y = gc.nn.functional.relu(x @ w1 + b1) @ w2 + b2
    call = gc.Session(graph, threads=ctx.threads).make_callable(y, [x])
    feeds = [spec.inputs["x"][:n] for n in spec.meta["sizes"]]
    return (lambda: {"y": np.concatenate([call(feed) for feed in feeds])}), None
