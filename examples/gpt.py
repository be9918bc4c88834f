"""A small GPT learns tiny-shakespeare, character by character, and writes some.

    python examples/gpt.py [--data FILE] [--steps N] [--quick]

The text is --data, or tinyshakespeare/input.txt where GRAPHC_DATA says, or Python's own manual;
with --quick it is a line of a poem, many times.
The loss over the last tenth of tiny-shakespeare reached 1.558 nats per character in 3000 steps.
"""

import argparse
import time

import numpy as np

import graphc as gc
from graphc import data, nn

POEM = "The Owl and the Pussy-cat went to sea in a beautiful pea-green boat. " * 80


class GPT(nn.Module):
    """Characters [n, length] to scores of those that follow, [n, length, symbols]."""

    def __init__(self, symbols, context, width, heads, layers):
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(context, width)
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, layers, nn.LayerNorm(width))
        self.head = nn.Linear(width, symbols, bias=False)
        for p in self.parameters():
            if p.ndim == 2:
                p.start_from(gc.init.normal(p.shape, 0.0, 0.02))

    def forward(self, ids):
        return self.head(self.blocks(self.token(ids) + self.place.weight, is_causal=True))


def windows(text, starts, context):
    """Pieces of the text, and the same one character later."""
    return [text[starts[:, None] + np.arange(context) + late] for late in (0, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FILE", help="the text")
    parser.add_argument("--steps", type=int, help="default: 3000")
    parser.add_argument("--quick", action="store_true", help="a tiny model, for the tests")
    options = parser.parse_args()
    quick, steps = options.quick, options.steps or (300 if options.quick else 3000)
    name, text = ("a poem", POEM) if quick else data.find_text(options.data)
    symbols, text = np.unique(list(text), return_inverse=True)
    train, held = np.split(text, [len(text) * 9 // 10])
    context, width, heads, layers, rows = (32, 32, 2, 1, 8) if quick else (64, 128, 4, 4, 32)

    x, y = (gc.placeholder(gc.int64, [None, context], name=name) for name in "xy")
    logits = GPT(len(symbols), context, width, heads, layers)(x)
    loss = nn.CrossEntropyLoss()(gc.reshape(logits, (-1, len(symbols))), gc.reshape(y, -1))
    rate = gc.optim.WarmupLR(gc.optim.CosineAnnealingLR(2e-3, steps, 1e-4), 1 + steps // 20)
    step = gc.optim.AdamW(rate, (0.9, 0.99), weight_decay=0.1, clip_grad_norm=1.0).minimize(loss)
    with gc.Session() as sess:
        random, start, ids = np.random.default_rng(0), time.perf_counter(), [0] * context
        learn, score = (sess.make_callable(f, [x, y]) for f in ([loss, step], loss))
        for done in range(1, steps + 1):
            learn(*windows(train, random.integers(0, len(train) - context, rows), context))
            if done % 500 == 0 or done == steps:
                cuts = np.array_split(np.arange(0, len(held) - context, context), 8)
                nats = np.mean([score(*windows(held, c, context)) for c in cuts])
                print(f"step {done}: {nats:.4f}, {time.perf_counter() - start:.0f} s", flush=True)
        guess = sess.make_callable(nn.functional.softmax(logits[0, -1]), [x])
        for _ in range(30 if quick else 400):
            chances = guess([ids[-context:]]).astype(float)
            ids.append(random.choice(len(symbols), p=chances / chances.sum()))
    print("".join(symbols[ids[context:]]))
    assert nats < (0.5 if quick else 1.75), f"{nats:.4f} nats per character are too many"
    print(f"{name}: {nats:.4f} nats per character after {steps} steps")


if __name__ == "__main__":
    main()
