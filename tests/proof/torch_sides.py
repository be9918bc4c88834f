"""Both sides of a program: what PyTorch and graphc give for values, gradients, second gradients."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from proof import torch_loops
from proof.torch_pairs import Call
from proof.torch_program import Program
from support.oracle import stage
from support.run import options

import graphc as gc
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.passes.base import Context
from graphc.passes.pipeline import GRAPH_PASSES

MODES = ("oracle", "optimised", "session")
NOISE = 8  # units in the last place that the disturbed run is off, at most


@dataclass(frozen=True)
class Results:
    """Arrays by their names: `v3`, `d/dx0`, `d2/dx0`."""

    values: Mapping[str, Any]
    first: Mapping[str, Any]
    second: Mapping[str, Any]

    def all(self) -> dict[str, Any]:
        return {**self.values, **self.first, **self.second}


def weights(name: str, shape: Sequence[int], dtype: str) -> Any:
    """The cotangent of a result: the same on both sides."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {tuple(shape)}".encode()))
    signed = rng.uniform(0.5, 1.5, tuple(shape)) * rng.choice([-1, 1], tuple(shape))
    return np.asarray(signed, dtype)


class TorchEngine:
    """PyTorch, call by call; with a `noise`, each result is disturbed by a few units in the last
    place.  Equal numbers are disturbed equally, so ties remain ties."""

    refusals: tuple[type[Exception], ...] = (RuntimeError, IndexError, ValueError, TypeError)

    def __init__(self, noise: int = 0, inputs_too: bool = True) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch, self.noise, self.inputs_too = torch, noise, inputs_too
        self.names = {"torch": torch, "F": torch.nn.functional, "loops": torch_loops}

    def bind(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        made = {}
        for name, array in arrays.items():
            x = self.torch.from_numpy(np.array(array))
            if self.inputs_too:
                x = self.disturbed(x)
            made[name] = x.requires_grad_() if x.is_floating_point() else x
        return made

    def call(self, call: Call, known: Mapping[str, Any]) -> Any:
        value = eval(call.torch, {**self.names, **known})
        return self.disturbed(self.torch.as_tensor(value))

    def array(self, value: Any) -> Any:
        return value.detach().numpy(force=True)

    def disturbed(self, x: Any) -> Any:
        if not self.noise or not x.is_floating_point():
            return x
        unit = self.torch.finfo(x.dtype).eps
        known = self.torch.nan_to_num(x.detach())
        return x * (1 + NOISE * unit * self.torch.cos(known * 1e4 + self.noise))


def by_torch(program: Program, n: int, noise: int = 0, inputs_too: bool = True) -> Results:
    """What PyTorch gives."""
    engine = TorchEngine(noise, inputs_too)
    xs = engine.bind(program.arrays(n))
    known = dict(xs)
    for step in program.steps:
        known[step.name] = engine.call(step.call, known)
    outs = {name: known[name] for name in program.outputs}
    wanted = {k: x for k, x in xs.items() if x.requires_grad}
    first = _torch_gradients(outs, wanted, "d/d", True)
    second = {} if _once(program) else _torch_gradients(first, wanted, "d2/d", False)
    values = {k: engine.array(v) for k, v in outs.items()}
    return Results(
        values,
        {k: engine.array(v) for k, v in first.items()},
        {k: engine.array(v) for k, v in second.items()},
    )


def _once(program: Program) -> bool:
    return any(step.pair.first for step in program.steps)


def _torch_gradients(ys: Mapping[str, Any], xs: Mapping[str, Any], sign: str, keep: bool) -> Any:
    import torch

    floats = {k: y for k, y in ys.items() if y.requires_grad}
    cts = [torch.from_numpy(weights(k, y.shape, _name(y.dtype))) for k, y in floats.items()]
    found = [None] * len(xs)
    if floats and xs:
        found = torch.autograd.grad(
            list(floats.values()), list(xs.values()), cts, create_graph=keep, allow_unused=True
        )
    return {
        sign + k: torch.zeros_like(x) if g is None else g
        for (k, x), g in zip(xs.items(), found, strict=True)
    }


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


# ---- graphc


class Ours:
    """A program as tensors of graphc, with one graph for all values of n."""

    def __init__(self, program: Program, mode: str) -> None:
        self.program, self.mode = program, mode
        self.scope = gc.Graph()
        with self.scope.as_default():
            self.xs = {
                i.name: gc.placeholder(i.dtype, program.declared(i), name=i.name)
                for i in program.inputs
            }
            known: dict[str, Any] = dict(self.xs)
            names = {"gc": gc, "F": gc.nn.functional}
            for step in program.steps:
                known[step.name] = eval(step.call.graphc, {**names, **known})
            self.cts: dict[str, Any] = {}
            outs = {name: known[name] for name in program.outputs}
            floats = {k: x for k, x in self.xs.items() if _float(x)}
            first = self._gradients(outs, floats, "d/d")
            second = {} if _once(program) else self._gradients(first, floats, "d2/d")
        self.parts = (outs, first, second)
        self.fetched = [t for part in self.parts for t in part.values() if t is not None]
        self.session: Any = None
        self.graph = None if mode == "session" else self._staged()

    def _gradients(self, ys: Mapping[str, Any], xs: Mapping[str, Any], sign: str) -> Any:
        floats = {k: y for k, y in ys.items() if y is not None and _float(y)}
        if not floats or not xs:
            return {sign + k: None for k in xs}
        cts = []
        for name, y in floats.items():
            ct = gc.placeholder(y.dtype, y.shape)
            self.cts[name] = ct
            cts.append(ct)
        found = gc.gradients(list(floats.values()), list(xs.values()), cts, allow_unused=True)
        return {sign + k: g for k, g in zip(xs, found, strict=True)}

    def _staged(self) -> Graph:
        graph = stage(self.fetched)
        if self.mode == "optimised":
            context = Context()
            for p in GRAPH_PASSES:
                graph = p.run_deeply(graph, context)
        return graph

    def run(self, n: int, reference: Results) -> Results:
        """What graphc gives; the shapes of cotangents are the reference's."""
        arrays = self.program.arrays(n)
        feeds = {self.xs[k]: a for k, a in arrays.items()}
        known = reference.all()
        for name, ct in self.cts.items():
            feeds[ct] = weights(name, known[name].shape, known[name].dtype.name)
        found = iter(self._run(feeds))
        parts = []
        for part in self.parts:
            made = {}
            for name, tensor in part.items():
                x = arrays[name.split("/d")[-1]] if "/d" in name else None
                made[name] = np.zeros_like(x) if tensor is None else np.asarray(next(found))
            parts.append(made)
        return Results(*parts)

    def _run(self, feeds: Mapping[Any, Any]) -> Sequence[Any]:
        if self.graph is not None:
            return list(interpret(self.graph, *(feeds[v] for v in self.graph.inputs)))
        if self.session is None:
            self.session = gc.Session(self.scope, options=options())
        needed = set(stage(self.fetched).inputs)
        return list(self.session.run(self.fetched, {k: a for k, a in feeds.items() if k in needed}))

    def close(self) -> None:
        if self.session is not None:
            self.session.close()


def _float(x: Any) -> bool:
    return bool(x.dtype.is_float)
