"""Devices: parts of a graph pinned to a GPU, all of it there, or each op where it is cheapest.

    python examples/devices.py [--quick]

The GPU is `cuda:sim`, which is simulated thread by thread; put "cuda:0" for a real one.
"""

from __future__ import annotations

import argparse
import importlib.util

import numpy as np

import graphc as gc

GPU = "cuda:sim"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a smaller batch")
    batch = 4 if parser.parse_args().quick else 16

    x = gc.placeholder(gc.float32, ["batch", 8], name="x")
    w = gc.variable(gc.init.normal((8, 6), seed=1), name="w")
    with gc.device(GPU):  # what is declared here is pinned; gradients follow it
        hidden = gc.nn.functional.softmax(x @ w, dim=1)
    loss = gc.mean(gc.square(hidden))
    (slope,) = gc.gradients(loss, [w])

    given = {x: np.random.default_rng(0).normal(size=(batch, 8)).astype(np.float32)}
    plain = gc.plan([loss, slope], [GPU], {"batch": batch})
    print(plain.summary)

    if importlib.util.find_spec("greenlet") is None:
        print("the simulator needs greenlet: pip install 'graphc[sim]'")
        return
    with gc.Session() as session:  # the pinned part is simulated, the rest is the CPU's
        pinned = session.run([loss, slope], given)
    with gc.Session(device=GPU) as session:  # all that can
        whole = session.run([loss, slope], given)
    with gc.Session(devices=["cpu:0", GPU]) as session:  # by cost, except for what is pinned
        chosen = session.run([loss, slope], given)
    for found in (whole, chosen):
        for a, b in zip(pinned, found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert session.stats.launches > 0
    print(f"loss {float(pinned[0]):.6f} on every choice of devices")


if __name__ == "__main__":
    main()
