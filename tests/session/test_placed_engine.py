"""Sessions over several devices, simulated: what is where, what crosses, and that a run stays a
transaction."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.config import Options
from graphc.errors import DeviceError, FeedError, GraphcError, SessionError
from graphc.ir.machine import PRESETS, DeviceSpec
from graphc.runtime.cuda import family
from graphc.runtime.cuda.simulated import SimulatedDevice
from graphc.runtime.device.array import DeviceArray
from graphc.runtime.device.plan import DevicePlan
from graphc.runtime.device.protocol import MemorySpan
from graphc.runtime.devices import Home

pytest.importorskip("greenlet", reason="threads that meet are simulated by greenlets")

F32 = np.float32
SIM = "cuda:sim"


@pytest.fixture(autouse=True)
def own_graph() -> Iterator[None]:
    with gc.Graph().as_default():
        yield


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """What is copied: the device, the direction, the bytes."""
    found: list[tuple[str, str, int]] = []
    plain = SimulatedDevice.copy

    def noted(self: SimulatedDevice, target: Any, source: Any) -> None:
        kinds = ["device" if isinstance(x, MemorySpan) else "host" for x in (source, target)]
        moved = target if isinstance(target, MemorySpan) else source
        found.append((self.name, " to ".join(kinds), getattr(moved, "nbytes", 0)))
        plain(self, target, source)

    monkeypatch.setattr(SimulatedDevice, "copy", noted)
    return found


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(F32)


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ---- values that cross ----


@pytest.mark.parametrize("n", [0, 1, 7])
def test_one_device(n: int) -> None:
    x = gc.placeholder(gc.float32, [None, 5])
    y = gc.sum(gc.exp(x), axis=1)
    with gc.Session(device=SIM) as sess:
        close(sess.run(y, {x: data(n, 5)}), np.exp(data(n, 5)).sum(1))


def test_one_plan_for_each_batch_size_while_the_arena_grows() -> None:
    x = gc.placeholder(gc.float32, [None, 9])
    y = gc.nn.functional.softmax(x @ np.eye(9, dtype=F32) + 1.0) @ np.ones((9, 3), F32)
    with gc.Session(device=SIM) as sess:
        for n in (1, 7, 0, 40, 7, 1, 40):
            close(sess.run(y, {x: data(n, 9, seed=n)}), np.ones((n, 3)))
        assert sess.stats.runs == 7


def test_pins_mix_devices() -> None:
    x = gc.placeholder(gc.float32, [None, 4])
    with gc.device(SIM):
        a = gc.exp(x)
    with gc.device("cpu:0"):
        b = a + 1.0
    with gc.device("cuda:sim:1"):
        c = b * a
    with gc.device(SIM):
        d = c - b
    with gc.Session() as sess:
        e = np.exp(data(3, 4))
        for got, wanted in zip(
            sess.run([a, b, c, d], {x: data(3, 4)}),
            [e, e + 1, (e + 1) * e, (e + 1) * e - e - 1],
            strict=True,
        ):
            close(got, wanted)


def test_a_value_that_two_devices_read_is_made_once(copies: list[Any]) -> None:
    x = gc.placeholder(gc.float32, [6])
    with gc.device(SIM):
        a = gc.exp(x)
    with gc.device("cpu:0"):
        b = gc.tanh(a)
    with gc.device("cuda:sim:1"):
        c = gc.sin(a)
    with gc.Session() as sess:
        got = sess.run([b, c], {x: data(6)})
        copies.clear()
        got = sess.run([b, c], {x: data(6)})
    e = np.exp(data(6))
    close(got[0], np.tanh(e))
    close(got[1], np.sin(e))
    assert copies.count((SIM, "device to host", 24)) == 1


def test_a_symbolic_size_told_by_an_input_of_another_device() -> None:
    x = gc.placeholder(gc.float32, ["n", 3])
    with gc.device("cpu:0"):
        a = gc.sum(x, axis=0)
    with gc.device(SIM):
        b = x * 0.0 + a
    with gc.Session() as sess:
        for n in (0, 1, 5):
            close(sess.run(b, {x: data(n, 3)}), np.tile(data(n, 3).sum(0), (n, 1)))


def test_fetching_inputs_constants_and_one_thing_twice() -> None:
    x = gc.placeholder(gc.float32, [3])
    w = gc.variable(np.arange(3, dtype=F32), name="w")
    c = gc.asarray(np.array([1, 2, 3], F32))
    y = gc.exp(x)
    with gc.Session(device=SIM) as sess:
        got = sess.run([x, x, w, c, y, y, gc.reshape(w, [3, 1])], {x: data(3)})
        for value, wanted in zip(
            got,
            [
                data(3),
                data(3),
                [0, 1, 2],
                [1, 2, 3],
                np.exp(data(3)),
                np.exp(data(3)),
                [[0], [1], [2]],
            ],
            strict=True,
        ):
            close(value, wanted)
        for i, a in enumerate(got):
            a[...] = -1
            assert all(np.all(b != -1) for b in got[i + 1 :]), "results share memory"
        close(sess.run(w), [0, 1, 2])


def test_callables() -> None:
    x = gc.placeholder(gc.float32, [None])
    y = gc.placeholder(gc.float32, [])
    with gc.Session(device=SIM) as sess:
        f = sess.make_callable({"z": x * y}, [y, x])
        for n in (0, 1, 7):
            close(f(F32(2), data(n))["z"], data(n) * 2)
        with pytest.raises(FeedError):
            f(data(3))


def test_random_numbers_are_the_same_everywhere() -> None:
    """semantics 19.3"""
    u, g = gc.random.uniform([5]), gc.random.normal([5])
    drawn = []
    for device in (None, SIM):
        with gc.Session(device=device, seed=3) as sess:
            drawn.append([sess.run([u, g]) for _ in range(3)])
    for host, there in zip(*drawn, strict=True):
        np.testing.assert_array_equal(host[0], there[0])
        close(host[1], there[1])


def test_views_that_move_to_another_gpu() -> None:
    """They are made where their operand is, and still read where they were meant to be."""
    x = gc.placeholder(gc.float32, [4, 3])
    with gc.device(SIM):
        a = gc.exp(x)
    turned = gc.reshape(a, [3, 4])
    with gc.device("cpu:0"):
        c = gc.sum(a)
    with gc.device("cuda:sim:1"):
        b = turned * c
    with gc.Session(device="cuda:sim:1") as sess:
        e = np.exp(data(4, 3))
        for _ in range(2):
            close(sess.run(b, {x: data(4, 3)}), e.reshape(3, 4) * e.sum(), 1e-4)
            for on_device in (False, True):
                got = np.asarray(sess.run(turned, {x: data(4, 3)}, on_device=on_device))
                close(got, np.exp(data(4, 3)).reshape(3, 4))


# ---- what a GPU cannot run ----


def in_the_middle() -> dict[str, Any]:
    """Ops for the host only, between two for any device."""
    x = gc.placeholder(gc.float32, [4], name="x")
    a = x * 2.0

    def twice(v: Any) -> Any:
        return v * 2

    return {
        "x": x,
        "argsort": gc.argsort(a) + 1,
        "py_func": gc.py_func(twice, a, a.type) + 1.0,
        "cond": gc.cond(gc.sum(a) > 0.0, lambda: a + 5.0, lambda: a - 5.0) * 3.0,
        "while": gc.while_loop(lambda i: gc.sum(i) < 100.0, lambda i: i * 2.0, [gc.abs(a)])[0]
        + 1.0,
    }


@pytest.mark.parametrize("name", ["argsort", "py_func", "cond", "while"])
def test_what_only_the_host_can_do(name: str) -> None:
    """semantics 19.5"""
    made = in_the_middle()
    x, y = made["x"], made[name]
    fed = {x: data(4) + 1}
    with gc.Session() as sess:
        wanted = sess.run(y, fed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with gc.Session(device=SIM) as sess:
            for _ in range(2):
                close(sess.run(y, fed), wanted)
    assert len(caught) == 1 and "placed on cpu:0" in str(caught[0].message)
    assert caught[0].filename == __file__
    with gc.Session(device=SIM, strict=True) as sess, pytest.raises(DeviceError) as error:
        sess.run(y, fed)
    assert error.value.location is not None and error.value.location.file == __file__


# ---- variables ----


def test_variables_stay_on_their_device(copies: list[Any]) -> None:
    w = gc.variable(data(7), name="w")
    x = gc.placeholder(gc.float32, [7])
    step = gc.group(w.assign(w - x * 0.5))
    with gc.Session(device=SIM) as sess:
        sess.run(step, {x: data(7, seed=1)})
        copies.clear()
        for _ in range(3):
            sess.run(step, {x: data(7, seed=1)})
        assert copies == [(SIM, "host to device", 28)] * 3
        close(sess.value(w), data(7) - 2 * data(7, seed=1))
        sess.load(w, np.zeros(7))
        sess.run(step, {x: np.ones(7)})
        close(sess.value(w), np.full(7, -0.5))


def test_a_variable_of_two_signatures() -> None:
    w = gc.variable(np.ones(3, F32), name="w")
    with gc.device(SIM):
        there = w.assign(w * 2.0)
    with gc.device("cpu:0"):
        here = w.assign(w + 1.0)
    with gc.Session() as sess:
        for step, wanted in [(here, 2), (there, 4), (here, 5), (there, 10), (here, 11)]:
            close(sess.run(step), np.full(3, wanted))
            close(sess.value(w), np.full(3, wanted))


def test_a_variable_that_moves_after_it_was_used_on_the_host() -> None:
    w = gc.variable(np.ones(3, F32), name="w")
    add = w.assign_add(np.ones(3, F32))
    with gc.device(SIM):
        read = w * 10.0
    with gc.Session() as sess:
        sess.run(add)
        close(sess.run(read), np.full(3, 20))
        sess.run(add)
        close(sess.run([read, w]), np.array([np.full(3, 30), np.full(3, 3)]))
        sess.load(w, np.zeros(3))
        sess.run(add)
        close(sess.value(w), np.ones(3))


@pytest.mark.parametrize("used_before", [False, True], ids=["fresh runner", "older runner"])
def test_results_stay_on_the_device_that_a_variable_moved_to(
    used_before: bool, copies: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the signature was run on the host before makes no difference, nor for what is fed."""
    slow = DeviceSpec("cpu", like="CPU", launch="1 ms")  # it pays to compute where w is
    monkeypatch.setitem(PRESETS, "CPU", slow)
    w = gc.variable(np.ones(5, F32), name="w")
    x = gc.placeholder(gc.float32, [5], name="x")
    y = w * x
    with gc.device(SIM):
        step = w.assign_add(np.ones(5, F32))
    with gc.Session() as sess:
        if used_before:
            assert isinstance(sess.run(y, {x: np.ones(5, F32)}, on_device=True), np.ndarray)
        sess.run(step)
        fed = sess.run(w * 3.0, on_device=True)
        copies.clear()
        got = sess.run(y, {x: fed}, on_device=True)
        assert isinstance(got, DeviceArray) and got.device.name == SIM
        assert "device to host" not in {way for _, way, _ in copies}
        close(got.numpy(), np.full(5, 12))


def test_a_swap_and_what_is_read_before() -> None:
    a, b = gc.variable(np.ones(3, F32), name="a"), gc.variable(np.full(3, 2, F32), name="b")
    swap = gc.group(a.assign(b), b.assign(a))
    with gc.Session(device=SIM) as sess:
        got = sess.run([swap, a, gc.reshape(b, [3, 1]), a + b])
        close(got[1], np.ones(3))
        close(got[2], np.full((3, 1), 2))
        close(got[3], np.full(3, 3))
        close(sess.value(a), np.full(3, 2))
        close(sess.value(b), np.ones(3))


def test_a_swap_across_devices() -> None:
    with gc.device(SIM):
        a = gc.variable(np.ones(3, F32), name="a")
    with gc.device("cuda:sim:1"):
        b = gc.variable(np.full(3, 2, F32), name="b")
    swap = gc.group(a.assign(b), b.assign(a))
    with gc.Session() as sess:
        for wanted in (2, 1, 2):
            sess.run(swap)
            close(sess.value(a), np.full(3, wanted))
            close(sess.value(b), np.full(3, 3 - wanted))


@pytest.mark.parametrize("deferred", [False, True], ids=["own updates", "deferred updates"])
def test_ctrl_c_between_two_updates_waits_for_both(
    deferred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """semantics 10.2: a run happens whole or not at all."""
    with gc.device(SIM):
        a = gc.variable(np.ones(3, F32), name="a")
        first = a.assign(a + 1.0)
    with gc.device("cuda:sim:1"):
        b = gc.variable(np.full(3, 2, F32), name="b")
        second = b.assign(b + 1.0)
    step = gc.group(a.assign(b), b.assign(a)) if deferred else gc.group(first, second)
    where, name = (Home, "keep") if deferred else (DevicePlan, "run")
    plain, struck = getattr(where, name), list[str]()

    def strike(self: Any, *given: Any) -> Any:
        made = plain(self, *given)
        struck.append(name)
        signal.raise_signal(signal.SIGINT)
        return made

    with gc.Session() as sess:
        sess.run(step)
        before = sess.value(a)[0], sess.value(b)[0]
        with monkeypatch.context() as patch:
            patch.setattr(where, name, strike)
            with pytest.raises(KeyboardInterrupt):
                sess.run(step)
        assert len(struck) == 2 and sess.stats.runs == 2
        after = (before[1], before[0]) if deferred else (before[0] + 1, before[1] + 1)
        assert (sess.value(a)[0], sess.value(b)[0]) == after
        sess.run(step)


def test_ctrl_c_before_the_first_update_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gc.placeholder(gc.float32, [3], name="x")
    with gc.device("cuda:sim:1"):
        sent = x * 2.0
    with gc.device(SIM):
        a = gc.variable(np.ones(3, F32), name="a")
        step = a.assign(a + sent)
    plain = DevicePlan.run

    def strike(self: Any, *given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return plain(self, *given)

    with gc.Session() as sess:
        sess.run(step, {x: np.ones(3, F32)})
        with monkeypatch.context() as patch:
            patch.setattr(DevicePlan, "run", strike)
            with pytest.raises(KeyboardInterrupt):
                sess.run(step, {x: np.ones(3, F32)})
        assert sess.stats.runs == 1
        close(sess.value(a), np.full(3, 3))


def test_a_run_that_fails_later_changes_nothing() -> None:
    """semantics 19.4"""
    i = gc.placeholder(gc.int64, [2])
    with gc.device(SIM):
        a = gc.variable(np.ones(3, F32), name="a")
        first = a.assign(a + 1.0)
    with gc.device("cpu:0"):
        b = gc.variable(np.ones(3, F32), name="b")
        second = b.assign(b + gc.sum(first))
    with gc.device("cuda:sim:1"):
        c = gc.variable(np.ones(3, F32), name="c")
        third = c.assign(c + gc.sum(gc.take(second, i, axis=0)))
    with gc.Session() as sess:
        step = gc.group(first, second, third)
        with pytest.raises(GraphcError, match="index 3 is out of range for a size of 3"):
            sess.run(step, {i: [0, 3]})
        for v in (a, b, c):
            close(sess.value(v), np.ones(3))
        sess.run(step, {i: [0, 2]})
        close(sess.value(a), np.full(3, 2))
        close(sess.value(b), np.full(3, 7))
        close(sess.value(c), np.full(3, 15))


def test_a_function_that_raises_later_changes_nothing() -> None:
    with gc.device(SIM):
        a = gc.variable(np.ones(3, F32), name="a")
        first = a.assign(a + 1.0)

    def refuse(v: Any) -> Any:
        raise ValueError("no")

    with gc.device("cpu:0"):
        late = gc.py_func(refuse, first, first.type)
    with gc.Session() as sess:
        with pytest.raises(Exception, match="no"):
            sess.run([first, late])
        close(sess.value(a), np.ones(3))


def test_states_of_modules_move_and_come_back(tmp_path: Any) -> None:
    x = gc.placeholder(gc.float32, [None, 4])
    model = gc.nn.Linear(4, 2)
    loss = gc.mean(model(x) ** 2.0)
    train = gc.optim.SGD(0.1).minimize(loss)
    with gc.Session(device=SIM) as sess:
        for _ in range(2):
            sess.run(train, {x: data(3, 4)})
        state = model.state_dict(sess)
        wanted = sess.run(loss, {x: data(3, 4)})
    with gc.Session() as sess:
        model.load_state_dict(sess, state)
        close(sess.run(loss, {x: data(3, 4)}), wanted)
    with gc.Session(device=SIM) as sess:
        sess.run(train, {x: data(3, 4)})
        model.load_state_dict(sess, state)
        close(sess.run(loss, {x: data(3, 4)}), wanted)


# ---- sessions ----


def test_close_and_reopen() -> None:
    w = gc.variable(np.ones(3, F32), name="w")
    add = w.assign_add(np.ones(3, F32))
    sess = gc.Session(device=SIM)
    sess.run(add)
    sess.close()
    with pytest.raises(SessionError):
        sess.run(add)
    assert not sess.devices.homes
    with gc.Session(device=SIM) as other:
        close(other.run(add), np.full(3, 2))


def test_sessions_are_apart() -> None:
    w = gc.variable(np.ones(3, F32), name="w")
    add = w.assign_add(np.ones(3, F32))
    with gc.Session(device=SIM) as one, gc.Session(device=SIM) as two:
        one.run(add)
        one.run(add)
        two.run(add)
        close(one.value(w), np.full(3, 3))
        close(two.value(w), np.full(3, 2))


def test_threads_share_a_session() -> None:
    w = gc.variable(np.zeros(3, F32), name="w")
    x = gc.placeholder(gc.float32, [None])
    step, read = gc.group(w.assign_add(np.ones(3, F32))), x * 2.0
    wrong: list[Any] = []
    with gc.Session(device=SIM) as sess:

        def work(n: int) -> None:
            for _ in range(4):
                sess.run(step)
                got = sess.run(read, {x: np.ones(n, F32)})
                if got.tolist() != [2] * n:
                    wrong.append(got)

        threads = [threading.Thread(target=work, args=(n,)) for n in (3, 40)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not wrong
        close(sess.value(w), np.full(3, 8))


def test_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "SimulatedDevice", lambda name: SimulatedDevice(name, memory=4096))
    x = gc.placeholder(gc.float32, [None])
    w = gc.variable(np.ones((), F32), name="w")
    y, step = gc.exp(x) + 1.0, w.assign_add(gc.sum(x))
    with gc.Session(device=SIM) as sess:
        close(sess.run(y, {x: data(20)}), np.exp(data(20)) + 1)
        with pytest.raises(DeviceError, match=r"cuda:sim: out of memory: .* smaller batches"):
            sess.run([y, step], {x: data(5000)})
        close(sess.value(w), 1)
        close(sess.run(y, {x: data(20)}), np.exp(data(20)) + 1)


def test_unknown_devices() -> None:
    with pytest.raises(DeviceError, match="there is no device 'gpu'"):
        gc.Session(device="gpu")
    x = gc.placeholder(gc.float32, [3])
    with gc.Session(device="cuda:0") as sess, pytest.raises(DeviceError, match=r"cuda|CUDA"):
        sess.run(x * 2.0, {x: data(3)})
    spec = gc.DeviceSpec("tpu:0", memory="8 GB", like="H100")
    with gc.Session(devices=[spec]) as sess, pytest.raises(DeviceError, match="for planning only"):
        sess.run(x * 2.0, {x: data(3)})


def test_the_host_needs_nothing_of_it() -> None:
    code = (
        "import sys, numpy as np, graphc as gc\n"
        "x = gc.placeholder(gc.float32, [3])\n"
        "with gc.Session() as sess: sess.run(x * 2.0, {x: np.ones(3, np.float32)})\n"
        "wrong = [m for m in sys.modules if m.startswith(('numba.cuda', 'numba_cuda', 'cuda.',\n"
        "         'greenlet', 'nvmath'))]\n"
        "assert not wrong, wrong\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_fast_math_multiplies_once() -> None:
    """As tf32, of which a product keeps ten bits; by default f32 stays f32."""
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((8, 40), (40, 8)))
    with gc.Graph().as_default() as graph:
        x, y = gc.placeholder(gc.float32, [None, 40]), gc.placeholder(gc.float32, [40, 8])
        product = x @ y
    exact, worst = a.astype(np.float64) @ b.astype(np.float64), []
    for fast in (False, True):
        with gc.Session(graph, device="cuda:sim", options=Options(fast_math=fast)) as sess:
            worst.append(np.abs(sess.run(product, {x: a, y: b}) - exact).max())
    assert worst[0] < 1e-5 and 1e-4 < worst[1] < 1e-1


@pytest.mark.parametrize("options", [{"devices": ["cpu:0"]}, {"device": "cpu:1"}, {}], ids=str)
def test_other_names_of_the_host(options: Any) -> None:
    """A session whose devices are all the host has no arena on any of them."""
    w = gc.variable(np.ones((3, 2), F32), name="w")
    x = gc.placeholder(gc.float32, ["n", 3])
    with gc.device("cpu:1"):
        h = x @ w
    loss = gc.sum(h * h)
    step = gc.optim.SGD(0.25).minimize(loss)
    twice = gc.cond(loss > 0.0, lambda: h * 2.0, lambda: h)
    with gc.Session(**options) as sess:
        got = sess.run([loss, twice, step], {x: np.ones((2, 3), F32)})
        close(got[0], 36.0)
        close(got[1], np.full((2, 2), 6))
        close(sess.value(w), np.full((3, 2), -2))
