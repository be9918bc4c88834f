"""Layer normalization, forward and backward."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, infer


def build_graphc(spec: Any, ctx: Any) -> Built:
    def model(p: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        x, gamma, beta, dy = (inputs[k] for k in ("x", "gamma", "beta", "dy"))
        y = gc.nn.functional.layer_norm(x, (x.shape[-1],), gamma, beta, 1e-5)
        dx, dgamma, dbeta = gc.gradients(y, [x, gamma, beta], dy)
        return {"y": y, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}

    return infer(spec, ctx, model)
