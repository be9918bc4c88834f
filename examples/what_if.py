"""Planning a training step for GPUs that are not here: where it runs, how long, in what memory.

    python examples/what_if.py [--quick]
"""

from __future__ import annotations

import argparse

import graphc as gc


def network(width: int) -> list[gc.Tensor | gc.Group]:
    """A training step of a network of two large layers, whose input is sent from the host."""
    x = gc.placeholder(gc.float32, ["batch", width], name="x")
    y = gc.placeholder(gc.int64, ["batch"], name="y")
    hidden = gc.variable(gc.zeros((width, 4 * width)), name="hidden")
    out = gc.variable(gc.zeros((4 * width, 10)), name="out")
    loss = gc.nn.functional.cross_entropy(gc.nn.functional.relu(x @ hidden) @ out, y)
    return [loss, gc.optim.Adam(1e-3).minimize(loss)]


def machine(link: str, memory: str = "24 GB") -> gc.Machine:
    """A host and a card of our own invention, with a link between them."""
    card = gc.DeviceSpec("cuda:0", memory=memory, bandwidth="1 TB/s", like="A100")
    return gc.Machine([gc.DeviceSpec("cpu:0", like="CPU"), card],
                      [gc.Link("cpu:0", "cuda:0", bandwidth=link)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a smaller network")
    width = 512 if parser.parse_args().quick else 4096
    step = network(width)

    times = {}
    for link in ("32 GB/s", "1 GB/s"):
        plan = gc.plan(step, machine(link), {"batch": 256})
        times[link] = plan.total
        print(f"link of {link}:\n{plan.summary}\n")
    alone = gc.plan(step, [gc.DeviceSpec("cpu:0", like="CPU")], {"batch": 256})
    assert times["32 GB/s"] < times["1 GB/s"] < alone.total

    try:
        gc.plan(step, machine("32 GB/s", memory="16 MB"), {"batch": 256}, device="cuda:0")
    except gc.DeviceError as error:
        refused = error.message.splitlines()[0]
    assert "cuda:0 has 16 MB, but a run needs " in refused
    print(f"too small a card: {refused}")
    print(f"{alone.total / times['32 GB/s']:.0f} times as fast as on the CPU")


if __name__ == "__main__":
    main()
