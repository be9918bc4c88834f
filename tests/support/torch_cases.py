"""What torch computes, for comparison: live where torch is installed, else from stored files.

    def test_softplus() -> None:
        x = np.linspace(-3, 3, 7)
        wanted = torch_case("softplus", lambda torch: [F(torch).softplus(tensor(torch, x))])
        ...

`compute` gives tensors or arrays; `GRAPHC_TEST_STORE=1` makes every live result the stored one.
Stored files are `tests/torch_cases/<test module>/<name>.npz`; keep each below some kilobytes.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]
STORE = TESTS / "torch_cases"


def torch_case(name: str, compute: Callable[[Any], Sequence[Any]]) -> list[np.ndarray[Any, Any]]:
    """The arrays that `compute(torch)` gives, one for each of its results."""
    return cased(asking_module(), name, compute)


def asking_module() -> str:
    """The test module that called this function's caller, such as "nn/test_conv"."""
    return Path(inspect.stack()[2].filename).relative_to(TESTS).with_suffix("").as_posix()


def cased(
    module: str, name: str, compute: Callable[[Any], Sequence[Any]]
) -> list[np.ndarray[Any, Any]]:
    """`torch_case` of a test module that is named."""
    path = STORE / module / f"{name}.npz"
    if importlib.util.find_spec("torch") is None:
        with np.load(path) as stored:
            return [stored[f"r{i}"] for i in range(len(stored.files))]
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    made = [_array(r) for r in compute(torch)]
    if os.environ.get("GRAPHC_TEST_STORE") or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **{f"r{i}": a for i, a in enumerate(made)})
    return made


def _array(result: Any) -> np.ndarray[Any, Any]:
    return np.asarray(result.detach().numpy() if hasattr(result, "detach") else result)


def tensor(torch: Any, array: Any, grad: bool = False) -> Any:
    """A torch tensor of an array, perhaps one whose gradient is wanted."""
    made = torch.tensor(np.asarray(array))
    return made.requires_grad_() if grad else made
