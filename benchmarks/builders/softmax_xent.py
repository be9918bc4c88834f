"""Row softmax cross entropy: mean loss and its gradient."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import graphc as gc

sys.path.insert(0, str(Path(__file__).parent))
from common import Built, infer


def build_graphc(spec: Any, ctx: Any) -> Built:
    def model(p: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        loss = gc.nn.functional.cross_entropy(inputs["logits"], inputs["labels"])
        return {"loss": loss, "grad": gc.gradients(loss, [inputs["logits"]])[0]}

    return infer(spec, ctx, model)
