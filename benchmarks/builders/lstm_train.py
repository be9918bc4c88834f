"""An LSTM classifier of sequences, 64 -> 128, 32 steps: one training step with Adam."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, train
from workloads.lstm_train import cell


def build_graphc(spec: Any, ctx: Any) -> Built:
    def loss(p: dict[str, Any], batch: dict[str, Any]) -> Any:
        def step(state: Any, gates: Any) -> Any:
            h, c = state
            return cell(gates + h @ p["wh"], c, gc.nn.functional.sigmoid, gc.tanh), None

        zeros = gc.zeros((batch["x"].shape[1], p["wo"].shape[0]))
        (h, _), _ = gc.scan(step, (zeros, zeros), batch["x"] @ p["wx"] + p["b"])
        return gc.nn.functional.cross_entropy(h @ p["wo"] + p["bo"], batch["y"])

    return train(spec, ctx, loss)
