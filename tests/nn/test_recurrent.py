"""Recurrent layers against PyTorch: values, gradients, state dicts, lengths; and their loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.nn import check_second_order, in_f64, layer
from support.run import options
from support.torch_cases import torch_case

import graphc as gc
from graphc import nn
from graphc.compiler.compile import lower
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.frontend.stage import stage
from graphc.ir.program import Kind

RNG = np.random.default_rng(8)


def draw(*shape: int) -> Any:
    return RNG.uniform(-1, 1, shape)


T, N, IN, H = 4, 3, 3, 4
X = draw(T, N, IN)
LENGTHS = [2, 4, 1]
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
    layer(
        f"{kind}-{name}",
        inputs,
        lambda nn: getattr(nn, kind)(IN, H, **made),
        lambda: in_f64(getattr(nn, kind)(IN, H, **made)),
        len(inputs),
        call=called(given, lengths),
    )


def test_relu_projection_and_no_batch() -> None:
    made: dict[str, Any] = {"nonlinearity": "relu", "num_layers": 2}
    layer(
        "relu",
        [X],
        lambda nn: nn.RNN(IN, H, **made),
        lambda: in_f64(nn.RNN(IN, H, **made)),
        1,
        call=called(False, None),
    )
    made = {"proj_size": 2, "num_layers": 2, "bidirectional": True}
    inputs = [X, *states("LSTM", made, 2)]
    layer(
        "projected",
        inputs,
        lambda nn: nn.LSTM(IN, H, **made),
        lambda: in_f64(nn.LSTM(IN, H, **made)),
        3,
        call=called(True, None),
    )
    for kind in KINDS:
        single = [X[:, 0], *(s[:, 0] for s in states(kind, {}))]
        layer(
            f"{kind}-single",
            single,
            lambda nn, k=kind: getattr(nn, k)(IN, H),
            lambda k=kind: in_f64(getattr(nn, k)(IN, H)),
            len(single),
            call=called(True, None),
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_cells(kind: str, bias: bool) -> None:
    def call(m: Any, x: Any, *hx: Any) -> Any:
        return m(x, (hx if len(hx) > 1 else hx[0]) if hx else None)

    for name, inputs in (
        ("given", [X[0], *(s[0] for s in states(kind, {}))]),
        ("zero", [X[0]]),
        ("single", [X[0, 0]]),
    ):
        layer(
            f"{kind}Cell-{bias}-{name}",
            inputs,
            lambda nn: getattr(nn, f"{kind}Cell")(IN, H, bias),
            lambda: in_f64(getattr(nn, f"{kind}Cell")(IN, H, bias)),
            len(inputs),
            call=call,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_symbolic_sizes_and_no_time(kind: str) -> None:
    """semantics 18.2"""
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float32, ["t", "n", IN], name="x")
        lengths = gc.placeholder(gc.int64, ["n"], name="lengths")
        m = getattr(nn, kind)(IN, H, 2, bidirectional=True)
        outs = flat(m(x, lengths=lengths))
        found = [*outs, *gc.gradients(gc.sum(outs[0]), [m.weight_hh_l0])]
        for t, n in ((3, 2), (5, 1), (0, 2), (4, 0)):
            feeds = {x: np.ones((t, n, IN), np.float32), lengths: [t] * n}
            rows, *last, slope = sess.run(found, feeds)
            assert rows.shape == (t, n, 2 * H) and last[0].shape == (4, n, H)
            assert np.any(slope != 0) == (t > 1 and n > 0)  # one step: both states are the first
            if t == 0:
                assert not np.any(last)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind: str) -> None:
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind] * H

    def outputs(x: Any, w: Any, *start: Any) -> list[Any]:
        m = in_f64(getattr(nn, kind)(IN, H))
        for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
            v = getattr(m, name)
            delattr(m, name)
            setattr(m, name, gc.asarray(np.sin(np.arange(v.type.count)).reshape(v.shape)))
        del m.weight_hh_l0
        m.weight_hh_l0 = w
        return flat(m(x, start if len(start) > 1 else start[0], lengths=LENGTHS))

    check_second_order(outputs, [X, draw(gates, H), *states(kind, {})])


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_beyond_a_length_is_not_looked_at(kind: str) -> None:
    """semantics 18.1"""
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float64, [T, N, IN], name="x")
        m = in_f64(getattr(nn, kind)(IN, H, bidirectional=True))
        outs = flat(m(x, lengths=LENGTHS))
        found = [*outs, *gc.gradients(gc.sum(outs[0] * outs[0]), [x, *m.parameters()])]
        beyond = np.arange(T)[:, None] >= np.array(LENGTHS)
        spoilt = np.where(beyond[:, :, None], np.nan, X)
        for a, b in zip(sess.run(found, {x: X}), sess.run(found, {x: spoilt}), strict=True):
            np.testing.assert_array_equal(a, b)


def test_dropout_acts_between_layers() -> None:
    """semantics 18.2"""
    x = np.ones((2, 1, IN), np.float32)
    with gc.Graph().as_default(), gc.Session() as sess:
        m = nn.RNN(IN, 300, 2, dropout=0.5)
        dropped, plain, one = m(x)[0], m.eval()(x)[0], nn.RNN(IN, 5)(x)[0]
        first, second = sess.run([dropped, dropped]), sess.run([plain, one])
        assert not np.allclose(first[0], second[0])
        np.testing.assert_array_equal(sess.run(plain), second[0])
    with pytest.warns(UserWarning, match="dropout = 0.5 acts between layers"):
        nn.GRU(IN, H, dropout=0.5)


def inner_kernels(kind: str) -> list[list[Kind]]:
    """The kinds of kernels of a step, forward and backward."""
    with gc.Graph().as_default():
        x = gc.placeholder(gc.float32, ["t", "n", IN], name="x")
        m = getattr(nn, kind)(IN, H)
        loss = gc.sum(m(x)[0])
        program = lower(
            stage([loss, *gc.gradients(loss, list(m.parameters()))]).graph, options()
        ).program
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


TEXT = np.frombuffer(b"a rose is a rose is a rose; what is in a name of a rose is a name" * 9, "u1")
LETTERS, CODES = np.unique(TEXT, return_inverse=True)
MODEL = (len(LETTERS), 5, 8)  # letters, embedding, hidden units


def windows(step: int) -> tuple[Any, Any]:
    """Inputs and labels [time, n] of one training step."""
    start = 7 * step + 31 * np.arange(3)
    rows = CODES[start[None, :] + np.arange(10)[:, None]]
    return rows[:-1], rows[1:]


def trained_by_torch(torch: Any, optimizer: str, double: bool) -> list[Any]:
    """The first weights, and the losses of 50 steps."""
    letters, size, hidden = MODEL
    parts = torch.nn.ModuleList(
        [
            torch.nn.Embedding(letters, size),
            torch.nn.LSTM(size, hidden),
            torch.nn.Linear(hidden, letters),
        ]
    )
    parts = parts.double() if double else parts
    before = [v.clone() for v in parts.state_dict().values()]
    rule = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}[optimizer](parts.parameters(), 0.05)
    losses = []
    for step in range(50):
        x, y = (torch.tensor(a) for a in windows(step))
        scores = parts[2](parts[1](parts[0](x))[0])
        loss = torch.nn.functional.cross_entropy(scores.reshape(-1, letters), y.reshape(-1))
        rule.zero_grad()
        loss.backward()
        rule.step()
        losses.append(loss.item())
    return [*before, np.array(losses)]


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
@pytest.mark.parametrize("double", [False, True])
def test_a_language_model_learns_as_torchs(optimizer: str, double: bool) -> None:
    *before, wanted = torch_case(
        f"model-{optimizer}-{double}", lambda torch: trained_by_torch(torch, optimizer, double)
    )
    letters, size, hidden = MODEL
    with gc.Graph().as_default(), gc.Session() as sess:
        made = gc.float64 if double else gc.float32
        parts = nn.ModuleList(
            [
                nn.Embedding(letters, size, dtype=made),
                nn.LSTM(size, hidden, dtype=made),
                nn.Linear(hidden, letters, dtype=made),
            ]
        )
        parts.load_state_dict(sess, dict(zip(parts.state_dict(sess), before, strict=True)))
        x, y = (gc.placeholder(gc.int64, [None, None], name=name) for name in "xy")
        scores = parts[2](parts[1](parts[0](x))[0])
        loss = nn.functional.cross_entropy(gc.reshape(scores, (-1, letters)), gc.flatten(y))
        train = getattr(gc.optim, optimizer)(0.05).minimize(loss)
        found = [
            sess.run([loss, train], dict(zip((x, y), windows(step), strict=True)))[0]
            for step in range(50)
        ]
    np.testing.assert_allclose(found, wanted, rtol=1e-9 if double else 1e-4)
    assert wanted[-1] < wanted[0] * (0.5 if optimizer == "Adam" else 0.99)


def test_refusals() -> None:
    x = gc.zeros((T, N, IN))
    with pytest.raises(ShapeError, match="expected rank 3, or 2"):
        nn.LSTM(IN, H)(gc.zeros((IN,)))
    with pytest.raises(ShapeError, match="LSTM: sizes differ of input"):
        nn.LSTM(IN + 1, H)(x)
    with pytest.raises(GraphError, match=r"a pair \(h, c\)"):
        nn.LSTM(IN, H)(x, gc.zeros((1, N, H)))
    with pytest.raises(ShapeError, match=r"h_0 .*layers"):
        nn.GRU(IN, H)(x, gc.zeros((2, N, H)))
    with pytest.raises(ShapeError, match="lengths is f32"):
        nn.RNN(IN, H)(x, lengths=gc.zeros((N,)))
    with pytest.raises(ShapeError, match="of lengths"):
        nn.RNN(IN, H)(x, lengths=[1, 2])
    with pytest.raises(ShapeError, match="proj_size is 4"):
        nn.LSTM(IN, H, proj_size=H)
    with pytest.raises(GraphError, match="nonlinearity"):
        nn.RNN(IN, H, nonlinearity="sin")
    with pytest.raises(DTypeError, match="GRU"):
        nn.GRU(IN, H)(gc.zeros((T, N, IN), gc.int32))
    with pytest.raises(ShapeError, match="GRUCell: state"):
        nn.GRUCell(IN, H)(x[0], gc.zeros((H,)))


def test_a_value_called_as_a_loop_variable() -> None:
    """`relu` gives a nameless value in a kernel of all steps: it must not be the step's number."""
    x = gc.placeholder(gc.float32, ["t", 3], name="t")
    _, rows = gc.scan(lambda h, r: (nn.functional.relu(h * 0.5 + r),) * 2, gc.zeros((3,)), x)
    with gc.Session(options=options()) as sess:
        found = sess.run(rows, {x: np.ones((3, 3), np.float32)})
    np.testing.assert_array_equal(found[:, 0], [1.0, 1.5, 1.75])
