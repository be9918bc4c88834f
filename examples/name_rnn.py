"""Which language a name comes from: the recurrent classifier of PyTorch's tutorial, on many names
at once.

    python examples/name_rnn.py [--data DIR] [--epochs N] [--quick]

A name is read letter by letter: i2h makes the next hidden state of (letter, hidden), i2o the scores
of (letter, hidden).  Names are padded to one length; beyond its own a name's state stays.  DIR has
a file of names for each language, as the tutorial's data/names; without it there are forty names of
each of four languages in examples/names.  Every fifth name is for testing; so few say little:
cross-validation among the others, which chose the settings, gives about 0.80.
"""

import argparse
from pathlib import Path

import numpy as np

import graphc as gc
from graphc import data


class NameRNN(gc.nn.Module):
    """Log-probabilities of the languages, for letters [time, n, letters] of names of `lengths`."""

    def __init__(self, letters, hidden, languages):
        self.i2h = gc.nn.Linear(letters + hidden, hidden)
        self.i2o = gc.nn.Linear(letters + hidden, languages)

    def forward(self, letters, lengths):
        def step(state, row):
            hidden, _ = state
            letter, time = row
            both = gc.concat([letter, hidden], axis=1)
            new = gc.tanh(self.i2h(both)), self.i2o(both)
            inside = (time < lengths)[:, None]
            return tuple(gc.where(inside, a, b) for a, b in zip(new, state)), ()

        time, n, _ = letters.shape
        start = gc.zeros((n, self.i2h.out_features)), gc.zeros((n, self.i2o.out_features))
        (_, scores), _ = gc.scan(step, start, (letters, gc.iota((time,), 0)))
        return gc.nn.functional.log_softmax(scores, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--data", help="a directory with a file of names for each language",
                        metavar="DIR", default=Path(__file__).with_name("names"))
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--quick", action="store_true", help="half the epochs, for the tests")
    options = parser.parse_args()
    epochs = options.epochs // 2 if options.quick else options.epochs
    files = sorted(Path(options.data).glob("*.txt"))
    names = [(name.lower(), label) for label, path in enumerate(files)
             for name in path.read_text(encoding="utf-8").split()]
    alphabet = sorted({letter for name, _ in names for letter in name})
    longest = max(len(name) for name, _ in names)
    codes = np.array([[alphabet.index(c) for c in name.ljust(longest, name[0])]
                      for name, _ in names])
    sizes, labels = np.array([len(name) for name, _ in names]), np.array([k for _, k in names])
    test = np.arange(len(names)) % 5 == 4

    x = gc.placeholder(gc.int64, ["time", "n"], name="x")
    lengths, y = (gc.placeholder(gc.int64, ["n"], name=name) for name in ("lengths", "y"))
    model, letters = NameRNN(len(alphabet), 32, len(files)), gc.one_hot(x, len(alphabet))
    noisy = gc.nn.functional.dropout(letters, 0.3)  # few names: lest it learns them by heart
    loss = gc.nn.functional.nll_loss(model(noisy, lengths), y)
    guess = gc.argmax(model(letters, lengths), axis=1)
    train = gc.optim.Adam(3e-3, clip_grad_norm=1.0).minimize(loss)
    with gc.Session(seed=1) as sess:
        for epoch in range(epochs):
            for rows, _ in data.batches(np.flatnonzero(~test), labels[~test], 32, seed=epoch):
                sess.run(train, {x: codes[rows].T, lengths: sizes[rows], y: labels[rows]})
        right = sess.run(guess, {x: codes[test].T, lengths: sizes[test]}) == labels[test]
    assert right.mean() > 0.6, right.mean()
    print(f"{len(names)} names of {len(files)} languages: test accuracy {right.mean():.3f}")


if __name__ == "__main__":
    main()
