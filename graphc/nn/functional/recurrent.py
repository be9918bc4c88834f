"""Recurrences over time: one step of an RNN, LSTM or GRU, and a whole direction through `gc.scan`.

The product of the inputs with their weights is computed once for all times, outside the loop; a
step computes the product of the state with its weights, and one map.  The gates are ordered as in
PyTorch (RNN one; LSTM input, forget, cell, output; GRU reset, update, new), each with `hidden_size`
rows of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.frontend.tensor import Tensor
from graphc.functions import pointwise as pw
from graphc.functions.control import scan
from graphc.functions.elementary import tanh
from graphc.functions.joining import concat
from graphc.functions.linear import matmul
from graphc.functions.shaping import matrix_transpose, reshape
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.nn.functional.activation import relu, sigmoid

State = tuple[Tensor, ...]
GATES_PER_CELL = {"RNN": 1, "LSTM": 4, "GRU": 3}
NONLINEARITIES: dict[str, Callable[[Any], Tensor]] = {"tanh": tanh, "relu": relu}


@dataclass(frozen=True)
class Weights:
    """The weights of one direction of one layer; `hr` projects the state of an LSTM."""

    ih: Any
    hh: Any
    bias_ih: Any = None
    bias_hh: Any = None
    hr: Any = None


Step = Callable[[Tensor, State, Weights], State]


def rnn_step(nonlinearity: str) -> Step:
    """h' = tanh(gates), of the gates' sums (Elman 1990)."""
    act = NONLINEARITIES[nonlinearity]

    def step(x: Tensor, state: State, w: Weights) -> State:
        return (act(pw.add(x, product(state[0], w.hh))),)

    return step


def lstm_step(x: Tensor, state: State, w: Weights) -> State:
    """h', c' of an LSTM (Hochreiter and Schmidhuber 1997, with forget gates)."""
    h, c = state
    size = c.shape[-1]
    gates = pw.add(x, product(h, w.hh))
    i, f, g, o = (gate(gates, n, size) for n in range(4))
    c = pw.add(pw.multiply(sigmoid(f), c), pw.multiply(sigmoid(i), tanh(g)))
    h = pw.multiply(sigmoid(o), tanh(c))
    return (h if w.hr is None else product(h, w.hr)), c


def gru_step(x: Tensor, state: State, w: Weights) -> State:
    """h' of a GRU (Cho et al. 2014), whose reset gate comes after the product, as in cuDNN."""
    (h,) = state
    size = h.shape[-1]
    inner = product(h, w.hh)
    inner = inner if w.bias_hh is None else pw.add(inner, w.bias_hh)
    r, z = (sigmoid(pw.add(gate(x, n, size), gate(inner, n, size))) for n in range(2))
    n = tanh(pw.add(gate(x, 2, size), pw.multiply(r, gate(inner, 2, size))))
    return (pw.add(n, pw.multiply(z, pw.subtract(h, n))),)


def product(x: Any, weight: Any) -> Tensor:
    """x @ weight.T."""
    return matmul(x, matrix_transpose(weight))


def gate(gates: Tensor, number: int, size: Size) -> Tensor:
    """One gate of [..., gates * size]."""
    part: Tensor = gates[..., number * size : (number + 1) * size]
    return part


def projected(x: Tensor, w: Weights, gru: bool) -> Tensor:
    """x @ ih.T and what a step only adds to it: the biases, though only the first one of a GRU."""
    if x.ndim > 2:  # the biases join the kernel of a product of matrices
        rows = dim.product(x.shape[:-1])
        out = projected(reshape(x, (rows, x.shape[-1])), w, gru)
        return reshape(out, (*x.shape[:-1], out.shape[-1]))
    out = product(x, w.ih)
    if w.bias_ih is None:
        return out
    return pw.add(out, w.bias_ih if gru else pw.add(w.bias_ih, w.bias_hh))


def direction(
    step: Step, x: Tensor, state: State, w: Weights, kept: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """The outputs [time, n, size] and the last state of one direction over x [time, n, gates].

    Where `kept` [time, n, 1] is false the state stays and the output is 0.
    """

    def advance(old: State, row: Any) -> tuple[State, Tensor]:
        if kept is None:
            new = step(row, old, w)
            return new, new[0]
        new = step(row[0], old, w)
        held = tuple(pw.where(row[1], b, a) for a, b in zip(old, new, strict=True))
        return held, pw.where(row[1], new[0], 0.0)

    last, rows = scan(advance, state, x if kept is None else (x, kept), reverse=reverse)
    return rows, last


def joined(parts: Sequence[Tensor], axis: int) -> Tensor:
    """The parts along an axis; the part itself if it is the only one."""
    return parts[0] if len(parts) == 1 else concat(parts, axis)
