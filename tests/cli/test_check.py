"""`graphc check`: a right model passes, and each planted fault ends it with a line of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import DECLARED, GRAPH, Capture, graphc, written

from graphc.ir.op import OPS

OWN = """\
import numpy as np
import graphc as gc
from graphc.extend import Pointwise, Opaque, Size, sample

class Softsign(Pointwise):
    arity, accepts, exact = 1, (gc.float32,), False
    spelling = "({0} / (f32(1.0) + abs({0})))"

    def reference(self, x):
        return x / (1 + np.abs(x))

    def vjp(self, ct, out, x):
        below = 1.0 + gc.abs(x)
        return (ct / (below * below),)

@gc.op
def shifted(x, a):
    return gc.maximum(x, 0.0) + a

x = gc.placeholder(gc.float32, ["n", 4], name="x")
w = gc.variable(gc.random.normal((4, 3)), name="w")
loss = gc.mean(Softsign()(shifted(x @ w, 0.5)))
train = gc.optim.SGD(0.1).minimize(loss)
"""
RUNNING = (
    OWN
    + """
def keep(graph):
    return graph

with gc.Session(passes=[keep]) as sess:
    for n in (2, 3):
        sess.run([loss, train], {x: np.ones((n, 4), np.float32)})
"""
)


@pytest.fixture(autouse=True)
def own_ops() -> Iterator[None]:
    """The ops that a model file declares are gone after it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


def test_a_right_model(tmp_path: Path, capsys: Capture) -> None:
    for text in (OWN, RUNNING):
        code, out, err = graphc(capsys, "check", written(tmp_path / "model.py", text))
        assert (code, err) == (0, "")
        assert out.splitlines() == [
            "op shifted: is what it declares, by graphc.testing.check_op, on f32[7];f32[7]; "
            "f32[0];f32[0]",
            "op softsign: is what it declares, by graphc.testing.check_op, on f32[3,3]",
            "graph of %divide, %w <-: 7 passes keep its meaning",
            "graph of %divide, %w <-: machine code on one thread and two is as the oracle, with "
            "n=1; n=2; n=5; n=0",
        ]


def test_a_graph_as_text_and_indices(tmp_path: Path, capsys: Capture) -> None:
    code, out, _ = graphc(capsys, "check", written(tmp_path / "f.gir", GRAPH))
    assert code == 0 and "7 passes keep its meaning" in out and "is as the oracle" in out
    code, out, _ = graphc(capsys, "check", written(tmp_path / "model.py", DECLARED))
    assert code == 0 and out.count("is as the oracle, with n=1; n=2; n=5") == 1


FAULTS = {
    "a gradient": ("(below * below)", "below", "Softsign, on f32[3,3]: gradient: by operand 0"),
    "a reference": ("1 + np.abs(x)", "2 + np.abs(x)", "Softsign, on f32[3,3]: "),
    "a kernel": ("f32(1.0) + abs", "f32(2.0) + abs", "Softsign, on f32[3,3]: compiled: result 0"),
    "a pass": ("return graph", "return wrong(graph)", "pass `keep` changed the meaning"),
    "a class": ("arity, accepts", "numbers, accepts", "class Softsign: "),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_ends_it(what: str, tmp_path: Path, capsys: Capture) -> None:
    right, wrong, message = FAULTS[what]
    text = RUNNING.replace(right, wrong).replace(
        "def keep",
        """from graphc.extend import make, ops, rebuild

def wrong(graph):
    change = lambda v: v if v.op.name != "softsign" else make(ops.Negative(), v.args, v.name)
    return rebuild(graph, change)

def keep""",
    )
    cache = tmp_path / "cache"
    model = written(tmp_path / "model.py", text)
    code, _, err = graphc(capsys, "check", model, "--cache", cache)
    assert code == 1 and err.startswith("graphc check: ") and message in err, err
