"""A transformer that predicts characters has PyTorch's loss curve, from the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.nn import in_f64
from support.torch_cases import torch_case

import graphc as gc
from graphc import nn

SYMBOLS, CONTEXT, WIDTH, HEADS, LAYERS, ROWS, STEPS = 11, 6, 8, 2, 2, 4, 50
RNG = np.random.default_rng(8)
TEXT = RNG.integers(0, SYMBOLS, 40)
BATCHES = TEXT[RNG.integers(0, 40 - CONTEXT, (STEPS, ROWS, 1)) + np.arange(CONTEXT + 1)]
DECAY = {"betas": (0.9, 0.99), "weight_decay": 0.1}


def built(nn: Any, tensor: Any) -> Any:
    """The same model of torch.nn's or graphc.nn's modules."""

    class GPT(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.place = nn.Embedding(SYMBOLS, WIDTH), nn.Embedding(CONTEXT, WIDTH)
            block = nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
            )
            self.blocks = nn.TransformerEncoder(
                block, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False
            )
            self.head = nn.Linear(WIDTH, SYMBOLS, bias=False)

        def forward(self, ids: Any) -> Any:
            future = tensor(~np.tri(CONTEXT, dtype=bool))
            x = self.token(ids) + self.place.weight
            return self.head(self.blocks(x, mask=future, is_causal=True))

    return GPT()


def with_torch(torch: Any) -> list[Any]:
    """Names and values of the first weights, and the losses."""
    model = built(torch.nn, torch.tensor).double()
    start = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), 0.01, **DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    losses = []
    for rows in torch.tensor(BATCHES):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            model(rows[:, :-1]).reshape(-1, SYMBOLS), rows[:, 1:].reshape(-1)
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return [np.array("\n".join(start)), *start.values(), np.array(losses)]


@pytest.mark.parametrize("causal", [False, True], ids=["mask", "is_causal"])
def test_transformer(causal: bool) -> None:
    names, *weights, wanted = torch_case("transformer", with_torch)
    with gc.Graph().as_default(), gc.Session() as sess:
        model = in_f64(built(nn, (lambda _: None) if causal else (lambda a: a)))
        model.load_state_dict(sess, dict(zip(str(names).split("\n"), weights, strict=True)))
        x, y = (gc.placeholder(gc.int64, [None, CONTEXT], name=name) for name in "xy")
        loss = nn.CrossEntropyLoss()(gc.reshape(model(x), (-1, SYMBOLS)), gc.reshape(y, -1))
        rate = gc.optim.CosineAnnealingLR(0.01, STEPS)
        step = gc.optim.AdamW(rate, clip_grad_norm=1.0, **DECAY).minimize(loss)
        run = sess.make_callable([loss, step], [x, y])
        losses = [run(rows[:, :-1], rows[:, 1:])[0] for rows in BATCHES]
    np.testing.assert_allclose(losses, wanted, rtol=1e-9)
    assert losses[-1] < 0.8 * losses[0]
