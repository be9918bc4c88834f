"""One step of a recurrent layer as a module, with PyTorch's arguments and state dicts."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.errors import ShapeError, user_location
from graphc.frontend.arguments import choice, converted, flag, require_equal
from graphc.frontend.tensor import Tensor
from graphc.functions.creation import zeros
from graphc.ir.types import f32
from graphc.nn.functional import recurrent
from graphc.nn.functional.activation import floats
from graphc.nn.functional.recurrent import NONLINEARITIES, State, Step
from graphc.nn.layers.linear import positive
from graphc.nn.layers.rnn import pair, read, weights
from graphc.nn.module import Module

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class Cell(Module):
    """The base of the cells."""

    mode: ClassVar[str] = ""

    def _build(self, input_size: int, hidden_size: int, bias: bool, dtype: Any) -> None:
        what = f"{self.mode}Cell"
        self.input_size = positive(what, "input_size", input_size)
        self.hidden_size = positive(what, "hidden_size", hidden_size)
        self.bias = flag(what, "bias", bias)
        weights(self, "", self.input_size, self.hidden_size, dtype)

    def _run(self, step: Step, input: Any, state: State | None, count: int) -> State:
        """The next state."""
        what, x = f"{self.mode}Cell", floats(f"{self.mode}Cell", input)
        if x.ndim not in (1, 2):
            raise ShapeError(
                f"{what}: input {x.type}: expected [n, input_size] or [input_size]", user_location()
            )
        require_equal(what, x.shape[-1], self.input_size, f"of input {x.type} and input_size")
        shape = (*x.shape[:-1], self.hidden_size)
        start = (
            (zeros(shape, x.dtype),) * count
            if state is None
            else tuple(converted(floats(what, t), x.dtype) for t in state)
        )
        for t in start:
            if t.ndim != x.ndim:
                raise ShapeError(
                    f"{what}: state {t.type}, input {x.type}: ranks differ", user_location()
                )
            for a, b in zip(t.shape, shape, strict=True):
                require_equal(what, a, b, f"of state {t.type} and {list(shape)}")
        w = read(self, "")
        return step(recurrent.projected(x, w, self.mode == "GRU"), start, w)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(Cell):
    """h' = tanh(W x + b + W' h + b'), for an input [n, input_size] or [input_size].

    >>> import graphc as gc
    >>> gc.nn.RNNCell(3, 4, nonlinearity="relu")(gc.zeros((5, 3))).type
    f32[5,4]
    """

    mode = "RNN"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: Any = f32,
    ) -> None:
        choice("RNNCell", "nonlinearity", nonlinearity, NONLINEARITIES)
        self.nonlinearity = nonlinearity
        self._build(input_size, hidden_size, bias, dtype)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        step = recurrent.rnn_step(self.nonlinearity)
        return self._run(step, input, None if hx is None else (hx,), 1)[0]


class LSTMCell(Cell):
    """One step of an LSTM: (h', c') of an input and (h, c).

    >>> import graphc as gc
    >>> [t.type for t in gc.nn.LSTMCell(3, 4)(gc.zeros((5, 3)))]
    [f32[5,4], f32[5,4]]
    """

    mode = "LSTM"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = f32
    ) -> None:
        self._build(input_size, hidden_size, bias, dtype)

    def forward(self, input: Any, hx: Any = None) -> State:
        state = None if hx is None else pair("LSTMCell", hx)
        return self._run(recurrent.lstm_step, input, state, 2)


class GRUCell(Cell):
    """One step of a GRU.

    >>> import graphc as gc
    >>> gc.nn.GRUCell(3, 4)(gc.zeros((5, 3))).type
    f32[5,4]
    """

    mode = "GRU"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = f32
    ) -> None:
        self._build(input_size, hidden_size, bias, dtype)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        return self._run(recurrent.gru_step, input, None if hx is None else (hx,), 1)[0]
