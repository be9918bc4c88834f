"""An encoder block of a transformer: inference, and a training step with SGD."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, infer, train
from workloads.transformer import EPS, HD, HEADS, D, T

f = gc.nn.functional


def block(p: dict[str, Any], x: Any) -> Any:
    qkv = gc.reshape(x @ p["wqkv"] + p["bqkv"], (-1, T, 3, HEADS, HD))
    a = f.scaled_dot_product_attention(*gc.unstack(gc.permute_dims(qkv, (2, 0, 3, 1, 4))))
    a = gc.reshape(gc.swapaxes(a, 1, 2), x.shape)
    x = f.layer_norm(x + a @ p["wo"] + p["bo"], D, p["g1"], p["n1"], EPS)
    h = f.gelu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
    return f.layer_norm(x + h, D, p["g2"], p["n2"], EPS)


def build_graphc(spec: Any, ctx: Any) -> Built:
    if "optimizer" in spec.meta:
        return train(spec, ctx, lambda p, batch: f.mse_loss(block(p, batch["x"]), batch["target"]))
    return infer(spec, ctx, lambda p, inputs: {"out": block(p, inputs["x"])})
