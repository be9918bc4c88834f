"""ResNet-18, one image.  Batch normalisation is in the graph: it melts into the maps after the
convolutions, and weights with it folded in by hand are not faster (measured: 1.007)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, infer
from workloads.resnet_infer import EPS, resnet

f = gc.nn.functional


def build_graphc(spec: Any, ctx: Any) -> Built:
    def model(p: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        def conv(name: str, x: Any, k: int, stride: int) -> Any:
            norm = (p[f"{name}.{s}"] for s in ("mean", "var", "gamma", "beta"))
            y = f.conv2d(x, p[f"{name}.w"], None, stride, k // 2)
            return f.batch_norm(y, *norm, eps=EPS)

        def head(x: Any) -> Any:
            return gc.mean(x, axis=(2, 3)) @ p["fc.w"] + p["fc.b"]

        return {
            "logits": resnet(inputs["x"], conv, f.relu, lambda x: f.max_pool2d(x, 3, 2, 1), head)
        }

    return infer(spec, ctx, model)
