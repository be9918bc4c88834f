"""Every public function with every argument wrong in turn: typed errors that name it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graphc as gc
import graphc.nn.functional as functional
from graphc.errors import GraphcError, VerifyError

PLACES: dict[str, ModuleType] = {
    "": gc,
    "nn": gc.nn,
    "nn.functional": functional,
    "nn.init": gc.nn.init,
    "init": gc.init,
    "optim": gc.optim,
    "random": gc.random,
    "linalg": gc.linalg,
    "fft": gc.fft,
}
SKIPPED = {
    "DType",
    "Graph",
    "Group",
    "Stats",
    "Tensor",
    "Variable",
    "function",
    "op",
    "kernel",
    "reset_default_graph",
    "custom_gradient",
    "Session",
    "Optimizer",
    "TransformerEncoder",  # as many layers as are asked for
    "TransformerDecoder",
    "Transformer",
    "Identity",  # takes anything
    "fans",
}


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    for place, module in PLACES.items():
        for name, f in ((name, getattr(module, name)) for name in dir(module)):
            ours = getattr(f, "__module__", "") or ""
            home = "graphc." + place if place else "graphc."
            inside = ours.startswith(home.replace("nn.functional", "nn."))
            error = isinstance(f, type) and issubclass(f, Exception)
            if callable(f) and name not in SKIPPED and inside and not error:
                yield f"{place}.{name}".strip("."), f


class Odd:
    """An object that says yes to everything NumPy or Python might ask at first."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: Any) -> Any:
        if i >= 3:
            raise IndexError
        return object()


def wrong_values() -> dict[str, Any]:
    with gc.Graph().as_default():
        stranger = gc.zeros((2, 3)) + gc.placeholder(gc.float32, [2, 3])
    return {
        "None": None,
        "object": object(),
        "class": int,
        "text": "abc",
        "empty text": "",
        "float": 3.7,
        "nan": float("nan"),
        "inf": float("inf"),
        "minus one": -1,
        "seven": 7,
        "huge": 2**70,
        "minus huge": -(2**70),
        "2**40": 2**40,
        "true": True,
        "complex": 1j,
        "list": [],
        "tuple": (),
        "ragged": [[1], [2, 3]],
        "twice": (0, 0),
        "far": (5, -9),
        "negative": (-2, 3),
        "floats": (0.5, 1.5),
        "texts": ["a", "b"],
        "nones": [None],
        "dict": {"a": 1},
        "set": {1},
        "lambda": lambda *a: a,
        "bytes": b"ab",
        "slice": slice(1, 2),
        "ellipsis": ...,
        "odd": Odd(),
        "objects": np.array([object()]),
        "empty": np.zeros((0, 3), np.float32),
        "0-d": np.float32(1),
        "4-d": np.zeros((2, 3, 1, 5)),
        "ints": np.zeros((2, 3), np.int32),
        "u64": np.zeros((2, 3), np.uint64),
        "bools": np.zeros((2, 3), bool),
        "dates": np.zeros(3, "M8[s]"),
        "records": np.zeros(3, "f4,i4"),
        "33 axes": [1] * 33,
        "symbolic": gc.placeholder(gc.float32, [None, None, "k"]),
        "size": gc.placeholder(gc.float32, [None]).shape[0],
        "tensor": gc.zeros((4, 5)),
        "stranger": stranger,
        "group": gc.group(),
        "generator": (i for i in range(3)),
        "module": np,
    }


def base(name: str, parameter: inspect.Parameter) -> Any:
    """A sensible value of a parameter."""
    known: dict[str, Any] = {
        "axis": 0,
        "axis1": 0,
        "axis2": 1,
        "shape": (2, 3),
        "arrays": [gc.zeros((2, 3))],
        "axes": (1, 0),
        "source": 0,
        "destination": 1,
        "repetitions": 2,
        "repeats": 2,
        "shift": 1,
        "pad_width": 1,
        "num": 3,
        "num_classes": 3,
        "n_rows": 3,
        "indices_or_sections": 1,
        "indices": [0],
        "subscripts": "ij->i",
        "normalized_shape": (3,),
        "dim": 0,
        "start": 0,
        "stop": 3,
        "fill_value": 1.0,
        "nonlinearity": "relu",
        "value": 1.0,
        "name": "n",
        "low": 0,
        "updates": 1.0,
        "condition": np.zeros((2, 3), bool),
        "initial": 1.0,
        "dtype": gc.float32,
        "function": np.sin,
        "inputs": [gc.zeros((2, 3))],
        "output_types": gc.float32[2, 3],
        "k": 1,
        "minlength": 9,
        "bins": [0.0, 1.0],
        "q": 0.5,
        "sizes": (1, 1),
        "starts": (0, 0),
        "segment_ids": [0, 1],
        "num_segments": 3,
        "scale": 0.5,
        "xp": [0.0, 1.0],
        "fp": [2.0, 3.0],
        "side": "left",
        "condlist": [np.zeros((2, 3), bool)],
        "choicelist": [gc.zeros((2, 3))],
        "multi_index": ([0], [1]),
        "dims": (2, 3),
    }
    if parameter.default is not inspect.Parameter.empty:
        return parameter.default
    if name in (
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "bitwise_invert",
        "bitwise_left_shift",
        "bitwise_right_shift",
    ):
        return gc.zeros((2, 3), gc.int32)
    if (name, parameter.name) in (
        ("bincount", "x"),
        ("dequantize_linear", "x"),
        ("put_along_axis", "indices"),
        ("take_along_axis", "indices"),
        ("gather_nd", "indices"),
        ("scatter_nd", "indices"),
    ):
        return gc.zeros((2, 1) if parameter.name == "indices" else (2, 3), gc.int32)
    if (name, parameter.name) in (("searchsorted", "x1"), ("diag", "x")):
        return gc.zeros((3,))
    if name.startswith("logical"):
        return gc.zeros((2, 3), gc.bool_)
    if name.endswith("one_hot") and parameter.name in ("x", "tensor"):
        return gc.zeros((2, 3), gc.int32)
    if name in ("gradients", "explain_gradient", "random.permutation"):
        return gc.placeholder(gc.float32, [3])
    if name in ("cross_entropy", "nll_loss") and parameter.name == "target":
        return [0, 1]
    if name.startswith("linalg.") and parameter.name in ("x", "a", "b"):
        return gc.eye(3)
    if name.startswith("fft.") and parameter.name == "x":
        return gc.zeros((3, 4, 2))
    if name in ("linalg.matrix_power", "fft.fftfreq", "fft.rfftfreq") and parameter.name == "n":
        return 3
    if parameter.name == "axes" and name in ("tensordot", "linalg.tensordot"):
        return 1
    return known.get(
        parameter.name,
        gc.zeros((3, 3) if "dot" in name or name in ("matmul", "nn.functional.linear") else (2, 3)),
    )


def attempts(name: str, f: Callable[..., Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Calls with one argument wrong, and with all the same wrong."""
    parameters = [
        p for p in inspect.signature(f).parameters.values() if p.kind is not p.VAR_KEYWORD
    ]
    for i, p in enumerate(parameters):
        for label, value in wrong_values().items():

            def call(i: int = i, value: Any = value) -> Any:
                args = [value if i == j else base(name, q) for j, q in enumerate(parameters)]
                plain = {
                    q.name: a
                    for q, a in zip(parameters, args, strict=True)
                    if q.kind is q.KEYWORD_ONLY
                }
                return f(
                    *[
                        a
                        for q, a in zip(parameters, args, strict=True)
                        if q.kind is not q.KEYWORD_ONLY
                    ],
                    **plain,
                )

            yield f"{p.name}={label}", call
    for label, value in wrong_values().items():
        named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        count = len(parameters) - len(named)
        yield (
            f"all {label}",
            lambda value=value, count=count, named=named: f(
                *[value] * count, **dict.fromkeys(named, value)
            ),
        )


@pytest.mark.parametrize(("name", "f"), list(public()), ids=[n for n, _ in public()])
def test_wrong_arguments_give_typed_errors(name: str, f: Callable[..., Any]) -> None:
    problems = []
    with gc.Graph().as_default():
        for label, call in attempts(name, f):
            try:
                call()
            except VerifyError as error:
                problems.append(f"{label}: {error!r}")
            except GraphcError as error:
                if not re.match(r"[\w.]+: ", error.message):
                    problems.append(f"{label}: the function is not named: {error.message}")
                if error.location is None or error.location.file != __file__:
                    problems.append(f"{label}: the user's line is missing: {error.message}")
            except Exception as error:
                problems.append(f"{label}: {type(error).__name__}: {error}")
    assert not problems, f"{len(problems)} problems\n" + "\n".join(problems)


@pytest.mark.parametrize(("name", "f"), list(public()), ids=[n for n, _ in public()])
def test_too_many_arguments_are_a_type_error(name: str, f: Callable[..., Any]) -> None:
    if any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(f).parameters.values()):
        return
    with pytest.raises(TypeError, match="argument"):
        f(*[1] * 20)
    with pytest.raises(TypeError, match="argument"):
        f(no_such_argument=1)
