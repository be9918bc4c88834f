"""Makes a program that has a fault smaller, and prints one as Python that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from proof.torch_pairs import FLOATS, Input
from proof.torch_program import Program

BUDGET = 80  # programs that are tried


def shrunk(
    program: Program,
    fault: Callable[[Program], str],
    values: Callable[[Program], Mapping[str, Any]],
) -> Program:
    """A smaller program for which `fault` still tells something.  `values` gives the arrays of all
    steps, of which some become inputs."""
    left = BUDGET
    progress = True
    while progress and left > 0:
        progress = False
        for smaller in candidates(program, values(program)):
            left -= 1
            if fault(smaller):
                program, progress = smaller, True
                break
            if left <= 0:
                break
    return program


def candidates(program: Program, known: Mapping[str, Any]) -> Iterator[Program]:
    """Programs that are smaller by one thing: fewer sizes, one result, a step less."""
    if len(program.outputs) > 1:
        for name in program.outputs:
            yield replace(program, outputs=(name,)).pruned()
    for step in reversed(program.steps):
        if (step.name,) != program.outputs:
            yield replace(program, outputs=(step.name,)).pruned()
    for step in reversed(program.steps):
        if step.name in program.outputs or step.name not in known:
            continue
        array = known[step.name]
        bounds = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        cut = Input(step.name, array.dtype.name, array.shape, *bounds, value=array)
        steps = tuple(s for s in program.steps if s is not step)
        yield replace(program, steps=steps, inputs=(*program.inputs, cut)).pruned()
    if len(program.sizes) > 1:
        for n in program.sizes:
            yield replace(program, sizes=(n,))


# ---- as Python

HEAD = """\
import numpy as np, torch, graphc as gc
from proof import torch_loops as loops
from proof.torch_sides import weights

fed = {}"""


def listing(program: Program, n: int, shapes: Mapping[str, Any]) -> str:
    """Python that computes the values and first gradients of a program by both libraries, for one
    n; `shapes` are arrays like its results."""
    arrays = program.arrays(n)
    outs = ", ".join(program.outputs)
    floats = [i.name for i in program.inputs if i.dtype in FLOATS]
    smooth = [k for k in program.outputs if shapes[k].dtype.name in FLOATS]
    cts = [f"weights('{k}', {shapes[k].shape}, '{shapes[k].dtype}')" for k in smooth]
    by = f"[{', '.join(smooth)}], [{', '.join(floats)}]" if smooth and floats else ""
    lines = [HEAD]
    lines += [
        f"fed['{k}'] = np.array({a.tolist()}, '{a.dtype}').reshape({a.shape})"
        for k, a in arrays.items()
    ]
    lines += ["", "F = torch.nn.functional"]
    lines += [f"{k} = torch.from_numpy(fed['{k}'].copy())" for k in arrays]
    lines += [f"{k}.requires_grad_()" for k in floats]
    lines += [f"{s.name} = {s.call.torch}" for s in program.steps]
    given = ", ".join(f"torch.from_numpy({ct})" for ct in cts)
    lines.append(f"d = torch.autograd.grad({by}, [{given}], allow_unused=True)" if by else "d = ()")
    lines += [f"print({outs}, *d)", "", "F = gc.nn.functional"]
    lines += [
        f"{i.name} = gc.placeholder('{i.dtype}', {program.declared(i)})" for i in program.inputs
    ]
    lines += [f"{s.name} = {s.call.graphc}" for s in program.steps]
    given = ", ".join(cts)
    lines.append(f"d = gc.gradients({by}, [{given}], allow_unused=True)" if by else "d = []")
    pairs = ", ".join(f"{k}: fed['{k}']" for k in arrays)
    outs += ", *(g for g in d if g is not None)"
    lines += ["with gc.Session() as sess:", f"    print(sess.run([{outs}], {{{pairs}}}))"]
    return "\n".join(lines)
