"""Names and keywords of other libraries: each is answered with graphc's, and the answers hold."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ArgumentError, GraphcError, MissingNameError
from graphc.frontend.foreign_names import KEYWORDS, NAMES, OF_TENSORS, WITHOUT
from graphc.frontend.missing import NAMESPACES

ANSWERS = sorted({*NAMES.values(), *OF_TENSORS.values(), *WITHOUT.values()})


def calls(answer: str) -> Iterator[str]:
    """The calls of graphc's functions in an answer: from `gc.` to the bracket that closes it."""
    for start in re.finditer(r"\bgc\.[\w.]+\(", answer):
        depth, at = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(answer[at], 0)
            at += 1
        yield answer[start.start() : at]


def called(name: str) -> object:
    """What a name like `gc.nn.Linear` is."""
    found: object = gc
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_exists(answer: str) -> None:
    for name in re.findall(r"\bgc(?:\.\w+)+", answer):
        assert called(name) is not None
    for call in calls(answer):
        made = ast.parse(call.replace("(...)", "()"), mode="eval").body
        assert isinstance(made, ast.Call)
        function = called(ast.unparse(made.func))
        assert callable(function)
        keywords = {str(k.arg): None for k in made.keywords}
        inspect.signature(function).bind(*made.args, **keywords)


def test_what_is_there_needs_no_answer() -> None:
    assert not NAMES.keys() & set(dir(gc))
    assert not OF_TENSORS.keys() & set(dir(gc.Tensor))


def test_every_keyword_stands_for_one_of_ours() -> None:
    spaces = [importlib.import_module(name) for name in NAMESPACES]
    public = [getattr(space, name) for space in spaces for name in dir(space)]
    taken = {"feed_dict"}
    for thing in public:
        if callable(thing) and not isinstance(thing, gc.DType):
            taken |= inspect.signature(thing).parameters.keys()
    for keyword, ours in KEYWORDS.items():
        assert set(ours) <= taken, keyword


x = gc.placeholder(gc.float32, ["n", 3], name="x")
weight = gc.variable(gc.ones((3,)), name="weight")
F = gc.nn.functional


@pytest.mark.parametrize(
    "wrong, answer",
    [
        (lambda: gc.reduce_mean(x), "graphc has no reduce_mean; use gc.mean(x, axis)"),
        (lambda: gc.cat([x, x]), "graphc has no cat; use gc.concat(arrays, axis)"),
        (lambda: gc.clamp(x, 0, 1), "graphc has no clamp; use gc.clip(x, min, max)"),
        (lambda: gc.concatenate([x]), "use gc.concat(arrays, axis)"),
        (lambda: gc.power(x, 2), "use gc.pow(x1, x2), or x1 ** x2"),
        (lambda: gc.arctan2(x, x), "use gc.atan2(x1, x2)"),
        (lambda: gc.relu(x), "use gc.nn.functional.relu(input, inplace=False)"),
        (lambda: gc.svd(x), "use gc.linalg.svd(x, full_matrices=False)"),
        (lambda: gc.Placeholder(), "graphc has no Placeholder; use gc.placeholder"),
        (lambda: gc.plaecholder(), "use gc.placeholder"),
        (lambda: gc.gobbledygook, "dir(gc) lists what there is"),
        (lambda: gc.nn.Conv2D(1, 2, 3), "graphc.nn has no Conv2D; use gc.nn.Conv2d("),
        (lambda: gc.nn.relu(x), "graphc.nn has no relu; use gc.nn.functional.relu("),
        (lambda: F.sofmax(x), "use gc.nn.functional.softmax"),
        (lambda: gc.optim.AdamOptimizer(0.1), "use gc.optim.Adam(lr)"),
        (lambda: gc.random.randn(3), "use gc.random.normal(shape)"),
        (lambda: gc.init.he_norml((3,)), "use gc.init.he_normal"),
        (lambda: x.sum(), "a tensor has no sum; use gc.sum(x, axis=None, dtype=None, keepdims=F"),
        (lambda: x.mean(), "a tensor has no mean; use gc.mean(x, axis=None, keepdims=False)"),
        (lambda: x.reshape(3), "use gc.reshape(x, shape)"),
        (lambda: x.clamp(0, 1), "use gc.clip(x, min, max)"),
        (lambda: x.relu(), "use gc.nn.functional.relu("),
        (lambda: x.backward(), "use gc.gradients(loss, variables), or minimize(loss) of an opt"),
        (lambda: x.gobbledygook, "a tensor has shape, dtype, ndim, T"),
    ],
)
def test_a_foreign_name_is_answered(wrong: Callable[[], object], answer: str) -> None:
    with pytest.raises(MissingNameError, match=re.escape(answer)) as caught:
        wrong()
    assert isinstance(caught.value, AttributeError) and isinstance(caught.value, GraphcError)
    assert "test_foreign_names.py" in str(caught.value)  # the user's line


@pytest.mark.parametrize(
    "wrong, answer",
    [
        (lambda: gc.mean(x, dim=0), "mean: there is no argument dim; use axis.  The call is mean("),
        (lambda: gc.mean(x, axis=0, keepdim=True), "use keepdims"),
        (lambda: gc.concat(tensors=[x]), "concat: there is no argument tensors; use arrays"),
        (lambda: gc.random.normal(size=(3,)), "random.normal: there is no argument size; use shap"),
        (lambda: gc.zeros((2,), device="cuda:0"), "write the call inside `with gc.device(name):`"),
        (lambda: gc.placeholder(gc.float32, shap=[1]), "there is no argument shap; use shape"),
        (lambda: gc.exp(x, base=2), "there are x.  The call is exp(x)"),
        (lambda: F.softmax(x, axis=1), "softmax: there is no argument axis; use dim"),
        (lambda: gc.nn.Linear(3, 4, use_bias=False), "Linear: there is no argument use_bias; use "),
        (lambda: gc.nn.Dropout(rate=0.5), "Dropout: there is no argument rate; use p"),
        (lambda: gc.nn.Softmax(axis=1), "Softmax: there is no argument axis; use dim"),
        (lambda: gc.optim.Adam(learning_rate=0.1), "Adam: there is no argument learning_rate; use"),
        (lambda: gc.Session(thread=2), "Session: there is no argument thread; use threads"),
        (lambda: gc.Variable(3.0), "gc.variable(initial) makes one"),
        (lambda: gc.Variable(initial_value=3.0), "gc.variable(initial) makes one"),
        (lambda: np.sum(x), "numpy.sum takes no tensor; use gc.sum("),
        (lambda: np.concatenate([x, x]), "numpy.concatenate takes no tensor; use gc.concat("),
        (lambda: f"{x:.3f}", "has no value before a run, so '.3f' cannot format it"),
        (lambda: float(x), "has no value before a run"),
    ],
)
def test_a_foreign_call_is_answered(wrong: Callable[[], object], answer: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(answer)) as caught:
        wrong()
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, GraphcError)
    assert "test_foreign_names.py" in str(caught.value)


def test_what_worked_still_works() -> None:
    assert f"{x}" == str(x) and np.shape(x) == x.shape and np.ndim(x) == 2
    assert copy.copy(weight) is not None and copy.deepcopy(weight) is weight
    with x.graph.as_default():
        assert (np.ones(3, np.float32) + x).shape == x.shape
    for name in ("_repr_html_", "__array_interface__", "__wrapped__"):
        assert not hasattr(x, name) and not hasattr(gc, name) and not hasattr(gc.random, name)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        gc.mean()  # type: ignore[call-arg]
    with pytest.raises(ImportError, match="cannot import name"):
        exec("from graphc import gobbledygook")


def test_the_table_is_loaded_when_it_is_needed() -> None:
    probe = (
        "import sys, graphc as gc, graphc.nn, graphc.optim, graphc.session.session\n"
        "assert 'graphc.frontend.missing' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)
