"""ADBench's Gaussian mixture model in float64: the objective, and its gradient."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, infer
from workloads.gmm_grad import lower_index, objective


class Functions:
    exp, sum, logsumexp = staticmethod(gc.exp), staticmethod(gc.sum), staticmethod(gc.logsumexp)
    swap = staticmethod(gc.matrix_transpose)

    @staticmethod
    def lower(icf: Any) -> Any:
        return gc.take(gc.pad(icf, ((0, 0), (1, 0))), lower_index(), axis=1)


def build_graphc(spec: Any, ctx: Any) -> Built:
    def model(p: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        value = objective(*inputs.values(), ops=Functions)
        if spec.variant == "objective":
            return {"objective": value}
        names = spec.meta["outputs"]
        grads = gc.gradients(value, [inputs[n] for n in names])
        return dict(zip(names, grads, strict=True))

    return infer(spec, ctx, model)
