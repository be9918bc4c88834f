"""A small GPT learns tiny-shakespeare, character by character, and writes some.

    python examples/gpt.py [--data DIR] [--steps N] [--quick]

The text is DIR/tinyshakespeare/input.txt (DIR: GRAPHC_DATA), else a line of a poem, many times.
The loss is in nats per character, over all of the last tenth of the text.
"""

import argparse
import time

import numpy as np

import graphc as gc
from graphc import nn
from graphc.config import data_dir

POEM = "The Owl and the Pussy-cat went to sea in a beautiful pea-green boat. " * 80


class Block(nn.Module):
    """Causal attention of several heads, then two maps with a GELU between, each added to x."""

    def __init__(self, width, heads):
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        split = gc.reshape(self.into(self.norm1(x)), (*x.shape[:2], 3, self.heads, -1))
        q, k, v = gc.unstack(gc.permute_dims(split, (2, 0, 3, 1, 4)))
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(gc.reshape(gc.permute_dims(seen, (0, 2, 1, 3)), x.shape))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    """Characters [n, length] to scores of those that follow, [n, length, symbols]."""

    def __init__(self, symbols, context, width, heads, layers):
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, symbols, bias=False)
        for p in self.parameters():
            if p.ndim == 2:
                p.start_from(gc.init.normal(p.shape, 0.0, 0.02))

    def forward(self, ids):
        return self.head(self.norm(self.blocks(self.token(ids) + self.place.weight)))


def windows(text, starts, context):
    """Pieces of the text, and the same one character later."""
    rows = text[starts[:, None] + np.arange(context + 1)]
    return rows[:, :-1], rows[:, 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", default=data_dir())
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--quick", action="store_true", help="a tiny model, for the tests")
    options = parser.parse_args()
    path = options.data and f"{options.data}/tinyshakespeare/input.txt"
    written = open(path).read() if path else POEM
    symbols, text = np.unique(list(written), return_inverse=True)
    train, held = np.split(text, [len(text) * 9 // 10])
    context, width, heads, layers, rows = (32, 32, 2, 1, 8) if options.quick else (64, 128, 4, 4, 32)
    steps = min(options.steps, 150) if options.quick else options.steps

    x, y = (gc.placeholder(gc.int64, [None, context], name=name) for name in "xy")
    logits = GPT(len(symbols), context, width, heads, layers)(x)
    loss = nn.functional.cross_entropy(gc.reshape(logits, (-1, len(symbols))), gc.reshape(y, -1))
    rate = gc.optim.WarmupLR(gc.optim.CosineAnnealingLR(2e-3, steps, 1e-4), 1 + steps // 20)
    step = gc.optim.AdamW(rate, betas=(0.9, 0.99), weight_decay=0.1, clip_grad_norm=1.0).minimize(loss)
    with gc.Session() as sess:
        random, start = np.random.default_rng(0), time.perf_counter()
        learn = sess.make_callable([step, loss], [x, y])
