"""Two convolutional networks on MNIST's shape: training step with Adam, and inference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, infer, train


def logits(p: dict[str, Any], x: Any) -> Any:
    f = gc.nn.functional
    h = f.relu(f.conv2d(x, p["k1"], p["c1"]))
    if "k2" in p:
        h = f.relu(f.conv2d(h, p["k2"], p["c2"]))
    h = gc.nn.Flatten()(f.max_pool2d(h, 2))
    return f.relu(h @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


def build_graphc(spec: Any, ctx: Any) -> Built:
    if "optimizer" in spec.meta:
        return train(
            spec,
            ctx,
            lambda p, batch: gc.nn.functional.cross_entropy(logits(p, batch["x"]), batch["y"]),
        )
    return infer(spec, ctx, lambda p, inputs: {"logits": logits(p, inputs["x"])})
