"""N small operations on 64x64 matrices: how the compiler scales."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, infer
from workloads.graph_scale import evaluate


def build_graphc(spec: Any, ctx: Any) -> Built:
    def model(p: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        x, y = inputs["x"], inputs["y"]
        return {
            "out": evaluate(spec.meta["n"], p, x, y, gc.tanh, gc.nn.functional.sigmoid, gc.maximum)
        }

    return infer(spec, ctx, model)
