"""PyTorch and JAX at the same work, each in a process of its own: their memory goes with it, and
one that hangs is ended.

    python -m benchmarks.gpu.peers torch '[["product", "bf16", 4096, 4096, 4096]]'

prints seconds, or an error, for each task, as JSON.  All compute f32 as f32, not as TF32.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.gpu import jax_steps
from benchmarks.gpu.nets import NETS, batch_of

Task = Sequence[Any]
WARMUPS, ROUNDS, ROUND_SECONDS = 5, 5, 0.1
NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "f64": "float64"}


def installed(peer: str) -> bool:
    """Whether torch or JAX can be imported here."""
    return importlib.util.find_spec(peer) is not None


def measure(peer: str, tasks: Sequence[Task], timeout: float) -> list[dict[str, Any]]:
    """Seconds of each task by torch or JAX, in a new process: `{"seconds": ...}` or `{"error":
    ...}` each; an empty list where it is not installed."""
    if not installed(peer):
        return []
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.gpu.peers", peer, json.dumps(tasks)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [{"error": f"{peer} took more than {timeout:.0f} s"}] * len(tasks)
    if done.returncode:
        return [{"error": f"{peer}: {done.stderr[-500:]}"}] * len(tasks)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def seconds_of(call: Callable[[], Any], wait: Callable[[Any], None]) -> float:
    """Seconds of a call: the median of rounds, each waited for at its end."""
    for _ in range(WARMUPS):
        last = call()
    wait(last)
    times, calls = [], 1
    for number in range(ROUNDS + 1):
        start = time.perf_counter()
        for _ in range(calls):
            last = call()
        wait(last)
        times.append((time.perf_counter() - start) / calls)
        if number == 0:
            calls = max(1, int(ROUND_SECONDS / times.pop()))
    return float(np.median(times))


# -- torch


def torch_task(kind: str, *about: Any) -> Callable[[], Any]:
    """What torch is to do, on the GPU."""
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    match kind, about:
        case "product", (dtype, m, n, k):
            a = torch.randn(m, k, device="cuda").to(getattr(torch, NAMES[dtype]))
            b = torch.randn(k, n, device="cuda").to(a.dtype)
            return lambda: a @ b
        case "convolution", (dtype, images, weights):
            x = torch.randn(*images, device="cuda").to(getattr(torch, NAMES[dtype]))
            w = torch.randn(*weights, device="cuda").to(x.dtype)
            return lambda: torch.nn.functional.conv2d(x, w, padding=weights[2] // 2)
        case "step", (net, batch, mode):
            return torch_step(net, batch, mode)
    raise ValueError(kind)


def torch_step(net: str, batch: int, mode: str) -> Callable[[], Any]:
    """A step of Adam on a batch that lies on the GPU, the loss compiled by torch.compile."""
    import torch

    images, labels = (torch.from_numpy(a).cuda() for a in batch_of(batch))
    model = NETS[net](torch.nn).cuda()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    loss_of = torch.compile(
        lambda: torch.nn.functional.cross_entropy(model(images), labels), mode=mode
    )

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss

    return step


def run_torch(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    import torch

    return [
        attempt(partial(torch_task, *task), lambda _: torch.cuda.synchronize()) for task in tasks
    ]


# -- JAX


def run_jax(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    import jax

    jax.config.update("jax_default_matmul_precision", "highest")
    return [attempt(partial(jax_steps.step, *task[1:]), jax.block_until_ready) for task in tasks]


def attempt(make: Callable[[], Callable[[], Any]], wait: Callable[[Any], Any]) -> dict[str, Any]:
    """Its seconds, or its error."""
    try:
        return {"seconds": seconds_of(make(), wait)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


if __name__ == "__main__":
    runs = {"torch": run_torch, "jax": run_jax}
    print(json.dumps(runs[sys.argv[1]](json.loads(sys.argv[2]))))
