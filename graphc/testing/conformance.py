"""The judge of ops: whether an op is what it declares, on every sample.

A check is a function of an op's class and a sample that raises `ConformanceError`; `check_op` makes
all of them.  graphc's own ops are judged by the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError, user_location
from graphc.ir.op import Op, Sample
from graphc.testing.differences import check_gradient, check_second_gradient
from graphc.testing.faults import pointing_at
from graphc.testing.machine_code import check_compiled, check_indices
from graphc.testing.meaning import check_sizes, check_special_values, check_text, check_type
from graphc.testing.samples import check_samples, in_other_types, op_class
from graphc.testing.simulated_device import check_on_device

Check = Callable[[type[Op], Sample], None]
CHECKS: tuple[Check, ...] = (
    check_type,
    check_text,
    check_special_values,
    check_sizes,
    check_gradient,
    check_second_gradient,
    check_indices,
)


def check_op(op: Any, samples: Sequence[Sample] = ()) -> None:
    """Judges an op: a subclass of `graphc.extend.Op`, or a function made by `gc.op` or `gc.kernel`.

    On each of `samples` (default: those of the class) it compares the type rule with the reference,
    the graph with its text, symbolic and odd sizes with known ones, the first and second gradient
    with finite differences, and kernels with the reference, as Python and as machine code on one
    thread and two, in every element type that the op accepts, and on a simulated GPU.  Raises
    `ConformanceError`, which names the op, the sample, what was expected and what came; and
    `GraphError` if `op` is no op or has no samples.

    >>> import graphc as gc
    >>> from graphc.testing import check_op
    >>> @gc.op
    ... def shifted_square(x, a):
    ...     return x * x + a
    >>> check_op(shifted_square)
    """
    op_cls = op_class(op)
    tried = check_samples(samples) or check_samples(op_cls.samples)
    if not tried:
        raise GraphError(
            f"check_op: {op_cls.__name__} has no samples; give some, such as "
            "check_op(f, [sample(gc.float32[3, 4])])",
            user_location(),
        )
    with pointing_at(op), np.errstate(all="ignore"):
        for check in CHECKS:
            for sample in tried:
                check(op_cls, sample)
        typed = in_other_types(op_cls, tried)
        for sample in typed:
            check_type(op_cls, sample)
            check_special_values(op_cls, sample)
        check_compiled(op_cls, (*tried, *typed))
        check_on_device(op_cls, (*tried, *typed))
