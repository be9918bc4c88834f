"""An LSTM learns to write, a character at a time: tiny-shakespeare, or Python's own manual.

    python examples/char_lstm.py [--data FILE] [--steps N] [--units N] [--quick]

The text is --data, or tinyshakespeare/input.txt where GRAPHC_DATA says.  On tiny-shakespeare the
full setting reached a validation loss of 1.519 nats a character.
"""

import argparse
import time

import numpy as np

import graphc as gc
from graphc import data

TIME, BATCH = 64, 32


class Model(gc.nn.Module):
    """Scores of the next character, and the state."""

    def __init__(self, letters, units):
        self.embedding = gc.nn.Embedding(letters, 64)
        self.lstm = gc.nn.LSTM(64, units, batch_first=True)
        self.out = gc.nn.Linear(units, letters)

    def forward(self, x, state=None):
        rows, state = self.lstm(self.embedding(x), state)
        return self.out(rows), state


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FILE", help="the text")
    parser.add_argument("--steps", type=int, help="of training (default: 2000)")
    parser.add_argument("--units", type=int, help="of the LSTM (default: 256)")
    parser.add_argument("--quick", action="store_true", help="less of it, for the tests")
    options = parser.parse_args()
    steps = options.steps or (150 if options.quick else 2000)
    name, text = data.find_text(options.data)
    letters, codes = np.unique(np.array(list(text)), return_inverse=True)
    train_codes, test_codes = np.split(codes, [len(codes) * 9 // 10])
    print(f"{name}: {len(codes)} characters, {len(letters)} different ones")

    x = gc.placeholder(gc.int64, ["n", "time"], name="x")
    y = gc.placeholder(gc.int64, ["n", "time"], name="y")
    model = Model(len(letters), options.units or (64 if options.quick else 256))
    scores, _ = model(x)
    loss = gc.nn.functional.cross_entropy(gc.reshape(scores, (-1, len(letters))), gc.flatten(y))
    rate = gc.optim.lr_scheduler.CosineAnnealingLR(6e-3 if options.quick else 4e-3, steps)
    train = gc.optim.Adam(rate, clip_grad_norm=1.0).minimize(loss)
    hx = [gc.placeholder(gc.float32, [1, 1, model.lstm.hidden_size], name=n) for n in "hc"]
    next_scores, next_state = model(x, hx)

    rng, start = np.random.default_rng(1), time.perf_counter()
    with gc.Session(seed=1) as sess:
        for step in range(steps):
            at = rng.integers(0, len(train_codes) - TIME, (BATCH, 1)) + np.arange(TIME)
            found, _ = sess.run([loss, train], {x: train_codes[at], y: train_codes[at + 1]})
            if step % (steps // 10) == 0:
                print(f"step {step:5}  loss {found:.3f}", flush=True)
        seconds = time.perf_counter() - start
        rows = test_codes[: (len(test_codes) - 1) // 512 * 512].reshape(-1, 512)[:200]
        nexts = test_codes[1 : rows.size + 1].reshape(-1, 512)
        found = sess.run(loss, {x: rows, y: nexts})
        line, states = [int(codes[0])], [np.zeros(h.shape, np.float32) for h in hx]
        for _ in range(200):  # it writes: one character in, the next one out
            feeds = {x: [line[-1:]], hx[0]: states[0], hx[1]: states[1]}
            out, states = sess.run([next_scores, next_state], feeds)
            p = np.exp((out[0, 0] - out[0, 0].max()) / 0.7)
            line.append(int(rng.choice(len(letters), p=p / p.sum())))
    print("".join(letters[line]))
    assert found < (2.6 if options.quick else 1.8), found
    print(f"validation loss {found:.3f} nats a character after {steps} steps, {seconds:.1f} s")


if __name__ == "__main__":
    main()
