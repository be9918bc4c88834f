"""A generator learns to draw digits that a discriminator cannot tell from real ones.

    python examples/gan_digits.py [--epochs N] [--quick]

It learns from the 8 x 8 digits that scikit-learn brings along: 400 epochs, 49 s.
"""

import argparse
import time

import numpy as np

import graphc as gc
from graphc import data, nn

NOISE = 16


def networks():
    generator = nn.Sequential(
        nn.Linear(NOISE, 128), nn.BatchNorm1d(128), nn.ReLU(),
        nn.Linear(128, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 64), nn.Sigmoid())
    discriminator = nn.Sequential(
        nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Linear(128, 128), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(128, 1))
    return generator, discriminator


def surprise(scores, label):
    return nn.functional.binary_cross_entropy_with_logits(scores, gc.full(scores.shape, label))


def picture(images):
    """Images side by side, in characters."""
    rows = np.clip(images.reshape(-1, 8, 8) * 4.99, 0, 4).astype(int).transpose(1, 0, 2)
    return "\n".join("  ".join("".join(" .+#@"[p] * 2 for p in row) for row in line)
                     for line in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, for the tests")
    options = parser.parse_args()
    epochs, digits = options.epochs or (120 if options.quick else 400), data.digits()

    generator, discriminator = networks()
    real = gc.placeholder(gc.float32, ["n", 64], name="real")
    fake = generator(gc.random.normal((real.shape[0], NOISE)))
    judged_real, judged_fake = discriminator(real), discriminator(gc.stop_gradient(fake))
    loss = surprise(judged_real, 0.9) + surprise(judged_fake, 0.0)
    learn = gc.optim.Adam(5e-4, betas=(0.5, 0.999)).minimize(loss, list(discriminator.parameters()))
    fooled = surprise(discriminator(fake), 1.0)
    forge = gc.optim.Adam(5e-4, betas=(0.5, 0.999)).minimize(fooled, list(generator.parameters()))
    drawn = generator.eval()(gc.random.normal((360, NOISE), name="shown"))
    belief = nn.functional.sigmoid(discriminator.eval()(gc.concat([real, drawn], axis=0)))

    start = time.perf_counter()
    with gc.Session() as sess:
        for epoch in range(epochs):
            for images, _ in data.batches(digits.train_images, digits.train_labels, 64, epoch):
                found = sess.run([loss, fooled, learn, forge], {real: images})[:2]
            if (epoch + 1) % (epochs // 5) == 0:
                print(f"epoch {epoch + 1:3}  losses {found[0]:.3f} {found[1]:.3f}  "
                      f"{time.perf_counter() - start:.1f} s", flush=True)
        test = digits.test_images
        images, beliefs = sess.run([drawn, belief], {real: test})
    print(picture(images[:6]))
    mean = np.abs(images.mean(0) - test.mean(0)).mean()
    spread = images.std(0).mean() / test.std(0).mean()
    sure = beliefs[: len(test)].mean() - beliefs[len(test) :].mean()  # 1: it always knows
    assert sure < 0.35, f"the discriminator still knows: {sure:.2f}"
    assert mean < 0.06 and 0.8 < spread < 1.2, f"{mean:.3f} {spread:.2f}"
    print(f"means differ by {mean:.3f}, spread {spread:.2f} of the data's; real or not: {sure:.2f}")


if __name__ == "__main__":
    main()
