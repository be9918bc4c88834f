"""A chain of 12 elementwise operations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, infer


def build_graphc(spec: Any, ctx: Any) -> Built:
    def chain(p: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        x, y = inputs["x"], inputs["y"]
        e = gc.tanh(x * y + x) * gc.nn.functional.sigmoid(y)
        i = gc.where(x > y, gc.exp(e) - y, e)
        return {"out": i / (i * i + 1)}

    return infer(spec, ctx, chain)
