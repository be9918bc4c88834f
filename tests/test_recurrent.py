"""Recurrent layers against PyTorch: values, gradients, state dicts, lengths; and their loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support_nn import compare, in_f64, layer
from support_run import options
from support_torch import torch_case

import graphc as gc
from graphc import nn
from graphc.compile import lower
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.program import Kind
from graphc.stage import stage

RNG = np.random.default_rng(8)


def draw(*shape: int) -> Any:
    return RNG.uniform(-1, 1, shape)


T, N, I, H = 5, 3, 4, 6
X = draw(T, N, I)
LENGTHS = [2, 5, 3]
KINDS = ("RNN", "LSTM", "GRU")
# name, the constructor's options, whether states are given, the lengths
CASES: list[tuple[str, dict[str, Any], bool, list[int] | None]] = [
    ("plain", {}, False, None),
    ("states", {}, True, None),
    ("deep", {"num_layers": 2}, True, None),
    ("both-ways", {"num_layers": 2, "bidirectional": True}, True, None),
    ("batch-first", {"bidirectional": True, "batch_first": True, "bias": False}, False, None),
    ("lengths", {"num_layers": 2, "bidirectional": True}, True, LENGTHS),
    ("lengths-first", {"batch_first": True}, False, LENGTHS),
]


def flat(made: Any) -> list[Any]:
    rows, last = made
    return [rows, *last] if isinstance(last, tuple) else [rows, last]


def called(given: bool, lengths: list[int] | None) -> Callable[..., Any]:
    """Calls a module, graphc's or PyTorch's, on the input and perhaps states."""

    def call(m: Any, x: Any, *states: Any) -> list[Any]:
        hx = None if not given else states if len(states) > 1 else states[0]
        if isinstance(m, nn.Module):
            return flat(m(x, hx, lengths=lengths))
        if lengths is None:
            return flat(m(x, hx))
        from torch.nn.utils import rnn

        packed = rnn.pack_padded_sequence(x, lengths, m.batch_first, enforce_sorted=False)
        rows, last = m(packed, hx)
        rows, _ = rnn.pad_packed_sequence(rows, m.batch_first)
        return flat((rows, last))

    return call


def states(kind: str, made: dict[str, Any], size: int = H) -> list[Any]:
    count = made.get("num_layers", 1) * (2 if made.get("bidirectional") else 1)
    rng = np.random.default_rng(2)
    first = [rng.normal(size=(count, N, size))]
    return first + [rng.normal(size=(count, N, H))] * (kind == "LSTM")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "made", "given", "lengths"), CASES, ids=[c[0] for c in CASES])
def test_layers(kind: str, name: str, made: Any, given: bool, lengths: Any) -> None:
    x = np.swapaxes(X, 0, 1) if made.get("batch_first") else X
    inputs = [x, *(states(kind, made) if given else [])]
    layer(f"{kind}-{name}", inputs, lambda nn: getattr(nn, kind)(I, H, **made),
          lambda: in_f64(getattr(nn, kind)(I, H, **made)), len(inputs), call=called(given, lengths))


def test_relu_projection_and_no_batch() -> None:
    made: dict[str, Any] = {"nonlinearity": "relu", "num_layers": 2}
    layer("relu", [X], lambda nn: nn.RNN(I, H, **made), lambda: in_f64(nn.RNN(I, H, **made)), 1,
          call=called(False, None))
    made = {"proj_size": 2, "num_layers": 2, "bidirectional": True}
    inputs = [X, *states("LSTM", made, 2)]
    layer("projected", inputs, lambda nn: nn.LSTM(I, H, **made),
          lambda: in_f64(nn.LSTM(I, H, **made)), 3, call=called(True, None))
    for kind in KINDS:
        single = [X[:, 0], *(s[:, 0] for s in states(kind, {}))]
        layer(f"{kind}-single", single, lambda nn, k=kind: getattr(nn, k)(I, H),
              lambda k=kind: in_f64(getattr(nn, k)(I, H)), len(single), call=called(True, None))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_cells(kind: str, bias: bool) -> None:
    def call(m: Any, x: Any, *hx: Any) -> Any:
        return m(x, (hx if len(hx) > 1 else hx[0]) if hx else None)

    for name, inputs in (("given", [X[0], *(s[0] for s in states(kind, {}))]), ("zero", [X[0]]),
                         ("single", [X[0, 0]])):
        layer(f"{kind}Cell-{bias}-{name}", inputs,
              lambda nn: getattr(nn, f"{kind}Cell")(I, H, bias),
              lambda: in_f64(getattr(nn, f"{kind}Cell")(I, H, bias)), len(inputs), call=call)


@pytest.mark.parametrize("kind", KINDS)
def test_symbolic_sizes_and_no_time(kind: str) -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["t", "n", I], name="x")
        lengths = gc.placeholder(gc.int64, ["n"], name="lengths")
        m = getattr(nn, kind)(I, H, 2, bidirectional=True)
        outs = flat(m(x, lengths=lengths))
        found = [*outs, *gc.gradients(gc.sum(outs[0]), [m.weight_hh_l0])]
        for t, n in ((3, 2), (5, 1), (0, 2), (4, 0)):
            feeds = {x: np.ones((t, n, I), np.float32), lengths: [t] * n}
            rows, *last, slope = sess.run(found, feeds)
            assert rows.shape == (t, n, 2 * H) and last[0].shape == (4, n, H)
            assert np.any(slope != 0) == (t > 1 and n > 0)  # one step: both states are the first
            if t == 0:
                assert not np.any(last)


def test_dropout_acts_between_layers() -> None:
    x = np.ones((2, 1, I), np.float32)
    with gc.Graph().as_default(), gc.Session() as sess:
        m = nn.RNN(I, 300, 2, dropout=0.5)
        dropped, plain, one = m(x)[0], m.eval()(x)[0], nn.RNN(I, 5)(x)[0]
        first, second = sess.run([dropped, dropped]), sess.run([plain, one])
        assert not np.allclose(first[0], second[0])
        np.testing.assert_array_equal(sess.run(plain), second[0])
    with pytest.warns(UserWarning, match="dropout = 0.5 acts between layers"):
        nn.GRU(I, H, dropout=0.5)


def inner_kernels(kind: str) -> list[list[Kind]]:
    """The kinds of kernels of a step, forward and backward."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, ["t", "n", I], name="x")
        m = getattr(nn, kind)(I, H)
        loss = gc.sum(m(x)[0])
        program = lower(stage([loss, *gc.gradients(loss, list(m.parameters()))]).graph,
                        options()).program
        steps = [p for k in program.kernels for p in k.programs]
        return [[k.kind for k in p.kernels] for p in (*steps, program)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_few_kernels(kind: str) -> None:
    forward, backward, outer = inner_kernels(kind)
    assert forward.count(Kind.MATMUL) == backward.count(Kind.MATMUL) == 1
    assert len(forward) <= 2 and len(backward) <= {"RNN": 2, "LSTM": 3, "GRU": 5}[kind]
    assert outer.count(Kind.MATMUL) == 3  # the projection, and the weights' gradients


def test_weights_transposed_in_a_step_are_one_product() -> None:
    with gc.Graph().as_default():
        x, w = gc.placeholder(gc.float64, ["t", 2, 3], name="x"), gc.asarray(draw(3, 3))
        h, _ = gc.scan(lambda h, r: (gc.tanh(nn.functional.linear(h, w) + r), ()), X[0, :2, :3], x)
        made = lower(stage(gc.gradients(gc.sum(h), [w])).graph, options()).program
        assert [k.kind for k in made.kernels].count(Kind.MATMUL) == 1


def test_refusals() -> None:
    x = gc.zeros((T, N, I))
    with pytest.raises(ShapeError, match="expected rank 3, or 2"):
        nn.LSTM(I, H)(gc.zeros((I,)))
    with pytest.raises(ShapeError, match="LSTM: sizes differ of input"):
        nn.LSTM(I + 1, H)(x)
    with pytest.raises(GraphError, match=r"a pair \(h, c\)"):
        nn.LSTM(I, H)(x, gc.zeros((1, N, H)))
    with pytest.raises(ShapeError, match="h_0 .*layers"):
        nn.GRU(I, H)(x, gc.zeros((2, N, H)))
    with pytest.raises(ShapeError, match="lengths is f32"):
        nn.RNN(I, H)(x, lengths=gc.zeros((N,)))
    with pytest.raises(ShapeError, match="of lengths"):
        nn.RNN(I, H)(x, lengths=[1, 2])
    with pytest.raises(ShapeError, match="proj_size is 6"):
        nn.LSTM(I, H, proj_size=H)
    with pytest.raises(GraphError, match="nonlinearity"):
        nn.RNN(I, H, nonlinearity="sin")
    with pytest.raises(DTypeError, match="GRU"):
        nn.GRU(I, H)(gc.zeros((T, N, I), gc.int32))
    with pytest.raises(ShapeError, match="GRUCell: state"):
        nn.GRUCell(I, H)(x[0], gc.zeros((H,)))
