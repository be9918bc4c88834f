"""784-500-10, batch 128: one training step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, train


def build_graphc(spec: Any, ctx: Any) -> Built:
    def loss(p: dict[str, Any], batch: dict[str, Any]) -> Any:
        h = gc.nn.functional.relu(batch["x"] @ p["w1"] + p["b1"])
        return gc.nn.functional.cross_entropy(h @ p["w2"] + p["b2"], batch["y"])

    return train(spec, ctx, loss)
