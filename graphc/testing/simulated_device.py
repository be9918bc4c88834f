"""Checks of an op on a GPU that is simulated: `cuda:sim` runs the kernels of a GPU as Python."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphc.config import Options
from graphc.frontend.declare import placeholder
from graphc.frontend.scope import GraphScope
from graphc.frontend.tensor import build
from graphc.ir.graph import Graph
from graphc.ir.interpret import interpret
from graphc.ir.op import Op, Opaque, Sample
from graphc.session.session import Session
from graphc.testing.faults import judging
from graphc.testing.machine_code import DISABLED_PASSES, MAX_PURE_ELEMENTS, agree
from graphc.testing.samples import graph_of_op, make_op, one_op_graph, sample_inputs, special_case

SIMULATED = "cuda:sim"


def check_on_device(op_cls: type[Op], samples: Sequence[Sample]) -> None:
    """A GPU gives what the reference gives, on special values too.  Kernels by hand are for CPUs;
    what else the device cannot do runs on the host, as it does for users."""
    if issubclass(op_cls, Opaque):
        return
    for sample in samples:
        for graph, arrays in _cases(op_cls, sample):
            with judging(op_cls, sample, SIMULATED):
                with np.errstate(all="ignore"):
                    (wanted,) = interpret(graph, *arrays)
                if wanted.size > MAX_PURE_ELEMENTS:
                    continue
                got = _on_device(graph, arrays)
            agree(op_cls, sample, SIMULATED, graph, arrays, wanted, got)


def _cases(op_cls: type[Op], sample: Sample) -> Iterator[tuple[Graph, list[Any]]]:
    yield one_op_graph(op_cls, sample), sample_inputs(op_cls, sample)
    if sample.special:
        graph, arrays = special_case(op_cls, sample)
        some = [a[:MAX_PURE_ELEMENTS] if a.ndim == 1 else a for a in arrays]
        types = [v.type.with_shape(a.shape) for v, a in zip(graph.inputs, some, strict=True)]
        yield graph_of_op(make_op(op_cls, sample), types), some


def _on_device(graph: Graph, arrays: Sequence[Any]) -> Any:
    """The result of a one-op graph on the device."""
    (out,) = graph.outputs
    options = Options(disable=DISABLED_PASSES, progress=False, device=SIMULATED)
    with GraphScope().as_default() as scope, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of what does not run on the device
        inputs = tuple(placeholder(v.type.dtype, v.type.shape) for v in graph.inputs)
        result = build(out.op, inputs)
        with Session(scope, options=options) as session:
            return session.run(result, dict(zip(inputs, arrays, strict=True)))
