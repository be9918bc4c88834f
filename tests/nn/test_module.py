"""Modules: members, names, modes, state dicts, containers, copies; updates that ride along."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.torch_cases import torch_case

import graphc as gc
from graphc import nn
from graphc.errors import GraphcError, GraphError, SessionError, StateDictError


@pytest.fixture(autouse=True)
def fresh_graph() -> Any:
    with gc.Graph().as_default() as graph:
        yield graph


class Net(nn.Module):
    def __init__(self) -> None:
        self.body = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
        self.head = nn.Linear(3, 2, bias=False)
        self.scale = nn.Parameter(1.5)
        self.register_buffer("seen", gc.zeros((2,)))
        self.register_buffer("scratch", gc.zeros((2,)), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x)) * self.scale


KEYS = [
    "scale",
    "seen",
    "body.0.weight",
    "body.0.bias",
    "body.1.weight",
    "body.1.bias",
    "body.1.running_mean",
    "body.1.running_var",
    "body.1.num_batches_tracked",
    "head.weight",
]


def test_members_are_found_by_path() -> None:
    net = Net()
    names = [n for n, _ in net.named_parameters()]
    assert names == ["scale", *(k for k in KEYS[2:] if k.endswith(("weight", "bias")))]
    assert [n for n, _ in net.named_buffers()] == ["seen", "scratch", *KEYS[6:9]]
    assert [n for n, _ in net.named_children()] == ["body", "head"]
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert next(n for n, _ in net.named_parameters("net")) == "net.scale"
    assert len(list(net.parameters())) == 6 and len(list(net.modules())) == 6
    assert net.get_submodule("body.1") is net.body[1]
    with pytest.raises(GraphError, match=r"no module at 'body\.7'"):
        net.get_submodule("body.7")
    seen: list[Any] = []
    assert net.apply(seen.append) is net and seen[-1] is net and len(seen) == 6


def test_variables_are_named_by_their_paths() -> None:
    """semantics 16.4"""
    net = Net()
    assert all(v.name == path for path, v in [*net.named_parameters(), *net.named_buffers()])
    assert gc.Graph is not None and net.scale.graph.by_name["head.weight"] is net.head.weight
    with gc.name_scope("second"):
        twin = Net()
    assert twin.head.weight.name == "second/head.weight"
    assert Net().head.weight.name == "head.weight_1"
    layers = nn.ModuleList()
    holder = nn.Module()
    holder.layers = layers
    layers.append(nn.Linear(2, 2))  # after the list has its place
    holder.forward = lambda x: layers[0](x)
    holder(gc.zeros((1, 2)))
    assert layers[0].weight.name == "layers.0.weight"


def test_plain_variables_are_members_too() -> None:
    module = nn.Module()
    module.w = gc.variable([1.0], name="mine")
    module.count = gc.variable(0, trainable=False)
    module.constant, module.nothing = gc.zeros((2,)), None
    assert dict(module.named_parameters()) == {"w": module.w} and module.w.name == "mine"
    assert dict(module.named_buffers()) == {"count": module.count}
    with gc.Session() as sess:
        assert list(module.state_dict(sess)) == ["w", "count"]


def test_tied_parameters_count_once() -> None:
    net = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    net["b"].weight = net["a"].weight
    assert [n for n, _ in net.named_parameters()] == ["a.weight", "a.bias", "b.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert net["a"].weight.name == "a.weight"
    with gc.Session() as sess:
        assert list(net.state_dict(sess)) == ["a.weight", "a.bias", "b.weight", "b.bias"]


def test_training_switches_what_the_next_call_builds() -> None:
    """semantics 16.1"""
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4))
    x = gc.placeholder(gc.float32, ["n", 4], name="x")
    rows = np.random.default_rng(0).normal(3.0, 2.0, (64, 4)).astype(np.float32)
    trained, used = net.train()(x), net.eval()(x)
    assert not net.training and not net[0].training
    with gc.Session() as sess:
        before = sess.run(used, {x: rows})
        np.testing.assert_allclose(before, rows / np.sqrt(1 + 1e-5), rtol=1e-6)
        assert abs(sess.run(trained, {x: rows}).mean()) < 1e-5
        assert np.abs(sess.run(used, {x: rows}) - before).max() > 0.05  # statistics have moved
    with pytest.raises(GraphError, match="mode is 'yes'"):
        net.train("yes")


# ---- state dicts ----


def test_state_dicts_go_to_a_file_and_back(tmp_path: Path) -> None:
    net = Net()
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    out = net.eval()(x)
    with gc.Session(seed=1) as sess:
        expected, state = sess.run(out), net.state_dict(sess)
        assert list(state) == KEYS
        save_file(state, tmp_path / "net.safetensors")
    with gc.Session(seed=2) as sess:
        assert np.abs(sess.run(out) - expected).max() > 1e-3
        result = net.load_state_dict(sess, load_file(tmp_path / "net.safetensors"))
        assert result == ([], []) and result.missing_keys == []
        np.testing.assert_array_equal(sess.run(out), expected)
        state["scale"][...] = 7.0  # a copy
        assert sess.value(net.scale) == 1.5


def test_a_wrong_state_dict_shows_what_differs() -> None:
    net = Net()
    with gc.Session() as sess:
        state = net.state_dict(sess)
        del state["scale"]
        state["head.bias"] = np.zeros(2)
        state["head.weight"] = np.zeros((3, 2), np.float32)
        state["seen"] = np.ones(2, np.float32)
        with pytest.raises(StateDictError) as caught:
            net.load_state_dict(sess, state)
        message = caught.value.message
        for part in (
            "Net: the state dict does not fit",
            "missing:\n    scale",
            "unexpected:\n    head.bias",
            "wrong shapes:\n    head.weight: expected [2, 3], got [3, 2]",
        ):
            assert part in message
        with pytest.raises(StateDictError, match="wrong shapes"):
            net.load_state_dict(sess, state, strict=False)
        assert not sess.value(net.seen).any()  # nothing was loaded
        state["head.weight"] = np.full((2, 3), "a")
        with pytest.raises(GraphcError):
            net.load_state_dict(sess, state, strict=False)
        assert not sess.value(net.seen).any()
        del state["head.weight"]
        missing, unexpected = net.load_state_dict(sess, state, strict=False)
        assert (missing, unexpected) == (["scale", "head.weight"], ["head.bias"])
        assert sess.value(net.seen).tolist() == [1, 1]
        with pytest.raises(StateDictError, match="expected a dict"):
            net.load_state_dict(sess, [1])
    with pytest.raises(SessionError, match="session is None"):
        net.state_dict(None)


def test_a_net_trains_as_torchs_does() -> None:
    """The same weights, ten steps, a batch norm between: the same weights afterwards."""
    rng = np.random.default_rng(1)
    batches = [(rng.normal(size=(8, 4)), rng.integers(0, 2, 8)) for _ in range(10)]
    shapes = {
        "0.weight": (3, 4),
        "0.bias": (3,),
        "1.weight": (3,),
        "1.bias": (3,),
        "1.running_mean": (3,),
        "1.running_var": (3,),
        "1.num_batches_tracked": (),
        "3.weight": (2, 3),
        "3.bias": (2,),
    }
    start = {k: np.abs(rng.normal(size=s)) for k, s in shapes.items()}
    start["1.num_batches_tracked"] = np.zeros((), np.int64)

    def with_torch(torch: Any) -> Any:
        net = torch.nn.Sequential(
            torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Tanh(), torch.nn.Linear(3, 2)
        ).double()
        net.load_state_dict({k: torch.tensor(v) for k, v in start.items()})
        optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
        for x, y in batches:
            optimizer.zero_grad()
            torch.nn.CrossEntropyLoss()(net(torch.tensor(x)), torch.tensor(y)).backward()
            optimizer.step()
        return list(net.state_dict().values())

    expected = torch_case("train", with_torch)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 2))
    x, y = gc.placeholder(gc.float32, ["n", 4]), gc.placeholder(gc.int64, ["n"])
    step = gc.optim.SGD(0.1, momentum=0.9).minimize(nn.CrossEntropyLoss()(net(x), y))
    with gc.Session() as sess:
        net.load_state_dict(sess, start)
        for a, b in batches:
            sess.run(step, {x: a.astype(np.float32), y: b})
        state = net.state_dict(sess)
    assert list(state) == list(shapes)
    for (key, value), wanted in zip(state.items(), expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-5, atol=1e-5, err_msg=key)


# ---- containers, text, copies ----


def test_containers() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    row = nn.Sequential(a, b)
    assert list(row) == [a, b] and row[-1] is b and len(row[:1]) == 1
    assert row.append(c) is row and list(row) == [a, b, c]
    del row[0]
    assert list(row) == [b, c] and [n for n, _ in row.named_children()] == ["0", "1"]
    row[0] = a
    row.insert(1, b)
    assert list(row) == [a, b, c]
    named = nn.Sequential({"first": a, "then": b})
    assert [n for n, _ in named.named_children()] == ["first", "then"] and named[1] is b
    several = nn.ModuleList([a])
    several += [b]
    assert list(several.extend([c])) == [a, b, c]
    table = nn.ModuleDict({"a": a})
    table["b"] = b
    table["a"] = c
    assert "a" in table and list(table) == ["a", "b"] and len(table) == 2
    assert list(table.values()) == [c, b] and dict(table.items())["b"] is b
    del table["a"]
    assert list(table.keys()) == ["b"]
    weights = nn.ParameterList([gc.zeros((2,)), nn.Parameter(1.0)])
    assert len(list(weights.parameters())) == len(weights) == 2


WRONG = [
    (lambda: nn.Sequential(3), "Sequential: 3 is no Module"),
    (lambda: nn.ModuleList([None]), "ModuleList: None is no Module"),
    (lambda: nn.ModuleList()[0], "no member at 0 of 0"),
    (lambda: nn.ModuleDict()["a"], "no module 'a'"),
    (lambda: nn.ModuleDict({"keys": nn.ReLU()}), "cannot register 'keys'"),
    (lambda: nn.Module()(1), "forward is not defined"),
    (lambda: nn.Module().register_buffer("a.b", 1.0), "cannot register 'a.b'"),
    (lambda: nn.Module().register_parameter("training", None), "cannot register 'training'"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_wrong_members(call: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        call()
    assert caught.value.location is not None and caught.value.location.file == __file__


def test_errors_of_a_users_module_pass_unchanged() -> None:
    class Bad(nn.Module):
        def forward(self, x: Any) -> Any:
            return {}[x]

    with pytest.raises(KeyError):
        Bad()(1)
    with pytest.raises(TypeError, match="argument"):
        Bad()()


def test_text_is_torchs() -> None:
    def with_torch(torch: Any) -> Any:
        t = torch.nn
        return [
            np.array(
                str(
                    t.Sequential(
                        t.Sequential(
                            t.Linear(4, 3),
                            t.BatchNorm1d(3),
                            t.ReLU(),
                            t.LeakyReLU(),
                            t.Dropout(0.2),
                        ),
                        t.LayerNorm(3),
                        t.GroupNorm(1, 3),
                        t.Embedding(5, 3, padding_idx=1),
                        t.Flatten(),
                        t.ReLU(inplace=True),
                        t.Identity(),
                        t.CrossEntropyLoss(),
                    )
                )
            )
        ]

    (text,) = torch_case("text", with_torch)
    net = nn.Sequential(
        nn.Sequential(
            nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.LeakyReLU(), nn.Dropout(0.2)
        ),
        nn.LayerNorm(3),
        nn.GroupNorm(1, 3),
        nn.Embedding(5, 3, padding_idx=1),
        nn.Flatten(),
        nn.ReLU(inplace=True),
        nn.Identity(),
        nn.CrossEntropyLoss(),
    )
    assert repr(net).splitlines() == str(text).splitlines()


def test_a_copy_has_variables_of_its_own() -> None:
    """semantics 16.5"""
    net = Net()
    twin = copy.deepcopy(net)
    assert not set(net.parameters()) & set(twin.parameters())
    assert [n for n, _ in twin.named_buffers()] == [n for n, _ in net.named_buffers()]
    with gc.Session() as sess:
        mine, other = net.state_dict(sess), twin.state_dict(sess)
        assert list(mine) == list(other)
        for key, value in mine.items():
            np.testing.assert_array_equal(value, other[key])
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
        pickle.dumps(net)


# ---- updates that ride along ----


def test_an_update_rides_along_with_value_and_gradient_only() -> None:
    """semantics 16.2"""
    x, w = gc.placeholder(gc.float32, [], name="x"), gc.variable(2.0, name="w")
    total = gc.variable(0.0, trainable=False, name="total")
    y = gc.with_update(w * x, total, lambda t: t + x)
    (dw,) = gc.gradients(y * 3.0, [w])  # 3 x: does not need y itself
    (ddx,) = gc.gradients(
        gc.gradients(gc.with_update(x * x * w, total, lambda t: t + 100.0), [x])[0], [x]
    )
    with gc.Session() as sess:
        assert sess.run(w * x, {x: 3.0}) == 6.0 and sess.value(total) == 0.0
        assert sess.run(y, {x: 3.0}) == 6.0 and sess.value(total) == 3.0
        assert sess.run(dw, {x: 3.0}) == 9.0 and sess.value(total) == 6.0
        assert sess.run([y, dw], {x: 1.0}) == [2.0, 3.0] and sess.value(total) == 7.0
        assert sess.run(ddx, {x: 1.0}) == 4.0 and sess.value(total) == 107.0
        with pytest.raises(GraphError, match="fed and assigned"):
            sess.run(y, {x: 3.0, total: 0.0})
        assert sess.value(total) == 107.0


def test_updates_of_one_variable_follow_each_other_in_the_order_they_were_built() -> None:
    """semantics 16.2"""
    total = gc.variable(1.0, trainable=False, name="total")
    x = gc.asarray(1.0)
    first = gc.with_update(x, total, lambda t: t * 2.0)
    second = gc.with_update(x, total, lambda t: t + 10.0)
    with gc.Session() as sess:
        sess.run(second)
        assert sess.value(total) == 11.0
        sess.run([second, first])
        assert sess.value(total) == 32.0
        with pytest.raises(GraphError, match="assigned twice"):
            sess.run([first, total.assign(0.0)])


def test_a_batch_norm_called_twice_moves_twice() -> None:
    a, b = (np.random.default_rng(i).normal(i, 1, (6, 3)).astype(np.float32) for i in (1, 2))

    def with_torch(torch: Any) -> Any:
        norm = torch.nn.BatchNorm1d(3, momentum=None)
        norm(torch.tensor(a)), norm(torch.tensor(b))
        return list(norm.state_dict().values())

    expected = torch_case("twice", with_torch)
    norm = nn.BatchNorm1d(3, momentum=None)
    one, two = norm(a), norm(b)
    with gc.Session() as sess:
        sess.run([two, one])
        for value, wanted in zip(norm.state_dict(sess).values(), expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)


def test_wrong_updates() -> None:
    x, total = gc.asarray(1.0), gc.variable(1.0, name="total")
    with pytest.raises(GraphError, match="is no variable"):
        gc.with_update(x, x, lambda t: t)
    with pytest.raises(GraphError, match="2 values for 1 variables"):
        gc.with_update(x, total, lambda t: (t, t))
    with pytest.raises(GraphcError, match="does not broadcast"):
        gc.with_update(x, total, lambda t: gc.zeros((3,)))


def test_no_update_rides_along_inside_a_loop() -> None:
    total = gc.variable(0.0, name="total")
    with pytest.raises(GraphError, match="a variable is assigned inside"):
        gc.scan(
            lambda c, x: (gc.with_update(c + x, total, lambda t: t + 1.0), x), 0.0, gc.zeros((3,))
        )


class Counted(nn.Module):
    """Counts its calls in a way that `keep` chooses."""

    def __init__(self, keep: str) -> None:
        self.keep = keep
        self.register_buffer("calls", gc.zeros(()))

    def forward(self, x: Any) -> Any:
        if self.keep == "with_update":
            return gc.with_update(x, self.calls, lambda calls: calls + 1.0)
        made = self.calls.assign_add(1.0)
        if self.keep == "attribute":
            self.made = made
        return (x, made) if self.keep == "result" else x


def test_an_assign_that_forward_drops_is_refused_at_its_line() -> None:
    x = gc.placeholder(gc.float32, [2], name="x")
    with pytest.raises(GraphError, match=r"assigns to '.*calls' and drops the result") as caught:
        nn.Sequential(Counted("nothing"))(x)
    assert caught.value.location is not None
    assert "self.calls.assign_add(1.0)" in caught.value.location.text
    for keep in ("with_update", "attribute", "result"):
        net = Counted(keep)
        made = net(x)
        with gc.Session() as sess:
            sess.run(made, {x: np.ones(2, np.float32)})
            assert net.state_dict(sess)["calls"] == (keep != "attribute")


def test_an_outer_forward_may_not_drop_what_an_inner_one_gave_it() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            self.inner = Counted("result")

        def forward(self, x: Any) -> Any:
            return self.inner(x)[0]

    with pytest.raises(GraphError, match=r"Outer: forward assigns to 'inner\.calls' and drops"):
        Outer()(gc.zeros((2,)))
