"""Training steps of networks: graphc, and PyTorch where it is installed.  The networks are like
those of the examples simple_cnn, mnist_cnn, char_lstm and gpt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc
from benchmarks import THREADS
from benchmarks.timing import Contestants, torch


def simple(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 169, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def deep(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def lstm(nn: Any) -> Any:
    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.lstm = nn.Embedding(65, 64), nn.LSTM(64, 256, batch_first=True)
            self.head, self.flat = nn.Linear(256, 65), nn.Flatten(0, 1)

        def forward(self, ids: Any) -> Any:
            return self.flat(self.head(self.lstm(self.embed(ids))[0]))

    return Net()


def gpt(nn: Any) -> Any:
    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.place = nn.Embedding(65, 128), nn.Embedding(64, 128)
            block = nn.TransformerEncoderLayer(
                128, 4, 512, 0.0, "gelu", batch_first=True, norm_first=True
            )
            self.blocks = nn.TransformerEncoder(block, 4, nn.LayerNorm(128))
            self.head, self.flat = nn.Linear(128, 65, bias=False), nn.Flatten(0, 1)
            self.mask = nn.Transformer.generate_square_subsequent_mask(64)

        def forward(self, ids: Any) -> Any:
            x = self.token(ids) + self.place.weight
            return self.flat(self.head(self.blocks(x, mask=self.mask, is_causal=True)))

    return Net()


def on_images(make: Callable[[Any], Any], batch: int) -> Contestants:
    """A step on images of 28 x 28 pixels."""
    rng = np.random.default_rng(0)
    images = rng.random((batch, 1, 28, 28), dtype=np.float32)
    return step(make, images, rng.integers(0, 10, batch))


def on_text(make: Callable[[Any], Any], rows: int, length: int) -> Contestants:
    """A step on rows of text: 65 symbols, each to be told from those before."""
    rng = np.random.default_rng(0)
    text = rng.integers(0, 65, (rows, length))
    return step(make, text, rng.integers(0, 65, rows * length))


def step(make: Callable[[Any], Any], images: Any, labels: Any) -> Contestants:
    """A step of Adam that makes the cross entropy of a network's scores smaller."""
    with gc.Graph().as_default() as graph:
        x = gc.placeholder(images.dtype, [None, *images.shape[1:]], name="x")
        y = gc.placeholder(gc.int64, [None], name="y")
        loss = gc.nn.functional.cross_entropy(make(gc.nn)(x), y)
        train = gc.optim.Adam(1e-3).minimize(loss)
    call = gc.Session(graph, threads=THREADS).make_callable([loss, train], [x, y])
    return {"graphc": lambda: call(images, labels), **_torch(make, images, labels)}


def _torch(make: Callable[[Any], Any], images: Any, labels: Any) -> Contestants:
    if not (t := torch()):
        return {}
    model = make(t.nn)
    optimizer = t.optim.Adam(model.parameters(), 1e-3)
    x, y = t.tensor(images), t.tensor(labels)

    def by_torch() -> Any:
        optimizer.zero_grad()
        loss = t.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return {"torch": by_torch}


def cnn_step() -> Contestants:
    """A step of conv 32, max-pool, dense 128-10 at batch 64, Adam."""
    return on_images(simple, 64)


def cnn_step_128() -> Contestants:
    """The same at batch 128."""
    return on_images(simple, 128)


def deep_cnn_step() -> Contestants:
    """A step of conv 32, conv 64, max-pool, dropout, dense 128-10 at batch 64, Adam."""
    return on_images(deep, 64)


def deep_cnn_step_128() -> Contestants:
    """The same at batch 128."""
    return on_images(deep, 128)


def lstm_step() -> Contestants:
    """A step of an LSTM over characters, 256 wide, 32 rows of 64, Adam."""
    return on_text(lstm, 32, 64)


def gpt_step() -> Contestants:
    """A step of a GPT over characters, 4 layers, 128 wide, 32 rows of 64, Adam."""
    return on_text(gpt, 32, 64)


NETWORKS = {
    f.__name__: f
    for f in (cnn_step, cnn_step_128, deep_cnn_step, deep_cnn_step_128, lstm_step, gpt_step)
}
