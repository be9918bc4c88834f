"""The classic character RNN, 12 steps: one training step with SGD."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, train


def build_graphc(spec: Any, ctx: Any) -> Built:
    def loss(p: dict[str, Any], batch: dict[str, Any]) -> Any:
        x, hidden = batch["x"], p["i2h_b"].shape[0]

        def step(h: Any, letter: Any) -> Any:
            return gc.concat([letter, h], 1) @ p["i2h_w"] + p["i2h_b"], None

        h, _ = gc.scan(step, gc.zeros((x.shape[1], hidden)), x[:-1])
        logits = gc.concat([x[-1], h], 1) @ p["i2o_w"] + p["i2o_b"]
        return gc.nn.functional.cross_entropy(logits, batch["y"])

    return train(spec, ctx, loss)
