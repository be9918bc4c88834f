"""4-16-1 tanh MLP on one row: call overhead."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built


def build_graphc(spec: Any, ctx: Any) -> Built:
    with gc.Graph().as_default() as graph:
        w1, b1, w2, b2 = (gc.variable(v, name=k) for k, v in spec.params.items())
        x = gc.placeholder(gc.float32, [1, 4], name="x")
        y = gc.tanh(x @ w1 + b1) @ w2 + b2
    call = gc.Session(graph, threads=ctx.threads).make_callable({"y": y}, [x])
    array = spec.inputs["x"]
    return (lambda: call(array)), None
