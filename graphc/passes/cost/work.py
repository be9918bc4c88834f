"""Weighs kernels by their work.  The weight decides into how many chunks a kernel is cut, and which
kernels are cheap to run again."""

from __future__ import annotations

from collections.abc import Callable

from graphc.errors import ShapeError, user_location
from graphc.ir import dim
from graphc.ir.control import body_of
from graphc.ir.dim import Size
from graphc.ir.op import Opaque
from graphc.ir.ops.conv import Convolving
from graphc.ir.ops.matmul import Matmul
from graphc.ir.program import Kernel, Kind, contraction_of
from graphc.passes.cost.kernel import UNKNOWN_STEPS, loop_steps

MAX_STEPS = 2**63 - 1  # of a kernel's loops, which count in 64 bits
WORK_PER_LOOP_STEP = 20  # element operations that a step costs besides its kernels


class TooManySteps(ShapeError, OverflowError):
    """Loops that 64 bits cannot count.  If a tensor has the size, the user gets to hear of that."""


Number = Callable[[Size], int]  # a size's value


def work(kernel: Kernel, number: Number) -> int:
    """About how many element operations a kernel makes."""
    if kernel.kind is Kind.CONTROL:
        once = sum(work(k, number) for p in kernel.programs for k in p.kernels)
        return _steps(kernel, number) * (WORK_PER_LOOP_STEP + once)
    if kernel.kind is Kind.OPAQUE:
        (out,) = kernel.body
        assert isinstance(out.op, Opaque)
        return number(out.op.work(out.type, *(a.type for a in out.args)))
    elements = number(dim.product(kernel.domain))
    if elements > MAX_STEPS:
        raise _too_long(kernel, elements)
    if kernel.kind is Kind.SCAN:
        return elements * max(1, len(body_of(kernel.body[0]).nodes()))
    if kernel.kind is Kind.CONVOLUTION:
        out = contraction_of(kernel)
        assert isinstance(out.op, Convolving)
        return number(out.op.products(*(a.type for a in out.args))) // 16
    if kernel.kind is Kind.MATMUL:
        out = contraction_of(kernel)
        assert isinstance(out.op, Matmul)
        return elements * number(out.op.sizes(*(a.type for a in out.args))[1]) // 16
    return elements * max(1, len(kernel.body))


def _too_long(kernel: Kernel, steps: int) -> TooManySteps:
    """The error for a kernel of so many steps."""
    last = kernel.body[-1]
    return TooManySteps(
        f"{last.op.name}: {last.name or 'a value'!r} ({last.type}) takes {steps} steps of a loop; "
        f"at most {MAX_STEPS} can be counted",
        last.loc or user_location(),
    )


def _steps(kernel: Kernel, number: Number) -> int:
    steps = loop_steps(kernel)
    if steps is None:  # only the run tells: the loop must be interruptible
        return UNKNOWN_STEPS
    return min(number(steps), UNKNOWN_STEPS)
