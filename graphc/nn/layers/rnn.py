"""Recurrent layers as modules, with PyTorch's arguments, results and state dicts."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

from graphc import init
from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import choice, converted, flag, require_equal, tensor
from graphc.frontend.tensor import Tensor
from graphc.functions import pointwise as pw
from graphc.functions.creation import iota, zeros
from graphc.functions.joining import stack
from graphc.functions.shaping import expand_dims, swapaxes
from graphc.ir.types import f32, i64
from graphc.nn import functional
from graphc.nn.functional import recurrent
from graphc.nn.functional.activation import floats
from graphc.nn.functional.dropout import probability
from graphc.nn.functional.recurrent import GATES_PER_CELL, NONLINEARITIES, State, Step, Weights
from graphc.nn.layers.linear import positive
from graphc.nn.module import Module, Parameter

__all__ = ["GRU", "LSTM", "RNN"]


class Recurrent(Module):
    """The base of RNN, LSTM and GRU."""

    mode: ClassVar[str] = ""

    def _build(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        dtype: Any,
    ) -> None:
        """Makes the weights of all layers."""
        what = self.mode
        self.input_size = positive(what, "input_size", input_size)
        self.hidden_size = positive(what, "hidden_size", hidden_size)
        self.num_layers = positive(what, "num_layers", num_layers)
        self.bias, self.batch_first = (
            flag(what, "bias", bias),
            flag(what, "batch_first", batch_first),
        )
        self.dropout = probability(what, dropout)
        self.bidirectional = flag(what, "bidirectional", bidirectional)
        self.proj_size = positive(what, "proj_size", proj_size, 0)
        if self.proj_size >= self.hidden_size:
            raise ShapeError(
                f"{what}: proj_size is {proj_size}; expected less than hidden_size = {hidden_size}",
                user_location(),
            )
        if self.dropout and num_layers == 1:
            warnings.warn(
                f"{what}: dropout = {dropout} acts between layers, and there is one", stacklevel=4
            )
        out = self.proj_size or self.hidden_size
        for layer in range(self.num_layers):
            size = self.input_size if layer == 0 else out * len(self._suffixes(0))
            for suffix in self._suffixes(layer):
                weights(self, suffix, size, out, dtype)

    def _suffixes(self, layer: int) -> list[str]:
        """The endings of the names of a layer's weights, for each direction."""
        names = [f"_l{layer}", f"_l{layer}_reverse"]
        return names if self.bidirectional else names[:1]

    def _step(self) -> Step:
        raise GraphError(f"{self.mode}: no step is defined", user_location())

    def _run(self, input: Any, state: State | None, lengths: Any) -> tuple[Tensor, State]:
        """The outputs and the last states [layers * directions, n, size]."""
        x = floats(self.mode, input)
        if x.ndim not in (2, 3):
            raise ShapeError(
                f"{self.mode}: input {x.type}: expected rank 3, or 2 without a batch",
                user_location(),
            )
        require_equal(self.mode, x.shape[-1], self.input_size, f"of input {x.type} and input_size")
        single = x.ndim == 2
        x = expand_dims(x, 1) if single else swapaxes(x, 0, 1) if self.batch_first else x
        kept = None if lengths is None else within(self.mode, x, lengths, single)
        x = x if kept is None else pw.where(kept, x, 0.0)  # NaN there reaches no gradient
        starts = self._starts(x, state, single)
        rows, states = self._layers(x, starts, kept)
        last = tuple(stack(parts) for parts in zip(*states, strict=True))
        if single:
            return rows[:, 0], tuple(t[:, 0] for t in last)
        return swapaxes(rows, 0, 1) if self.batch_first else rows, last

    def _layers(
        self, x: Tensor, starts: tuple[Tensor, ...], kept: Tensor | None
    ) -> tuple[Tensor, list[State]]:
        """All layers over x [time, n, size]: the last one's outputs, and the states."""
        step, states = self._step(), list[State]()
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            parts = []
            for reverse, suffix in enumerate(self._suffixes(layer)):
                w = read(self, suffix)
                state = tuple(t[len(states)] for t in starts)
                gates = recurrent.projected(x, w, self.mode == "GRU")
                rows, last = recurrent.direction(step, gates, state, w, kept, bool(reverse))
                parts.append(rows)
                states.append(last)
            x = recurrent.joined(parts, 2)
        return x, states

    def _starts(self, x: Tensor, state: State | None, single: bool) -> tuple[Tensor, ...]:
        """The first states [layers * directions, n, size]: the user's, else 0."""
        count = self.num_layers * len(self._suffixes(0))
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: len(self._names())]
        shapes = [(count, x.shape[1], s) for s in sizes]
        if state is None:
            return tuple(zeros(s, x.dtype) for s in shapes)
        starts = []
        for name, given, shape in zip(self._names(), state, shapes, strict=True):
            t = floats(self.mode, given)
            if t.ndim != 3 - single:
                raise ShapeError(
                    f"{self.mode}: {name} is {t.type}; expected rank {3 - single}, as the input",
                    user_location(),
                )
            t = expand_dims(t, 1) if single else t
            for a, b in zip(t.shape, shape, strict=True):
                require_equal(
                    self.mode,
                    a,
                    b,
                    f"of {name} {t.type} and [layers * directions, n, size] = {list(shape)}",
                )
            starts.append(converted(t, x.dtype))
        return tuple(starts)

    def _names(self) -> tuple[str, ...]:
        return ("h_0", "c_0") if self.mode == "LSTM" else ("h_0",)

    def extra_repr(self) -> str:
        shown = {
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
            "proj_size": 0,
        }
        parts = [f"{k}={getattr(self, k)}" for k, v in shown.items() if getattr(self, k) != v]
        return ", ".join([str(self.input_size), str(self.hidden_size), *parts])


def weights(module: Any, suffix: str, size: int, out: int, dtype: Any) -> None:
    """Gives a module the weights of one direction, uniform over [-1, 1) / sqrt(hidden_size)."""
    rows = GATES_PER_CELL[module.mode] * module.hidden_size
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, size), "weight_hh": (rows, out)}
    if module.bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if out != module.hidden_size:
        shapes["weight_hr"] = (out, module.hidden_size)
    bound = 1.0 / math.sqrt(module.hidden_size)
    for name, shape in shapes.items():
        setattr(module, name + suffix, Parameter(init.uniform(shape, -bound, bound, dtype)))


def read(module: Any, suffix: str) -> Weights:
    """The weights of one direction."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    return Weights(*(getattr(module, n + suffix, None) for n in names))


def within(what: str, x: Tensor, lengths: Any, single: bool) -> Tensor:
    """Which times of x [time, n, size] lie within the lengths [n]: bool[time, n, 1]."""
    given = tensor(what, lengths)
    if not given.dtype.is_integer or given.ndim != 1 - single:
        raise ShapeError(
            f"{what}: lengths is {given.type}; expected integers, one for each "
            "sequence of the batch",
            user_location(),
        )
    if not single:
        require_equal(what, given.shape[0], x.shape[1], f"of lengths {given.type} and the batch")
    column = expand_dims(converted(given, i64), -1)
    return pw.less(iota((x.shape[0], x.shape[1], 1), 0), column)


class RNN(Recurrent):
    """Layers of h' = tanh(W x + b + W' h + b') over time (Elman 1990).

    The input is [time, n, input_size], with `batch_first` [n, time, input_size], or without n.  The
    result is (the last layer's states at all times, the last states [layers * directions, n,
    hidden_size] of all layers).  Sizes of time and batch may be symbolic; no time at all gives the
    first states.  With `lengths` [n], sequences end there, as PyTorch's packed sequences do: beyond
    it the output is 0, the last state is that at the length, and the reverse direction begins at
    it.  Raises `ShapeError`, `DTypeError` and `GraphError` for arguments that do not fit.

    >>> import graphc as gc
    >>> rnn = gc.nn.RNN(3, 4, num_layers=2, bidirectional=True)
    >>> [t.type for t in rnn(gc.zeros((7, 5, 3)), lengths=[7, 6, 2, 2, 1])]
    [f32[7,5,8], f32[4,5,4]]
    """

    mode = "RNN"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = f32,
    ) -> None:
        choice(self.mode, "nonlinearity", nonlinearity, NONLINEARITIES)
        self.nonlinearity = nonlinearity
        self._build(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, dtype
        )

    def _step(self) -> Step:
        return recurrent.rnn_step(self.nonlinearity)

    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        rows, (last,) = self._run(input, None if hx is None else (hx,), lengths)
        return rows, last


class LSTM(Recurrent):
    """Layers of long short-term memory (Hochreiter and Schmidhuber 1997); arguments and shapes as
    of `RNN`.

    The state is a pair (h, c), and so is `hx`; the result is (outputs, (h_n, c_n)).  With
    `proj_size`, h is projected to that size (Sak et al. 2014).

    >>> import graphc as gc
    >>> rows, (h, c) = gc.nn.LSTM(3, 4, batch_first=True)(gc.zeros((5, 7, 3)))
    >>> rows.type, c.type
    (f32[5,7,4], f32[1,5,4])
    """

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: Any = f32,
    ) -> None:
        self._build(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            dtype,
        )

    def _step(self) -> Step:
        return recurrent.lstm_step

    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        return self._run(input, None if hx is None else pair(self.mode, hx), lengths)


class GRU(Recurrent):
    """Layers of gated recurrent units (Cho et al. 2014); arguments and shapes as of `RNN`.

    >>> import graphc as gc
    >>> [t.type for t in gc.nn.GRU(3, 4)(gc.zeros((7, 5, 3)))]
    [f32[7,5,4], f32[1,5,4]]
    """

    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = f32,
    ) -> None:
        self._build(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, dtype
        )

    def _step(self) -> Step:
        return recurrent.gru_step

    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        rows, (last,) = self._run(input, None if hx is None else (hx,), lengths)
        return rows, last


def pair(what: str, hx: Any) -> State:
    """(h, c).  Raises `GraphError`."""
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise GraphError(f"{what}: the state is a pair (h, c), got {hx!r}", user_location())
    return hx[0], hx[1]
